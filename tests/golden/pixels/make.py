"""Makes pixels.json beside this file: what numpy makes of a few small planes. numpy 2.x; run it with no arguments."""

import json
import pathlib

import numpy as np

rng = np.random.default_rng(20211214)


def short(x):
    """Numbers of few digits, so that the file stays small."""
    return [float(f"{v:.4g}") for v in np.ravel(x)]


def f32(x):
    """Short numbers as a float32 column would hold them."""
    x = np.asarray(x, np.float64)
    return np.array(short(x)).astype(np.float32).astype(np.float64).reshape(x.shape)


def numbers(x, digits=10):
    return [float(f"{v:.{digits}g}") for v in np.ravel(x)]


def stretch(lo, hi):
    x = f32(np.concatenate([rng.normal(0, 0.1 * hi, 60), rng.uniform(1.2 * min(lo, 0), 1.2 * hi, 60), [0, lo, hi]]))
    y = (np.arcsinh(0.85 / hi * np.clip(x, lo, hi)) + 1) / 2
    return {"lo": lo, "hi": hi, "x": short(x), "y": numbers(y, 15)}


def axis_area(n, ratio):
    """One axis as a matrix: differences of the piecewise linear running sum between the edges of the output pixels."""
    m = max(int(np.floor(n / ratio * (1 + 1e-12))), 1)
    edges = np.clip((n - m * ratio) / 2 + ratio * np.arange(m + 1), 0, n)
    sums = np.vstack([np.zeros(n), np.cumsum(np.eye(n), axis=0)])
    return np.diff([[np.interp(e, np.arange(n + 1), sums[:, i]) for i in range(n)] for e in edges], axis=0)


def axis_lanczos(n, ratio):
    m = max(int(np.floor(n / ratio * (1 + 1e-12))), 1)
    centres = (n - m * ratio) / 2 + ratio * (np.arange(m) + 0.5)
    x = (np.arange(n)[None, :] + 0.5 - centres[:, None]) / max(ratio, 1)
    w = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
    return ratio * w / w.sum(axis=1, keepdims=True)


def resampled(method, height, width, old, new):
    ratio = new / old
    axis = {"area": axis_area, "lanczos": axis_lanczos}[method]
    rows, columns = axis(height, ratio), axis(width, ratio)
    plane = f32(rng.normal(5, 40, (height, width)))
    variance = f32(rng.uniform(1, 9, (height, width)))
    mask = (rng.uniform(size=(height, width)) > 0.95).astype(float)
    touched = np.einsum("ay,bx->abyx", np.abs(rows) > 1e-9, np.abs(columns) > 1e-9)
    return {
        "method": method,
        "height": height,
        "width": width,
        "old": old,
        "new": new,
        "size": [len(rows), len(columns)],
        "plane": short(plane),
        "image": numbers(rows @ plane @ columns.T),
        "variance_in": short(variance),
        "variance": numbers(rows**2 @ variance @ (columns**2).T),
        "mask_in": numbers(mask),
        "mask": numbers((touched * mask[None, None]).max(axis=(2, 3))) if method == "area" else [],
    }


def oriented(mirror_x, mirror_y, turns):
    plane = np.arange(12.0).reshape(3, 4)
    plane = np.fliplr(plane) if mirror_x else plane
    plane = np.flipud(plane) if mirror_y else plane
    return {"mirror_x": mirror_x, "mirror_y": mirror_y, "turns": turns, "out": np.rot90(plane, turns).ravel().tolist()}


def percentiles(x):
    percents = [0, 0.1, 1, 37.5, 50, 99.9, 100]
    return {"x": short(x), "percents": percents, "values": numbers(np.percentile(f32(x), percents), 15)}


golden = {
    "stretch": [stretch(-1136.0, 23822.0), stretch(-367.0, 2388.0), stretch(-9.0, 2.5)],
    "resample": [
        resampled("area", 12, 10, 0.339, 0.2),
        resampled("area", 11, 13, 0.2, 0.339),
        resampled("area", 9, 12, 0.3, 0.1),
        resampled("area", 9, 12, 0.1, 0.3),
        resampled("lanczos", 12, 10, 0.339, 0.2),
        resampled("lanczos", 15, 14, 0.2, 0.339),
    ],
    "orient": [oriented(x, y, t) for x in (False, True) for y in (False, True) for t in range(4)],
    "percentiles": [
        percentiles(rng.normal(3, 100, 2500)),
        percentiles(rng.pareto(1.2, 1301) - 0.2),
        percentiles(np.round(rng.normal(0, 2, 999))),
        percentiles([4.5]),
    ],
}
path = pathlib.Path(__file__).with_name("pixels.json")
path.write_text(json.dumps({"numpy": np.__version__, **golden}, separators=(",", ":")) + "\n")
