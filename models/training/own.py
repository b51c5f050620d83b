"""`export`: writes any PyTorch module that returns a latent vector and logits as an ONNX file with a hand-written card."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn

from . import TrainingError, export
from .cards import Card


def read_keys(path: Path) -> dict[str, Any]:
    """Reads the keys of a card of any format from YAML. Lucarne checks them when it reads the model."""
    try:
        card = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise TrainingError(f"cannot read the card `{path}`: {error}") from error
    if not isinstance(card, dict):
        raise TrainingError(f"the card `{path}` is not a mapping")
    return card


def read_card(path: Path) -> Card:
    """Reads a card of a module from YAML."""
    return Card.from_json(read_keys(path), f"`{path}`")


def load(factory: str, weights: Path | None) -> nn.Module:
    """The module that `package.module:function` returns, with a state dictionary loaded into it."""
    module_name, _, function = factory.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        network = getattr(importlib.import_module(module_name), function)()
    except (ImportError, AttributeError, ValueError) as error:
        raise TrainingError(f"`{factory}` is not a `package.module:function`: {error}") from error
    if weights is not None:
        try:
            network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        except (OSError, RuntimeError) as error:
            raise TrainingError(f"`{weights}` does not have the weights of `{factory}`: {error}") from error
    return network.eval()


@torch.no_grad()
def write(network: nn.Module, card: Card, path: Path) -> float:
    """Writes the file; returns the largest difference between ONNX Runtime and PyTorch, which is below 1e-4.

    Raises `TrainingError` when the module does not return `(latent [N, D], logits [N, class])`.
    """
    shape = (len(card.bands), int(card.size), int(card.size))
    outputs = network(torch.full((2, *shape), 0.5))
    expected = f"(latent [N, D], logits [N, {len(card.classes)}])"
    is_pair = isinstance(outputs, tuple) and len(outputs) == 2
    if not (is_pair and all(isinstance(one, torch.Tensor) for one in outputs)):
        raise TrainingError(f"the module returns {type(outputs).__name__}, expected a pair {expected}")
    latent, logits = outputs
    if latent.ndim != 2 or tuple(logits.shape) != (2, len(card.classes)) or len(latent) != 2:
        raise TrainingError(f"the module returns {tuple(latent.shape)} and {tuple(logits.shape)}, expected {expected}")
    names = {"input": "image", "latent": "latent", "logits": "logits", "latent_size": latent.shape[1]}
    export.write(network, path, dataclasses.replace(card, **names), shape)
    images = np.random.default_rng(0).normal(0.5, 0.05, (64, *shape)).astype(np.float32)
    return export.largest_difference(network, export.Session(path, 1), images)
