"""Makes golden.json beside this file: what numpy, scipy and statsmodels make of two samples.

MMD by its definition in double precision (all pairs, differences, no tricks), energy and Jensen-Shannon distances by scipy, Holm's
correction by statsmodels. Versions are printed into golden.json. Run it here with no arguments.
"""

import json

import numpy as np
import scipy
import statsmodels
from scipy.spatial.distance import cdist, jensenshannon
from scipy.stats import energy_distance
from statsmodels.stats.multitest import multipletests

rng = np.random.default_rng(20211215)
PAPER = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 5, 10, 15, 20, 25, 30, 35, 100, 1e3, 1e4, 1e5, 1e6]


def short(x):
    """Single precision, as latents are."""
    return np.float32(np.round(x, 3)).astype(np.float64)


def kernel(a, b, variances):
    squares = ((a[:, None, :] - b[None, :, :]) ** 2).sum(-1)
    return sum(np.exp(-squares / (2 * s)) for s in variances)


def mmd(x, y, variances):
    m, n = len(x), len(y)
    kxx, kyy, kxy = kernel(x, x, variances), kernel(y, y, variances), kernel(x, y, variances)
    biased = kxx.mean() + kyy.mean() - 2 * kxy.mean()
    off = lambda k: k.sum() - np.trace(k)
    unbiased = off(kxx) / (m * (m - 1)) + off(kyy) / (n * (n - 1)) - 2 * kxy.mean()
    return unbiased, biased


def pooled(x, y, groups, variances):
    """The unbiased discrepancies when each group is the first sample."""
    z = np.concatenate([x, y])
    inside = [np.isin(np.arange(len(z)), group) for group in groups]
    return [mmd(z[member], z[~member], variances)[0] for member in inside]


def case(m, n, d, shift, scale, variances):
    x, y = short(scale * rng.normal(size=(m, d))), short(scale * rng.normal(size=(n, d)) + shift)
    unbiased, biased = mmd(x, y, variances)
    size = min(m, n)
    groups = [sorted(int(i) for i in rng.choice(m + n, size, replace=False)) for _ in range(6)]
    between = cdist(x, y).mean() * 2 - cdist(x, x).mean() - cdist(y, y).mean()
    return {
        "dimension": d, "x": x.ravel().tolist(), "y": y.ravel().tolist(), "variances": variances,
        "unbiased": unbiased, "biased": biased, "groups": groups, "grouped": pooled(x, y, groups, variances),
        "energy_squared": between,
    }  # fmt: skip


def histogram(a, b, bins):
    span = (min(a.min(), b.min()), max(a.max(), b.max()))
    counts = [np.histogram(x, bins=bins, range=span)[0] for x in (a, b)]
    return float(jensenshannon(*counts))


def numbers(m, n, shift):
    a, b = np.round(rng.normal(size=m), 4), np.round(rng.normal(size=n) + shift, 4)
    return {
        "a": a.tolist(), "b": b.tolist(), "energy": float(energy_distance(a, b)),
        "js_20": histogram(a, b, 20), "js_7": histogram(a, b, 7),
    }  # fmt: skip


def dimensions(m, n, d, bins):
    """The largest Jensen-Shannon distance over dimensions, of two samples."""
    x, y = short(rng.normal(size=(m, d))), short(rng.normal(size=(n, d)))
    y[:, d // 2] += 1
    distances = [histogram(x[:, i], y[:, i], bins) for i in range(d)]
    return {"dimension": d, "bins": bins, "x": x.ravel().tolist(), "y": y.ravel().tolist(), "distances": distances}


p_values = [short(rng.uniform(size=n) ** 3).tolist() for n in (1, 4, 9, 25)]
golden = {
    "versions": {"numpy": np.__version__, "scipy": scipy.__version__, "statsmodels": statsmodels.__version__},
    "samples": [
        case(9, 14, 3, 0.4, 1, PAPER),
        case(21, 8, 40, 0.1, 4, PAPER),
        case(12, 12, 2, 0, 2, [1.0]),
        case(5, 30, 6, 2, 0.01, [1e-4, 0.3, 7]),
    ],
    "numbers": [numbers(50, 70, 0.3), numbers(8, 3, 2), numbers(200, 200, 0)],
    "dimensions": [dimensions(60, 25, 5, 20), dimensions(20, 20, 9, 8)],
    "holm": [[p, multipletests(p, method="holm")[1].tolist()] for p in p_values],
}
with open("golden.json", "w") as out:
    json.dump(golden, out)
    out.write("\n")
