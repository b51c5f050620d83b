"""Alert packets with Rubin's field names, and a small real/bogus network, for the lessons `09_*.yaml`. All seeds are fixed. Versions:
astropy 8.0.2, fastavro 1.13.1, numpy 2.4.6, onnx 1.23.2, onnxruntime 1.31.1, pyarrow 26.0.1, scikit-learn 1.9.1, scipy 1.17.1.

    cd pipelines/alerts
    python make.py

It writes `messages/NNNN.avro`, 48 messages as a broker sends them, in Confluent's framing: a byte 0, the number of the schema (4 bytes,
big-endian), the record; `schemas/1.avsc`, their schema; `real_bogus.onnx`, the network; and `real_bogus.latents.parquet`, latents of
its training, the reference of `latent_drift`.

Everything is simulated. Galaxies and point spreads are sums of Gaussians, so that convolutions are exact. A packet has three stamps:
one visit (science), a deep mean of many visits with a sharper point spread (template), and the science stamp minus the template blurred
to the visit (difference). Real sources are transients on and beside galaxies, and variable stars. Bogus ones are dipoles and rings (stars
and nuclei that are out of register, or blurred with a wrong kernel), cosmic rays, and edges of a detector with pixels that are not known.
The third of the three visits has a point spread half as wide again, and 1.4 times the noise: the network has seen none such.

The network has the interface of Rubin's (`image` [n, 3, 51, 51] in nJy, difference, science and template; `score`, `logit`, `latent`).
Nothing is trained by gradients through its convolution: filters are means of k-means over whitened patches (Coates, Ng, Lee 2011), and
its two dense layers are scikit-learn's `MLPClassifier` on the pooled responses. The packets are others than those of its training, and
their field `reliability` is what ONNX Runtime gives for them.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import onnx
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # It is read when the library is loaded.
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from scipy.ndimage import gaussian_filter
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier

Array = NDArray[np.float64]
HERE = Path(__file__).parent
SIDE = 51
"""Side of the images that the network reads, pixels."""
SCIENCE_NOISE, TEMPLATE_NOISE = 45.0, 7.0
"""Standard deviations of the noise of the sky, nJy."""
SCIENCE_GAIN, TEMPLATE_GAIN = 1.5, 150.0
"""Electrons per nJy."""
TEMPLATE_SIGMA = 1.6
"""Standard deviation of the core of the template's point spread, pixels."""
SCIENCE_STEP, TEMPLATE_STEP = 4.0, 1.0
"""Pixels are rounded to these, nJy: a tenth of the noise, so that stamps can be compressed."""
WINGS = 2.2
"""How much wider the second Gaussian of a point spread is. It has a fifth of the flux."""
KINDS = {"transient": True, "variable": True, "dipole": False, "ring": False, "cosmic_ray": False, "edge": False}


@dataclass
class Visit:
    """The conditions of a visit."""

    number: int
    mjd: float
    sigma: float
    """Standard deviation of the core of its point spread, pixels."""
    noise: float
    """Its noise, in that of the sky."""


@dataclass
class Packet:
    """The stamps of a source, difference, science, template, and what is known of it."""

    pixels: Array
    variance: Array
    psf_sigma: float
    centre: tuple[float, float]
    """Row and column of the source."""
    kind: str


def spread(sigma: float) -> list[tuple[float, float]]:
    """Weights and variances of the Gaussians of a point spread."""
    return [(0.8, sigma**2), (0.2, (WINGS * sigma) ** 2)]


def draw(side: int, y: float, x: float, flux: float, sigma: float, shape: list[tuple[float, Array]] | None = None) -> Array:
    """A source on a stamp: a point, or a galaxy whose Gaussians have these weights and covariances."""
    rows, columns = np.mgrid[:side, :side]
    rows, columns = rows - y, columns - x
    image = np.zeros((side, side))
    for share, variance in spread(sigma):
        for weight, covariance in shape or [(1.0, np.zeros((2, 2)))]:
            (a, b), (_, d) = covariance + variance * np.eye(2)
            determinant = a * d - b * b
            exponent = (d * rows**2 - 2 * b * rows * columns + a * columns**2) / determinant
            image += share * weight / (2 * np.pi * np.sqrt(determinant)) * np.exp(-0.5 * exponent)
    return flux * image


