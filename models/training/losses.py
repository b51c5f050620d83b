"""The losses: weighted cross-entropy on the labelled domain, discrepancies between the domains."""

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


def mmd2(source: Tensor, target: Tensor, unbiased: bool = False, median_heuristic: bool = False) -> Tensor:
    """The squared discrepancy of latents `[n, D]` and `[m, D]`: mean k(s,s) + mean k(t,t) - 2 mean k(s,t).

    Biased (the diagonals count) and clamped at 0, as the paper's code has it; unbiased (they do not, and it may be negative)
    as its text prints it. The median heuristic has one kernel, whose 2 s is the median of the squared distances.
    """
    squares = squared_distances(torch.cat([source, target]))
    n, m = len(source), len(target)
    scales = KERNEL_SCALES
    if median_heuristic:
        off_diagonal = torch.triu_indices(n + m, n + m, offset=1)
        scales = (max(squares.detach()[off_diagonal[0], off_diagonal[1]].median().item(), 1e-12) / 2.0,)
    kernel = torch.zeros_like(squares)
    for scale in scales:
        kernel = kernel + torch.exp(squares * (-0.5 / scale))
    within, across, target_within = kernel[:n, :n], kernel[:n, n:], kernel[n:, n:]
    if not unbiased:
        return (within.mean() + target_within.mean() - 2.0 * across.mean()).clamp_min(0.0)
    apart = [(block.sum() - block.diagonal().sum()) / (k * (k - 1)) for block, k in ((within, n), (target_within, m))]
    return apart[0] + apart[1] - 2.0 * across.mean()


def coral(source: Tensor, target: Tensor) -> Tensor:
    """|C_s - C_t|^2 / (4 D^2) of the covariances of latents `[n, D]` and `[m, D]` (Sun and Saenko 2016)."""
    difference = torch.cov(source.T) - torch.cov(target.T)
    return difference.square().sum() / (4 * source.shape[1] ** 2)
