"""`publish`: the shipped models, `metrics.json`, and the page that shows it.

Every figure of a model on the test part comes from SQL over runs of `lucarne` (`models/tables/*.sql`).
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from . import CLASSES, DOMAINS

TABLES = ("accuracy", "confusion", "by_magnitude", "answers")
"""The queries that `publish` asks of the evaluated runs; it asks `labels` of the galaxies."""

SHIPPED = ("regular", "da")
"""The trainings whose models are kept; the others are measured only."""
FILES = {"model.onnx": "onnx", "head.json": "head.json", "latents.parquet": "latents.parquet"}
RESAMPLES = 10_000
Rows = list[dict[str, Any]]


def publish(outcomes: Rows, tables: dict[str, Rows], work: Path, out: Path) -> None:
    """Copies the models of the first seed, and writes `metrics.json` and `README.md`."""
    out.mkdir(parents=True, exist_ok=True)
    first = min(made["seed"] for made in outcomes)
    for made in outcomes:
        if made["seed"] == first and made["training"] in SHIPPED:
            for file, ending in FILES.items():
                shutil.copyfile(work / made["name"] / file, out / f"{made['network']}-{made['training']}.{ending}")
    metrics = {
        "dataset": outcomes[0]["dataset"],
        "models": {made["name"]: {key: made[key] for key in made if key != "dataset"} for made in outcomes},
        **{name: tables[name] for name in TABLES if name != "answers"},
        "differences": differences(tables["answers"]),
        "labels": tables["labels"],
    }
    (out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    (out / "README.md").write_text(page(metrics))


def differences(answers: Rows) -> Rows:
    """Accuracy of `da` less that of every other training, on the same galaxies and seeds, with its 95 % interval.

    The interval is a bootstrap over galaxies (10,000 resamples of the difference that a galaxy makes, averaged over seeds).
    """
    right: dict[tuple[str, str, str], dict[tuple[str, str], bool]] = defaultdict(dict)
    for row in answers:
        for domain in DOMAINS:
            key = (row["network"], row["training"], domain)
            right[key][(row["object_id"], row["seed"])] = row[f"{domain}_right"]
    made = []
    for (network, training, domain), theirs in sorted(right.items()):
        ours = right.get((network, "da", domain))
        if training == "da" or ours is None:
            continue
        by_galaxy: dict[str, list[int]] = defaultdict(list)
        for key in ours.keys() & theirs.keys():
            by_galaxy[key[0]].append(int(ours[key]) - int(theirs[key]))
        low, high = bootstrap(np.array([np.mean(by_galaxy[name]) for name in sorted(by_galaxy)]))
        mean = float(np.mean([np.mean(values) for values in by_galaxy.values()]))
        made.append({
            "network": network, "less": training, "domain": domain, "galaxies": len(by_galaxy),
            "difference": mean, "low_95": low, "high_95": high,
        })  # fmt: skip
    return made


def bootstrap(values: np.ndarray, seed: int = 20) -> tuple[float, float]:
    """The 2.5 and 97.5 percentiles of the mean of resampled values."""
    random = np.random.default_rng(seed)
    means = [values[random.integers(0, len(values), len(values))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def page(metrics: dict[str, Any]) -> str:
    """The Markdown page of the models, made of `metrics.json` alone."""
    sections = [_introduction, _accuracy, _differences, _holdout, _magnitudes, _confusion, _labels, _cards, _files]
    return "\n".join("\n".join(section(metrics)) + "\n" for section in sections)


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["", *("| " + " | ".join(cells) + " |" for cells in lines)]


def _introduction(metrics: dict[str, Any]) -> list[str]:
    data = metrics["dataset"]
    parts = {name: sum(classes.values()) for name, classes in data["by_part_and_class"].items()}
    return [
        "# Models",
        "",
        "This page is written by `make models`, from `metrics.json`; its figures are SQL (`tables/`) over runs of `lucarne`.",
        "",
        f"The models tell {', '.join(CLASSES[:-1])} and {CLASSES[-1]} galaxies apart on images of {data['size']} x {data['size']}",
        f"pixels of {data['pixel_scale_arcsec']:g}\" in the bands {', '.join(data['bands'])}. They were trained on "
        f"{parts['train']} simulated galaxies; {parts['valid']} more chose",
        f"the epoch, by ten-year images alone, and {parts['test']} are the test part, on which nothing was chosen. Y10 and Y1 are the",
        "same galaxies after ten years and one year of LSST. No model has seen a label of Y1.",
    ]


def _accuracy(metrics: dict[str, Any]) -> list[str]:
    rows = []
    for row in metrics["accuracy"]:
        spread = f" ± {row['accuracy_spread']:.3f}" if row["seeds"] > 1 else ""
        cells = [row["network"], row["training"], row["domain"].upper(), str(row["seeds"]), f"{row['accuracy']:.3f}{spread}"]
        interval = f"{row['low_95']:.3f}-{row['high_95']:.3f}"
        rows.append([*cells, interval, *(f"{row[key]:.3f}" for key in ("precision", "recall", "f1"))])
    head = ["network", "training", "domain", "seeds", "accuracy", "95 %", "precision", "recall", "F1"]
    return [
        "## Accuracy on the test part",
        "",
        "Mean and standard deviation over seeds; the interval is Wilson's (over seeds: the outermost); precision, recall and F1",
        "are weighted by class support. `regular` has seen Y10 alone; `da` adds 0.1 MMD between the latents of both domains",
        "to the loss; `control` sees both domains without that term; `adabn` is the regular model with the batch-norm",
        "statistics of unlabelled Y1 images, which shows how much of its fall is a shift of these statistics.",
        "",
        "The paper's weight is 0.01, over up to 100 epochs. Here it is 0.1, for both networks, because with 0.01 the discrepancy of",
        "ResNet18 had not fallen when its few epochs were over, and with 0.1 it had, at the same Y10 accuracy. That was judged by",
        "the training loss on seed 1; the Y1 test accuracies of earlier trainings of that seed had been printed, and seen, by then.",
        *_table(head, rows),
    ]


def _differences(metrics: dict[str, Any]) -> list[str]:
    points = [
        [
            row["network"], f"da - {row['less']}", row["domain"].upper(), f"{100 * row['difference']:+.1f}",
            f"{100 * row['low_95']:+.1f} to {100 * row['high_95']:+.1f}",
        ]
        for row in metrics["differences"]
    ]  # fmt: skip
    return [
        "## What domain adaptation gains",
        "",
        "Points of accuracy on the same galaxies and seeds, with the 95 % interval of a paired bootstrap over galaxies.",
        "The paper (arXiv 2112.14299) gives a gain of up to 23 points on Y1 for ResNet18.",
        *_table(["network", "difference", "domain", "points", "95 %"], points),
        "",
        *_verdicts(metrics["differences"]),
    ]


def _verdicts(rows: Rows) -> list[str]:
    """Whether the signs of the paper reproduce, in words that follow the numbers."""
    found = {(row["network"], row["less"], row["domain"]): row for row in rows}
    told = []
    for network in dict.fromkeys(row["network"] for row in rows):
        y1, y10 = found.get((network, "regular", "y1")), found.get((network, "regular", "y10"))
        if y1 is None or y10 is None:
            continue
        gain = "reproduces" if y1["low_95"] > 0 else "does not reproduce"
        told.append(f"- {network}: that adaptation raises Y1 accuracy {gain} ({100 * y1['difference']:+.1f} points).")
        paper = "raised" if network == "resnet18" else "slightly lowered"
        sign = "raised" if y10["low_95"] > 0 else "lowered" if y10["high_95"] < 0 else "left unchanged within the interval"
        told.append(f"- {network}: the paper's adaptation {paper} Y10 accuracy; here it is {sign} ({100 * y10['difference']:+.1f}).")
        control = found.get((network, "control", "y1"))
        if control is not None:
            holds = "gains" if control["low_95"] > 0 else "loses" if control["high_95"] < 0 else "changes nothing that can be seen"
            told.append(f"- {network}: over the control, the term itself {holds} on Y1 ({100 * control['difference']:+.1f} points).")
    return told


def _holdout(metrics: dict[str, Any]) -> list[str]:
    rows = [row for row in metrics["confusion"] if row["training"] in ("da", "control", "holdout") and row["domain"] == "y1"]
    networks = {row["network"] for row in rows if row["training"] == "holdout"}
    if not networks:
        return ["## A class that only one domain has", "", "Not trained: `experiments/holdout.yaml`."]
    lacking = next(made for made in metrics["models"].values() if made["training"] == "holdout")["settings"]["without"]
    recall = {(row["network"], row["training"], row["truth"]): row["recall"] for row in rows}
    false: dict[tuple[str, str, str], float] = defaultdict(float)
    for row in rows:
        for name in CLASSES:
            false[row["network"], row["training"], name] += row[f"called_{name}"] / row["seeds"] * (row["truth"] != name)
    told = [
        f"{network}: {false[network, 'holdout', name]:.0f} others are called {name}, {false[network, 'da', name]:.0f} by `da`; its own recall "
        f"is {recall[network, 'holdout', name]:.3f}, {recall[network, 'da', name]:.3f} by `da`"
        for network in sorted(networks) for name in lacking if (network, "da", name) in recall
    ]  # fmt: skip
    cells = [
        [row["network"], row["training"], row["truth"], f"{row['recall']:.3f}",
         *(f"{row[f'called_{name}'] / row['seeds']:.0f}" for name in CLASSES)]
        for row in rows if row["network"] in networks
    ]  # fmt: skip
    return [
        "## A class that only one domain has",
        "",
        f"`holdout` is `da` whose Y1 images had no {' and no '.join(lacking)} while training. MMD aligns whole distributions, so the",
        "paper warns that a class which only one domain has is aligned wrongly: others are pulled to its place. Y1 test part,",
        f"all classes, mean over the seeds. {'; '.join(told)}.",
        *_table(["network", "training", "truth", "recall", *(f"called {name}" for name in CLASSES)], cells),
    ]


def _labels(metrics: dict[str, Any]) -> list[str]:
    rows = metrics["labels"]
    agreed = sum(row[f"called_{row['truth']}"] for row in rows)
    total = sum(row["galaxies"] for row in rows)
    cells = [
        [row["truth"], str(row["galaxies"]), *(str(row[f"called_{name}"]) for name in CLASSES), str(row["without_class"])]
        for row in rows
    ]  # fmt: skip
    return [
        "## The simulator's classes and those of the Gini-M20 lines",
        "",
        "The models learn the simulator's classes. The transform `morphology` on the noise-free r image, as in the paper, agrees",
        f"on {agreed} of {total} galaxies ({100 * agreed / total:.1f} %); `label: morphology_class` in an experiment trains on its classes.",
        *_table(["truth", "galaxies", *(f"called {name}" for name in CLASSES), "no class"], cells),
    ]


def _magnitudes(metrics: dict[str, Any]) -> list[str]:
    rows = [
        [row["network"], row["training"], f"{row['magnitude_r_from']:.0f}-{row['magnitude_r_from'] + 1:.0f}",
         str(row["galaxies"]), f"{row['y10']:.3f}", f"{row['y1']:.3f}"]
        for row in metrics["by_magnitude"]
    ]  # fmt: skip
    head = ["network", "training", "r magnitude", "galaxies", "Y10", "Y1"]
    return ["## Accuracy by magnitude", *_table(head, rows)]


def _confusion(metrics: dict[str, Any]) -> list[str]:
    rows = [
        [row["network"], row["training"], row["domain"].upper(), row["truth"],
         *(str(row[f"called_{name}"]) for name in CLASSES)]
        for row in metrics["confusion"]
    ]  # fmt: skip
    head = ["network", "training", "domain", "truth", *(f"called {name}" for name in CLASSES)]
    return ["## Confusion on the test part", "", "Over all seeds.", *_table(head, rows)]


def _cards(metrics: dict[str, Any]) -> list[str]:
    rows = []
    for name, made in metrics["models"].items():
        half = made["half_precision"]
        halved = "" if half is None else f"{half['difference']:.1e}, {half['classes_changed']}"
        cells = [name, f"{made['parameters']:,}", f"{made['best_epoch']} of {made['epochs']}", f"{made['seconds'] / 60:.0f}"]
        rows.append([*cells, made["precision"], f"{made['onnx_difference']:.1e}", halved])
    data = metrics["dataset"]
    constants = [f"{domain.upper()} {value['lo']:.1f} to {value['hi']:.1f}" for domain, value in data["stretch"].items()]
    versions = next(iter(metrics["models"].values()))["versions"]
    head = ["model", "parameters", "epoch kept", "minutes", "precision", "ONNX - PyTorch", "half precision: logits, classes changed"]
    return [
        "## Trainings",
        *_table(head, rows),
        "",
        f"Stretch in electrons, fitted on the training part: {', '.join(constants)}. Data set `{data['digest'][:16]}`;",
        ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
    ]


def _files(_: dict[str, Any]) -> list[str]:
    return [
        "## Files",
        "",
        "- `*.onnx`: input `image` [N, band, y, x], outputs `latent` [N, 256] and `logits` [N, class]; the card is in the",
        "  metadata key `lucarne_card`. The weights of ResNet18 are stored in half precision.",
        "- `*.head.json`: the affine head, logits = weights latent + bias.",
        "- `*.latents.parquet`: latents of held-out galaxies in both domains.",
        "- `metrics.json`: every number of this page, the training curves, and the versions.",
        "- `experiments/`, `training/`: what trained them; `evaluate.yaml`, `tables/`: what measured them.",
    ]