def galaxy(rng: np.random.Generator) -> list[tuple[float, Array]]:
    """Weights and covariances of a galaxy: an exponential disc as three Gaussians."""
    scale, ratio, angle = rng.uniform(1.0, 4.0), rng.uniform(0.35, 1.0), rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    axes = turn @ np.diag([1.0, ratio**2]) @ turn.T
    return [(weight, axes * (scale * size) ** 2) for weight, size in ((0.15, 0.35), (0.5, 0.9), (0.35, 1.8))]


def packet(rng: np.random.Generator, side: int, visit: Visit, kind: str) -> Packet:
    """The stamps of a source of a kind."""
    y, x = (side - 1) / 2 + rng.uniform(-0.5, 0.5, 2)
    noise, sigma = SCIENCE_NOISE * visit.noise, visit.sigma
    limit = noise * np.sqrt(4 * np.pi) * sigma
    science, template, matched = (np.zeros((side, side)) for _ in range(3))

    def add(y: float, x: float, flux: float, shape: Any = None, shift: Any = (0.0, 0.0), blur: float = 1.0) -> None:
        """Adds a constant source; the visit has it shifted, the template is blurred by a kernel that is wrong by a factor."""
        nonlocal science, template, matched
        science = science + draw(side, y + shift[0], x + shift[1], flux, sigma, shape)
        template = template + draw(side, y, x, flux, TEMPLATE_SIGMA, shape)
        matched = matched + draw(side, y, x, flux, sigma * blur, shape)

    # Other sources in the stamp, which are subtracted well.
    for _ in range(rng.poisson(1.5)):
        add(*rng.uniform(0, side, 2), 10 ** rng.uniform(3.3, 4.8), galaxy(rng) if rng.random() < 0.6 else None)
    if kind == "transient":
        if rng.random() < 0.8:
            add(*(np.array([y, x]) + rng.normal(0, 3.0, 2)), 10 ** rng.uniform(3.7, 5.2), galaxy(rng))
        flux = limit * 10 ** rng.uniform(0.75, 1.7) * (1 if rng.random() < 0.9 else -1)
        science = science + draw(side, y, x, flux, sigma)
    elif kind == "variable":
        add(y, x, 10 ** rng.uniform(4.0, 5.2))
        science = science + draw(side, y, x, limit * 10 ** rng.uniform(0.75, 1.7) * rng.choice([-1, 1]), sigma)
    elif kind == "dipole":
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.12, 0.5)
        add(y, x, 10 ** rng.uniform(4.6, 5.6), galaxy(rng) if rng.random() < 0.3 else None, length * np.array([np.sin(angle), np.cos(angle)]))
    elif kind == "ring":
        add(y, x, 10 ** rng.uniform(4.6, 5.6), blur=1 + rng.choice([-1, 1]) * rng.uniform(0.03, 0.12))
    elif kind == "cosmic_ray":
        if rng.random() < 0.6:
            add(*(np.array([y, x]) + rng.normal(0, 4.0, 2)), 10 ** rng.uniform(3.7, 5.0), galaxy(rng))
        length, angle, charge = rng.uniform(0.5, 9.0), rng.uniform(0, np.pi), 10 ** rng.uniform(2.8, 3.9)
        steps = np.linspace(-0.5, 0.5, 200) * length
        hit, *_ = np.histogram2d(y + steps * np.sin(angle), x + steps * np.cos(angle), bins=np.arange(side + 1) - 0.5)
        science = science + charge * hit / hit.max()
    science_variance = noise**2 + np.maximum(science, 0) / SCIENCE_GAIN
    template_variance = TEMPLATE_NOISE**2 + np.maximum(template, 0) / TEMPLATE_GAIN
    template_grain = rng.normal(size=template.shape) * np.sqrt(template_variance)
    kernel = np.sqrt(sigma**2 - TEMPLATE_SIGMA**2)
    science = science + rng.normal(size=science.shape) * np.sqrt(science_variance)
    difference = science - matched - gaussian_filter(template_grain, kernel)
    variance = np.stack([science_variance + template_variance / (4 * np.pi * kernel**2), science_variance, template_variance])
    if kind == "edge":
        # Beyond the edge there is nothing; beside it the sky was not subtracted well.
        inside = np.arange(side)[:, None] * np.ones(side) - np.round(y) + rng.integers(2, 9)
        glow = limit * rng.uniform(0.05, 0.25) * np.exp(-np.maximum(inside, 0) / rng.uniform(1.5, 4.0))
        science, difference = (np.where(inside < 0, np.nan, image + glow) for image in (science, difference))
        variance[:2, inside < 0] = np.nan
        turn = rng.integers(4)
        science, difference, template, template_grain = (np.rot90(i, turn) for i in (science, difference, template, template_grain))
        variance = np.rot90(variance, turn, axes=(1, 2))
        for _ in range(turn):
            y, x = side - 1 - x, y
    pixels = np.stack([difference, science, template + template_grain])
    steps = np.array([SCIENCE_STEP, SCIENCE_STEP, TEMPLATE_STEP])[:, None, None]
    pixels = np.round(pixels / steps) * steps
    return Packet(pixels, coarse(variance), sigma, (y, x), kind)


