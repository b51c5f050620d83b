"""`export`: any PyTorch module that gives a latent vector and logits becomes an ONNX file with a hand-written card."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn

from . import TrainingError, export

REQUIRED = ("classes", "bands", "size", "pixel_scale_arcsec", "domains")


def read_card(path: Path) -> dict[str, Any]:
    """A card from YAML: classes, bands, size, pixel scale, and `{lo, hi}` of the stretch of every domain."""
    try:
        card = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise TrainingError(f"cannot read the card `{path}`: {error}") from error
    missing = [key for key in REQUIRED if not isinstance(card, dict) or key not in card]
    if missing:
        raise TrainingError(f"the card `{path}` does not say {', '.join(f'`{key}`' for key in missing)}")
    return card


def load(factory: str, weights: Path | None) -> nn.Module:
    """The module that `package.module:function` makes, with a state dictionary loaded into it."""
    module_name, _, function = factory.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        network = getattr(importlib.import_module(module_name), function)()
    except (ImportError, AttributeError, ValueError) as error:
        raise TrainingError(f"`{factory}` is no `package.module:function`: {error}") from error
    if weights is not None:
        try:
            network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        except (OSError, RuntimeError) as error:
            raise TrainingError(f"`{weights}` has no weights for `{factory}`: {error}") from error
    return network.eval()


@torch.no_grad()
def write(network: nn.Module, card: dict[str, Any], path: Path) -> float:
    """Writes the file; the largest difference between ONNX Runtime and PyTorch, which is below 1e-4.

    Raises `TrainingError` when the module does not give `(latent [N, D], logits [N, class])`.
    """
    shape = (len(card["bands"]), int(card["size"]), int(card["size"]))
    given = network(torch.full((2, *shape), 0.5))
    wanted = f"(latent [N, D], logits [N, {len(card['classes'])}])"
    if not (isinstance(given, tuple) and len(given) == 2 and all(isinstance(one, torch.Tensor) for one in given)):
        raise TrainingError(f"the module gives {type(given).__name__}, expected a pair {wanted}")
    latent, logits = given
    if latent.ndim != 2 or tuple(logits.shape) != (2, len(card["classes"])) or len(latent) != 2:
        raise TrainingError(f"the module gives {tuple(latent.shape)} and {tuple(logits.shape)}, expected {wanted}")
    outputs = {"input": "image", "latent": "latent", "logits": "logits", "latent_size": latent.shape[1]}
    export.write(network, path, {**card, **outputs}, shape)
    images = np.random.default_rng(0).normal(0.5, 0.05, (64, *shape)).astype(np.float32)
    return export.largest_difference(network, export.Session(path, 1), images)
