"""Reads the rows of a run directory that `lucarne run` wrote, in batches.

`run.json` is the record of the run (`schemas/run.schema.json`). The table `objects` is a set of Parquet parts in `objects/`. An
image column is a fixed-size list of float32 with the Arrow extension `arrow.fixed_shape_tensor`, shape `[band, y, x]`, and
bands, unit and pixel scale in its field metadata.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from . import TrainingError

RECORD_FORMAT = 3
"""The newest format of `run.json` that this version reads. A record without a number is older and has the same keys."""
BATCH_ROWS = 64
SPLIT = "split"
"""The column with the part of an object: the label of the transform `split`."""


@dataclass(frozen=True)
class Layout:
    """The layout of an image column: band names, rows (= columns) in pixels, side of a pixel in arcsec, unit."""

    bands: tuple[str, ...]
    size: int
    pixel_scale_arcsec: float
    unit: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Band, y, x."""
        return (len(self.bands), self.size, self.size)


class Run:
    """A finished run directory with image columns of one layout."""

    def __init__(self, folder: Path, columns: list[str], label: str = "label") -> None:
        """Opens a run that must have the image columns `columns`; `label` is the column of the classes."""
        self.folder = folder
        self.columns = columns
        self.label = label
        self.record = _record_of_finished_run(folder)
        expected = self.record.get("tables", {}).get("objects", {}).get("rows")
        self.parts = sorted((folder / "objects").glob("*.parquet"))
        if not self.parts:
            raise TrainingError(
                f"the run `{folder}` has no Parquet parts in `objects/`: add the sink `objects` to its pipeline"
            )
        self.layout = _common_layout(self.parts, columns, label)
        self.rows = sum(pq.ParquetFile(part).metadata.num_rows for part in self.parts)
        if expected is not None and expected != self.rows:
            raise TrainingError(
                f"`{folder}/objects` has {self.rows} rows, `run.json` records {expected}: run the pipeline again"
            )

    def provenance(self) -> dict[str, Any]:
        """The origin of the rows: version of Lucarne, seed and digest of the pipeline."""
        version = self.record["lucarne"].get("version") if isinstance(self.record["lucarne"], dict) else None
        return {"lucarne": version, "seed": self.record.get("seed"), "pipeline_digest": self.record.get("pipeline_digest")}

    def key(self) -> str:
        """A digest that identifies the run and the label: record and parts change whenever the run is repeated."""
        stamps = [(part.name, part.stat().st_size, part.stat().st_mtime_ns) for part in self.parts]
        text = json.dumps([self.record, stamps, self.label, self.columns], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def exposures(self) -> dict[str, list[float]]:
        """Electrons per nJy of each band, by image column, where all parts have the same."""
        found = {}
        for name in self.columns:
            written = {(pq.read_schema(part).field(name).metadata or {}).get(b"electrons_per_njy") for part in self.parts}
            if len(written) == 1 and (text := written.pop()) is not None:
                found[name] = [float(number) for number in names(text.decode())]
        return found

    def identities(self) -> tuple[list[str], list[str], list[str]]:
        """The object ids, labels and parts (`train`, `valid`, `test`) of all rows, in order."""
        texts: dict[str, list[str]] = {"object_id": [], self.label: [], SPLIT: []}
        for part in self.parts:
            table = pq.read_table(part, columns=list(texts), partitioning=None)
            for name, values in texts.items():
                values += table[name].cast(pa.string()).to_pylist()
        ids, labels, parts = texts.values()
        unlabelled = [name for name, label in zip(ids, labels) if label is None]
        if unlabelled:
            raise TrainingError(f"{len(unlabelled)} objects have no `{self.label}`; the first is `{unlabelled[0]}`")
        return ids, labels, parts

    def batches(self) -> Iterator[list[np.ndarray]]:
        """The images of every column, `[n, band, y, x]` float32 with n at most 64, in the order of the rows."""
        for part in self.parts:
            for batch in pq.ParquetFile(part).iter_batches(batch_size=BATCH_ROWS, columns=self.columns):
                yield [_pixels(batch.column(name), name, self.layout) for name in self.columns]


def _record_of_finished_run(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / "run.json").read_text())
    except (OSError, ValueError):
        record = None
    if not isinstance(record, dict) or "lucarne" not in record:
        raise TrainingError(f"`{folder}` is not a run directory: it has no `run.json` that `lucarne run` wrote")
    version = record.get("format", RECORD_FORMAT)
    if version > RECORD_FORMAT:
        raise TrainingError(f"the run `{folder}` has format {version}, this version reads up to {RECORD_FORMAT}")
    state = record.get("state")
    if state != "finished":
        raise TrainingError(f"the run `{folder}` is `{state}`, expected `finished`: run `lucarne run ... --resume`")
    return record


