"""Training as a whole, on made-up galaxies."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from training import latents
from training.__main__ import main
from training.data import load
from training.evaluate import confusion, measures, wilson
from training.export import Session, read_card
from training.tests import fake
from training.train import TRAININGS, Options, train


class Measures(unittest.TestCase):
    def test_they_are_those_of_a_matrix_worked_out_by_hand(self) -> None:
        truth, called = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 2, 2])
        logits = np.eye(3, dtype=np.float32)[called]
        self.assertEqual(confusion(truth, logits).tolist(), [[2, 1, 0], [0, 1, 1], [0, 0, 1]])
        made = measures(truth, logits)
        self.assertAlmostEqual(made["accuracy"], 4 / 6)
        self.assertAlmostEqual(made["by_class"]["elliptical"]["precision"], 1 / 2)
        self.assertAlmostEqual(made["weighted"]["recall"], 4 / 6)
        self.assertAlmostEqual(made["weighted"]["f1"], (3 * 0.8 + 2 * 0.5 + 2 / 3) / 6)

    def test_the_wilson_interval_is_the_published_one(self) -> None:
        np.testing.assert_allclose(wilson(81, 263), [0.2553, 0.3662], atol=1e-4)  # Newcombe 1998, table I


class Training(unittest.TestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)
        self.run_folder = fake.write_run(self.folder / "run", count=300)
        torch.set_num_threads(1)

    def test_the_labels_of_y1_and_the_test_part_are_never_used(self) -> None:
        data = load(self.run_folder, self.folder)
        options = Options(2, 1, torch.device("cpu"), False, batch=32)

        def weights() -> torch.Tensor:
            return train(data, "convnet", TRAININGS["da"], options, lambda _: None).network.head.weight.detach()

        before = weights()
        torch.testing.assert_close(weights(), before, rtol=0, atol=0)
        data.images["y1"][data.parts["valid"]] = 0.9
        for domain in data.images:
            data.images[domain][data.parts["test"]] = 0.9
        data.classes[data.parts["test"]] = 2
        torch.testing.assert_close(weights(), before, rtol=0, atol=0)
        data.images["y1"][data.parts["train"]] = 0.9
        self.assertGreater((weights() - before).abs().max().item(), 1e-4)

    def test_the_command_writes_models_heads_latents_metrics_and_their_page(self) -> None:
        out = self.folder / "models"
        words = ["--run", str(self.run_folder), "--out", str(out), "--epochs", "8", "--batch", "32"]
        words += ["--trainings", *TRAININGS]
        told = io.StringIO()
        with contextlib.redirect_stderr(told):
            self.assertEqual(main(words), 0, told.getvalue())
        names = {path.name for path in out.iterdir()}
        endings = ("onnx", "head.json", "latents.parquet")
        shipped = {f"convnet-{way}.{ending}" for way in ("regular", "da") for ending in endings}
        self.assertEqual(names, shipped | {"metrics.json", "README.md"}, told.getvalue())
        metrics = json.loads((out / "metrics.json").read_text())
        self.assertEqual(set(metrics["models"]), {f"convnet-{way}" for way in TRAININGS})
        self.assertGreater(metrics["models"]["convnet-regular"]["test"]["y10"]["accuracy"], 0.8, told.getvalue())
        self.assertEqual(len(metrics["models"]["convnet-da"]["curves"]), 8)
        self.assertIn("| `convnet-da.onnx` | Y10 + Y1 |", (out / "README.md").read_text())
        card = read_card(out / "convnet-da.onnx")
        self.assertEqual((card["trained_on"], card["size"]), (["y10", "y1"], 16))
        self.check_latents(out)

    def check_latents(self, out: Path) -> None:
        table = pq.read_table(out / "convnet-da.latents.parquet")
        self.assertEqual(
            table.schema.names, ["object_id", "label", "domain", "split", "latent", "class", "probability"]
        )
        self.assertEqual(table.schema.field("latent").type, pa.list_(pa.field("item", pa.float32()), 256))
        data = load(self.run_folder, self.folder)
        held_out = np.sort(np.concatenate([data.parts["valid"], data.parts["test"]]))
        self.assertEqual(table["object_id"].to_pylist(), [data.ids[row] for row in held_out] * 2)
        expected, _ = Session(out / "convnet-da.onnx", 1).over(data, "y1", held_out)
        made = table["latent"].combine_chunks().flatten().to_numpy().reshape(-1, 256)
        np.testing.assert_array_equal(made[len(held_out) :], expected)
        np.testing.assert_allclose(np.stack(table["probability"].to_pylist()).sum(axis=1), 1.0, rtol=1e-5)
        few = self.folder / "few.parquet"
        self.assertEqual(latents.write(Session(out / "convnet-da.onnx", 1), data, few, {}, limit=30), 30)
        parts = pq.read_table(few)["split"].to_pylist()
        expected = 2 * round(30 * len(data.parts["test"]) / len(held_out))
        self.assertEqual((parts.count("test"), len(parts)), (expected, 60))

    def test_a_run_that_cannot_be_used_ends_with_exit_3_and_a_reason(self) -> None:
        told = io.StringIO()
        with contextlib.redirect_stderr(told):
            self.assertEqual(main(["--run", str(self.folder / "nothing"), "--out", str(self.folder / "models")]), 3)
        self.assertIn("is not a run directory", told.getvalue())
        self.assertFalse((self.folder / "models").exists())
