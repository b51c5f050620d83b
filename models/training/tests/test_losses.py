"""The losses against their definitions in double precision."""

from __future__ import annotations

import unittest

import numpy as np
import torch

from training.losses import KERNEL_SCALES, class_weights, mmd2, squared_distances


def mmd2_by_definition(source: np.ndarray, target: np.ndarray) -> float:
    def mean_kernel(x: np.ndarray, y: np.ndarray) -> float:
        squares = ((x[:, None, :] - y[None, :, :]) ** 2).sum(axis=2)
        return float(sum(np.exp(-squares / (2 * scale)) for scale in KERNEL_SCALES).mean())

    return max(mean_kernel(source, source) + mean_kernel(target, target) - 2 * mean_kernel(source, target), 0.0)


class Discrepancy(unittest.TestCase):
    def setUp(self) -> None:
        random = np.random.default_rng(5)
        # Far from the origin, as latents can be: a Gram matrix in float32 would lose the narrow kernels here.
        self.source = (random.standard_normal((40, 256)) * 2 + 30).astype(np.float32)
        self.target = (random.standard_normal((50, 256)) * 2 + 30.5).astype(np.float32)

    def test_it_is_that_of_the_definition(self) -> None:
        for shrink in (1.0, 1e-3, 1e-5):
            source = ((self.source.astype(np.float64) - 30) * shrink + 30).astype(np.float32)
            target = ((self.target.astype(np.float64) - 30) * shrink + 30).astype(np.float32)
            expected = mmd2_by_definition(source.astype(np.float64), target.astype(np.float64))
            made = mmd2(torch.from_numpy(source), torch.from_numpy(target)).item()
            self.assertAlmostEqual(made / expected, 1.0, places=6)

    def test_a_point_is_at_distance_zero_of_itself_and_has_kernel_19(self) -> None:
        squares = squared_distances(torch.from_numpy(self.source))
        self.assertTrue((squares.diagonal() == 0).all())
        kernel = sum(torch.exp(-squares / (2 * scale)) for scale in KERNEL_SCALES)
        self.assertTrue((kernel.diagonal() == 19).all())

    def test_two_equal_samples_have_none(self) -> None:
        sample = torch.from_numpy(self.source)
        self.assertAlmostEqual(mmd2(sample, sample.clone()).item(), 0.0, places=7)

    def test_its_gradient_is_that_of_finite_differences(self) -> None:
        source = torch.from_numpy(self.source[:5, :4]).double().requires_grad_()
        target = torch.from_numpy(self.target[:6, :4]).double().requires_grad_()
        self.assertTrue(torch.autograd.gradcheck(mmd2, (source, target), eps=1e-6, atol=1e-6))


class Weights(unittest.TestCase):
    def test_the_rare_class_weighs_more(self) -> None:
        weights = class_weights(np.array([0, 0, 0, 1, 1, 2]), 3)
        np.testing.assert_allclose(weights.numpy(), [6 / 9, 6 / 6, 6 / 3], rtol=1e-6)
