"""Makes three run directories of a format with a binary of the version that writes it.

    python3 tests/golden/runs/make.py path/to/lucarne v1    # in the root of the repository, for the paths of the models

finished: a complete run. killed: killed while the third commit was being prepared, with parts in staging. pending: killed after
the stream had ended, with objects of the one-pixel attack accepted and unfinished. Kills are timed, so the script tries until it
meets the wanted instant. `_lock` is removed. v0 was made with lucarne 0.1.0 on November 27, 2026, v1 and v2 with 0.2.0 (before its
release) on November 28, 2026. Never make those of an old format again.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import time

BINARY = sys.argv[1]
HERE = pathlib.Path(__file__).parent / sys.argv[2]
# Iterations of the attack that is killed.
MAXITER = {"v0": 3000, "v1": 300, "v2": 300}[sys.argv[2]]


def start(run, *extra):
    shutil.rmtree(run, ignore_errors=True)
    command = [BINARY, "run", str(HERE / "pipeline.yaml"), "-o", str(run), "--threads", "1", *extra]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def commits(run):
    return sorted(int(path.name[:10]) for path in (run / "_commits").glob("??????????.json"))


def last(run):
    return json.loads((run / "_commits" / f"{commits(run)[-1]:010}.json").read_text())


def kill(process):
    process.kill()
    process.wait()


start(HERE / "finished").wait()

run = HERE / "killed"
while True:
    process = start(run)
    while process.poll() is None and len(commits(run)) < 2:
        time.sleep(0.002)
    time.sleep(0.05)
    kill(process)
    staged = [path for path in run.glob("_staging/*/*") if path.is_file()]
    if not last(run)["finished"] and last(run)["counts"]["source"] < 60 and staged:
        break

run = HERE / "pending"
while True:
    process = start(run, "--set", f"maxiter={MAXITER}")
    while process.poll() is None and (not commits(run) or last(run)["counts"]["source"] < 60):
        time.sleep(0.01)
    number = commits(run)[-1]
    while process.poll() is None and commits(run)[-1] == number:
        time.sleep(0.002)
    kill(process)
    state = run / "_commits" / last(run)["monitors"]["attack"]["file"]
    head = json.loads(state.read_bytes().split(b"\n")[0])
    if not last(run)["finished"] and head.get("state", head)["pending"]:
        break

for lock in HERE.glob("*/_lock"):
    lock.unlink()
