"""What becomes of a trained network: its folder of files, and `outcome.json`, which is there when all others are.

- `weights.pt`: the state dictionary of the best epoch;
- `model.onnx`: the network with its card, weights in half precision where the experiment says so;
- `head.json`: the affine head; `latents.parquet`: what the model makes of held-out galaxies;
- `adabn.onnx`: a network that saw one domain only, with the batch-norm statistics of the other's unlabelled images.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import pyarrow
import torch

from . import DOMAINS, TrainingError, export, latents
from .cards import Card
from .data import Data
from .evaluate import accuracy
from .experiment import SOURCE, NetworkSettings, Training
from .networks import Classifier
from .train import Options, Trained, adapt_batch_norm, identify

FILE = "outcome.json"
HALF_TOLERANCE = 1e-2
"""The most that logits may differ for weights in half precision."""
HALF_FROM = (4096, 65_536, 524_288)
"""Weights of at least so many numbers go to half precision: the first choice that changes no class of the test part."""


def write(
    name: str, trained: Trained, data: Data, settings: NetworkSettings, way: Training, options: Options, folder: Path
) -> dict[str, Any]:
    """Writes all files of a model into its folder and measures it on the test part, by ONNX Runtime on the file itself."""
    network, training, seed = name.split("-")
    torch.save(trained.network.state_dict(), folder / "weights.pt")
    extra = {"network": network, "training": training, "seed": options.seed}
    card = export.card(data, way.domains, extra)
    made = _onnx(trained.network, folder / "model.onnx", card, data, settings)
    path = folder / "model.onnx"
    if len(way.domains) == 1:
        other = next(domain for domain in DOMAINS if domain != SOURCE)
        adapted = adapt_batch_norm(trained.network, data, way, other, options)
        adapted_card = dataclasses.replace(card, notes={**card.notes, "training": "adabn"})
        _onnx(adapted, folder / "adabn.onnx", adapted_card, data, settings)
    export.write_head(trained.network, folder / "head.json")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    metadata = {"model": f"{network}-{training}.onnx", "model_sha256": digest, "dataset_digest": data.digest}
    latents.write(export.Session(path, 1), data, folder / "latents.parquet", metadata)
    outcome = {
        "name": name, **extra, **made, "identity": identify(data, network, settings, way, options),
        "settings": {**dataclasses.asdict(settings), **dataclasses.asdict(way), "batch": options.batch},
        "device": options.device.type, "precision": "bfloat16" if options.bf16 else "float32",
        "parameters": sum(values.numel() for values in trained.network.parameters()),
        "best_epoch": trained.best_epoch, "epochs": len(trained.curves), "seconds": round(trained.seconds, 1),
        "curves": trained.curves, "dataset": dataset(data), "versions": versions(),
    }  # fmt: skip
    partial = folder / f"{FILE}.partial"
    partial.write_text(json.dumps(outcome, indent=1) + "\n")
    partial.replace(folder / FILE)
    return outcome


def _onnx(network: Classifier, path: Path, card: Card, data: Data, settings: NetworkSettings) -> dict[str, Any]:
    """Writes a file with its card, metrics included. Returns the differences of its outputs, and its accuracies."""
    test = data.parts["test"]
    export.write(network, path, card, data.layout.shape)
    session = export.Session(path, 1)
    difference = export.largest_difference(network, session, data.batch("y1", test[:64]))
    logits = {domain: session.over(data, domain, test)[1] for domain in DOMAINS}
    half = None
    if settings.half_precision:
        half, logits = _halved(path, data, logits)
    metrics = {f"{domain}_test_accuracy": accuracy(data.classes[test], logits[domain]) for domain in DOMAINS}
    export.write_card(path, dataclasses.replace(card, notes={**card.notes, "metrics": metrics}))
    return {"onnx_difference": difference, "half_precision": half, "metrics": metrics}


def _halved(
    path: Path, data: Data, whole: dict[str, numpy.ndarray]
) -> tuple[dict[str, Any] | None, dict[str, numpy.ndarray]]:
    """Stores as much of a file in half precision as its answers on the test part allow: what came of it, and the logits.

    A galaxy between two classes can fall on the other side by a last digit. Labels have no part in the choice. Where none
    of the choices leaves all classes as they are, the file stays in float32, after hours of training no reason to fail.
    """
    halved = path.with_suffix(".half")
    for smallest in HALF_FROM:
        export.halve(path, halved, smallest)
        session = export.Session(halved, 1)
        logits = {domain: session.over(data, domain, data.parts["test"])[1] for domain in DOMAINS}
        difference = max(float(numpy.abs(logits[domain] - whole[domain]).max()) for domain in DOMAINS)
        changed = sum(int((logits[domain].argmax(1) != whole[domain].argmax(1)).sum()) for domain in DOMAINS)
        if difference <= HALF_TOLERANCE and changed == 0:
            halved.replace(path)
            return {"difference": difference, "classes_changed": changed, "from_numbers": smallest}, logits
    halved.unlink()
    return None, whole


def read(folder: Path) -> dict[str, Any] | None:
    """The outcome of a folder; none while its model is not finished."""
    path = folder / FILE
    return json.loads(path.read_text()) if path.exists() else None


def dataset(data: Data) -> dict[str, Any]:
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


def versions() -> dict[str, str]:
    """The versions of everything that had a hand in the numbers."""
    packages = (torch, onnx, onnxruntime, pyarrow, numpy)
    return {"python": platform.python_version(), **{package.__name__: str(package.__version__) for package in packages}}
