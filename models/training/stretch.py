"""The arcsinh stretch and the constants of a domain.

y = (arcsinh(c clip(x, lo, hi)) + 1) / 2 with c = 0.85 / hi; lo and hi are the 0.1 and 99.9 percentiles over all pixels and
bands of the training part of a domain (the authors' code of arXiv 2112.14299 refits them on every file, test included).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from . import TrainingError

LOWER, UPPER = 0.001, 0.999


@dataclass(frozen=True)
class Stretch:
    """Clips in the unit of the image before the stretch."""

    lo: float
    hi: float

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """The stretched pixels, float32 of any shape, computed in float64; 0 becomes 0.5, `hi` 0.8856."""
        clipped = np.clip(pixels.astype(np.float64), self.lo, self.hi)
        return ((np.arcsinh(clipped * (0.85 / self.hi)) + 1.0) / 2.0).astype(np.float32)

    def card(self) -> dict[str, float]:
        """As a model's card has it."""
        return asdict(self)


class Percentiles:
    """The exact 0.1 and 99.9 percentiles (numpy's `linear` method) of a known number of values, seen in pieces.

    Only the lowest and highest 0.1 % are kept.
    """

    def __init__(self, count: int) -> None:
        """`count` values will come."""
        self.count, self.seen = count, 0
        self.positions = (LOWER * (count - 1), UPPER * (count - 1))
        self.low = _Smallest(int(self.positions[0]) + 2)
        self.high = _Smallest(count - int(self.positions[1]))

    def add(self, values: np.ndarray) -> None:
        """Takes values of any shape."""
        self.seen += values.size
        self.low.add(values.ravel())
        self.high.add(-values.ravel())

    def stretch(self) -> Stretch:
        """The constants, once all values have come."""
        if self.seen != self.count:
            raise ValueError(f"{self.seen} values came, {self.count} were announced")
        low, high = self.low.sorted(), -self.high.sorted()[::-1]
        below = int(self.positions[1])
        lo = _interpolate(low, self.positions[0])
        hi = _interpolate(high, self.positions[1] - below)
        if not (lo < hi and hi > 0):
            raise TrainingError(f"the percentiles {lo:g} and {hi:g} make no stretch: are the images empty?")
        return Stretch(lo, hi)


class _Smallest:
    """The `keep` smallest of a stream of numbers."""

    def __init__(self, keep: int) -> None:
        self.keep, self.bound = keep, np.inf
        self.kept, self.held = [np.empty(0, np.float32)], 0

    def add(self, values: np.ndarray) -> None:
        few = values[values <= self.bound]
        self.kept.append(few)
        self.held += few.size
        if self.held > 2 * self.keep + 1_000_000:
            self._trim()

    def _trim(self) -> None:
        values = np.concatenate(self.kept)
        if values.size > self.keep:
            values = np.partition(values, self.keep - 1)[: self.keep]
            self.bound = values.max()
        self.kept, self.held = [values], values.size

    def sorted(self) -> np.ndarray:
        self._trim()
        return np.sort(self.kept[0]).astype(np.float64)


def _interpolate(values: np.ndarray, position: float) -> float:
    below = int(position)
    above = min(below + 1, len(values) - 1)
    return float(values[below] + (values[above] - values[below]) * (position - below))