def coarse(values: Array) -> Array:
    """Values to about 3 percent, so that they can be compressed."""
    return 2 ** (np.round(np.log2(values) * 24) / 24)


def crop(packet: Packet) -> NDArray[np.float32]:
    """What the network reads: the pixels about that of the source, with 0 for those that are not known."""
    y, x = (int(np.floor(value + 0.5)) - SIDE // 2 for value in packet.centre)
    return np.nan_to_num(packet.pixels[:, y : y + SIDE, x : x + SIDE]).astype(np.float32)


def kind_of(rng: np.random.Generator, is_real: bool) -> str:
    """A kind of a class."""
    return str(rng.choice([kind for kind, real in KINDS.items() if real == is_real]))


def training(count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Images and classes, half of them real, of visits in good and average weather."""
    rng = np.random.default_rng(seed)
    images, labels = np.zeros((count, 3, SIDE, SIDE), np.float32), rng.permutation(np.arange(count) % 2)
    for image, label in zip(images, labels, strict=True):
        visit = Visit(0, 0, TEMPLATE_SIGMA * rng.uniform(1.1, 1.4), rng.uniform(0.9, 1.15))
        # Two pixels more: the source need not be at the middle.
        image[:] = crop(packet(rng, SIDE + 2, visit, kind_of(rng, bool(label))))
    return images, labels


SCALE = np.array([1 / 50, 1 / 150, 1 / 150], np.float32)
"""Of difference, science and template, per nJy."""
LOW, HIGH = -8.0, 30.0
"""The scaled pixels that the network sees; others are clipped."""
COUNT, WINDOW, POOL, LATENT = 20, 5, 5, 32
"""Filters, their side, the side of the pooling, and latent numbers."""


def scaled(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images as the convolution sees them."""
    return np.clip(images * SCALE[:, None, None], LOW, HIGH)


def filters(images: NDArray[np.float32], count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Filters `[count, band, side, side]` of whitened patches, and biases that leave the strongest fifth of the responses."""
    rng = np.random.default_rng(seed)
    n, bands, height, width = images.shape
    # Where the source is.
    rows, ys, xs = rng.integers(0, n, 60_000), *(rng.integers(14, m - 14 - WINDOW, 60_000) for m in (height, width))
    patches = np.stack([images[i, :, y : y + WINDOW, x : x + WINDOW].ravel() for i, y, x in zip(rows, ys, xs, strict=True)])
    patches = patches[np.argsort(patches.var(axis=1))[-30_000:]]
    mean = patches.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov((patches - mean).T))
    whiten = vectors / np.sqrt(values + 0.02 * values.max()) @ vectors.T
    white = (patches - mean) @ whiten
    white /= np.linalg.norm(white, axis=1, keepdims=True) + 1e-6
    means = MiniBatchKMeans(count, random_state=seed, n_init=3, batch_size=2048).fit(white).cluster_centers_
    weights = (means / np.linalg.norm(means, axis=1, keepdims=True)) @ whiten
    responses = (patches - mean) @ weights.T
    deviation = responses.std(axis=0)
    bias = -(mean @ weights.T + np.quantile(responses, 0.6, axis=0)) / deviation
    return (weights / deviation[:, None]).reshape(count, bands, WINDOW, WINDOW).astype(np.float32), bias.astype(np.float32)


def pooled(images: NDArray[np.float32], weights: NDArray[np.float32], bias: NDArray[np.float32]) -> NDArray[np.float32]:
    """What `Conv`, `Relu`, `MaxPool` and `Flatten` give."""
    out = []
    for chunk in np.array_split(images, max(1, len(images) // 100)):
        windows = np.lib.stride_tricks.sliding_window_view(chunk, (WINDOW, WINDOW), axis=(2, 3))
        n, bands, height, width = windows.shape[:4]
        columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * height * width, -1)
        maps = np.maximum(columns @ weights.reshape(len(weights), -1).T + bias, 0).reshape(n, height, width, -1)
        maps = maps[:, : height // POOL * POOL, : width // POOL * POOL]
        maps = maps.reshape(n, height // POOL, POOL, width // POOL, POOL, -1).max(axis=(2, 4))
        out.append(maps.transpose(0, 3, 1, 2).reshape(n, -1))
    return np.concatenate(out)


def node(op: str, inputs: list[str], output: str, **attributes: Any) -> NodeProto:
    """A node with one output, named by it."""
    return helper.make_node(op, inputs, [output], name=output, **attributes)


def network() -> tuple[ModelProto, NDArray[np.float32]]:
    """The network, and images of its training."""
    images, labels = training(12_000, 901)
    seen = scaled(images)
    difference = seen.copy()
    difference[:, 1:] = 0
    pairs = [filters(difference[:4000], COUNT // 2, 902), filters(seen[:4000], COUNT - COUNT // 2, 903)]
    weights, bias = (np.concatenate(each) for each in zip(*pairs, strict=True))
    features = pooled(seen, weights, bias)
    held = np.arange(len(images)) % 6 == 0
    mean, deviation = features[~held].mean(axis=0), features[~held].std(axis=0) + 0.05
    fit = MLPClassifier((LATENT,), alpha=3.0, learning_rate_init=5e-4, early_stopping=True, max_iter=60, random_state=904)
    fit.fit((features[~held] - mean) / deviation, labels[~held])
    dense = fit.coefs_[0].T / deviation
    constants = {
        "scale": SCALE[None, :, None, None],
        "low": np.float32(LOW),
        "high": np.float32(HIGH),
        "conv.weight": weights,
        "conv.bias": bias,
        "latent.weight": dense.astype(np.float32),
        "latent.bias": (fit.intercepts_[0] - dense @ mean).astype(np.float32),
        "logit.weight": fit.coefs_[1].T.astype(np.float32),
        "logit.bias": fit.intercepts_[1].astype(np.float32),
        "axis": np.int64([1]),
    }
    nodes = [
        node("Mul", ["image", "scale"], "scaled"),
        node("Clip", ["scaled", "low", "high"], "clipped"),
        node("Conv", ["clipped", "conv.weight", "conv.bias"], "conv"),
        node("Relu", ["conv"], "responses"),
        node("MaxPool", ["responses"], "pooled", kernel_shape=[POOL, POOL], strides=[POOL, POOL]),
        node("Flatten", ["pooled"], "features"),
        node("Gemm", ["features", "latent.weight", "latent.bias"], "dense", transB=1),
        node("Relu", ["dense"], "latent"),
        node("Gemm", ["latent", "logit.weight", "logit.bias"], "logit", transB=1),
        node("Sigmoid", ["logit"], "probability"),
        node("Squeeze", ["probability", "axis"], "score"),
    ]
    shapes = {"image": ["n", 3, SIDE, SIDE], "score": ["n"], "logit": ["n", 1], "latent": ["n", LATENT]}
    ports = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    initial = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "graph", [ports["image"]], [ports[name] for name in ("score", "logit", "latent")], initial)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="pipelines/alerts/make.py")
    onnx.checker.check_model(made)
    scores = evaluate(made, images[held])[0]
    right = np.mean((scores > 0.5) == labels[held])
    print(f"of {held.sum()} that were kept back: AUC {roc_auc_score(labels[held], scores):.3f}, accuracy {right:.3f}, chance 0.5")
    return made, images[held]


def evaluate(made: ModelProto, images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scores and latents."""
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    scores, latents = session.run(["score", "latent"], {"image": images})
    return scores, latents


def schema() -> dict[str, Any]:
    """The schema of the packets: names of fields as Rubin's, records of our own."""
    fields = {
        "diaSourceId": "long",
        "visit": "long",
        "detector": "int",
        "diaObjectId": ["null", "long"],
        "midpointMjdTai": "double",
        "ra": "double",
        "dec": "double",
        "psfFlux": ["null", "float"],
        "psfFluxErr": ["null", "float"],
        "snr": ["null", "float"],
        "band": ["null", "string"],
        "reliability": ["null", "float"],
    }
    source = {"type": "record", "name": "source", "fields": [{"name": name, "type": kind} for name, kind in fields.items()]}
    return {
        "type": "record",
        "name": "alert",
        "namespace": "lucarne.simulated.v1",
        "doc": "A simulated alert packet (pipelines/alerts/make.py).",
        "fields": [
            {"name": "diaSource", "type": source},
            {"name": "truth", "type": "string", "doc": "real or bogus"},
            {"name": "kind", "type": "string", "doc": ", ".join(KINDS)},
            {"name": "cutoutDifference", "type": ["null", "bytes"]},
            {"name": "cutoutScience", "type": ["null", "bytes"]},
            {"name": "cutoutTemplate", "type": ["null", "bytes"]},
        ],
    }


def stamp(packet: Packet, band: int, sky: tuple[float, float]) -> bytes:
    """A gzipped FITS file with image, variance and point spread."""
    image = fits.PrimaryHDU(packet.pixels[band].astype(np.float32))
    y, x = packet.centre
    image.header["BUNIT"] = "nJy"
    # World coordinates without `CTYPE`, as Rubin's: they are exact at the source only.
    step = 0.2 / 3600
    keys = {"CRPIX1": x + 1, "CRPIX2": y + 1, "PC1_1": -step, "PC1_2": 0.0, "PC2_1": 0.0, "PC2_2": step}
    for key, value in {"WCSAXES": 2, **keys, "CDELT1": 1.0, "CDELT2": 1.0, "CRVAL1": sky[0], "CRVAL2": sky[1]}.items():
        image.header[key] = value
    uncertainty = fits.ImageHDU(packet.variance[band].astype(np.float32), name="UNCERT")
    uncertainty.header["UTYPE"] = "VarianceUncertainty"
    side = 31
    psf = draw(side, side // 2, side // 2, 1.0, TEMPLATE_SIGMA if band == 2 else packet.psf_sigma)
    out = io.BytesIO()
    fits.HDUList([image, uncertainty, fits.ImageHDU(np.round(psf / psf.sum(), 5), name="PSFIMAGE")]).writeto(out)
    return gzip.compress(out.getvalue(), 9, mtime=0)


def messages(made: ModelProto) -> None:
    """Writes the messages."""
    rng = np.random.default_rng(907)
    visits = [
        Visit(2026101000101, 61323.051, TEMPLATE_SIGMA * 1.2, 1.0),
        Visit(2026101000102, 61323.052, TEMPLATE_SIGMA * 1.3, 1.05),
        Visit(2026101000103, 61323.053, TEMPLATE_SIGMA * 1.3 * 1.5, 1.4),
    ]
    folder = HERE / "messages"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    parsed = fastavro.parse_schema(schema())
    packets = []
    for visit in visits:
        for is_real in rng.permutation(np.arange(16) % 2 == 0):
            packets.append((visit, packet(rng, int(rng.integers(57, 72)), visit, kind_of(rng, is_real))))
    scores, _ = evaluate(made, np.stack([crop(packet) for _, packet in packets]))
    truth = np.array([KINDS[packet.kind] for _, packet in packets])
    for name, some in (("all", slice(None)), ("first two visits", slice(32)), ("last visit", slice(32, None))):
        right = np.mean((scores[some] > 0.5) == truth[some])
        print(f"messages, {name}: AUC {roc_auc_score(truth[some], scores[some]):.3f}, accuracy {right:.3f}")
    for number, ((visit, one), score) in enumerate(zip(packets, scores, strict=True)):
        sky = (150.0 + rng.uniform(-1, 1), 2.0 + rng.uniform(-1, 1))
        psf = draw(one.pixels.shape[1], *one.centre, 1.0, one.psf_sigma)
        weight = np.nan_to_num(psf / one.variance[0])
        error = 1 / np.sqrt(np.sum(weight * psf))
        flux = np.nansum(weight * np.nan_to_num(one.pixels[0])) * error**2
        identity = 170_000_000_000_000_000 + 1000 * (visit.number % 1000) + number
        record = {
            "diaSource": {
                "diaSourceId": identity,
                "visit": visit.number,
                "detector": 90 + number % 2,
                "diaObjectId": identity,
                "midpointMjdTai": visit.mjd,
                "ra": sky[0],
                "dec": sky[1],
                "psfFlux": flux,
                "psfFluxErr": error,
                "snr": abs(flux) / error,
                "band": "i",
                "reliability": float(score),
            },
            "truth": "real" if KINDS[one.kind] else "bogus",
            "kind": one.kind,
            "cutoutDifference": stamp(one, 0, sky),
            "cutoutScience": stamp(one, 1, sky),
            "cutoutTemplate": stamp(one, 2, sky),
        }
        out = io.BytesIO(b"\0" + (1).to_bytes(4, "big"))
        out.seek(5)
        fastavro.schemaless_writer(out, parsed, record)
        (folder / f"{number:04}.avro").write_bytes(out.getvalue())


def main() -> None:
    """Writes the network, its reference, the schema and the messages."""
    warnings.simplefilter("ignore")
    (HERE / "schemas").mkdir(exist_ok=True)
    (HERE / "schemas" / "1.avsc").write_text(json.dumps(schema(), indent=1) + "\n")
    made, kept_back = network()
    onnx.save(made, HERE / "real_bogus.onnx")
    latents = evaluate(made, kept_back[:600])[1]
    ids = pa.array([f"reference-{i:03}" for i in range(len(latents))])
    table = pa.table({"object_id": ids, "latent": pa.FixedSizeListArray.from_arrays(pa.array(latents.ravel()), LATENT)})
    pq.write_table(table, HERE / "real_bogus.latents.parquet", compression="zstd")
    messages(made)


if __name__ == "__main__":
    main()
