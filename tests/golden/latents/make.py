"""Makes golden.json beside this file: what scipy and numpy make of distances of latents and of planes through them.

Versions: scipy and numpy as printed into golden.json. Run it here with no arguments.
"""

import itertools
import json

import numpy as np
import scipy
from scipy.spatial.distance import jensenshannon
from scipy.stats import sem

rng = np.random.default_rng(20211214)


def short(x):
    return [float(f"{v:.6g}") for v in np.ravel(x)]


def summary(values):
    qs = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.999, 1)
    return {
        "values": values,
        "mean": float(np.mean(values)),
        "standard_error": float(sem(values)) if len(values) > 1 else None,
        "quantiles": [[q, float(np.quantile(values, q))] for q in qs],
    }


def counts(a, b, bins):
    span = (min(min(a), min(b)), max(max(a), max(b)))
    return [np.histogram(x, bins=bins, range=span)[0] for x in (a, b)]


def sample(a, b, bins):
    p, q = counts(a, b, bins)
    return {
        "a": a,
        "b": b,
        "bins": bins,
        "count_a": p.tolist(),
        "count_b": q.tolist(),
        "distance": float(jensenshannon(p, q)),
    }


def histogram(p, q):
    return [p, q, float(jensenshannon(p, q)), float(jensenshannon(p, q, base=2))]


def permutations(a, b, bins, times):
    """Swaps the numbers of every pair by coins and counts again, without regard to the bins."""
    a, b = np.array(a), np.array(b)
    observed = jensenshannon(*counts(a, b, bins))
    null = []
    for _ in range(times):
        swap = rng.random(len(a)) < 0.5
        null.append(jensenshannon(*counts(np.where(swap, b, a), np.where(swap, a, b), bins)))
    null = np.array(null)
    return {
        "a": a.tolist(),
        "b": b.tolist(),
        "bins": bins,
        "distance": float(observed),
        "median": float(np.median(null)),
        "p95": float(np.quantile(null, 0.95)),
        "p_value": float((np.sum(null >= observed - 1e-12) + 1) / (times + 1)),
    }


def boundary(l0, slope, extent=1e9):
    """The least t > 0 at which another class has the greatest logit, from the upper envelope of lines."""
    own = int(np.argmax(l0))
    gaps, slopes = l0[own] - np.delete(l0, own), np.delete(slope, own) - slope[own]
    at = [g / s for g, s in zip(gaps, slopes) if s > 0]
    return float(min(at)) if at else None


def window(classes, size, half, step, spread):
    head = rng.normal(0, 0.3, (classes, size)).astype(np.float32)
    bias = rng.normal(0, 0.5, classes).astype(np.float32)
    z0 = rng.normal(0, spread, size).astype(np.float32)
    z1 = (z0 + rng.normal(0, spread, size)).astype(np.float32)
    z2 = (z0 + rng.normal(0, spread, size)).astype(np.float32)
    w, b, a, c, d = (x.astype(np.float64) for x in (head, bias, z0, z1, z2))
    axis = (np.arange(2 * half + 1) - half) * step
    # The head of every point of the plane, point by point: nothing is taken apart.
    points = a + axis[None, :, None] * (c - a) + axis[:, None, None] * (d - a)
    drawn = np.argmax(points @ w.T + b, axis=-1)
    l0, across, up = w @ a + b, w @ (c - a), w @ (d - a)
    cosine = (c - a) @ (d - a) / np.linalg.norm(c - a) / np.linalg.norm(d - a)
    return {
        "weights": [float(x) for x in head.ravel()],
        "bias": [float(x) for x in bias],
        "z0": [float(x) for x in z0],
        "z1": [float(x) for x in z1],
        "z2": [float(x) for x in z2],
        "half": half,
        "step": step,
        "runs": [[int(k), len(list(run))] for k, run in itertools.groupby(drawn.ravel())],
        "areas": (np.bincount(drawn.ravel(), minlength=classes) / drawn.size).tolist(),
        "boundaries": [boundary(l0, s) for s in (across, -across, up, -up)],
        "angle_deg": float(np.degrees(np.arccos(cosine))),
    }


a, b = short(rng.gamma(3, 10, 136)), short(rng.gamma(3, 12, 136))
golden = {
    "numpy": np.__version__,
    "scipy": scipy.__version__,
    "summaries": [summary(x) for x in ([2.5], [1.0, 4.0], a, short(1e6 + rng.normal(0, 1e-1, 50)))],
    "histograms": [
        histogram([1, 2, 3], [3, 2, 1]),
        histogram([0, 5, 5], [5, 5, 0]),
        histogram([4, 0], [0, 9]),
        histogram([10, 20, 30], [1, 2, 3]),
        histogram([1, 0, 0, 7, 1000], [3, 2, 1, 0, 5]),
    ],
    "samples": [
        sample(a, b, 20),
        sample(a, b, 50),
        sample(list(map(float, range(11))), list(map(float, range(10, -1, -1))), 10),
        sample([k / 10 for k in range(31)], [k / 30 for k in range(31)], 30),
        sample([1.0], [2.0], 3),
    ],
    "permutations": permutations(a, b, 20, 20000),
    "windows": [window(3, 8, 110, 0.01, 3), window(3, 32, 110, 0.01, 2), window(7, 16, 40, 0.05, 5)],
}
with open("golden.json", "w") as file:
    json.dump(golden, file)
    file.write("\n")
