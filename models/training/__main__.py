"""The command: `python -m training train | evaluate | publish | export`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from . import TrainingError, attach, experiment, outcome, own, report, serving
from .data import load
from .locks import locked
from .train import Options, check_same, identify, train


def main(arguments: list[str] | None = None) -> int:
    """Does what is asked for; returns the exit code (0 done, 2 usage, 3 failed)."""
    asked = _parser().parse_args(arguments)
    try:
        asked.call(asked)
    except TrainingError as error:
        say(f"error: {error}")
        return 3
    return 0


def _train(asked: argparse.Namespace) -> None:
    """Trains every model that is not there yet: one seed of everything before the next."""
    of = experiment.read(asked.experiment)
    networks = _chosen("network", asked.networks, of.networks)
    trainings = _chosen("training", asked.trainings, of.trainings)
    device = _device(asked.device)
    torch.set_num_threads(asked.threads)
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)
    data = load(asked.run, asked.work / "cache", of.label)
    say(f"{len(data.ids)} objects: {data.counts()}")
    elsewhere = []
    for seed in asked.seeds or of.seeds:
        options = Options(seed, of.batch, of.patience, device, _bf16(asked.precision, device))
        for network in networks:
            for way in trainings:
                name = f"{network}-{way}-{seed}"
                with locked(asked.work / name, wait=False) as ours:
                    if ours:
                        _train_one(name, data, of.networks[network], of.trainings[way], options, asked)
                    else:
                        say(f"{name} is trained by another process")
                        elsewhere.append(name)
    if elsewhere:
        raise TrainingError(f"another process is at {', '.join(elsewhere)}: call again when it has ended")


def _train_one(
    name: str,
    data: Data,
    settings: experiment.NetworkSettings,
    training: experiment.Training,
    options: Options,
    asked: argparse.Namespace,
) -> None:
    network, folder = name.split("-")[0], asked.work / name
    made = outcome.read(folder)
    if made is not None:
        check_same(folder / outcome.FILE, made["identity"], identify(data, network, settings, training, options))
        say(f"{name} is there")
        return
    precision = "bfloat16" if options.bf16 else "float32"
    say(f"training {name} on {options.device}, {precision}, {asked.threads} threads")
    trained = train(data, network, settings, training, options, folder, lambda line: say(f"  {line}"))
    made = outcome.write(name, trained, data, settings, training, options, folder)
    told = ", ".join(f"{key} {value:.3f}" for key, value in made["metrics"].items())
    say(f"  best epoch {trained.best_epoch}; {told}; ONNX Runtime within {made['onnx_difference']:.1e}")


def _evaluate(asked: argparse.Namespace) -> None:
    """Runs every trained model through `lucarne run`."""
    models = {}
    for folder in _finished(asked.work):
        models[folder.name] = folder / "model.onnx"
        if (folder / "adabn.onnx").exists():
            network, _, seed = folder.name.split("-")
            models[f"{network}-adabn-{seed}"] = folder / "adabn.onnx"
    serving.evaluate(asked.lucarne, asked.run, models, asked.out, say)
    serving.attack(asked.lucarne, models, asked.attacked, say)


def _publish(asked: argparse.Namespace) -> None:
    """Puts the models of the first seed and the tables of all into a folder."""
    outcomes = [outcome.read(folder) for folder in _finished(asked.work)]
    tables = {name: serving.query(asked.lucarne, asked.evaluated, name) for name in report.TABLES}
    tables["labels"] = serving.query(asked.lucarne, asked.run, "labels")
    tables |= serving.attacks(asked.lucarne, asked.attacked)
    report.publish([made for made in outcomes if made], tables, asked.work, asked.out)
    say(f"wrote `{asked.out}/README.md`")


def _export(asked: argparse.Namespace) -> None:
    """Makes an ONNX file with a hand-written card of any module, or of an ONNX file."""
    if asked.onnx is not None:
        card = attach.attach(asked.onnx, own.read_keys(asked.card), asked.out)
        latent = f"the latent vector `{card['latent']}`" if card.get("latent") else "no latent vector"
        say(f"wrote `{asked.out}`, with {latent}; its outputs are those of `{asked.onnx}`, bit for bit")
        return
    card = own.read_card(asked.card)
    difference = own.write(own.load(asked.module, asked.weights), card, asked.out)
    say(f"wrote `{asked.out}`, ONNX Runtime within {difference:.1e} of PyTorch")


def _finished(work: Path) -> list[Path]:
    folders = sorted(path for path in work.glob("*-*-*") if (path / outcome.FILE).exists())
    if not folders:
        raise TrainingError(f"`{work}` has no trained model: `python -m training train` makes them")
    return folders


def _chosen(what: str, asked: list[str] | None, there: dict[str, object]) -> list[str]:
    for name in asked or ():
        if name not in there:
            raise TrainingError(f"the experiment has no {what} `{name}`, it has {', '.join(there)}")
    return asked or list(there)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description="the galaxy classifiers of Lucarne")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, call: object, told: str, **paths: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=told, description=told)
        one.set_defaults(call=call)
        for path, meaning in paths.items():
            one.add_argument(f"--{path}", type=Path, required=True, help=meaning)
        return one

    work = "folder of the trained models, one folder each"
    one = command(
        "train", _train, "train every model of an experiment that is not there yet; goes on where it was stopped",
        experiment="YAML of the experiment", run="run directory of pipelines/03_training_set.yaml", work=work,
    )  # fmt: skip
    one.add_argument("--networks", nargs="+", help="only these (default: all of the experiment)")
    one.add_argument("--trainings", nargs="+", help="only these (default: all of the experiment)")
    one.add_argument("--seeds", nargs="+", type=int, help="these, in this order (default: those of the experiment)")
    one.add_argument("--threads", type=_positive, default=1, help="one is best on a machine with other work (default 1)")
    one.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    one.add_argument("--precision", choices=["auto", "bfloat16", "float32"], default="auto")
    command(
        "evaluate", _evaluate, "run every trained model on the test part through lucarne, and attack regular and da",
        work=work, run="run directory of the galaxies", lucarne="the command lucarne", out="folder of run directories",
        attacked="folder of the run directories of attacks",
    )  # fmt: skip
    command(
        "publish", _publish, "write the models of the first seed, their cards, and the tables of all",
        work=work, run="run directory of the galaxies", evaluated="folder that `evaluate` wrote",
        attacked="folder of attacks that `evaluate` wrote", lucarne="the command lucarne", out="folder of the models",
    )  # fmt: skip
    one = command("export", _export, "make an ONNX file with a card, of any PyTorch module that gives (latent, logits) or of an ONNX file",
                  card="YAML of the card", out="the ONNX file")  # fmt: skip
    made_of = one.add_mutually_exclusive_group(required=True)
    made_of.add_argument("--module", help="`package.module:function`, called without arguments")
    made_of.add_argument("--onnx", type=Path, help="an ONNX file; its weights and outputs stay as they are")
    one.add_argument("--weights", type=Path, help="state dictionary that `torch.save` wrote")
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
