"""The stretched images of a run, on disk, with their classes and parts.

Pixels are read once, in batches, into a file per domain that is mapped into memory; so memory stays bounded by what the
system cares to cache, however many objects there are. The files stay, and a training that goes on finds them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import CLASSES, DOMAINS, TrainingError
from .locks import locked
from .runs import Layout, Run
from .splits import split
from .stretch import Percentiles, Stretch

CHUNK_ROWS = 64


@dataclass
class Data:
    """What training needs of a run."""

    ids: list[str]
    classes: np.ndarray
    """Class numbers `[n]` int64."""
    parts: dict[str, np.ndarray]
    """Row numbers of `train`, `valid` and `test`."""
    images: dict[str, np.ndarray]
    """By domain: stretched images `[n, band, y, x]` float32, mapped."""
    stretches: dict[str, Stretch]
    layout: Layout
    made_by: dict[str, object]
    """Version of Lucarne, seed and pipeline digest of the run."""
    electrons_per_njy: dict[str, list[float]]
    """By domain, of each band: the exposures that the stretches are for, where the run has them."""
    digest: str
    """SHA-256 over ids, labels and the SHA-256 of each domain's unstretched pixels, in the order of the rows."""

    def batch(self, domain: str, rows: np.ndarray) -> np.ndarray:
        """Stretched images of some rows, `[len(rows), band, y, x]` float32, in memory."""
        return self.images[domain][rows]

    def counts(self) -> dict[str, dict[str, int]]:
        """Objects by part and class."""
        return {
            name: {label: int((self.classes[rows] == number).sum()) for number, label in enumerate(CLASSES)}
            for name, rows in self.parts.items()
        }


def load(folder: Path, cache: Path, label: str = "label") -> Data:
    """Reads a run directory; the mapped files go to a folder of `cache` (2 x 120 kB for an object of 3 x 100 x 100 pixels)."""
    run = Run(folder, list(DOMAINS.values()), label)
    ids, labels, splits = run.identities()
    classes, parts = split(ids, labels, splits)
    place = cache / run.key()
    known = place / "stretched.json"
    # A second process would empty the files that the first has mapped, so it waits, and then finds them.
    with locked(place, wait=True):
        if not known.exists():
            stretches, digests = _stretched(run, place, parts["train"], len(ids))
            digest = hashlib.sha256("\0".join(f"{name}\t{label}" for name, label in zip(ids, labels)).encode())
            for domain in DOMAINS:
                digest.update(digests[domain])
            told = {"stretches": {name: stretch.card() for name, stretch in stretches.items()}, "digest": digest.hexdigest()}
            partial = known.with_suffix(".partial")
            partial.write_text(json.dumps(told))
            partial.replace(known)
    told = json.loads(known.read_text())
    stretches = {domain: Stretch(**told["stretches"][domain]) for domain in DOMAINS}
    images = {domain: np.load(place / f"{domain}.npy", mmap_mode="r") for domain in DOMAINS}
    exposures = run.exposures()
    electrons = {domain: exposures[column] for domain, column in DOMAINS.items() if column in exposures}
    return Data(ids, classes, parts, images, stretches, run.layout, run.provenance(), electrons, told["digest"])


def _stretched(run: Run, place: Path, train: np.ndarray, count: int) -> tuple[dict[str, Stretch], dict[str, bytes]]:
    """Writes the stretched images of every domain; its constants, and the SHA-256 of its pixels before."""
    place.mkdir(parents=True, exist_ok=True)
    trained = np.zeros(count, bool)
    trained[train] = True
    shape = run.layout.shape
    pixels_of_one = int(np.prod(shape))
    _need_space(place, len(DOMAINS) * count * pixels_of_one * 4)
    percentiles = {domain: Percentiles(len(train) * pixels_of_one) for domain in DOMAINS}
    images = {
        domain: np.lib.format.open_memmap(place / f"{domain}.npy", "w+", np.float32, (count, *shape))
        for domain in DOMAINS
    }
    digests = {domain: hashlib.sha256() for domain in DOMAINS}
    start = 0
    for columns in run.batches():
        end = start + len(columns[0])
        for domain, pixels in zip(DOMAINS, columns):
            digests[domain].update(pixels.tobytes())
            percentiles[domain].add(pixels[trained[start:end]])
            images[domain][start:end] = pixels
        start = end
    stretches = {domain: values.stretch() for domain, values in percentiles.items()}
    for domain, stretch in stretches.items():
        for first in range(0, count, CHUNK_ROWS):
            images[domain][first : first + CHUNK_ROWS] = stretch(images[domain][first : first + CHUNK_ROWS])
        images[domain].flush()
    return stretches, {domain: digest.digest() for domain, digest in digests.items()}


def _need_space(folder: Path, needed: int) -> None:
    """A mapped file on a disk that fills up ends the process without a word, so the space is asked for before."""
    free = shutil.disk_usage(folder).free
    if free < needed * 1.02:
        raise TrainingError(
            f"`{folder}` has {free >> 20} MiB free and {needed >> 20} MiB are needed: name another folder"
        )
