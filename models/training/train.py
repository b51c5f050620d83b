"""Trains one network one way.

The recipe, of the code of arXiv 2112.14299 where no other reason is given: Adam with betas (.7, .8), batches of 128 (and
128 of the other domain), weight decay 1e-3, or 1e-4 with domain adaptation, loss = cross-entropy + 0.01 MMD. A one-cycle
rate with peak 1e-3 replaces 1e-5 for 100 epochs. Both domains pass through the network together, and share its batch norm.
The labels of Y1 are never used, neither for training nor for choosing the epoch.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from . import CLASSES, TrainingError
from .data import Data
from .evaluate import logits_of
from .losses import class_weights, mmd2
from .networks import NETWORKS, Classifier, recalibrate

BATCH = 128
PEAK_RATE = 1e-3
RECALIBRATION_BATCHES = 8
SOURCE = "y10"


@dataclass(frozen=True)
class Training:
    """A way to train: the domains whose images are seen, the weight of MMD between them, the weight decay."""

    domains: tuple[str, ...]
    mmd_weight: float
    weight_decay: float
    shipped: bool = True
    """Whether the model is kept; a control is measured only."""


TRAININGS: dict[str, Training] = {
    "regular": Training((SOURCE,), 0.0, 1e-3),
    "da": Training((SOURCE, "y1"), 0.01, 1e-4),
    # What the shared batch norm alone does, without MMD.
    "control": Training((SOURCE, "y1"), 0.0, 1e-4, shipped=False),
}


@dataclass(frozen=True)
class Options:
    """How long, from which seed, where."""

    epochs: int
    seed: int
    device: torch.device
    bf16: bool
    batch: int = BATCH


@dataclass
class Trained:
    """A trained network at its best epoch, in evaluation mode, and how it came about."""

    network: Classifier
    best_epoch: int
    curves: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0


def train(data: Data, network: str, way: Training, options: Options, say: Callable[[str], None]) -> Trained:
    """Trains from nothing and keeps the epoch that does best on all of the Y10 validation part.

    On a CPU the outcome depends on the data, the options, the number of threads and the versions alone. Raises
    `TrainingError` when the loss is not finite or the training part is smaller than a batch.
    """
    torch.manual_seed(options.seed)
    layout = data.layout
    model = NETWORKS[network](len(layout.bands), layout.size).to(options.device, memory_format=torch.channels_last)
    rows = data.parts["train"]
    steps = len(rows) // options.batch
    if steps == 0:
        raise TrainingError(f"{len(rows)} objects to train on do not fill a batch of {options.batch}")
    adam = torch.optim.Adam(model.parameters(), lr=PEAK_RATE, betas=(0.7, 0.8), weight_decay=way.weight_decay)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        adam, max_lr=PEAK_RATE, total_steps=options.epochs * steps, cycle_momentum=False
    )
    nll = nn.CrossEntropyLoss(weight=class_weights(data.classes[rows], len(CLASSES)).to(options.device))
    valid = data.parts["valid"]
    truth = torch.from_numpy(data.classes[valid])
    best, best_state = (-1.0, -math.inf), model.state_dict()
    outcome = Trained(model, 0)
    begun = time.monotonic()
    for epoch in range(1, options.epochs + 1):
        model.train()
        entropy = discrepancy = 0.0
        for images, classes in _batches(data, way, options, epoch):
            adam.zero_grad(set_to_none=True)
            with torch.autocast(options.device.type, torch.bfloat16, enabled=options.bf16):
                latent, logits = model(images)
            labelled = len(classes)
            loss = source = nll(logits[:labelled], classes)
            if len(way.domains) > 1 and way.mmd_weight > 0.0:
                distance = mmd2(latent[:labelled], latent[labelled:])
                discrepancy += distance.item() / steps
                loss = source + way.mmd_weight * distance
            if not math.isfinite(loss.item()):
                raise TrainingError(f"the loss is {loss.item()} in epoch {epoch}: look at the images or lower the rate")
            loss.backward()
            adam.step()
            rate.step()
            entropy += source.item() / steps
        recalibrate(model, _calibration(data, way.domains, options))
        logits = torch.from_numpy(logits_of(model, data, SOURCE, valid, options.device)[1])
        accuracy = (logits.argmax(dim=1) == truth).double().mean().item()
        valid_loss = nn.functional.cross_entropy(logits, truth, weight=nll.weight.cpu()).item()
        outcome.curves.append({
            "epoch": epoch, "train_cross_entropy": entropy, "train_mmd2": discrepancy,
            "valid_cross_entropy": valid_loss, "valid_accuracy": accuracy,
        })  # fmt: skip
        say(
            f"epoch {epoch:2}/{options.epochs}: cross-entropy {entropy:.4f}, mmd^2 {discrepancy:.4f}, "
            f"valid {valid_loss:.4f}, valid accuracy {accuracy:.4f}, {time.monotonic() - begun:.0f} s"
        )
        if (accuracy, -valid_loss) > best:
            best, outcome.best_epoch = (accuracy, -valid_loss), epoch
            best_state = copy.deepcopy(model.state_dict())
    model.load_state_dict(best_state)
    model.eval()
    outcome.seconds = time.monotonic() - begun
    return outcome


def _batches(data: Data, way: Training, options: Options, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Images `[batch * domains, band, y, x]`, the labelled domain first, and its classes `[batch]`.

    Each domain has its own order (the galaxies of a batch are not paired), and every batch one of the square's symmetries.
    """
    random = np.random.default_rng([options.seed, epoch])
    rows = data.parts["train"]
    orders = [random.permutation(rows) for _ in way.domains]
    for start in range(0, len(rows) - options.batch + 1, options.batch):
        chosen = [order[start : start + options.batch] for order in orders]
        images = _tensor([data.batch(domain, part) for domain, part in zip(way.domains, chosen)])
        transpose, flip_y, flip_x = random.integers(0, 2, 3)
        if transpose:
            images = images.transpose(2, 3)
        images = images.flip([axis for axis, flip in ((2, flip_y), (3, flip_x)) if flip])
        images = images.to(options.device)
        classes = torch.from_numpy(data.classes[chosen[0]]).to(options.device)
        yield images.contiguous(memory_format=torch.channels_last), classes


def _calibration(data: Data, domains: tuple[str, ...], options: Options) -> Iterator[Tensor]:
    """The batches that batch norm is recalibrated on: training images of some domains, the same every time."""
    rows = np.random.default_rng([options.seed, 0]).permutation(data.parts["train"])
    for start in range(0, min(len(rows), RECALIBRATION_BATCHES * options.batch) - options.batch + 1, options.batch):
        images = _tensor([data.batch(domain, rows[start : start + options.batch]) for domain in domains])
        yield images.to(options.device, memory_format=torch.channels_last)


def _tensor(images: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(images))


def adapt_batch_norm(trained: Trained, data: Data, domain: str, options: Options) -> Classifier:
    """A copy whose batch norm has the statistics of a domain's unlabelled training images (AdaBN), all else unchanged."""
    network = copy.deepcopy(trained.network)
    recalibrate(network, _calibration(data, (domain,), options))
    return network
