"""Writes a network as ONNX with its card, and its head as JSON; runs the file in ONNX Runtime.

The file has the input `image` `[N, band, y, x]` and the outputs `latent` `[N, D]` and `logits` `[N, class]`, all float32. Batch
norm is folded into the convolutions. Weights may be stored in half precision: the file is half as large, and the runtime
casts them to float32 when it loads them.
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
from .cards import KEY, Card
from .data import Data
from .networks import LATENT, Classifier

OPSET = 17
TOLERANCE = 1e-4
"""The largest accepted difference between ONNX Runtime and PyTorch."""


def card(data: Data, trained_on: tuple[str, ...], notes: dict[str, object]) -> Card:
    """The card of a model that was trained on some domains of a data set."""
    return Card(
        classes=list(CLASSES),
        bands=list(data.layout.bands),
        size=data.layout.size,
        pixel_scale_arcsec=data.layout.pixel_scale_arcsec,
        domains={domain: stretch.card() for domain, stretch in data.stretches.items()},
        electrons_per_njy=data.electrons_per_njy,
        trained_on=list(trained_on),
        latent="latent",
        latent_size=LATENT,
        notes={"dataset_digest": data.digest, **notes},
    )


def write(network: nn.Module, path: Path, card: Card, shape: tuple[int, int, int]) -> None:
    """Writes the ONNX file of a network `[N, *shape] -> (latent, logits)` for images of a shape `[band, y, x]`, with its card."""
    write_graph(network, path, shape)
    write_card(path, card)


def write_graph(network: nn.Module, path: Path, shape: tuple[int, int, int]) -> None:
    """Writes the ONNX file of a network without a card."""
    network = copy.deepcopy(network).to("cpu", memory_format=torch.contiguous_format).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns that the exporter for this opset is the older one
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


def write_card(path: Path, card: Card) -> None:
    """Replaces all metadata of an ONNX file by a card."""
    model = onnx.load(str(path))
    for entry in list(model.metadata_props):
        model.metadata_props.remove(entry)
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(card.to_json())
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def halve(source: Path, path: Path, smallest: int) -> None:
    """Copies an ONNX file with its float32 weights of at least `smallest` numbers in half precision, each with a cast back.

    Smaller weights would save little space. As they keep float32, the head in the file equals the one of `write_head`.
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


def read_card(path: Path) -> Card:
    """The card of an ONNX file."""
    for entry in onnx.load(str(path), load_external_data=False).metadata_props:
        if entry.key == KEY:
            return Card.from_json(json.loads(entry.value), f"of `{path}`")
    raise TrainingError(f"`{path}` has no card: its metadata has no key `{KEY}`")


def write_head(network: Classifier, path: Path) -> None:
    """Writes the affine head, logits = weights latent + bias, as JSON: `weights` `[class, 256]`, `bias` `[class]`."""
    weights = network.head.weight.detach().cpu().numpy()
    bias = network.head.bias.detach().cpu().numpy()
    value = {"classes": list(CLASSES), "weights": _numbers(weights), "bias": _numbers(bias)}
    path.write_text(json.dumps(value) + "\n")


def _numbers(values: np.ndarray) -> object:
    """Nested lists of the shortest decimals that read back as the same float32."""
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
        """Latents and logits of some rows of a domain."""
        outputs = [self(data.batch(domain, rows[start : start + batch])) for start in range(0, len(rows), batch)]
        latents, logits = zip(*outputs)
        return np.concatenate(latents), np.concatenate(logits)


@torch.no_grad()
def largest_difference(network: nn.Module, session: Session, images: np.ndarray) -> float:
    """The largest |ONNX Runtime - PyTorch| over latents and logits of batches of 1, 7 and 64 images, relative to the
    larger of 1 and the largest magnitude of that output.

    Raises `TrainingError` if it is not below 1e-4.
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
            f"ONNX Runtime and PyTorch differ by {largest:.2e} on the exported model, expected less than {TOLERANCE:g}"
        )
    return largest
