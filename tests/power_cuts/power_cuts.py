"""Cuts the power of a real `lucarne` process at random operations, and resumes what the disk has kept.

The run directory is on a file system in memory (`fuse.py`), which loses what was not synced (`disk.py`). A trial starts a command,
kills it at one of its operations together with the power, and starts the command again on what survived, sometimes with further
cuts, until it ends. The tables must then equal those of an undisturbed run, bit for bit. Trials with faults do the same with
operations that fail, and without the fault afterwards.

    make power-cuts CUTS=200
    power_cuts.py LUCARNE --seed 7 --only cut:12      repeats one trial, and shows its steps
"""

import argparse
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import records
from disk import Disk
from fuse import CHANGES, Mount

PIPELINE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pipeline.yaml")
REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(PIPELINE)))
RUN = "runs/power"
TIMEOUT_S = 600
FAULTS = {"eio": errno.EIO, "enospc": errno.ENOSPC, "erofs": errno.EROFS}
# Disks that lie: they report a sync of files, of folders, or any sync, and do nothing.
LIES = ("fsync", "fsyncdir", "all")


class Failure(Exception):
    """A promise that was not kept."""


class Fault:
    """Makes operations fail: EIO one, ENOSPC and EROFS all changes from one on. A full disk still removes."""

    def __init__(self, code, at, changes_only, done_first):
        self.code, self.at, self.changes_only = code, at, changes_only
        # The operation is done, and its error reported nevertheless.
        self.done_first = done_first
        self.injected = 0

    def fails(self, name, operations, changes):
        if self.code == errno.EIO:
            return (changes if self.changes_only else operations) == self.at and (name in CHANGES or not self.changes_only)
        spared = ("unlink", "rmdir") if self.code == errno.ENOSPC else ()
        return name in CHANGES and name not in spared and changes >= self.at


