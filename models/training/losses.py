"""The losses: weighted cross-entropy on the labelled domain, maximum mean discrepancy between the domains."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

KERNEL_SCALES: tuple[float, ...] = (
    *(1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 5.0, 10.0, 15.0),
    *(20.0, 25.0, 30.0, 35.0, 100.0, 1e3, 1e4, 1e5, 1e6),
)
"""The 19 scales s of k(x, y) = sum over s of exp(-|x-y|^2 / (2 s)), from the code of arXiv 2112.14299."""


def class_weights(classes: np.ndarray, count: int) -> Tensor:
    """w_k = N / (K n_k) of class numbers `[n]`, `[K]` float32; with `cross_entropy(weight=w)` that is sum w nll / sum w."""
    numbers = np.bincount(classes, minlength=count)
    return torch.from_numpy((len(classes) / (count * numbers)).astype(np.float32))


def squared_distances(latents: Tensor) -> Tensor:
    """|x_i - x_j|^2 of `[n, D]`, `[n, n]` float64, exactly zero on the diagonal.

    The Gram matrix is safe in double precision only: in float32 its rounding hides the narrow kernels.
    """
    centred = latents.double()
    centred = centred - centred.mean(dim=0).detach()
    norms = centred.square().sum(dim=1)
    squares = norms[:, None] + norms[None, :] - 2.0 * centred @ centred.T
    diagonal = torch.eye(len(latents), dtype=torch.bool, device=latents.device)
    return squares.clamp_min(0.0).masked_fill(diagonal, 0.0)


def mmd2(source: Tensor, target: Tensor) -> Tensor:
    """The squared discrepancy of latents `[n, D]` and `[m, D]`: mean k(s,s) + mean k(t,t) - 2 mean k(s,t).

    Biased (the diagonals count) and clamped at 0, as the paper's code has it; its text prints the unbiased form.
    """
    squares = squared_distances(torch.cat([source, target]))
    scales = torch.tensor(KERNEL_SCALES, dtype=torch.float64, device=squares.device)
    kernel = torch.zeros_like(squares)
    for scale in scales:
        kernel = kernel + torch.exp(squares * (-0.5 / scale))
    n = len(source)
    value = kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2.0 * kernel[:n, n:].mean()
    return value.clamp_min(0.0)
