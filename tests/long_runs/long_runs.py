"""Runs the command over many rows and many files, and watches its memory, file descriptors and threads.

The rows are real/bogus stamps of 3 x 17 x 17 pixels, scored by the network of lesson 07 through ONNX Runtime, with a monitor and
a sink. Peak memory of the long runs must be within a twentieth of that of the shortest, file descriptors and threads must not grow,
and each row must be in the table once. It needs Linux, and no packages.

    make long-runs
    make long-runs ROWS="100000 1000000" MANY_FILES=100000
"""

import argparse
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXAMPLES = os.path.join(REPOSITORY, "models", "examples")
STAMPS = ("science", "template", "difference")
# Rows of the example file, and of one input file: a longer run reads more files of the same stamps.
EXAMPLE_ROWS = 200
FILE_ROWS = 50_000

# The stamps of all files of a folder.
SOURCE = """run: {run}
seed: 7
source:
  parquet:
    paths: ["{inputs}/*.parquet"]
    images:""" + "".join(f"\n      {stamp}: {{{{ bands: [r], size: 17, unit: nJy }}}}" for stamp in STAMPS) + "\n"

# Makes files of many rows out of copies of the example. Origins are left out: each row of a file gets its own.
COLLECT = SOURCE + """sink:
  objects: {{ parquet: {{ columns: {{ include: [object_id, label] }}, images: [science, template, difference] }} }}
"""

SCORE = SOURCE + """score:
  rb: {{ onnx: {{ model: {examples}/real_bogus.onnx, image: difference, images: {{ science: science, template: template }} }} }}
monitor:
  accuracy: {{ accuracy: {{ truth: label, score: rb }} }}
sink:
  objects: {{ parquet: {{ columns: {{ include: [object_id, origin, rb_class, rb_probability] }} }} }}
"""

FILES = """
run: {run}
seed: 7
source:
  fits: {{ paths: ["{inputs}"], bands: [r], size: 17, unit: nJy, pixel_scale_arcsec: 0.2 }}
transform:
  small: {{ crop: {{ image: image, size: 15 }} }}
sink:
  objects: {{ parquet: {{}} }}
"""


# How far a count of descriptors or threads that is looked at now and then may differ between runs that are alike.
NOISE = 2


class Usage:
    """What a process held: its peak memory in KiB, and the most descriptors and threads that were seen."""

    def __init__(self, peak_kib, seconds, samples):
        self.peak_kib, self.seconds = peak_kib, seconds
        self.descriptors, self.threads = (max((sample[i] for sample in samples), default=0) for i in (0, 1))

    def __str__(self):
        return f"{self.seconds:8.1f} s, peak {self.peak_kib / 1024:6.1f} MiB, {self.descriptors} descriptors, {self.threads} threads"


def descriptors_and_threads(pid):
    try:
        with open(f"/proc/{pid}/status") as status:
            threads = next(int(line.split()[1]) for line in status if line.startswith("Threads:"))
        return len(os.listdir(f"/proc/{pid}/fd")), threads
    except (OSError, StopIteration):
        return None


def watched(command):
    """Runs a command to its end; it has to succeed."""
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=REPOSITORY)
    samples = []
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        sample = descriptors_and_threads(process.pid)
        if sample:
            samples.append(sample)
        time.sleep(0.05)
    errors = process.stderr.read().decode(errors="replace")
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}:\n{errors[-4000:]}")
    return Usage(usage.ru_maxrss, time.monotonic() - begun, samples)


def run(lucarne, work, name, text, **values):
    """Runs a pipeline, and returns its directory and what it held."""
    document = os.path.join(work, f"{name}.yaml")
    directory = os.path.join(work, "runs", name)
    with open(document, "w") as file:
        file.write(text.format(run=directory, examples=EXAMPLES, **values))
    usage = watched([lucarne, "run", document, "--quiet", "--threads", "2"])
    print(f"{name:<24}{usage}", flush=True)
    return directory, usage


