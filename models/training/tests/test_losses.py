"""The losses against their definitions in double precision."""

from __future__ import annotations

import unittest

import numpy as np
import torch

from training.adaptation import Dann, make
from training.losses import KERNEL_SCALES, class_weights, coral, mmd2, squared_distances


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


    def test_the_unbiased_form_leaves_the_diagonals_out_and_is_zero_on_average(self) -> None:
        source, target = self.source.astype(np.float64), self.target.astype(np.float64)

        def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            squares = ((x[:, None, :] - y[None, :, :]) ** 2).sum(axis=2)
            return sum(np.exp(-squares / (2 * scale)) for scale in KERNEL_SCALES)

        within = [(kernel(x, x).sum() - 19 * len(x)) / (len(x) * (len(x) - 1)) for x in (source, target)]
        expected = sum(within) - 2 * kernel(source, target).mean()
        made = mmd2(torch.from_numpy(source), torch.from_numpy(target), unbiased=True).item()
        self.assertAlmostEqual(made, expected, places=9)
        random = np.random.default_rng(6)
        draws = [torch.from_numpy(random.standard_normal((2, 20, 3))) for _ in range(200)]
        values = np.array([mmd2(one[0], one[1], unbiased=True).item() for one in draws])
        self.assertLess(abs(values.mean()), 4 * values.std() / np.sqrt(len(values)))

    def test_the_median_heuristic_has_one_kernel_of_the_median_squared_distance(self) -> None:
        points = np.concatenate([self.source, self.target]).astype(np.float64)
        squares = ((points[:, None, :] - points[None, :, :]) ** 2).sum(axis=2)
        median = np.sort(squares[np.triu_indices(90, 1)])[(90 * 89 // 2 - 1) // 2]
        kernel = np.exp(-squares / median)
        expected = kernel[:40, :40].mean() + kernel[40:, 40:].mean() - 2 * kernel[:40, 40:].mean()
        made = mmd2(torch.from_numpy(self.source), torch.from_numpy(self.target), median_heuristic=True).item()
        self.assertAlmostEqual(made, expected, places=7)

    def test_coral_is_the_distance_of_the_covariances(self) -> None:
        difference = np.cov(self.source.T.astype(np.float64)) - np.cov(self.target.T.astype(np.float64))
        expected = np.linalg.norm(difference) ** 2 / (4 * 256**2)
        made = coral(torch.from_numpy(self.source).double(), torch.from_numpy(self.target).double()).item()
        self.assertAlmostEqual(made / expected, 1.0, places=6)


class Adversary(unittest.TestCase):
    def test_its_head_learns_the_domains_and_the_latents_unlearn_them(self) -> None:
        torch.manual_seed(3)
        term = Dann(Dann.Settings(weight=1.0, hidden=8))
        source, target = torch.randn(30, 256, requires_grad=True), torch.randn(30, 256, requires_grad=True)
        value = term(source, target, 0.5)
        said = term.head(torch.cat([source, target])).squeeze(1)
        truth = torch.cat([torch.zeros(30), torch.ones(30)])
        plain = torch.nn.functional.binary_cross_entropy_with_logits(said, truth)
        self.assertEqual(value.item(), plain.item())
        reversed_ = torch.autograd.grad(value, [source, *term.parameters()], retain_graph=True)
        straight = torch.autograd.grad(plain, [source, *term.parameters()])
        strength = 2 / (1 + np.exp(-5.0)) - 1
        torch.testing.assert_close(reversed_[0], -strength * straight[0])
        torch.testing.assert_close(reversed_[1:], straight[1:])

    def test_at_the_beginning_it_does_not_pull(self) -> None:
        source, target = torch.randn(9, 256, requires_grad=True), torch.randn(9, 256)
        make({"dann": {"weight": 1.0}})(source, target, 0.0).backward()
        self.assertEqual(source.grad.abs().max().item(), 0.0)


class Weights(unittest.TestCase):
    def test_the_rare_class_weighs_more(self) -> None:
        weights = class_weights(np.array([0, 0, 0, 1, 1, 2]), 3)
        np.testing.assert_allclose(weights.numpy(), [6 / 9, 6 / 6, 6 / 3], rtol=1e-6)
