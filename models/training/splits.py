"""Training, validation and test parts by object, before any augmentation.

The parts are those of Lucarne's transform `split`: an object's part depends on its id alone, so it does not change when other
objects come or go, and every version of one galaxy falls on the same side.
"""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np

from . import CLASSES, TrainingError

PARTS = ("train", "valid", "test")


def hash_of(object_id: str) -> float:
    """A number in [0, 1) that depends on the id alone, to choose objects by: not the one that makes the parts."""
    digest = hashlib.sha256(f"lucarne choice\0{object_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2.0**64


def split(ids: list[str], labels: list[str], splits: list[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Class numbers `[n]` int64, and the row numbers of each part in ascending order.

    Raises `TrainingError` for a label that is no class, an id that appears twice, a part that lacks a class.
    """
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        raise TrainingError(f"{len(twice)} object ids appear more than once, the first is `{twice[0]}`")
    strange = sorted(set(labels) - set(CLASSES))
    if strange:
        raise TrainingError(f"the label `{strange[0]}` is not one of the classes {', '.join(CLASSES)}")
    strange = sorted(set(splits) - set(PARTS), key=str)
    if strange:
        raise TrainingError(f"the part `{strange[0]}` is not one of {', '.join(PARTS)}")
    classes = np.array([CLASSES.index(label) for label in labels], dtype=np.int64)
    names = np.array(splits, dtype=object)
    parts = {name: np.flatnonzero(names == name) for name in PARTS}
    for name, rows in parts.items():
        for number, label in enumerate(CLASSES):
            if not (classes[rows] == number).any():
                raise TrainingError(f"the part `{name}` of {len(rows)} objects has no {label}: simulate more galaxies")
    return classes, parts