def check_rows(lucarne, directory, expected):
    """Each row is in the table once."""
    query = "select count(*) as rows, count(distinct origin) as origins from objects"
    out = subprocess.run([lucarne, "query", directory, query, "--format", "csv"], capture_output=True, text=True, check=True)
    found = [int(number) for number in out.stdout.splitlines()[1].split(",")]
    if found != [expected, expected]:
        sys.exit(f"{directory}: expected {expected} rows of as many origins, found {found}")


def check_growth(shortest, usage):
    """Peak memory within a twentieth of the shortest run, and no more descriptors and threads."""
    if usage.peak_kib > 1.05 * shortest.peak_kib:
        sys.exit(f"peak memory grew from {shortest.peak_kib} to {usage.peak_kib} KiB")
    if usage.descriptors > shortest.descriptors + NOISE:
        sys.exit(f"descriptors grew from {shortest.descriptors} to {usage.descriptors}")
    if usage.threads > shortest.threads + NOISE:
        sys.exit(f"threads grew from {shortest.threads} to {usage.threads}")


def link(files, folder, count, per_folder=1000):
    """Many names for a few files."""
    for i in range(count):
        parent = os.path.join(folder, f"{i // per_folder:04}") if per_folder < count else folder
        os.makedirs(parent, exist_ok=True)
        source = files[i % len(files)]
        os.link(source, os.path.join(parent, f"{i:07}{os.path.splitext(source)[1]}"))


def fits_image(number):
    """A FITS file of 17 x 17 pixels."""
    cards = [
        "SIMPLE  =                    T",
        "BITPIX  =                  -32",
        "NAXIS   =                    2",
        "NAXIS1  =                   17",
        "NAXIS2  =                   17",
        "END",
    ]
    header = "".join(card.ljust(80) for card in cards).ljust(2880).encode()
    pixels = struct.pack(">289f", *((number * 31 + i * 17) % 97 + 0.5 for i in range(289)))
    return header + pixels.ljust(2880, b"\0")


def try_rows(lucarne, work, counts):
    """Longer and longer runs over the same stamps."""
    example = os.path.join(work, "example.parquet")
    shutil.copy(os.path.join(EXAMPLES, "real_bogus.parquet"), example)
    link([example], os.path.join(work, "copies"), FILE_ROWS // EXAMPLE_ROWS)
    collected, _ = run(lucarne, work, "collect", COLLECT, inputs=os.path.join(work, "copies"))
    subprocess.run([lucarne, "compact", collected], stdout=subprocess.DEVNULL, check=True)
    parts = sorted(os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(collected, "objects")) for name in names)
    if len(parts) != 1:
        sys.exit(f"expected one part of {FILE_ROWS} rows, found {parts}")
    shortest = None
    for rows in counts:
        inputs = os.path.join(work, f"inputs-{rows}")
        link(parts, inputs, rows // FILE_ROWS, per_folder=rows)
        directory, usage = run(lucarne, work, f"{rows:,} rows", SCORE, inputs=inputs)
        check_rows(lucarne, directory, rows)
        shortest = shortest or usage
        check_growth(shortest, usage)


def try_files(lucarne, work, count):
    """As many FITS files."""
    files = []
    for number in range(8):
        files.append(os.path.join(work, f"{number}.fits"))
        with open(files[-1], "wb") as file:
            file.write(fits_image(number))
    inputs = os.path.join(work, "files")
    link(files, inputs, count)
    directory, _ = run(lucarne, work, f"{count:,} files", FILES, inputs=inputs)
    check_rows(lucarne, directory, count)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lucarne")
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--files", type=int, default=100_000)
    arguments = parser.parse_args()
    if bad := [rows for rows in arguments.rows if rows % FILE_ROWS]:
        parser.error(f"rows come in files of {FILE_ROWS}, found {bad}")
    lucarne = os.path.abspath(arguments.lucarne)
    with tempfile.TemporaryDirectory(prefix="lucarne-long-runs-") as work:
        try_rows(lucarne, work, arguments.rows)
        try_files(lucarne, work, arguments.files)


if __name__ == "__main__":
    main()
