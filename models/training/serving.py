"""Evaluation by `lucarne` itself: every model runs on the test part as in production, and SQL queries make the tables.

The run directory of a model is named `network-training-seed`; the queries in `models/tables` read the name.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import TrainingError

MODELS = Path(__file__).parent.parent
"""The folder of the models, with `evaluate.yaml` and `tables/`."""
LESSON = MODELS.parent / "pipelines" / "04_sensitivity.yaml"
"""The lesson on attacks. Its queries are `04_tables.sql` and `04_distances.sql` beside it."""
ATTACKED = ("convnet",)
"""The networks that are attacked. 150 galaxies take half a minute for a ConvNet, and about a day of a core for a ResNet18, where
a pixel changes most of every layer."""


def evaluate(lucarne: Path, galaxies: Path, models: dict[str, Path], out: Path, say: Callable[[str], None]) -> None:
    """Runs `evaluate.yaml` for every model (a name and its ONNX file) into `out`/name. Finished runs are kept.

    Raises `TrainingError` when a run fails or a galaxy is rejected.
    """
    for name, model in models.items():
        run = out / name
        if _is_done(run, model):
            continue
        say(f"evaluating {name}")
        settings = ["--set", f"galaxies={galaxies}", "--set", f"model={model}"]
        _call(lucarne, "run", MODELS / "evaluate.yaml", *settings, "-o", run, "--overwrite")
        rejected = json.loads((run / "run.json").read_text())["counts"]["rejected"]
        if rejected:
            raise TrainingError(f"{rejected} galaxies were rejected in `{run}`: see its table `rejects`")


def attack(lucarne: Path, models: dict[str, Path], out: Path, say: Callable[[str], None]) -> None:
    """Runs the lesson on attacks for the regular and the adapted model of every seed, into `out`/network-seed.

    `models` are ONNX files by network-training-seed. Models without their counterpart, and networks that take too long, are
    skipped.
    """
    for name, regular in models.items():
        network, training, seed = name.split("-")
        adapted = models.get(f"{network}-da-{seed}")
        run = out / f"{network}-{seed}"
        if training != "regular" or adapted is None or network not in ATTACKED:
            continue
        if _is_done(run, regular) and _is_done(run, adapted):
            continue
        say(f"attacking {network}-{seed}")
        settings = ["--set", f"regular={regular}", "--set", f"da={adapted}"]
        _call(lucarne, "run", LESSON, *settings, "-o", run, "--overwrite")


def attacks(lucarne: Path, out: Path) -> dict[str, list[dict[str, Any]]]:
    """The tables `attacks` and `distances` of all seeds, with network and seed in every row."""
    tables: dict[str, list[dict[str, Any]]] = {"attacks": [], "distances": []}
    for run in sorted(path.parent for path in out.glob("*-*/run.json")):
        network, seed = run.name.split("-")
        for name, query in (("attacks", "04_tables.sql"), ("distances", "04_distances.sql")):
            rows = _rows(_call(lucarne, "query", run, "-f", LESSON.parent / query, "--format", "json"))
            tables[name] += [{"network": network, "seed": int(seed), **row} for row in rows]
    return tables


def _is_done(run: Path, model: Path) -> bool:
    try:
        record = (run / "run.json").read_text()
    except OSError:
        return False
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    return json.loads(record).get("state") == "finished" and digest in record


def query(lucarne: Path, runs: Path, table: str) -> list[dict[str, Any]]:
    """The rows of `models/tables/<table>.sql` over all runs of a folder."""
    return _rows(_call(lucarne, "query", runs, "-f", MODELS / "tables" / f"{table}.sql", "--format", "json"))


def _rows(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def _call(lucarne: Path, *arguments: str | Path) -> str:
    command = [str(lucarne), *(str(argument) for argument in arguments)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise TrainingError(f"cannot run `{lucarne}`: {error}; build it with `make build`") from error
    if done.returncode != 0:
        raise TrainingError(f"`{' '.join(command)}` exited with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
