"""Model cards: what an ONNX file declares about its classes, bands, size, pixel scale and stretch.

A card is one JSON value in the metadata of the file, under the key `lucarne_card`. `schemas/card.schema.json` describes it, and
`src/card` reads it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from . import TrainingError

KEY = "lucarne_card"
FORMAT = 2
"""The format that is written, and the newest that is read. A card without a number has format 1."""


@dataclass(frozen=True)
class Card:
    """The fields of `Card` in `src/card/mod.rs`."""

    classes: list[str]
    """Class names, in the order of the logits."""
    bands: list[str]
    """Bands, in the order of the input's planes."""
    size: int
    """Rows and columns of an image, pixels."""
    pixel_scale_arcsec: float
    domains: dict[str, dict[str, float]]
    """`{lo, hi}` of the stretch of every domain that the model may be shown."""
    unit: str = "electron"
    """The unit of the constants; cards of format 1 are for electrons."""
    electrons_per_njy: dict[str, list[float]] = field(default_factory=dict)
    """The exposures that the constants of domains are for, band by band, where they are known."""
    trained_on: list[str] = field(default_factory=list)
    """The domains whose images it was trained on."""
    input: str = "image"
    logits: str = "logits"
    latent: str | None = None
    latent_size: int | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    """Further keys of the JSON value, which Lucarne ignores: data set, seed, metrics."""

    def to_json(self) -> dict[str, Any]:
        """The JSON value."""
        own = {one.name: getattr(self, one.name) for one in _fields()}
        return {"format": FORMAT, **own, **self.notes}

    @classmethod
    def from_json(cls, value: Any, origin: str) -> Card:
        """Reads a JSON value; `origin` names it in errors.

        Raises `TrainingError` when a required key is missing or the format is newer than this version reads.
        """
        if not isinstance(value, dict):
            raise TrainingError(f"the card {origin} is not a mapping")
        version = value.get("format", 1)
        if version not in range(1, FORMAT + 1):
            raise TrainingError(f"the card {origin} has format {version}, this version reads up to {FORMAT}")
        missing = [one.name for one in _fields() if _is_required(one) and one.name not in value]
        if missing:
            raise TrainingError(f"the card {origin} has no {', '.join(f'`{key}`' for key in missing)}")
        names = {one.name for one in _fields()}
        notes = {key: item for key, item in value.items() if key not in names | {"format"}}
        return cls(**{key: item for key, item in value.items() if key in names}, notes=notes)


def _fields() -> list[dataclasses.Field]:
    return [one for one in dataclasses.fields(Card) if one.name != "notes"]


def _is_required(one: dataclasses.Field) -> bool:
    return one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
