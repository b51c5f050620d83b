"""An encoder of single stamps for the lesson `10_real_shift.yaml`. All seeds are fixed. Versions as in `make.py`.

    cd pipelines/alerts
    python encoder.py

It writes `encoder.onnx`: `image` [n, 1, 21, 21] in nJy -> `latent` [n, 16]. It is fitted to the science and template stamps of simulated
packets (`make.py`; others than those of the lesson), without classes: filters are means of k-means over whitened patches, and the
latents are the first principal components of the pooled responses, each with a variance of 1. What it does not see: the noise of
a pixel alone, and fluxes above 4500 nJy.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
from make import KINDS, TEMPLATE_SIGMA, Visit, filters, node, packet
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
SIDE, STAMP = 21, 53
"""Sides of the images of the encoder and of the simulated stamps, pixels."""
SCALE, LOW, HIGH = np.float32(1 / 150), np.float32(-8.0), np.float32(30.0)
"""The scale of a pixel, per nJy, and where scaled pixels are clipped."""
COUNT, POOL, LATENT = 16, 4, 16
"""Filters, the side of the pooling, and latent numbers."""


def training(count: int, seed: int) -> NDArray[np.float32]:
    """Science and template stamps of packets that know all their pixels."""
    rng = np.random.default_rng(seed)
    kinds = [kind for kind in KINDS if kind != "edge"]
    images = np.zeros((2 * count, 1, STAMP, STAMP), np.float32)
    for number in range(count):
        visit = Visit(0, 0, TEMPLATE_SIGMA * rng.uniform(1.1, 2.0), rng.uniform(0.9, 1.4))
        stamps = packet(rng, STAMP, visit, str(rng.choice(kinds))).pixels
        images[2 * number :][:2, 0] = stamps[1:]
    return images


def responses(images: NDArray[np.float32], weights: NDArray[np.float32], bias: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the pooling gives, as the network computes it."""
    windows = np.lib.stride_tricks.sliding_window_view(np.clip(images * SCALE, LOW, HIGH)[:, 0], weights.shape[2:], axis=(1, 2))
    maps = np.einsum("nyxij,cij->ncyx", windows, weights[:, 0]) + bias[None, :, None, None]
    size = maps.shape[2] // POOL
    maps = np.maximum(maps, 0)[:, :, : size * POOL, : size * POOL].reshape(len(maps), COUNT, size, POOL, size, POOL)
    return maps.mean(axis=(3, 5)).reshape(len(maps), -1)


def network() -> ModelProto:
    """The encoder."""
    images = training(1500, 20261128)
    weights, bias = filters(np.clip(images * SCALE, LOW, HIGH), COUNT, 7)
    first = (STAMP - SIDE) // 2
    features = responses(images[:, :, first : first + SIDE, first : first + SIDE], weights, bias)
    mean = features.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov((features - mean).T))
    values, vectors = values[::-1][:LATENT], vectors[:, ::-1][:, :LATENT]
    # The sign of a component is free: its largest entry is positive.
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(LATENT)])
    dense = (vectors / np.sqrt(values)).T
    constants = {
        "scale": SCALE,
        "low": LOW,
        "high": HIGH,
        "conv.weight": weights,
        "conv.bias": bias,
        "latent.weight": dense.astype(np.float32),
        "latent.bias": (-dense @ mean).astype(np.float32),
    }
    nodes = [
        node("Mul", ["image", "scale"], "scaled"),
        node("Clip", ["scaled", "low", "high"], "clipped"),
        node("Conv", ["clipped", "conv.weight", "conv.bias"], "conv"),
        node("Relu", ["conv"], "responses"),
        node("AveragePool", ["responses"], "pooled", kernel_shape=[POOL, POOL], strides=[POOL, POOL]),
        node("Flatten", ["pooled"], "features"),
        node("Gemm", ["features", "latent.weight", "latent.bias"], "latent", transB=1),
    ]
    ports = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in {"image": ["n", 1, SIDE, SIDE], "latent": ["n", LATENT]}.items()
    }
    initial = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "graph", [ports["image"]], [ports["latent"]], initial)
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="pipelines/alerts/encoder.py"
    )
    onnx.checker.check_model(made)
    return made


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    onnx.save(network(), HERE / "encoder.onnx")
