"""The command: `python -m training --run RUN --out models`."""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import torch

from . import DOMAINS, TrainingError, export, latents, report
from .data import Data, load
from .evaluate import logits_of, measures
from .networks import NETWORKS
from .train import TRAININGS, Options, Trained, adapt_batch_norm, train


def main(arguments: list[str] | None = None) -> int:
    """Trains what is asked for; returns the exit code (0 done, 2 usage, 3 failed)."""
    asked = _parser().parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="lucarne-training-", dir=asked.scratch) as scratch:
            _train_all(asked, Path(scratch))
    except TrainingError as error:
        say(f"error: {error}")
        return 3
    return 0


def _train_all(asked: argparse.Namespace, scratch: Path) -> None:
    device = _device(asked.device)
    torch.set_num_threads(asked.threads)
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)
    options = Options(asked.epochs, asked.seed, device, _bf16(asked.precision, device), asked.batch)
    begun = time.monotonic()
    data = load(asked.run, scratch)
    say(f"read {len(data.ids)} objects in {time.monotonic() - begun:.0f} s: {data.counts()}")
    for domain, stretch in data.stretches.items():
        say(f"stretch of {domain}: lo {stretch.lo:.2f}, hi {stretch.hi:.2f}")
    asked.out.mkdir(parents=True, exist_ok=True)
    models = {}
    for network in asked.networks:
        for way in asked.trainings:
            name = f"{network}-{way}"
            say(f"training {name} on {device}, {'bfloat16' if options.bf16 else 'float32'}, {asked.threads} threads")
            trained = train(data, network, TRAININGS[way], options, lambda line: say(f"  {line}"))
            models[name] = _finish(name, way, trained, data, options, asked, scratch)
    metrics = {
        "dataset": report.dataset(data),
        "options": {
            "epochs": options.epochs, "seed": options.seed, "batch": options.batch, "device": device.type,
            "precision": "bfloat16" if options.bf16 else "float32", "threads": asked.threads,
        },
        "versions": report.versions(),
        "models": models,
    }  # fmt: skip
    (asked.out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    (asked.out / "README.md").write_text(report.page(metrics))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(f"done in {(time.monotonic() - begun) / 60:.1f} minutes, peak memory {peak:.0f} MiB with mapped files")


def _finish(
    name: str, way: str, trained: Trained, data: Data, options: Options, asked: argparse.Namespace, scratch: Path
) -> dict[str, object]:
    """Writes the files of a trained model and measures it on the test part, by ONNX Runtime on the file itself."""
    training, test = TRAININGS[way], data.parts["test"]
    folder = asked.out if training.shipped else scratch
    path = folder / f"{name}.onnx"
    extra: dict[str, object] = {"training": way, "seed": options.seed}
    shape = data.layout.shape
    export.write(trained.network, path, export.card(data, training.domains, extra), shape)
    session = export.Session(path, asked.threads)
    difference = export.largest_difference(trained.network, session, data.batch("y1", test[:64]))
    measured = {domain: measures(data.classes[test], session.over(data, domain, test)[1]) for domain in DOMAINS}
    extra["metrics"] = {f"{domain}_test_accuracy": values["accuracy"] for domain, values in measured.items()}
    export.write(trained.network, path, export.card(data, training.domains, extra), shape)
    if training.shipped:
        export.write_head(trained.network, asked.out / f"{name}.head.json")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        metadata = {"model": path.name, "model_sha256": digest, "dataset_digest": data.digest}
        galaxies = latents.write(session, data, asked.out / f"{name}.latents.parquet", metadata)
        say(f"  wrote {path}, its head, and latents of {galaxies} held-out galaxies")
    told = ", ".join(f"{domain} {values['accuracy']:.3f}" for domain, values in measured.items())
    say(f"  best epoch {trained.best_epoch}; test accuracy {told}; ONNX Runtime within {difference:.1e} of PyTorch")
    outcome: dict[str, object] = {
        "file": path.name if training.shipped else None,
        "trained_on": list(training.domains),
        "parameters": sum(values.numel() for values in trained.network.parameters()),
        "best_epoch": trained.best_epoch,
        "mmd_weight": training.mmd_weight,
        "weight_decay": training.weight_decay,
        "seconds": round(trained.seconds, 1),
        "onnx_difference": difference,
        "test": measured,
        "curves": trained.curves,
    }
    if training.domains == ("y10",):
        adapted = adapt_batch_norm(trained, data, "y1", options)
        answers = {domain: logits_of(adapted, data, domain, test, options.device)[1] for domain in DOMAINS}
        outcome["batch_norm_of_y1"] = {domain: measures(data.classes[test], logits) for domain, logits in answers.items()}
        told = ", ".join(f"{domain} {values['accuracy']:.3f}" for domain, values in outcome["batch_norm_of_y1"].items())
        say(f"  with the batch norm of y1: {told}")
    return outcome


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description="train the galaxy classifiers of Lucarne")
    parser.add_argument("--run", type=Path, required=True, help="run directory of pipelines/03_training_set.yaml")
    parser.add_argument("--out", type=Path, required=True, help="folder for models, latents and metrics")
    parser.add_argument("--networks", nargs="+", choices=sorted(NETWORKS), default=["convnet"])
    parser.add_argument("--trainings", nargs="+", choices=list(TRAININGS), default=["regular", "da"])
    parser.add_argument("--epochs", type=_positive, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=_positive, default=128, help="images of a domain in a batch (default 128)")
    parser.add_argument("--threads", type=_positive, default=1, help="one is best on a machine with other work (default 1)")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--precision", choices=["auto", "bfloat16", "float32"], default="auto")
    parser.add_argument(
        "--scratch", type=Path, help="where the stretched images lie meanwhile, 240 kB an object (default: the system's)"
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a positive number")
    return number


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError("the device `cuda` is asked for and PyTorch finds none; `--device auto` takes what there is")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _bf16(precision: str, device: torch.device) -> bool:
    """Whether convolutions run in bfloat16: by default where the processor has instructions for it (twice the speed)."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def say(line: str) -> None:
    """A line of progress, to stderr."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
