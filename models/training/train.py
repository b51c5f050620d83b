"""Trains one network one way, and goes on where it was stopped.

The recipe, of the code of arXiv 2112.14299 where no other reason is given: Adam with betas (.7, .8), batches of 128 (and
128 of the other domain), weight decay 1e-3, or 1e-4 with domain adaptation, loss = cross-entropy + w MMD. A one-cycle
rate replaces 1e-5 for 100 epochs; w makes up for the fewer steps. Both domains pass through the network together, and share its batch norm.
The labels of Y1 are never used, neither for training nor for choosing the epoch.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from . import CLASSES, TrainingError, adaptation
from .data import Data
from .evaluate import logits_of
from .experiment import SOURCE, NetworkSettings, Training
from .losses import class_weights
from .networks import NETWORKS, Classifier, recalibrate

RECALIBRATION_BATCHES = 8
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Options:
    """From which seed, in which batches, when to stop, where."""

    seed: int
    batch: int
    patience: int
    device: torch.device
    bf16: bool


@dataclass
class Trained:
    """A trained network at its best epoch, in evaluation mode, and how it came about."""

    network: Classifier
    best_epoch: int
    curves: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0


class State:
    """All that training goes on from: network, optimiser, rate, the term between the domains, the best epoch so far."""

    def __init__(self, data: Data, network: str, settings: NetworkSettings, way: Training, options: Options) -> None:
        """The beginning, from the seed."""
        torch.manual_seed(options.seed)
        layout = data.layout
        model = NETWORKS[network](len(layout.bands), layout.size)
        self.model = model.to(options.device, memory_format=torch.channels_last)
        term = adaptation.make(way.adaptation)
        self.term = None if term is None else term.to(options.device)
        steps = len(data.parts["train"]) // options.batch
        if steps == 0:
            raise TrainingError(f"{len(data.parts['train'])} objects to train on do not fill a batch of {options.batch}")
        parameters = [*self.model.parameters(), *([] if self.term is None else self.term.parameters())]
        rate = settings.peak_rate
        self.adam = torch.optim.Adam(parameters, lr=rate, betas=(0.7, 0.8), weight_decay=way.weight_decay)
        self.rate = torch.optim.lr_scheduler.OneCycleLR(
            self.adam, max_lr=rate, total_steps=settings.epochs * steps, cycle_momentum=False
        )
        self.steps, self.epochs = steps, settings.epochs
        self.epoch, self.best_epoch, self.best = 0, 0, (-1.0, -math.inf)
        self.best_weights = self.model.state_dict()
        self.curves: list[dict[str, float]] = []
        self.seconds = 0.0

    def modules(self) -> dict[str, Any]:
        """What has a state of its own, by name."""
        return {"model": self.model, "adam": self.adam, "rate": self.rate, **({"term": self.term} if self.term else {})}

    def save(self, path: Path, identity: dict[str, Any]) -> None:
        """Writes everything, so that a file is never half written."""
        value = {name: module.state_dict() for name, module in self.modules().items()}
        plain = ("epoch", "best_epoch", "best", "best_weights", "curves", "seconds")
        value |= {name: getattr(self, name) for name in plain}
        value |= {"identity": identity, "random": torch.get_rng_state()}
        partial = path.with_suffix(".partial")
        torch.save(value, partial)
        partial.replace(path)

    def restore(self, path: Path, identity: dict[str, Any]) -> None:
        """Goes on from a file. Raises `TrainingError` when it is of other data or settings."""
        value = torch.load(path, map_location="cpu", weights_only=False)
        check_same(path, value["identity"], identity)
        for name, module in self.modules().items():
            module.load_state_dict(value[name])
        for name in ("epoch", "best_epoch", "best", "best_weights", "curves", "seconds"):
            setattr(self, name, value[name])
        torch.set_rng_state(value["random"])

    def finished(self, patience: int) -> bool:
        """Whether all epochs are done, or so many in a row were no better."""
        return self.epoch >= self.epochs or (self.best_epoch > 0 and self.epoch - self.best_epoch >= patience)


def identify(
    data: Data, network: str, settings: NetworkSettings, way: Training, options: Options
) -> dict[str, Any]:
    """All that decides what the weights of a model will be on one machine, as JSON has it."""
    value = {
        "dataset": data.digest, "network": network, "settings": dataclasses.asdict(settings), "training": dataclasses.asdict(way),
        "seed": options.seed, "batch": options.batch, "patience": options.patience, "bf16": options.bf16,
    }  # fmt: skip
    return json.loads(json.dumps(value))


def check_same(path: Path, there: dict[str, Any], asked: dict[str, Any]) -> None:
    """Raises `TrainingError` when a file is of another model than the one that is asked for."""
    changed = [key for key in asked if there.get(key) != asked[key]]
    if changed:
        raise TrainingError(f"`{path}` was begun with another {', '.join(changed)}: remove its folder or name another")


def train(
    data: Data,
    network: str,
    settings: NetworkSettings,
    way: Training,
    options: Options,
    folder: Path,
    say: Callable[[str], None],
) -> Trained:
    """Trains from the last checkpoint in `folder`, or from nothing, and keeps the epoch that does best on all of the Y10
    validation part.

    On a CPU the outcome depends on the data, the settings, the number of threads and the versions alone, however often it
    was stopped. Raises `TrainingError` when the loss is not finite or the training part is smaller than a batch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    identity = identify(data, network, settings, way, options)
    state = State(data, network, settings, way, options)
    if (folder / CHECKPOINT).exists():
        state.restore(folder / CHECKPOINT, identity)
        say(f"goes on after epoch {state.epoch}")
    with SummaryWriter(str(folder), purge_step=state.epoch + 1) as board:
        while not state.finished(options.patience):
            _epoch(state, data, way, options)
            state.save(folder / CHECKPOINT, identity)
            for name, value in state.curves[-1].items():
                board.add_scalar(name, value, state.epoch)
            told = ", ".join(f"{name} {value:.4f}" for name, value in state.curves[-1].items() if name != "epoch")
            say(f"epoch {state.epoch:2}/{state.epochs}: {told}, {state.seconds:.0f} s")
    state.model.load_state_dict(state.best_weights)
    state.model.eval()
    return Trained(state.model, state.best_epoch, state.curves, state.seconds)


