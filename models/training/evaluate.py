"""Latents, logits and what they are worth."""

from __future__ import annotations

import numpy as np
import torch

from .data import Data
from .networks import Classifier

BATCH = 256


@torch.no_grad()
def logits_of(
    network: Classifier, data: Data, domain: str, rows: np.ndarray, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Latents `[n, 256]` and logits `[n, class]` of some rows, float32, without autocast.

    The network must be in evaluation mode.
    """
    latents, logits = [], []
    for start in range(0, len(rows), BATCH):
        images = torch.from_numpy(data.batch(domain, rows[start : start + BATCH]))
        latent, logit = network(images.to(device, memory_format=torch.channels_last))
        latents.append(latent.cpu().numpy())
        logits.append(logit.cpu().numpy())
    return np.concatenate(latents), np.concatenate(logits)


def accuracy(truth: np.ndarray, logits: np.ndarray) -> float:
    """The share of class numbers `[n]` that the greatest of the logits `[n, class]` names."""
    return float((logits.argmax(axis=1) == truth).mean())


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax of logits `[n, class]`, float32."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
