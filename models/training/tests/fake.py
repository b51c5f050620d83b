"""A run directory of made-up galaxies, for tests: round, elongated and double blobs in noise."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn

from training import CLASSES

COLUMNS = ("y10_sky", "y1_sky")
ELECTRONS_PER_NJY = {"y10_sky": [30.0, 40.5, 50.0], "y1_sky": [3.0, 4.05, 5.0]}


def images(count: int, size: int, seed: int) -> tuple[list[str], dict[str, np.ndarray]]:
    """Labels, and `[count, 3, size, size]` float32 electrons at two depths."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    labels, pixels = [], {name: np.empty((count, 3, size, size), np.float32) for name in COLUMNS}
    for row in range(count):
        number = row % 3
        labels.append(CLASSES[number])
        width = size / 8 * random.uniform(0.8, 1.2)
        angle, apart = random.uniform(0, np.pi), width * (1.5 if number == 2 else 0.0)
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        stretch = 3.0 if number == 0 else 1.0
        blob = sum(np.exp(-0.5 * (((u - s * apart) / width) ** 2 + (v * stretch / width) ** 2)) for s in (-1, 1))
        for name, exposure in zip(COLUMNS, (10.0, 1.0)):
            sky = np.array([2330.0, 12720.0, 17950.0])[:, None, None] * exposure
            flux = 900.0 * exposure * blob * np.array([0.5, 1.0, 1.2])[:, None, None]
            pixels[name][row] = flux + np.sqrt(sky) * random.standard_normal((3, size, size), np.float32)
    return labels, pixels


def column(values: np.ndarray, name: str, unit: str = "electron") -> tuple[pa.Field, pa.Array]:
    """The column of images `[n, band, y, x]` as Lucarne writes it: storage and metadata, not pyarrow's extension type."""
    kind = pa.list_(pa.field("item", pa.float32()), int(np.prod(values.shape[1:])))
    metadata = {
        "ARROW:extension:name": "arrow.fixed_shape_tensor",
        "ARROW:extension:metadata": json.dumps({"shape": values.shape[1:], "dim_names": ["band", "y", "x"]}),
        "bands": json.dumps(list("gri"[: values.shape[1]])),
        "unit": unit,
        "pixel_scale_arcsec": "0.2",
    }
    if name in ELECTRONS_PER_NJY:
        metadata["electrons_per_njy"] = json.dumps(ELECTRONS_PER_NJY[name])
    return pa.field(name, kind, False, metadata), pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), type=kind)


def part_of(object_id: str) -> str:
    """The part that Lucarne's transform `split` gives an object."""
    digest = hashlib.sha256(f"lucarne split\0{object_id}".encode()).digest()
    number = (int.from_bytes(digest[:8], "big") >> 11) / 2.0**53
    return "train" if number < 0.7 else "valid" if number < 0.7 + 0.1 else "test"


def write_run(folder: Path, count: int = 240, size: int = 16, seed: int = 3, parts: int = 2) -> Path:
    """Writes a finished run; returns its folder."""
    labels, pixels = images(count, size, seed)
    ids = [f"galaxy-{seed}-{row:06}" for row in range(count)]
    (folder / "objects").mkdir(parents=True)
    for number, rows in enumerate(np.array_split(np.arange(count), parts)):
        fields = [pa.field(name, pa.string()) for name in ("object_id", "label", "split")]
        texts = [[ids[row] for row in rows], [labels[row] for row in rows], [part_of(ids[row]) for row in rows]]
        arrays = [pa.array(values) for values in texts]
        for name in COLUMNS:
            field, array = column(pixels[name][rows], name)
            fields.append(field)
            arrays.append(array)
        table = pa.Table.from_arrays(arrays, schema=pa.schema(fields))
        pq.write_table(table, folder / "objects" / f"part-{number:05}.parquet", compression="zstd", row_group_size=64)
    record = {"lucarne": {"version": "0"}, "state": "finished", "tables": {"objects": {"rows": count}}}
    (folder / "run.json").write_text(json.dumps(record))
    return folder


class OwnNetwork(nn.Module):
    """A network that somebody else might bring: latent of 5, two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 5))
        self.head = nn.Linear(5, 2)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        latent = self.body(image)
        return latent, self.head(latent)


def own_network() -> nn.Module:
    """For `export`."""
    return OwnNetwork()


def only_logits() -> nn.Module:
    """A network that gives no latent vector."""
    return nn.Sequential(nn.Flatten(), nn.Linear(1200, 2))
