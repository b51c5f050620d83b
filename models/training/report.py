"""`metrics.json` and the page that shows it."""

from __future__ import annotations

import platform

import numpy
import onnx
import onnxruntime
import pyarrow
import torch

from . import CLASSES, DOMAINS
from .data import Data


def versions() -> dict[str, str]:
    """The versions of everything that had a hand in the numbers."""
    packages = (torch, onnx, onnxruntime, pyarrow, numpy)
    return {"python": platform.python_version(), **{package.__name__: str(package.__version__) for package in packages}}


def dataset(data: Data) -> dict[str, object]:
    """What the models were made of."""
    return {
        "digest": data.digest,
        "made_by": data.made_by,
        "objects": len(data.ids),
        "by_part_and_class": data.counts(),
        "bands": list(data.layout.bands),
        "size": data.layout.size,
        "pixel_scale_arcsec": data.layout.pixel_scale_arcsec,
        "stretch": {domain: stretch.card() for domain, stretch in data.stretches.items()},
    }


def page(metrics: dict) -> str:
    """The Markdown page of the models, made of `metrics.json` alone."""
    data, options = metrics["dataset"], metrics["options"]
    parts = {name: sum(classes.values()) for name, classes in data["by_part_and_class"].items()}
    lines = [
        "# Models",
        "",
        "This page is written by `make models`, from `metrics.json`.",
        "",
        f"The models tell {', '.join(CLASSES[:-1])} and {CLASSES[-1]} galaxies apart on images of {data['size']} x",
        f"{data['size']} pixels of {data['pixel_scale_arcsec']:g}\" in the bands {', '.join(data['bands'])}.",
        f"They were trained on {parts['train']} simulated galaxies ({parts['valid']} more chose the epoch, {parts['test']}",
        f"test) for {options['epochs']} epochs from seed {options['seed']}. Y10 and Y1 are the same galaxies after ten years",
        "and one year of LSST. No model has seen a label of Y1.",
        "",
        "| model | trained on | parameters | epoch kept | Y10 test | Y1 test |",
        "|---|---|---|---|---|---|",
    ]
    for name, model in metrics["models"].items():
        cells = [_accuracy(model["test"][domain]) for domain in DOMAINS]
        shown = f"`{name}.onnx`" if model["file"] else name
        trained_on = " + ".join(domain.upper() for domain in model["trained_on"])
        lines.append(f"| {shown} | {trained_on} | {model['parameters']:,} | {model['best_epoch']} | {' | '.join(cells)} |")
        if "batch_norm_of_y1" in model:
            cells = [_accuracy(model["batch_norm_of_y1"][domain]) for domain in DOMAINS]
            lines.append(f"| {name}, batch norm of Y1 | | | | {' | '.join(cells)} |")
    lines += [
        "",
        "Accuracy on the test part, with its 95 % Wilson interval. `da` adds 0.01 MMD between the latents of both domains to",
        "the loss. A control sees both domains without MMD; \"batch norm of Y1\" is a regular model whose batch norm has the",
        "statistics of unlabelled Y1 images: it shows how much of the change is a shift of these statistics.",
        "",
        "## Confusion on the test part",
        "",
        "| model | domain | truth | " + " | ".join(f"called {name}" for name in CLASSES) + " |",
        "|---|---|---|" + "---|" * len(CLASSES),
    ]
    for name, model in metrics["models"].items():
        for domain in DOMAINS:
            for label, row in zip(CLASSES, model["test"][domain]["confusion"]):
                lines.append(f"| {name} | {domain.upper()} | {label} | {' | '.join(str(count) for count in row)} |")
    constants = [f"{domain.upper()} {value['lo']:.1f} to {value['hi']:.1f}" for domain, value in data["stretch"].items()]
    lines += [
        "",
        "## Files",
        "",
        "- `*.onnx`: input `image` [N, band, y, x], outputs `latent` [N, 256] and `logits` [N, class]; the card is in the",
        "  metadata key `lucarne_card`.",
        "- `*.head.json`: the affine head, logits = weights latent + bias.",
        "- `*.latents.parquet`: latents of held-out galaxies in both domains.",
        "- `metrics.json`: every number of this page, the training curves, and the versions.",
        "",
        f"Stretch in electrons, fitted on the training part: {', '.join(constants)}. Data set `{data['digest'][:16]}`;",
        ", ".join(f"{name} {version}" for name, version in metrics["versions"].items()) + ".",
    ]
    return "\n".join(lines) + "\n"


def _accuracy(measured: dict) -> str:
    low, high = measured["accuracy_interval_95"]
    return f"{measured['accuracy']:.3f} ({low:.3f}-{high:.3f})"
