"""Three small networks as they come from elsewhere, for the lessons `07_*.yaml`: channels last with a softmax, three stamps with a
sigmoid, and an encoder without classes. All seeds are fixed. Versions: numpy 2.4.6, onnx 1.23.2, onnxruntime 1.31.1, pyarrow 26.0.1,
scikit-learn 1.9.1.

    lucarne run models/examples/galaxies.yaml
    cd models
    python -m examples.small --run ../runs/example_galaxies

Nothing is trained by gradients through convolutions. Of every network these parts were fitted:

- the filters of its convolution: the means of k-means over whitened patches of training images (Coates, Ng, Lee 2011);
- its last layer: a logistic regression on the pooled responses (`keras_like`, `real_bogus`), or their first 16 principal
  components, without labels (`encoder`).

Galaxies are those of the source `simulated`; every sixth is kept back and gives the accuracy that is printed. The stamps are drawn
here, with Gaussian point spreads and white noise: a real one has a new point source in its science image; a bogus one a cosmic ray,
an offset between science image and template, or nothing. The stamps of the lesson (`real_bogus.parquet`) are others than those of the
training.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # It is read when the library is loaded.
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

Array = NDArray[np.float64]
CLASSES = ["spiral", "elliptical", "merger"]
STAMP, SEEING = 17, 1.4
"""Side of a stamp and standard deviation of its point spread, pixels."""
LATENT = 16
"""Numbers of a latent vector of `encoder`."""
SCIENCE_NOISE, TEMPLATE_NOISE, STEP = 30.0, 10.0, 10
"""Standard deviations of the noise, and the step of the stored integers, nJy."""


def filters(images: Array, count: int, side: int, seed: int) -> tuple[Array, Array]:
    """Filters `[count, band, side, side]` of unit norm after whitening, and biases that leave the strongest fifth of the responses."""
    rng = np.random.default_rng(seed)
    n, bands, height, width = images.shape
    rows, ys, xs = (rng.integers(0, m, 60_000) for m in (n, height - side + 1, width - side + 1))
    patches = np.stack([images[i, :, y : y + side, x : x + side].ravel() for i, y, x in zip(rows, ys, xs, strict=True)])
    patches = patches[np.argsort(patches.var(axis=1))[-20_000:]]
    mean = patches.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov((patches - mean).T))
    whiten = vectors / np.sqrt(values + 0.05 * values.max()) @ vectors.T
    white = (patches - mean) @ whiten
    white /= np.linalg.norm(white, axis=1, keepdims=True)
    means = MiniBatchKMeans(count, random_state=seed, n_init=3, batch_size=2048).fit(white).cluster_centers_
    weights = (means / np.linalg.norm(means, axis=1, keepdims=True)) @ whiten
    responses = (patches - mean) @ weights.T
    scale = responses.std(axis=0)
    bias = -(mean @ weights.T + np.quantile(responses, 0.8, axis=0)) / scale
    return (weights / scale[:, None]).reshape(count, bands, side, side).astype(np.float32), bias.astype(np.float32)


def responses(images: Array, weights: Array, bias: Array, stride: int, pool: int) -> Array:
    """What `Conv`, `Relu`, `AveragePool` give, `[n, filter, y, x]`."""
    side = weights.shape[-1]
    out = []
    for chunk in np.array_split(images, max(1, len(images) // 50)):
        windows = np.lib.stride_tricks.sliding_window_view(chunk, (side, side), axis=(2, 3))[:, :, ::stride, ::stride]
        maps = np.maximum(np.einsum("nbyxij,fbij->nfyx", windows, weights, optimize=True) + bias[:, None, None], 0)
        n, count, height, width = maps.shape
        maps = maps[:, :, : height // pool * pool, : width // pool * pool]
        out.append(maps.reshape(n, count, height // pool, pool, width // pool, pool).mean(axis=(3, 5)))
    return np.concatenate(out)


def logistic(features: Array, labels: NDArray[np.int64], strength: float) -> tuple[Array, Array]:
    """Weights and biases of a logistic regression on standardised features, for the features as they are."""
    mean, std = features.mean(axis=0), features.std(axis=0) + 1e-6
    fit = LogisticRegression(C=strength, max_iter=3000).fit((features - mean) / std, labels)
    weights = fit.coef_ / std
    return weights.astype(np.float32), (fit.intercept_ - weights @ mean).astype(np.float32)


def node(op: str, inputs: list[str], output: str, **attributes: Any) -> NodeProto:
    """A node with one output, named by it."""
    return helper.make_node(op, inputs, [output], name=output, **attributes)


def model(nodes: list[NodeProto], inputs: dict[str, list[Any]], outputs: dict[str, list[Any]], constants: dict[str, Any]) -> ModelProto:
    """A checked model of float32 inputs and outputs."""
    ports = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, d) for n, d in of.items()] for of in (inputs, outputs)]
    initial = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "graph", *ports, initial)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="examples.small")
    onnx.checker.check_model(made)
    return made


def galaxies(run: Path) -> tuple[Array, NDArray[np.int64]]:
    """The images and classes of a run."""
    images, labels = [], []
    for part in sorted((run / "objects").glob("*.parquet")):
        for rows in pq.ParquetFile(part).iter_batches(256, columns=["label", "y10"]):
            column = rows["y10"]
            values = getattr(column, "storage", column).flatten().to_numpy().reshape(-1, 3, 100, 100)
            images.append(values.astype(np.float32))
            labels += [CLASSES.index(label) for label in rows["label"].to_pylist()]
    return np.concatenate(images), np.array(labels)


def keras_like(images: Array, labels: NDArray[np.int64]) -> ModelProto:
    """Images `[N, y, x, band]`, a softmax at the end, and the transposes around the convolution that tf2onnx writes."""
    held = np.arange(len(images)) % 6 == 0
    scaled = (images - 0.5) * 4
    weights, bias = filters(scaled[~held][:600], 48, 7, 1)
    maps = responses(scaled, weights, bias, 2, 6)
    features = maps.transpose(0, 2, 3, 1).reshape(len(images), -1)
    dense, offset = logistic(features[~held], labels[~held], 0.01)
    found = (features[held] @ dense.T + offset).argmax(axis=1)
    print(f"keras_like: accuracy {np.mean(found == labels[held]):.3f} of {held.sum()}, chance 0.333")
    nodes = [
        node("Sub", ["input_1", "rescaling/offset"], "rescaling/sub"),
        node("Mul", ["rescaling/sub", "rescaling/scale"], "rescaling/mul"),
        node("Transpose", ["rescaling/mul"], "conv2d/nchw", perm=[0, 3, 1, 2]),
        node("Conv", ["conv2d/nchw", "conv2d/kernel", "conv2d/bias"], "conv2d/conv", strides=[2, 2]),
        node("Relu", ["conv2d/conv"], "conv2d/relu"),
        node("AveragePool", ["conv2d/relu"], "pool/nchw", kernel_shape=[6, 6], strides=[6, 6]),
        node("Transpose", ["pool/nchw"], "pool/nhwc", perm=[0, 2, 3, 1]),
        node("Reshape", ["pool/nhwc", "flatten/shape"], "flatten"),
        node("MatMul", ["flatten", "predictions/kernel"], "predictions/matmul"),
        node("Add", ["predictions/matmul", "predictions/bias"], "predictions/add"),
        node("Softmax", ["predictions/add"], "predictions", axis=-1),
    ]
    constants = {
        "rescaling/offset": np.float32(0.5),
        "rescaling/scale": np.float32(4),
        "conv2d/kernel": weights,
        "conv2d/bias": bias,
        "flatten/shape": np.int64([-1, features.shape[1]]),
        "predictions/kernel": dense.T.copy(),
        "predictions/bias": offset,
    }
    return model(nodes, {"input_1": ["n", 100, 100, 3]}, {"predictions": ["n", 3]}, constants)


def encoder(images: Array) -> ModelProto:
    """Images `[N, band, y, x]`, and 16 principal components of the pooled responses: no class is known to it."""
    scaled = (images - 0.5) * 4
    weights, bias = filters(scaled[:600], 40, 8, 2)
    features = responses(scaled, weights, bias, 4, 8).reshape(len(images), -1)
    components = PCA(LATENT, random_state=3).fit(features)
    print(f"encoder: {LATENT} components hold {components.explained_variance_ratio_.sum():.2f} of the variance")
    nodes = [
        node("Sub", ["image", "half"], "centred"),
        node("Mul", ["centred", "four"], "scaled"),
        node("Conv", ["scaled", "conv.weight", "conv.bias"], "conv", strides=[4, 4]),
        node("Relu", ["conv"], "relu"),
        node("AveragePool", ["relu"], "pool", kernel_shape=[8, 8], strides=[8, 8]),
        node("Flatten", ["pool"], "flat"),
        node("Gemm", ["flat", "projection.weight", "projection.bias"], "embedding", transB=1),
    ]
    projection = components.components_.astype(np.float32)
    constants = {
        "half": np.float32(0.5),
        "four": np.float32(4),
        "conv.weight": weights,
        "conv.bias": bias,
        "projection.weight": projection,
        "projection.bias": (-projection @ components.mean_).astype(np.float32),
    }
    return model(nodes, {"image": ["n", 3, 100, 100]}, {"embedding": ["n", LATENT]}, constants)


def blob(rng: np.random.Generator, flux: float, sigma: float, spread: float) -> tuple[Array, tuple[float, float, float]]:
    """A Gaussian somewhere near the centre, and where."""
    y, x = STAMP // 2 + rng.normal(0, spread, 2)
    return gaussian(y, x, flux, sigma), (y, x, sigma)


def gaussian(y: float, x: float, flux: float, sigma: float) -> Array:
    """A Gaussian of a flux on a stamp."""
    rows, columns = np.mgrid[:STAMP, :STAMP]
    return flux / (2 * np.pi * sigma**2) * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2))


def stamps(count: int, seed: int) -> tuple[Array, NDArray[np.int64]]:
    """Stamps `[n, (science, template, difference), y, x]` in nJy, half of them real."""
    rng = np.random.default_rng(seed)
    images, labels = np.zeros((count, 3, STAMP, STAMP)), rng.permutation(np.arange(count) % 2)
    for image, label in zip(images, labels, strict=True):
        flux = 10 ** rng.uniform(3, 4.5)
        host, (y, x, sigma) = blob(rng, flux, SEEING * rng.uniform(1, 2.5), 2.0)
        science, template = host.copy(), host
        if label == 1:
            science += blob(rng, SCIENCE_NOISE * rng.uniform(12, 80), SEEING, 0.5)[0]
        else:
            kind = rng.integers(3)
            if kind == 0:
                row, column = STAMP // 2 + rng.integers(-2, 3, 2)
                length, across = rng.integers(1, 4), rng.integers(2)
                for i in range(length):
                    science[row + i * across, column + i * (1 - across)] += SCIENCE_NOISE * rng.uniform(8, 40)
            elif kind == 1:
                dy, dx = rng.uniform(0.3, 0.9, 2) * rng.choice([-1, 1], 2)
                science = gaussian(y + dy, x + dx, flux, sigma)
        science = science + rng.normal(0, SCIENCE_NOISE, science.shape)
        template = template + rng.normal(0, TEMPLATE_NOISE, template.shape)
        image[:] = science, template, science - template
    return np.round(images / STEP) * STEP, labels


def real_bogus() -> tuple[ModelProto, pa.Table]:
    """Three images of one band each, one number that ends in a sigmoid; and the stamps of the lesson."""
    images, labels = stamps(6000, 11)
    held = np.arange(len(images)) % 6 == 0
    scaled = np.arcsinh(images / 100.0)
    weights, bias = filters(scaled[~held], 32, 5, 12)
    features = responses(scaled, weights, bias, 1, 4).reshape(len(images), -1)
    dense, offset = logistic(features[~held], labels[~held], 0.03)
    found = (features[held] @ dense.T + offset)[:, 0] > 0
    print(f"real_bogus: accuracy {np.mean(found == labels[held]):.3f} of {held.sum()}, chance 0.5")
    inputs = ["science", "template", "difference"]
    nodes = [
        node("Concat", inputs, "stamps", axis=1),
        node("Div", ["stamps", "softening"], "softened"),
        node("Asinh", ["softened"], "stretched"),
        node("Conv", ["stretched", "conv.weight", "conv.bias"], "conv"),
        node("Relu", ["conv"], "relu"),
        node("AveragePool", ["relu"], "pool", kernel_shape=[4, 4], strides=[4, 4]),
        node("Flatten", ["pool"], "latent"),
        node("Gemm", ["latent", "head.weight", "head.bias"], "logit", transB=1),
        node("Sigmoid", ["logit"], "score"),
    ]
    constants = {
        "softening": np.float32(100),
        "conv.weight": weights,
        "conv.bias": bias,
        "head.weight": dense,
        "head.bias": offset,
    }
    network = model(
        nodes,
        {name: ["n", 1, STAMP, STAMP] for name in inputs},
        {"score": ["n", 1], "latent": ["n", features.shape[1]]},
        constants,
    )
    images, labels = stamps(200, 14)
    columns: dict[str, Any] = {
        "object_id": pa.array([f"stamp-{i:03}" for i in range(len(images))]),
        "label": pa.array([["bogus", "real"][label] for label in labels]),
    }
    for i, name in enumerate(inputs):
        pixels = pa.array(images[:, i].astype(np.int32).ravel())
        columns[name] = pa.FixedSizeListArray.from_arrays(pixels, STAMP * STAMP)
    return network, pa.table(columns)


def reference(network: ModelProto, images: Array) -> pa.Table:
    """The latents of some galaxies, for `latent_drift`."""
    session = onnxruntime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    latents = session.run(["embedding"], {"image": images})[0]
    ids = pa.array([f"reference-{i:03}" for i in range(len(images))])
    return pa.table({"object_id": ids, "latent": pa.FixedSizeListArray.from_arrays(pa.array(latents.ravel()), LATENT)})


def main() -> None:
    """Writes the models and what their lessons read."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("examples"))
    given = parser.parse_args()
    images, labels = galaxies(given.run)
    network, rows = real_bogus()
    onnx.save(network, given.out / "real_bogus.onnx")
    pq.write_table(rows, given.out / "real_bogus.parquet", compression="zstd", compression_level=19)
    onnx.save(keras_like(images, labels), given.out / "keras_like.onnx")
    network = encoder(images)
    onnx.save(network, given.out / "encoder.onnx")
    pq.write_table(reference(network, images[:500]), given.out / "encoder.latents.parquet", compression="zstd")


if __name__ == "__main__":
    main()
