"""What pulls the latents of two domains together: a term of the loss.

Every kind is a module that is called with the latents of the source `[n, D]` and of the target `[m, D]` and with how far
training has come (0 to 1), and gives a scalar, its weight included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .losses import coral, mmd2
from .networks import LATENT


class Mmd(nn.Module):
    """Maximum mean discrepancy with 19 Gaussian kernels (arXiv 2112.14299), or with one of the median distance."""

    @dataclass(frozen=True)
    class Settings:
        """Weight of the term; the unbiased form of the paper's text; one kernel of the median squared distance."""

        weight: float
        unbiased: bool = False
        median_heuristic: bool = False

    def __init__(self, settings: Settings) -> None:
        """It has no parameters of its own."""
        super().__init__()
        self.settings = settings

    def forward(self, source: Tensor, target: Tensor, _: float) -> Tensor:
        """Weight times the squared discrepancy."""
        own = self.settings
        return own.weight * mmd2(source, target, unbiased=own.unbiased, median_heuristic=own.median_heuristic)


class Coral(nn.Module):
    """Correlation alignment (Sun and Saenko 2016): the distance of the covariances."""

    @dataclass(frozen=True)
    class Settings:
        """Weight of the term."""

        weight: float

    def __init__(self, settings: Settings) -> None:
        """It has no parameters of its own."""
        super().__init__()
        self.settings = settings

    def forward(self, source: Tensor, target: Tensor, _: float) -> Tensor:
        """Weight times the distance."""
        return self.settings.weight * coral(source, target)


class Dann(nn.Module):
    """Domain-adversarial training (Ganin et al. 2016): a head tells the domains apart, and the network learns to fool it.

    The gradient of the head's cross-entropy is turned round on its way into the network, by a strength that grows as
    2 / (1 + exp(-10 progress)) - 1.
    """

    @dataclass(frozen=True)
    class Settings:
        """Weight of the term, and the width of the head's hidden layer."""

        weight: float
        hidden: int = 64

    def __init__(self, settings: Settings) -> None:
        """Makes the head."""
        super().__init__()
        self.settings = settings
        self.head = nn.Sequential(nn.Linear(LATENT, settings.hidden), nn.ReLU(), nn.Linear(settings.hidden, 1))

    def forward(self, source: Tensor, target: Tensor, progress: float) -> Tensor:
        """Weight times the cross-entropy of the head."""
        strength = 2.0 / (1.0 + math.exp(-10.0 * progress)) - 1.0
        latents = _Reversed.apply(torch.cat([source, target]), strength)
        truth = torch.cat([torch.zeros(len(source)), torch.ones(len(target))]).to(latents.device)
        said = self.head(latents).squeeze(1)
        return self.settings.weight * nn.functional.binary_cross_entropy_with_logits(said, truth)


class _Reversed(torch.autograd.Function):
    """The same forwards; backwards the gradient times minus a strength."""

    @staticmethod
    def forward(context: Any, values: Tensor, strength: float) -> Tensor:
        context.strength = strength
        return values.view_as(values)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -context.strength * gradient, None


ADAPTATIONS: dict[str, type[nn.Module]] = {"mmd": Mmd, "coral": Coral, "dann": Dann}
"""The kinds by name."""


def make(settings: dict[str, dict[str, Any]]) -> nn.Module | None:
    """The term of `{kind: settings}`; none of an empty mapping."""
    for kind, given in settings.items():
        return ADAPTATIONS[kind](ADAPTATIONS[kind].Settings(**given))
    return None
