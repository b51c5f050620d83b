"""Latents, logits and what they are worth."""

from __future__ import annotations

import math

import numpy as np
import torch

from . import CLASSES
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


def confusion(truth: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Counts `[true class, predicted class]` of class numbers `[n]` and logits `[n, class]`."""
    counts = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    np.add.at(counts, (truth, logits.argmax(axis=1)), 1)
    return counts


def measures(truth: np.ndarray, logits: np.ndarray) -> dict[str, object]:
    """Accuracy with its 95 % Wilson interval, the confusion matrix (rows are the truth), and precision, recall, F1 by
    class and weighted by class support; a ratio without any case is 0."""
    counts = confusion(truth, logits)
    right, support, called = np.diag(counts).astype(float), counts.sum(axis=1), counts.sum(axis=0)
    precision = right / np.maximum(called, 1)
    recall = right / np.maximum(support, 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    scores = {"precision": precision, "recall": recall, "f1": f1}
    total = int(counts.sum())
    return {
        "objects": total,
        "accuracy": float(right.sum() / total),
        "accuracy_interval_95": wilson(int(right.sum()), total),
        "confusion": counts.tolist(),
        "by_class": {
            name: {key: float(values[number]) for key, values in scores.items()} for number, name in enumerate(CLASSES)
        },
        "weighted": {key: float((values * support).sum() / total) for key, values in scores.items()},
    }


def wilson(successes: int, trials: int, z: float = 1.959963984540054) -> list[float]:
    """The Wilson score interval of a proportion."""
    share = successes / trials
    centre = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return [(centre - half) / (1 + z * z / trials), (centre + half) / (1 + z * z / trials)]


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax of logits `[n, class]`, float32."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
