"""Trains the galaxy classifiers that Lucarne scores with.

`python -m training train` reads the run directory of `pipelines/03_training_set.yaml` and trains the models of an experiment;
`evaluate` runs them through `lucarne`; `publish` puts them, their cards and their tables into `models/`; `export` makes an
ONNX file of any PyTorch module. Every number of the recipe stands where it is used, with its source.
"""

import os

# ONNX Runtime reads it when its library is loaded, and reports nothing then.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

CLASSES: tuple[str, ...] = ("spiral", "elliptical", "merger")
"""The classes, in the order of the logits."""

DOMAINS: dict[str, str] = {"y10": "y10_sky", "y1": "y1_sky"}
"""The domains and the image column of a run that holds each, in electrons before the stretch."""


class TrainingError(Exception):
    """Something in the data, the settings or the outcome that makes training impossible; the message says what to do."""