def _common_layout(parts: list[Path], columns: list[str], label: str) -> Layout:
    layouts: dict[Layout, str] = {}
    for part in parts:
        schema = pq.read_schema(part)
        if SPLIT not in schema.names:
            raise TrainingError(f"`{part}` has no column `{SPLIT}`: add the transform `{SPLIT}: {{ split: {{}} }}` to its pipeline")
        missing = [name for name in ["object_id", label, *columns] if name not in schema.names]
        if missing:
            raise TrainingError(
                f"`{part}` has no column {', '.join(f'`{name}`' for name in missing)}; its columns are {', '.join(schema.names)}"
            )
        for name in columns:
            layouts.setdefault(_layout(schema.field(name), part), f"`{name}` of `{part.name}`")
    if len(layouts) > 1:
        found = "; ".join(f"{where}: {layout}" for layout, where in layouts.items())
        raise TrainingError(f"the image columns differ: {found}")
    return next(iter(layouts))


def names(text: str) -> tuple[str, ...]:
    """The names in a list of metadata: JSON, or with commas between them as earlier versions of Lucarne wrote them."""
    try:
        listed = json.loads(text) if text.startswith("[") else None
    except ValueError:
        listed = None
    return tuple(text.split(",") if listed is None else listed)


def _layout(field: pa.Field, part: Path) -> Layout:
    metadata = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    if isinstance(field.type, pa.FixedShapeTensorType):
        shape, values = list(field.type.shape), field.type.storage_type
    else:
        shape, values = json.loads(metadata.get("ARROW:extension:metadata", "{}")).get("shape"), field.type
    where = f"the column `{field.name}` of `{part}`"
    if not shape or not pa.types.is_fixed_size_list(values) or values.value_type != pa.float32():
        raise TrainingError(f"{where} is {field.type}, not a float32 image (`arrow.fixed_shape_tensor`)")
    if len(shape) != 3 or shape[1] != shape[2] or values.list_size != int(np.prod(shape)):
        raise TrainingError(f"{where} has shape {shape}, expected [band, y, x] with y = x and {values.list_size} numbers")
    missing = [key for key in ("bands", "unit", "pixel_scale_arcsec") if key not in metadata]
    if missing:
        raise TrainingError(f"{where} has no {', '.join(missing)} in its field metadata")
    bands = names(metadata["bands"])
    if len(bands) != shape[0]:
        raise TrainingError(f"{where} has {shape[0]} planes, expected one for each of {len(bands)} bands")
    return Layout(bands, int(shape[1]), float(metadata["pixel_scale_arcsec"]), metadata["unit"])


def _pixels(column: pa.Array, name: str, layout: Layout) -> np.ndarray:
    storage = column.storage if isinstance(column, pa.ExtensionArray) else column
    values = storage.flatten().to_numpy(zero_copy_only=False)
    if values.size != len(column) * int(np.prod(layout.shape)) or not np.isfinite(values).all():
        raise TrainingError(f"the column `{name}` has rows with nulls or numbers that are not finite")
    return values.reshape(-1, *layout.shape)
