"""`export --onnx`: puts a hand-written card into an ONNX file that exists, and finds the latent vector before its head."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import NodeProto, helper

from . import TrainingError
from .cards import KEY

PASSED = {"Softmax", "LogSoftmax", "Sigmoid", "Identity", "Cast", "Flatten", "Squeeze", "Unsqueeze", "Reshape", "Dropout"}
"""Operators between the last matrix of a classifier and its output."""


def attach(model: Path, card: dict[str, Any], out: Path) -> dict[str, Any]:
    """Writes the model with the card in its metadata; returns the card.

    A card without `latent` gets the input of the last matrix as its latent vector, if the graph has such a matrix. Weights beside the
    model are written beside `out`. Raises `TrainingError` when the card names an output that the graph does not have, and when the outputs
    of the written file are not those of the model, bit for bit.
    """
    proto = _load(model)
    outputs = [value.name for value in proto.graph.output]
    head = _head_output(card, outputs)
    card = {**card, "logits": head} if card.get("head") != "embedding" else dict(card)
    if "latent" not in card:
        card |= _expose_latent(proto, head)
    elif card["latent"] not in outputs:
        raise TrainingError(f"the graph has no output `{card['latent']}`; it has {_quoted(outputs)}")
    kept = [entry for entry in proto.metadata_props if entry.key != KEY]
    del proto.metadata_props[:]
    proto.metadata_props.extend(kept)
    proto.metadata_props.add(key=KEY, value=json.dumps(card))
    beside = any(one.external_data for one in onnx.load(str(model), load_external_data=False).graph.initializer)
    if beside:
        onnx.save(proto, str(out), save_as_external_data=True, location=f"{out.name}.data", size_threshold=0)
    else:
        onnx.save(proto, str(out))
    _compare(model, out)
    return card


def _load(model: Path) -> onnx.ModelProto:
    try:
        return onnx.load(str(model))
    except Exception as error:  # protobuf's own error has no public class
        raise TrainingError(f"cannot read the model `{model}`: {error}") from error


def _head_output(card: dict[str, Any], outputs: list[str]) -> str:
    named = card.get("logits")
    if named in outputs:
        return named
    free = [name for name in outputs if name not in (card.get("latent"), card.get("errors"))]
    if named is None and "logits" in outputs:
        return "logits"
    if named is None and len(free) == 1:
        return free[0]
    asked = "`logits` of the card names none of its outputs" if named is None else f"the graph has no output `{named}`"
    raise TrainingError(f"{asked}; it has {_quoted(outputs)}")


def _expose_latent(proto: onnx.ModelProto, head: str) -> dict[str, Any]:
    """Makes the input of the last matrix an output; what the card then says of it."""
    graph = proto.graph
    producers: dict[str, NodeProto] = {name: node for node in graph.node for name in node.output}
    weights = {one.name: one for one in graph.initializer}
    name, seen = head, set()
    while name in producers and name not in seen:
        seen.add(name)
        node = producers[name]
        if node.op_type in ("Gemm", "MatMul") and len(node.input) > 1 and node.input[1] in weights:
            latent, matrix = node.input[0], weights[node.input[1]]
            transposed = any(one.name == "transB" and one.i for one in node.attribute)
            length = int(matrix.dims[1 if transposed else 0])
            if latent not in [value.name for value in graph.output]:
                graph.output.append(helper.make_tensor_value_info(latent, matrix.data_type, ["N", length]))
            return {"latent": latent, "latent_size": length}
        bias = node.op_type == "Add" and any(one in weights for one in node.input)
        if not bias and node.op_type not in PASSED:
            return {}
        name = next((one for one in node.input if one not in weights), "")
    return {}


def _compare(before: Path, after: Path) -> None:
    """Fails unless both models answer seeded inputs alike, bit for bit."""
    sessions = [onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]) for path in (before, after)]
    names = [output.name for output in sessions[0].get_outputs()]
    random = np.random.default_rng(0)
    feeds = {one.name: _input(one, random) for one in sessions[0].get_inputs()}
    first, second = (session.run(names, feeds) for session in sessions)
    for name, ours, theirs in zip(names, first, second):
        if np.asarray(ours).tobytes() != np.asarray(theirs).tobytes():
            raise TrainingError(f"output `{name}` of the written file is not that of the model")


def _input(one: onnxruntime.NodeArg, random: np.random.Generator) -> np.ndarray:
    shape = [length if isinstance(length, int) and length > 0 else (2 if axis == 0 else 32) for axis, length in enumerate(one.shape)]
    kind = {"tensor(float16)": np.float16, "tensor(double)": np.float64, "tensor(uint8)": np.uint8}.get(one.type, np.float32)
    return (random.uniform(0, 255, shape) if kind is np.uint8 else random.uniform(0, 1, shape)).astype(kind)


def _quoted(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"
