"""Reference latents: what a model makes of galaxies that it was not trained on, as Parquet.

A row is a held-out galaxy (validation or test) in one domain: `object_id`, `label`, `domain`, `split`, `latent` `[256]`,
`class`, `probability` `[class]`. The lists are plain fixed-size lists of float32, without a tensor extension.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from . import CLASSES
from .data import Data
from .evaluate import probabilities
from .export import Session
from .networks import LATENT
from .splits import hash_of

LIMIT = 2000
"""The most galaxies of a file: twice as many rows of 1 kB, so that a file stays below 4 MB."""


def write(session: Session, data: Data, path: Path, metadata: dict[str, str], limit: int = LIMIT) -> int:
    """Writes the latents of the held-out galaxies with the smallest hashes of their ids, in the order of the run, once per
    domain; returns how many galaxies."""
    held_out = np.concatenate([data.parts["valid"], data.parts["test"]])
    part = {int(row): name for name in ("valid", "test") for row in data.parts[name]}
    # Hashes order parts too, so the smallest would be validation alone: each part gives its share.
    shares = {name: round(limit * len(data.parts[name]) / len(held_out)) for name in ("valid", "test")}
    chosen = [sorted(data.parts[name], key=lambda row: hash_of(data.ids[row]))[:share] for name, share in shares.items()]
    rows = np.sort(np.concatenate(chosen)) if len(held_out) > limit else np.sort(held_out)
    tables = []
    for domain in data.images:
        latents, logits = session.over(data, domain, rows)
        tables.append(
            pa.table(
                [
                    pa.array([data.ids[row] for row in rows]),
                    pa.array([CLASSES[data.classes[row]] for row in rows]),
                    pa.array([domain] * len(rows)),
                    pa.array([part[int(row)] for row in rows]),
                    _lists(latents),
                    pa.array([CLASSES[number] for number in logits.argmax(axis=1)]),
                    _lists(probabilities(logits)),
                ],
                schema=_schema(metadata),
            )
        )
    floats = ["latent.list.element", "probability.list.element"]
    texts = [name for name in _schema({}).names if name not in ("latent", "probability")]
    pq.write_table(
        pa.concat_tables(tables), path, compression="zstd", compression_level=19,
        use_dictionary=texts, use_byte_stream_split=floats,
    )  # fmt: skip
    return len(rows)


def _schema(metadata: dict[str, str]) -> pa.Schema:
    def lists(length: int) -> pa.DataType:
        return pa.list_(pa.field("item", pa.float32(), nullable=True), length)

    return pa.schema(
        [
            pa.field("object_id", pa.string(), nullable=False),
            pa.field("label", pa.string(), nullable=False),
            pa.field("domain", pa.string(), nullable=False),
            pa.field("split", pa.string(), nullable=False),
            pa.field("latent", lists(LATENT), nullable=False),
            pa.field("class", pa.string(), nullable=False),
            pa.field("probability", lists(len(CLASSES)), nullable=False, metadata={"classes": json.dumps(CLASSES)}),
        ],
        metadata=metadata,
    )


def _lists(values: np.ndarray) -> pa.Array:
    kind = pa.list_(pa.field("item", pa.float32(), nullable=True), values.shape[1])
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).ravel()), type=kind)
