"""The settings of an experiment: one YAML file, strict."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from . import CLASSES, DOMAINS, TrainingError
from .adaptation import ADAPTATIONS
from .networks import NETWORKS

SOURCE = "y10"
"""The labelled domain."""


@dataclass(frozen=True)
class NetworkSettings:
    """How a network is trained whatever the training."""

    epochs: int
    peak_rate: float
    """The highest learning rate of the one-cycle schedule."""
    half_precision: bool = False
    """Whether the weights of the ONNX file are stored in half precision."""


@dataclass(frozen=True)
class Training:
    """A way to train."""

    weight_decay: float
    target: str | None = None
    """The second domain, whose labels are never used; none: only the source is seen."""
    without: tuple[str, ...] = ()
    """Classes that the target lacks while training."""
    adaptation: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What pulls the domains together: a kind of `adaptation.py` and its settings; empty for nothing."""

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains that are seen, the labelled one first."""
        return (SOURCE,) if self.target is None else (SOURCE, self.target)


@dataclass(frozen=True)
class Experiment:
    """Networks, trainings and seeds: every combination is a model."""

    networks: dict[str, NetworkSettings]
    trainings: dict[str, Training]
    seeds: tuple[int, ...]
    label: str = "label"
    batch: int = 128
    patience: int = 6


def read(path: Path) -> Experiment:
    """Reads an experiment. Raises `TrainingError` for what is unknown, missing or of another type."""
    try:
        value = yaml.safe_load(path.read_text())
    except OSError as error:
        raise TrainingError(f"cannot read the experiment `{path}`: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise TrainingError(f"`{path}` is no YAML: {error}") from error
    return parse(value, str(path))


def parse(value: Any, where: str) -> Experiment:
    """An experiment from what its YAML says; `where` names it in messages."""
    value = dict(_mapping(value, where))
    value["networks"] = {
        name: _make(NetworkSettings, settings, f"{where}: network `{name}`")
        for name, settings in _known(value.get("networks"), NETWORKS, f"{where}: networks").items()
    }
    value["trainings"] = {
        name: _training(settings, f"{where}: training `{name}`")
        for name, settings in _mapping(value.get("trainings"), f"{where}: trainings").items()
    }
    for name in value["trainings"]:
        if not str(name).replace("_", "").isalnum():
            raise TrainingError(f"{where}: the training `{name}` has a name with other signs than letters, digits and `_`")
    return _make(Experiment, value, where)


def _training(settings: Any, where: str) -> Training:
    training = _make(Training, settings, where)
    if training.target is not None and training.target not in set(DOMAINS) - {SOURCE}:
        raise TrainingError(f"{where}: the target `{training.target}` is no domain beside `{SOURCE}`")
    for name in training.without:
        if name not in CLASSES:
            raise TrainingError(f"{where}: `{name}` is not one of the classes {', '.join(CLASSES)}")
    if (training.adaptation or training.without) and training.target is None:
        raise TrainingError(f"{where}: `adaptation` and `without` need a `target`")
    if len(training.adaptation) > 1:
        raise TrainingError(f"{where}: one adaptation, not {len(training.adaptation)}")
    for kind, given in _known(training.adaptation, ADAPTATIONS, f"{where}: adaptation").items():
        _make(ADAPTATIONS[kind].Settings, given, f"{where}: `{kind}`")
    return training


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TrainingError(f"{where}: expected keys with values, found {value!r}")
    return value


def _known(value: Any, names: Any, where: str) -> dict[str, Any]:
    for name in _mapping(value, where):
        if name not in names:
            raise TrainingError(f"{where}: `{name}` is unknown, there are {', '.join(names)}")
    return value


def _make(kind: type, value: Any, where: str) -> Any:
    """A dataclass from a mapping: every key known and of the type of its field, none missing."""
    fields = {one.name: one for one in dataclasses.fields(kind)}
    for key, given in _known(value, fields, where).items():
        wanted = str(fields[key].type)
        if wanted == "float" and isinstance(given, int) and not isinstance(given, bool):
            given = float(given)
        if wanted.startswith("tuple") and isinstance(given, list):
            given = tuple(given)
        fits = {
            "int": isinstance(given, int) and not isinstance(given, bool) and given > 0,
            "float": isinstance(given, float) and given >= 0,
            "bool": isinstance(given, bool),
            "str": isinstance(given, str),
            "str | None": given is None or isinstance(given, str),
        }.get(wanted, isinstance(given, (tuple, dict)))
        if not fits:
            raise TrainingError(f"{where}: `{key}` is {given!r}, expected {wanted}")
        value = {**value, key: given}
    missing = [
        name for name, one in fields.items()
        if name not in value and one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
    ]  # fmt: skip
    if missing:
        raise TrainingError(f"{where}: `{missing[0]}` is missing")
    return kind(**value)
