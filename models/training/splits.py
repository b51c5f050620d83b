"""Training, validation and test parts by object, before any augmentation.

An object's part depends on its id alone, so it does not change when other objects come or go, and every version of one
galaxy falls on the same side.
"""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np

from . import CLASSES, TrainingError

SHARES: dict[str, float] = {"train": 0.7, "valid": 0.1, "test": 0.2}
"""The parts and their expected shares (arXiv 2112.14299: 70:10:20)."""


def hash_of(object_id: str) -> float:
    """A number in [0, 1) that depends on the id alone: the first 8 bytes of SHA-256, big-endian, over 2^64."""
    digest = hashlib.sha256(f"lucarne split\0{object_id}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2.0**53


def part_of(object_id: str) -> str:
    """`train`, `valid` or `test`."""
    number, edge = hash_of(object_id), 0.0
    for name, share in SHARES.items():
        edge += share
        if number < edge:
            return name
    return "test"


def split(ids: list[str], labels: list[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Class numbers `[n]` int64, and the row numbers of each part in ascending order.

    Raises `TrainingError` for a label that is no class, an id that appears twice, a part that lacks a class.
    """
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        raise TrainingError(f"{len(twice)} object ids appear more than once, the first is `{twice[0]}`")
    strange = sorted(set(labels) - set(CLASSES))
    if strange:
        raise TrainingError(f"the label `{strange[0]}` is not one of the classes {', '.join(CLASSES)}")
    classes = np.array([CLASSES.index(label) for label in labels], dtype=np.int64)
    names = np.array([part_of(name) for name in ids], dtype=object)
    parts = {name: np.flatnonzero(names == name) for name in SHARES}
    for name, rows in parts.items():
        for number, label in enumerate(CLASSES):
            if not (classes[rows] == number).any():
                raise TrainingError(f"the part `{name}` of {len(rows)} objects has no {label}: simulate more galaxies")
    return classes, parts