def _epoch(state: State, data: Data, way: Training, options: Options) -> None:
    begun = time.monotonic()
    rows = data.parts["train"]
    nll = nn.CrossEntropyLoss(weight=class_weights(data.classes[rows], len(CLASSES)).to(options.device))
    state.model.train()
    entropy = pulled = 0.0
    steps = enumerate(_batches(data, way, options, state.epoch + 1))
    for step, (images, classes) in tqdm(steps, total=state.steps, leave=False, disable=None, unit="step"):
        state.adam.zero_grad(set_to_none=True)
        with torch.autocast(options.device.type, torch.bfloat16, enabled=options.bf16):
            latent, logits = state.model(images)
        labelled = len(classes)
        loss = source = nll(logits[:labelled], classes)
        if state.term is not None:
            progress = (state.epoch + step / state.steps) / state.epochs
            term = state.term(latent[:labelled], latent[labelled:], progress)
            pulled += term.item() / state.steps
            loss = source + term
        if not math.isfinite(loss.item()):
            raise TrainingError(f"the loss is {loss.item()} in epoch {state.epoch + 1}: look at the images or lower the rate")
        loss.backward()
        state.adam.step()
        state.rate.step()
        entropy += source.item() / state.steps
    recalibrate(state.model, _calibration(data, way, options))
    valid = data.parts["valid"]
    logits = torch.from_numpy(logits_of(state.model, data, SOURCE, valid, options.device)[1])
    truth = torch.from_numpy(data.classes[valid])
    accuracy = (logits.argmax(dim=1) == truth).double().mean().item()
    valid_loss = nn.functional.cross_entropy(logits, truth, weight=nll.weight.cpu()).item()
    state.epoch += 1
    state.seconds += time.monotonic() - begun
    state.curves.append({
        "epoch": state.epoch, "train_cross_entropy": entropy, "train_adaptation": pulled,
        "valid_cross_entropy": valid_loss, "valid_accuracy": accuracy,
    })  # fmt: skip
    if (accuracy, -valid_loss) > state.best:
        state.best, state.best_epoch = (accuracy, -valid_loss), state.epoch
        state.best_weights = copy.deepcopy(state.model.state_dict())


def _batches(data: Data, way: Training, options: Options, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Images `[batch * domains, band, y, x]`, the labelled domain first, and its classes `[batch]`.

    Each domain has its own order (the galaxies of a batch are not paired), and every batch one of the square's symmetries.
    """
    random = np.random.default_rng([options.seed, epoch])
    orders = [_order(random, _seen(data, way, domain), len(data.parts["train"])) for domain in way.domains]
    for start in range(0, len(orders[0]) - options.batch + 1, options.batch):
        chosen = [order[start : start + options.batch] for order in orders]
        images = _tensor([data.batch(domain, part) for domain, part in zip(way.domains, chosen)])
        transpose, flip_y, flip_x = random.integers(0, 2, 3)
        if transpose:
            images = images.transpose(2, 3)
        images = images.flip([axis for axis, flip in ((2, flip_y), (3, flip_x)) if flip])
        images = images.to(options.device)
        classes = torch.from_numpy(data.classes[chosen[0]]).to(options.device)
        yield images.contiguous(memory_format=torch.channels_last), classes


def _seen(data: Data, way: Training, domain: str) -> np.ndarray:
    """The training objects that a domain has: all, but for the classes that the target is to lack."""
    rows = data.parts["train"]
    lacking = [CLASSES.index(name) for name in way.without] if domain != SOURCE else []
    return rows[~np.isin(data.classes[rows], lacking)]


def _order(random: np.random.Generator, rows: np.ndarray, count: int) -> np.ndarray:
    """`count` of the rows in random order, again from the beginning where they are fewer."""
    order = random.permutation(rows)
    return np.resize(order, count)


def _calibration(data: Data, way: Training, options: Options, domains: tuple[str, ...] = ()) -> Iterator[Tensor]:
    """The batches that batch norm is recalibrated on: training images of the domains seen, the same every time."""
    domains = domains or way.domains
    random = np.random.default_rng([options.seed, 0])
    order = random.permutation(data.parts["train"])
    orders = {domain: order[np.isin(order, _seen(data, way, domain))] for domain in domains}
    shortest = min(len(rows) for rows in orders.values())
    last = min(shortest, RECALIBRATION_BATCHES * options.batch) - options.batch + 1
    for start in range(0, last, options.batch):
        images = _tensor([data.batch(domain, rows[start : start + options.batch]) for domain, rows in orders.items()])
        yield images.to(options.device, memory_format=torch.channels_last)


def _tensor(images: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(images))


def adapt_batch_norm(network: Classifier, data: Data, way: Training, domain: str, options: Options) -> Classifier:
    """A copy whose batch norm has the statistics of a domain's unlabelled training images (AdaBN), all else unchanged."""
    adapted = copy.deepcopy(network)
    recalibrate(adapted, _calibration(data, way, options, (domain,)))
    return adapted
