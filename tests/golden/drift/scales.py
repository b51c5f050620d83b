"""Makes scales.json beside this file: the kernel of the median distance on samples of any scale, as numpy has it.

Every number is a float32, as latents are; distances and kernels are by the definition in double precision. The variance is the
median of the squared distances of different points of x, the lower one of an even count. Run it here with no arguments.
"""

import json

import numpy as np

rng = np.random.default_rng(42)


def kernel(a, b, variance):
    return np.exp(-((a[:, None, :] - b[None, :, :]) ** 2).sum(-1) / (2 * variance))


def mmd(x, y, variance):
    m, n = len(x), len(y)
    kxx, kyy, kxy = kernel(x, x, variance), kernel(y, y, variance), kernel(x, y, variance)
    unbiased = (kxx.sum() - m) / (m * (m - 1)) + (kyy.sum() - n) / (n * (n - 1)) - 2 * kxy.mean()
    return unbiased, kxx.mean() + kyy.mean() - 2 * kxy.mean()


def case(scale, shift, duplicates):
    # Drawn in double precision, so that 1e-42 is not rounded before it is scaled.
    x, y = scale * rng.normal(size=(24, 5)), scale * (rng.normal(size=(15, 5)) + shift)
    x[:duplicates] = x[0]
    x, y = np.float32(x).astype(np.float64), np.float32(y).astype(np.float64)
    squares = ((x[:, None, :] - x[None, :, :]) ** 2).sum(-1)[np.tril_indices(len(x), -1)]
    variance = np.quantile(squares[squares > 0], 0.5, method="lower")
    unbiased, biased = mmd(x, y, variance)
    return {
        "scale": scale, "dimension": 5, "x": x.ravel().tolist(), "y": y.ravel().tolist(),
        "variance": variance, "unbiased": unbiased, "biased": biased,
    }  # fmt: skip


scales = [1e-42, 1e-30, 1e-20, 1e-3, 1, 1e3, 1e4, 1e5, 1e15, 1e30, 1e37]
golden = {
    "versions": {"numpy": np.__version__},
    "samples": [case(s, shift, duplicates) for s in scales for shift, duplicates in [(0, 0), (1, 0), (0.5, 20)]],
}
with open("scales.json", "w") as out:
    json.dump(golden, out)
    out.write("\n")
