"""Writes a network as ONNX with its card, and its head as JSON; answers from ONNX Runtime.

The file has the input `image` `[N, band, y, x]` and the outputs `latent` `[N, D]` and `logits` `[N, class]`, all float32,
batch norm folded into the convolutions. Weights may be stored in half precision: the file is half as large, and the runtime
casts them to float32 when it loads. The card is the JSON value that `src/card.rs` reads.
"""

from __future__ import annotations

import copy
import json
import math
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from . import CLASSES, TrainingError
from .data import Data
from .networks import LATENT, Classifier

CARD_KEY = "lucarne_card"
OPSET = 17
TOLERANCE = 1e-4
"""The most that ONNX Runtime and PyTorch may differ."""


def card(data: Data, trained_on: tuple[str, ...], extra: dict[str, object]) -> dict[str, object]:
    """The card of a model: what `src/card.rs` reads, and `extra`, which it lets pass."""
    return {
        "classes": list(CLASSES),
        "bands": list(data.layout.bands),
        "size": data.layout.size,
        "pixel_scale_arcsec": data.layout.pixel_scale_arcsec,
        "domains": {domain: stretch.card() for domain, stretch in data.stretches.items()},
        "trained_on": list(trained_on),
        "input": "image",
        "logits": "logits",
        "latent": "latent",
        "latent_size": LATENT,
        "dataset_digest": data.digest,
        **extra,
    }


def write(network: nn.Module, path: Path, card_value: dict[str, object], shape: tuple[int, int, int]) -> None:
    """Writes the ONNX file of a network `[N, *shape] -> (latent, logits)` for images of a shape `[band, y, x]`."""
    network = copy.deepcopy(network).to("cpu", memory_format=torch.contiguous_format).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter for this opset is announced as the older one
        torch.onnx.export(
            network,
            (torch.zeros(2, *shape),),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["latent", "logits"],
            dynamic_axes={name: {0: "N"} for name in ("image", "latent", "logits")},
        )
    write_card(path, card_value)


def write_card(path: Path, card_value: dict[str, object]) -> None:
    """Gives an ONNX file this card, and no other metadata."""
    model = onnx.load(str(path))
    for entry in list(model.metadata_props):
        model.metadata_props.remove(entry)
    entry = model.metadata_props.add()
    entry.key, entry.value = CARD_KEY, json.dumps(card_value)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def halve(source: Path, path: Path, smallest: int) -> None:
    """Copies an ONNX file with its float32 weights of at least `smallest` numbers in half precision, each with a cast back.

    What is smaller takes no room to speak of; left as it is, the head in the file stays the one of `write_head`.
    """
    model = onnx.load(str(source))
    casts = []
    for weights in model.graph.initializer:
        if weights.data_type != onnx.TensorProto.FLOAT or math.prod(weights.dims) < smallest:
            continue
        values, name = onnx.numpy_helper.to_array(weights), weights.name
        if not np.abs(values).max(initial=0.0) <= np.finfo(np.float16).max:
            raise TrainingError(f"the weights `{name}` of `{path}` do not fit half precision")
        weights.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def read_card(path: Path) -> dict[str, object]:
    """The card of an ONNX file."""
    for entry in onnx.load(str(path), load_external_data=False).metadata_props:
        if entry.key == CARD_KEY:
            return json.loads(entry.value)
    raise TrainingError(f"`{path}` has no card: its metadata has no key `{CARD_KEY}`")


def write_head(network: Classifier, path: Path) -> None:
    """Writes the affine head, logits = weights latent + bias, as JSON: `weights` `[class, 256]`, `bias` `[class]`."""
    weights = network.head.weight.detach().cpu().numpy()
    bias = network.head.bias.detach().cpu().numpy()
    value = {"classes": list(CLASSES), "weights": _numbers(weights), "bias": _numbers(bias)}
    path.write_text(json.dumps(value) + "\n")


def _numbers(values: np.ndarray) -> object:
    """Nested lists of the shortest decimals that give the same float32 again."""
    return [_numbers(row) for row in values] if values.ndim > 1 else [float(str(value)) for value in values]


class Session:
    """A model file in ONNX Runtime on the CPU."""

    def __init__(self, path: Path, threads: int) -> None:
        """Loads it, with a number of threads."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Latents `[n, 256]` and logits `[n, class]` of stretched images `[n, band, y, x]`."""
        latent, logits = self.session.run(["latent", "logits"], {"image": images})
        return latent, logits

    def over(self, data: Data, domain: str, rows: np.ndarray, batch: int = 64) -> tuple[np.ndarray, np.ndarray]:
        """The same of some rows of a domain."""
        answers = [self(data.batch(domain, rows[start : start + batch])) for start in range(0, len(rows), batch)]
        latents, logits = zip(*answers)
        return np.concatenate(latents), np.concatenate(logits)


@torch.no_grad()
def largest_difference(network: nn.Module, session: Session, images: np.ndarray) -> float:
    """The largest |ONNX Runtime - PyTorch| over latents and logits of batches of 1, 7 and 64 images, relative to the
    larger of 1 and the largest magnitude of that output.

    Raises `TrainingError` when it is not below 1e-4.
    """
    reference = copy.deepcopy(network).to("cpu").eval()
    largest = 0.0
    for count in (1, 7, 64):
        batch = np.resize(images, (count, *images.shape[1:]))
        for ours, theirs in zip(session(batch), reference(torch.from_numpy(batch))):
            expected = theirs.numpy()
            scale = max(1.0, float(np.abs(expected).max()))
            largest = max(largest, float(np.abs(ours - expected).max()) / scale)
    if not largest < TOLERANCE:
        raise TrainingError(
            f"ONNX Runtime and PyTorch differ by {largest:.2e} on the exported model, more than {TOLERANCE:g}"
        )
    return largest
