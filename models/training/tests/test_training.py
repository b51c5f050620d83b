"""Training as a whole, on made-up galaxies."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml

from training import TrainingError, experiment, export, latents, outcome, report
from training.__main__ import main
from training.data import _stretched, load
from training.evaluate import accuracy, logits_of
from training.export import Session, read_card
from training.locks import locked
from training.networks import recalibrate, resnet18
from training.tests import fake
from training.train import Options, train


QUICK = """
batch: 32
seeds: [1, 2]
networks: { convnet: { epochs: 8, peak_rate: 1.0e-3 } }
trainings:
  regular: { weight_decay: 1.0e-3 }
  da: { weight_decay: 1.0e-4, target: y1, adaptation: { mmd: { weight: 0.01 } } }
"""


class Experiments(unittest.TestCase):
    def test_the_committed_ones_are_read(self) -> None:
        folder = Path(__file__).parents[2] / "experiments"
        paper = experiment.read(folder / "paper.yaml")
        self.assertEqual(set(paper.trainings), {"regular", "da", "control"})
        self.assertEqual(paper.trainings["da"].adaptation, {"mmd": {"weight": 0.1}})
        self.assertEqual(experiment.read(folder / "holdout.yaml").trainings["holdout"].without, ("elliptical",))

    def test_what_is_wrong_is_told(self) -> None:
        value = yaml.safe_load(QUICK)
        for change, told in (
            ({"seed": [1]}, "`seed` is unknown, there are networks"),
            ({"batch": "many"}, "`batch` is 'many', expected int"),
            ({"networks": {"vit": {}}}, "`vit` is unknown, there are convnet, resnet18"),
            ({"networks": {"convnet": {"epochs": 3}}}, "`peak_rate` is missing"),
            ({"trainings": {"da": {"weight_decay": 0, "target": "y5"}}}, "the target `y5` is no domain"),
            ({"trainings": {"da": {"weight_decay": 0, "adaptation": {"mmd": {"weight": 1}}}}}, "need a `target`"),
            ({"trainings": {"da": {"weight_decay": 0, "target": "y1", "adaptation": {"cmd": {}}}}}, "`cmd` is unknown"),
            ({"trainings": {"da": {"weight_decay": 0, "target": "y1", "without": ["ring"]}}}, "`ring` is not one of"),
        ):
            with self.assertRaisesRegex(TrainingError, told):
                experiment.parse({**value, **change}, "test.yaml")


class Training(unittest.TestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)
        self.run_folder = fake.write_run(self.folder / "run", count=300)
        self.way = experiment.Training(1e-4, "y1", adaptation={"mmd": {"weight": 0.01}})
        self.options = Options(1, 32, 6, torch.device("cpu"), False)
        torch.set_num_threads(1)

    def train(self, data, name: str, way=None, epochs: int = 2, network: str = "convnet"):
        settings = experiment.NetworkSettings(epochs, 1e-3)
        return train(data, network, settings, way or self.way, self.options, self.folder / name, lambda _: None)

    def test_the_labels_of_y1_and_the_test_part_are_never_used(self) -> None:
        data = load(self.run_folder, self.folder)
        data.images = {domain: np.array(images) for domain, images in data.images.items()}

        def weights(name: str) -> torch.Tensor:
            return self.train(data, name).network.head.weight.detach()

        before = weights("a")
        torch.testing.assert_close(weights("b"), before, rtol=0, atol=0)
        data.images["y1"][data.parts["valid"]] = 0.9
        for domain in data.images:
            data.images[domain][data.parts["test"]] = 0.9
        data.classes[data.parts["test"]] = 2
        torch.testing.assert_close(weights("c"), before, rtol=0, atol=0)
        data.images["y1"][data.parts["train"]] = 0.9
        self.assertGreater((weights("d") - before).abs().max().item(), 1e-4)

    def test_a_training_that_was_killed_goes_on_as_if_nothing_had_been(self) -> None:
        data = load(self.run_folder, self.folder)
        for network, adaptation in (("convnet", {"dann": {"weight": 0.1}}), ("resnet18", {"coral": {"weight": 1.0}})):
            way = experiment.Training(1e-4, "y1", adaptation=adaptation)
            whole = self.train(data, f"{network} whole", way, 3, network)
            killed = self.folder / f"{network} killed"

            def die(line: str) -> None:
                if line.startswith("epoch  2"):
                    raise KeyboardInterrupt

            settings = experiment.NetworkSettings(3, 1e-3)
            with self.assertRaises(KeyboardInterrupt):
                train(data, network, settings, way, self.options, killed, die)
            again = self.train(data, killed.name, way, 3, network)
            self.assertEqual(again.best_epoch, whole.best_epoch)
            self.assertEqual(again.curves, whole.curves)
            for name, values in whole.network.state_dict().items():
                torch.testing.assert_close(again.network.state_dict()[name], values, rtol=0, atol=0)

    def test_a_checkpoint_of_other_settings_is_not_taken_up(self) -> None:
        data = load(self.run_folder, self.folder)
        self.train(data, "one")
        with self.assertRaisesRegex(TrainingError, "begun with another training"):
            self.train(data, "one", experiment.Training(1e-3))

    def test_the_network_is_that_of_the_best_epoch(self) -> None:
        data = load(self.run_folder, self.folder)
        trained = self.train(data, "best", epochs=6)
        valid = data.parts["valid"]
        logits = logits_of(trained.network, data, "y10", valid, torch.device("cpu"))[1]
        best = max(trained.curves, key=lambda curve: (curve["valid_accuracy"], -curve["valid_cross_entropy"]))
        self.assertEqual((best["epoch"], best["valid_accuracy"]), (trained.best_epoch, accuracy(data.classes[valid], logits)))

    def test_a_class_that_the_target_lacks_is_never_shown_in_it(self) -> None:
        data = load(self.run_folder, self.folder)
        way = experiment.Training(1e-4, "y1", without=("elliptical",))
        seen = {"y10": set(), "y1": set()}
        look = lambda _, domain, rows: seen[domain].update(data.classes[rows]) or data.images[domain][rows]  # noqa: E731
        with mock.patch.object(type(data), "batch", look):
            self.train(data, "holdout", way, 1)
        self.assertEqual(seen, {"y10": {0, 1, 2}, "y1": {0, 2}})


class Commands(unittest.TestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)
        self.run_folder = fake.write_run(self.folder / "run", count=300)
        (self.folder / "quick.yaml").write_text(QUICK)

    def call(self, *words: str) -> tuple[int, str]:
        told = io.StringIO()
        with contextlib.redirect_stderr(told):
            return main(list(words)), told.getvalue()

    def train(self, *more: str) -> tuple[int, str]:
        paths = ["--experiment", self.folder / "quick.yaml", "--run", self.run_folder, "--work", self.folder / "work"]
        return self.call("train", *map(str, paths), *more)

    def test_every_model_gets_its_folder_and_is_trained_once(self) -> None:
        code, told = self.train("--seeds", "1")
        self.assertEqual(code, 0, told)
        work = self.folder / "work"
        made = {path.name for path in (work / "convnet-regular-1").iterdir() if not path.name.startswith("events")}
        files = {".lock", "checkpoint.pt", "weights.pt", "model.onnx", "adabn.onnx", "head.json", "latents.parquet", "outcome.json"}
        self.assertEqual(made, files)
        self.assertTrue(list((work / "convnet-da-1").glob("events.out.tfevents.*")))
        regular = outcome.read(work / "convnet-regular-1")
        self.assertGreater(regular["metrics"]["y10_test_accuracy"], 0.8, told)
        self.assertEqual(len(regular["curves"]), regular["epochs"])
        card = read_card(work / "convnet-da-1" / "model.onnx")
        self.assertEqual((card.trained_on, card.size, card.notes["seed"]), (["y10", "y1"], 16, 1))
        self.assertEqual(card.notes["metrics"], outcome.read(work / "convnet-da-1")["metrics"])
        self.check_latents(work / "convnet-da-1")
        code, told = self.train("--seeds", "1", "2", "--trainings", "regular")
        self.assertIn("convnet-regular-1 is there", told)
        self.assertTrue((work / "convnet-regular-2" / "outcome.json").exists())

    def test_a_finished_model_of_other_settings_is_not_taken_for_the_one_asked_for(self) -> None:
        quick = self.folder / "quick.yaml"
        quick.write_text(QUICK.replace("epochs: 8", "epochs: 1"))
        self.assertEqual(self.train("--seeds", "1", "--trainings", "regular")[0], 0)
        for text, told in (
            (QUICK, "begun with another settings"),
            (QUICK.replace("epochs: 8", "epochs: 1").replace("1.0e-3 }\n  da", "2.0e-3 }\n  da"), "another training"),
        ):
            quick.write_text(text)
            code, said = self.train("--seeds", "1", "--trainings", "regular")
            self.assertEqual((code, told in said), (3, True), said)

    def test_a_model_that_another_process_trains_is_left_to_it(self) -> None:
        (self.folder / "quick.yaml").write_text(QUICK.replace("epochs: 8", "epochs: 1"))
        work = self.folder / "work"
        with locked(work / "convnet-regular-1", wait=False) as ours:
            self.assertTrue(ours)
            code, told = self.train("--seeds", "1")
        self.assertEqual((code, "another process is at convnet-regular-1:" in told), (3, True), told)
        self.assertEqual({path.parent.name for path in work.glob("*/outcome.json")}, {"convnet-da-1"})
        self.assertEqual(self.train("--seeds", "1")[0], 0)
        self.assertTrue((work / "convnet-regular-1" / "outcome.json").exists())

    def test_two_processes_stretch_the_images_once(self) -> None:
        cache, said = self.folder / "cache", []
        with mock.patch("training.data._stretched", side_effect=lambda *given: said.append(1) or _stretched(*given)):
            with ThreadPoolExecutor(2) as both:
                digests = set(both.map(lambda _: load(self.run_folder, cache).digest, range(2)))
        self.assertEqual((len(digests), len(said)), (1, 1))

    def test_half_precision_is_taken_where_it_changes_no_class_and_leaves_the_head(self) -> None:
        data = load(self.run_folder, self.folder)
        network = resnet18(3, 16)
        recalibrate(network, [torch.from_numpy(data.batch("y10", np.arange(64)))])
        whole, path = self.folder / "whole.onnx", self.folder / "model.onnx"
        export.write_graph(network, whole, (3, 16, 16))
        test = data.parts["test"]
        # An untrained network has galaxies between two classes: put those of the test part clearly into one.
        model = onnx.load(str(whole))
        bias = next(one for one in model.graph.initializer if one.name == "head.bias")
        bias.CopyFrom(onnx.numpy_helper.from_array(np.array([1, 0, 0], np.float32), bias.name))
        onnx.save(model, str(path))
        shutil.copy(path, whole)
        logits = {domain: Session(whole, 1).over(data, domain, test)[1] for domain in data.images}
        half, answers = outcome._halved(path, data, logits)
        self.assertEqual((half["classes_changed"], half["from_numbers"]), (0, outcome.HALF_FROM[0]))
        self.assertLess(path.stat().st_size, 0.51 * whole.stat().st_size)
        difference = max(np.abs(answers[domain] - logits[domain]).max() for domain in logits)
        self.assertEqual((half["difference"], difference > 0.0), (difference, True))
        kept = {one.name: one for one in onnx.load(str(path)).graph.initializer}
        np.testing.assert_array_equal(
            onnx.numpy_helper.to_array(kept["head.weight"]), network.head.weight.detach().numpy()
        )
        shutil.copy(whole, path)
        logits["y1"][0] = -logits["y1"][0]  # one galaxy that half precision calls otherwise, whichever choice is made
        self.assertEqual(outcome._halved(path, data, logits)[0], None)
        self.assertEqual(path.read_bytes(), whole.read_bytes())
        self.assertEqual(list(self.folder.glob("*.half")), [])

    def check_latents(self, model: Path) -> None:
        table = pq.read_table(model / "latents.parquet")
        names = ["object_id", "label", "domain", "split", "latent", "class", "probability"]
        self.assertEqual(table.schema.names, names)
        self.assertEqual(table.schema.field("latent").type, pa.list_(pa.field("item", pa.float32()), 256))
        data = load(self.run_folder, self.folder)
        held_out = np.sort(np.concatenate([data.parts["valid"], data.parts["test"]]))
        self.assertEqual(table["object_id"].to_pylist(), [data.ids[row] for row in held_out] * 2)
        expected, _ = Session(model / "model.onnx", 1).over(data, "y1", held_out)
        made = table["latent"].combine_chunks().flatten().to_numpy().reshape(-1, 256)
        np.testing.assert_array_equal(made[len(held_out) :], expected)
        np.testing.assert_allclose(np.stack(table["probability"].to_pylist()).sum(axis=1), 1.0, rtol=1e-5)
        few = self.folder / "few.parquet"
        self.assertEqual(latents.write(Session(model / "model.onnx", 1), data, few, {}, limit=30), 30)
        parts = pq.read_table(few)["split"].to_pylist()
        expected = 2 * round(30 * len(data.parts["test"]) / len(held_out))
        self.assertEqual((parts.count("test"), len(parts)), (expected, 60))

    def test_what_cannot_be_used_ends_with_exit_3_and_a_reason(self) -> None:
        self.run_folder = self.folder / "nothing"
        code, told = self.train()
        self.assertEqual((code, "is not a run directory" in told), (3, True), told)
        code, told = self.train("--networks", "resnet18")
        self.assertEqual((code, "the experiment has no network `resnet18`" in told), (3, True), told)

    def test_any_module_becomes_a_file_with_a_hand_written_card(self) -> None:
        (self.folder / "card.yaml").write_text(
            "{classes: [a, b], bands: [g, r, i], size: 20, pixel_scale_arcsec: 0.2, domains: {survey: {lo: -1.0, hi: 9.0}}}"
        )
        words = ["--card", str(self.folder / "card.yaml"), "--out", str(self.folder / "own.onnx"), "--module"]
        code, told = self.call("export", *words, "training.tests.fake:own_network")
        self.assertEqual(code, 0, told)
        card = read_card(self.folder / "own.onnx")
        self.assertEqual((card.latent_size, card.classes, card.logits), (5, ["a", "b"], "logits"))
        code, told = self.call("export", *words, "training.tests.fake:only_logits")
        self.assertEqual((code, "expected a pair (latent [N, D], logits [N, 2])" in told), (3, True), told)
        code, told = self.call("export", *words, "training.tests.fake:nothing")
        self.assertEqual((code, "is not a `package.module:function`" in told), (3, True), told)


class Report(unittest.TestCase):
    def test_the_interval_of_a_paired_difference_is_that_of_theory(self) -> None:
        random = np.random.default_rng(8)
        answers = []
        for row in range(2000):
            ours, theirs = random.random() < 0.8, random.random() < 0.6
            for training, right in (("da", ours), ("control", theirs)):
                same = {"network": "convnet", "training": training, "seed": "1", "object_id": f"{row}"}
                answers.append({**same, "y10_right": True, "y1_right": right})
        y1 = next(row for row in report.differences(answers) if row["domain"] == "y1")
        spread = 1.96 * np.sqrt((0.8 * 0.2 + 0.6 * 0.4) / 2000)
        self.assertAlmostEqual(y1["difference"], 0.2, delta=0.04)
        self.assertAlmostEqual(y1["high_95"] - y1["difference"], spread, delta=0.003)
        self.assertAlmostEqual(y1["difference"] - y1["low_95"], spread, delta=0.003)
        y10 = next(row for row in report.differences(answers) if row["domain"] == "y10")
        self.assertEqual((y10["difference"], y10["low_95"], y10["galaxies"]), (0.0, 0.0, 2000))