class Step:
    """One process on the disk, until it ends or the power fails."""

    def __init__(self, trial, arguments, cut_at=None, fault=None, power="cut"):
        self.trial, self.cut_at, self.fault = trial, cut_at, fault
        self.operations = self.changes = self.unsynced = 0
        self.was_cut = False
        self.started = threading.Event()
        disk = Disk(trial.image)
        mount_point = os.path.join(trial.folder, "mount")
        os.makedirs(mount_point, exist_ok=True)
        self.mount = Mount(disk, mount_point, self._before, self._after)
        try:
            command = [trial.lucarne, *(part.replace("RUN", os.path.join(mount_point, RUN)) for part in arguments)]
            with tempfile.TemporaryFile("w+") as output:
                self.process = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
                self.started.set()
                try:
                    self.code = self.process.wait(TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.code = "no end"
                    self.process.wait()
                output.seek(0)
                self.output = output.read()
        finally:
            self.mount.unmount()
        self.unsynced = self.unsynced if self.was_cut else disk.unsynced()
        if self.was_cut or power == "cut":
            disk.cut(trial.random)
        else:
            disk.sync_all()
        trial.image = trial.new_image()
        disk.save(trial.image)
        trial.steps.append(self)
        self.name = " ".join(arguments).replace(PIPELINE, "PIPELINE")
        self.work = "overwrite" if "--overwrite" in arguments else arguments[0]
        how = f"cut at change {cut_at}, {self.unsynced} unsynced" if self.was_cut else f"exit code {self.code}, {power}"
        how += f", {fault.injected} faults {errno.errorcode[fault.code]} from operation {fault.at}" if fault else ""
        trial.log.append(f"{self.name}: {self.operations} operations, {self.changes} changes, {how}")
        if not self.was_cut and self.code not in (0, 1):
            trial.log.append(self.output.strip())

    def _before(self, name, node):
        self.started.wait()
        if name in CHANGES and self.changes == self.cut_at:
            self.was_cut = True
            self.unsynced = self.mount.disk.unsynced()
            self.mount.dead = True
            self.process.kill()
            raise OSError(errno.EIO, "no power")
        if name in ("fsync", "fsyncdir") and self.trial.lie in (name, "all"):
            self._count(name)
            return True
        fault = self.fault
        if fault and not fault.done_first and fault.fails(name, self.operations, self.changes):
            if name == "fsync":
                node.fail_sync()
            self._fail(name)
        return False

    def _after(self, name):
        fault = self.fault
        if fault and fault.done_first and fault.fails(name, self.operations, self.changes):
            self._fail(name)
        self._count(name)

    def _fail(self, name):
        self.fault.injected += 1
        self._count(name)
        raise OSError(self.fault.code, name)

    def _count(self, name):
        self.operations += 1
        self.changes += name in CHANGES


class Trial:
    def __init__(self, setting, kind, index):
        self.lucarne, self.expected, self.lie = setting["lucarne"], setting["expected"], None
        self.setting, self.name = setting, f"{kind}:{index}"
        self.random = random.Random(f"{setting['seed']} {kind} {index}")
        self.folder = tempfile.mkdtemp(prefix="power_cuts_", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.steps, self.log, self.images = [], [], 0
        self.image = self.new_image()

    def new_image(self):
        self.images += 1
        image = os.path.join(self.folder, f"image{self.images}")
        os.mkdir(image)
        return image

    @property
    def run_dir(self):
        return os.path.join(self.image, RUN)

    def begin_finished(self):
        shutil.copytree(self.setting["finished"], self.image, dirs_exist_ok=True)
        self.log.append("begins with the finished run")

    def step(self, *arguments, **how):
        return Step(self, arguments, **how)

    def run(self, existing="--resume", **how):
        return self.step("run", PIPELINE, "-o", "RUN", existing, **how)

    def check_survivors(self):
        """What the records of a run that is not complete name has to be there, and be the first rows."""
        # What a disk has lost that lies is for the resume to notice.
        if self.lie or not os.path.isdir(self.run_dir):
            return
        found = records.tables(self.run_dir)
        wrong = records.difference(self.expected, found, unfinished=True)
        if wrong:
            raise Failure(f"after the power cut {wrong}")
        path = os.path.join(self.run_dir, "run.json")
        if os.path.exists(path):
            with open(path) as file:
                promised = json.load(file)["commits"]
            there = [record["commit"] for record in records.commit_records(self.run_dir)][-1:]
            if there and promised > there[0]:
                raise Failure(f"`run.json` has {promised} commits, the log {there[0]}")

    def expect(self, step, *codes):
        if step.was_cut:
            return False
        if step.code not in codes:
            raise Failure(f"`{step.name}` has exit code {step.code}, expected {codes}: {step.output.strip()[-500:]}")
        return True

    def check_complete(self):
        wrong = records.difference(self.expected, records.tables(self.run_dir))
        if wrong:
            raise Failure(f"after the end {wrong}")

    def finish(self):
        """Resumes without any disturbance, and holds the tables to what they should be."""
        self.expect(self.run(), self.setting["code"])
        self.check_complete()
        self.expect(self.step("verify", "RUN"), 0)
        if self.random.random() < 0.3:
            self.expect(self.step("compact", "RUN"), 0)
            self.check_complete()
        # A start removes what no record names; what it removes is gone unless the power fails.
        self.expect(self.run(power="kept"), self.setting["code"])
        self.check_complete()
        left = records.strays(self.run_dir)
        if left and not self.lie:
            raise Failure(f"files that no record names are left: {left}")

    def cut(self):
        """A run, an overwriting run, or a compaction, and cuts during the resumes."""
        changes, draw = self.setting["changes"], self.random.random()
        if draw < 0.7:
            step = self.run(cut_at=self.random.randrange(changes["run"]))
        else:
            self.begin_finished()
            if draw < 0.9:
                step = self.step("compact", "RUN", cut_at=self.random.randrange(changes["compact"]))
            else:
                step = self.run("--overwrite", cut_at=self.random.randrange(changes["overwrite"]))
        self.check_survivors()
        while self.random.random() < 0.35:
            if self.random.random() < 0.3:
                # A run directory that has not begun is refused.
                begun = os.path.exists(os.path.join(self.run_dir, "run.json"))
                again = self.step("compact", "RUN", cut_at=self.random.randrange(changes["compact"]))
                self.expect(again, 0, *([] if begun else [3]))
            else:
                again = self.run(cut_at=self.random.randrange(max(60, changes["run"] - step.changes)))
                self.expect(again, self.setting["code"])
                if not again.was_cut:
                    self.check_complete()
            self.check_survivors()
        if draw >= 0.9 and self.random.random() < 0.5:
            self.expect(self.run("--overwrite"), self.setting["code"])
            self.check_complete()
        self.finish()

    def fault(self, kind):
        """Operations that fail in a run, a resume, or a compaction."""
        code = FAULTS[kind]
        draw = self.random.random()
        if draw < 0.7:
            command, work = ("run", PIPELINE, "-o", "RUN", "--resume"), "run"
            begin = 0
            if draw < 0.2:
                begin = self.run(cut_at=self.random.randrange(self.setting["changes"]["run"])).changes
        else:
            self.begin_finished()
            command, work, begin = ("compact", "RUN"), "compact", 0
        changes_only = code != errno.EIO or self.random.random() < 0.6
        number = self.setting["changes" if changes_only else "operations"][work]
        done_first = code == errno.EIO and self.random.random() < 0.25
        fault = Fault(code, self.random.randrange(max(40, number - begin)), changes_only, done_first)
        power = self.random.choice(["cut", "kept"])
        step = self.step(*command, fault=fault, power=power)
        if work == "run" and step.code == self.setting["code"]:
            self.check_complete()
        elif work == "run":
            self.expect(step, 3)
        else:
            self.expect(step, 0, 3)
        if step.code == 3 and "error (environment)" not in step.output:
            raise Failure(f"an error that is not of the environment: {step.output.strip()[-500:]}")
        if fault.injected == 0 and step.code == 3:
            raise Failure(f"`{step.name}` has failed without a fault")
        self.check_survivors()
        self.finish()
        return "not reached" if fault.injected == 0 else "reported" if step.code == 3 else "tolerated"


def unmount_when_stopped():
    """Turns SIGTERM into an exception, so that no mount stays behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def attempt(setting, kind, index):
    """One trial: its outcome, its cuts, and its log."""
    trial = Trial(setting, kind, index)
    kept = None
    try:
        if kind.startswith("lie-"):
            trial.lie = kind.removeprefix("lie-")
            trial.cut()
            outcome = "not noticed"
        elif kind == "cut":
            trial.cut()
            outcome = "equal"
        else:
            outcome = trial.fault(kind)
        wrong = None
    except Exception as error:
        outcome, wrong = "failed", f"{type(error).__name__}: {error}"
        if kind in ("cut", *FAULTS):
            kept = os.path.join(setting["keep"], trial.name.replace(":", "_"))
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(trial.folder, kept, ignore=shutil.ignore_patterns("mount"))
    finally:
        shutil.rmtree(trial.folder, ignore_errors=True)
    return {
        "trial": trial.name,
        "outcome": outcome,
        "wrong": wrong,
        "cuts": sum(step.was_cut for step in trial.steps),
        "faults": sum(step.fault.injected for step in trial.steps if step.fault),
        "lossy": sum(step.was_cut and step.unsynced > 0 for step in trial.steps),
        "commands": Counter(step.work for step in trial.steps if step.was_cut),
        "log": trial.log,
        "kept": kept,
    }


def undisturbed(lucarne, seed, folder):
    """What to expect: the tables, the exit code, and how many operations there are to choose from."""
    setting = {"lucarne": lucarne, "expected": None, "seed": seed}
    trial = Trial(setting, "undisturbed", 0)
    run = trial.run(power="kept")
    if run.code not in (0, 1):
        sys.exit(f"the undisturbed run has failed:\n{run.output}")
    expected = records.tables(trial.run_dir)
    commits = records.commit_records(trial.run_dir)[-1]["commit"]
    finished = os.path.join(folder, "finished")
    shutil.copytree(trial.image, finished)
    compact = trial.step("compact", "RUN", power="kept")
    if compact.code != 0 or records.difference(expected, records.tables(trial.run_dir)):
        sys.exit(f"the undisturbed compaction has failed:\n{compact.output}")
    overwrite = trial.run("--overwrite", power="kept")
    shutil.rmtree(trial.folder)
    steps = {"run": run, "compact": compact, "overwrite": overwrite}
    print(f"undisturbed: {commits} commits, exit code {run.code}, " + ", ".join(
        f"{name} {step.operations} operations ({step.changes} changes)" for name, step in steps.items()
    ))  # fmt: skip
    print("tables: " + ", ".join(
        f"{name} {len(content['rows'])} rows" + (f" {len(content['files'])} files" if content["files"] else "")
        for name, content in sorted(expected.items())
    ))  # fmt: skip
    return setting | {
        "expected": expected,
        "code": run.code,
        "finished": finished,
        "changes": {name: step.changes for name, step in steps.items()},
        "operations": {name: step.operations for name, step in steps.items()},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lucarne", help="the command under test")
    parser.add_argument("--cuts", type=int, default=200, help="trials with power cuts")
    parser.add_argument("--faults", type=int, help="trials of each of EIO, ENOSPC, and EROFS; by default half of the cuts")
    parser.add_argument("--lies", type=int, help="trials with a disk that lies about syncs, of each kind; by default a tenth of the cuts")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", metavar="KIND:INDEX", help="repeats one trial")
    parser.add_argument("--keep", default="runs/power_cuts", help="the folder for the disks of failed trials")
    options = parser.parse_args()
    faults = options.cuts // 2 if options.faults is None else options.faults
    lies = options.cuts // 10 if options.lies is None else options.lies
    unmount_when_stopped()
    begun = time.monotonic()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="power_cuts_") as folder:
        setting = undisturbed(os.path.abspath(options.lucarne), options.seed, folder)
        setting["keep"] = os.path.abspath(options.keep)
        if options.only:
            kind, index = options.only.split(":")
            result = attempt(setting, kind, int(index))
            print("\n".join(result["log"]), result["outcome"], result["wrong"] or "", sep="\n")
            return result["outcome"] == "failed"
        counts = {"cut": options.cuts} | dict.fromkeys(FAULTS, faults)
        counts |= {f"lie-{what}": lies for what in LIES}
        bad = False
        with ProcessPoolExecutor(options.jobs, initializer=unmount_when_stopped) as pool:
            for kind, count in counts.items():
                if count:
                    began = time.monotonic()
                    results = list(pool.map(attempt, [setting] * count, [kind] * count, range(count)))
                    bad |= not report(kind, results, time.monotonic() - began)
    print(f"{time.monotonic() - begun:.0f} s")
    return bad


def report(kind, results, seconds):
    """Prints the outcome of the trials of a kind; whether it is what it should be."""
    outcomes = Counter(result["outcome"] for result in results)
    total = {key: sum(result[key] for result in results) for key in ("cuts", "lossy", "faults")}
    where = sum((result["commands"] for result in results), Counter())
    failed = [result for result in results if result["outcome"] == "failed"]
    line = f"{kind}: {len(results)} trials in {seconds:.0f} s, {total['cuts']} power cuts ({total['lossy']} with unsynced changes"
    line += "".join(f", {number} in {command}" for command, number in sorted(where.items())) + f"), {total['faults']} faults: "
    print(line + ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items())))
    if kind.startswith("lie-"):
        reasons = Counter(reason_of(result["wrong"]) for result in failed)
        for reason, number in reasons.most_common():
            print(f"  {number} noticed: {reason}")
        # A check that notices nothing is worth nothing.
        return bool(failed)
    for result in failed:
        print(f"  {result['trial']}: {result['wrong']}", *result["log"], f"kept in {result['kept']}", sep="\n    ")
    return not failed


def reason_of(wrong):
    if "exit code" in wrong:
        return "refused by lucarne"
    return "rows lost or doubled" if "after the end" in wrong else "files missing or damaged after the end"


if __name__ == "__main__":
    sys.exit(main())
