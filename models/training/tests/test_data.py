"""Reading runs, parts, stretch."""

from __future__ import annotations

import json
import tempfile
import unittest
from collections import namedtuple
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from training import TrainingError
from training.data import load
from training.experiment import Training
from training.runs import Run, names
from training.splits import split
from training.stretch import Percentiles, Stretch
from training.tests import fake
from training.train import Options, _batches


class Exposures(unittest.TestCase):
    def test_the_exposures_of_a_run_are_those_of_its_columns(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            data = load(fake.write_run(Path(folder) / "run"), Path(folder))
        self.assertEqual(data.electrons_per_njy, {"y10": [30.0, 40.5, 50.0], "y1": [3.0, 4.05, 5.0]})

    def test_a_column_whose_parts_differ_or_do_not_have_one_has_no_exposure(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = fake.write_run(Path(folder) / "run")
            part = sorted((path / "objects").glob("*.parquet"))[0]
            table = pq.read_table(part)
            number = table.schema.get_field_index("y1_sky")
            field = table.schema.field(number)
            metadata = {**field.metadata, b"electrons_per_njy": b"30,40,50"}
            pq.write_table(table.cast(table.schema.set(number, field.with_metadata(metadata))), part)
            self.assertEqual(Run(path, list(fake.COLUMNS)).exposures(), {"y10_sky": [30.0, 40.5, 50.0]})


class Splits(unittest.TestCase):
    def test_the_parts_are_those_of_the_column(self) -> None:
        labels = ["spiral", "elliptical", "merger"] * 3
        classes, parts = split(list("abcdefghi"), labels, ["test"] * 3 + ["valid"] * 3 + ["train"] * 3)
        self.assertEqual({name: rows.tolist() for name, rows in parts.items()}, PARTS_OF_NINE)
        self.assertEqual(classes.tolist(), [0, 1, 2] * 3)

    def test_a_label_that_is_no_class_an_id_twice_a_strange_part_and_a_part_without_a_class_are_told(self) -> None:
        for ids, labels, splits, told in (
            ("ab", ["spiral", "ring"], ["train"] * 2, "`ring` is not one of the classes"),
            ("aa", ["spiral", "merger"], ["train"] * 2, "more than once, the first is `a`"),
            ("ab", ["spiral", "merger"], ["train", "dev"], "the part `dev` is not one of"),
            ("abc", ["spiral", "elliptical", "merger"], ["train"] * 3, "the part `valid` of 0 objects has no spiral"),
        ):
            with self.assertRaisesRegex(TrainingError, told):
                split(list(ids), labels, splits)

    def test_no_galaxy_nor_a_flipped_copy_is_in_two_parts(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            data = load(fake.write_run(Path(folder) / "run"), Path(folder))
            ids = [{data.ids[row] for row in rows} for rows in data.parts.values()]
            self.assertEqual(sum(map(len, ids)), len(set.union(*ids)))
            way = Training(1e-4, "y1")
            seen = {"y10": set(), "y1": set()}
            # What training is shown, epoch after epoch, comes from rows of the training part alone, turned or not.
            with mock.patch.object(type(data), "batch", lambda _, domain, rows: seen[domain].update(rows) or data.images[domain][rows]):
                for epoch in range(3):
                    for _ in _batches(data, way, Options(1, 32, 1, torch.device("cpu"), False), epoch):
                        pass
        self.assertEqual(seen["y10"] - set(data.parts["train"]), set())
        self.assertEqual(seen["y1"] - set(data.parts["train"]), set())
        self.assertGreater(len(seen["y10"]), len(data.parts["train"]) * 0.9)


PARTS_OF_NINE = {"train": [6, 7, 8], "valid": [3, 4, 5], "test": [0, 1, 2]}


class Stretching(unittest.TestCase):
    def test_the_stretch_follows_its_formula(self) -> None:
        stretch = Stretch(-1136.0, 23822.0)
        made = stretch(np.array([0.0, 23822.0, 1e9, -1e9, 500.0], np.float32))
        clip = np.arcsinh(0.85 * np.array([0.0, 1.0, 1.0, -1136 / 23822, 500 / 23822]))
        np.testing.assert_allclose(made, (clip + 1) / 2, rtol=1e-7)
        self.assertAlmostEqual(float(made[1]), 0.8856, places=4)

    def test_percentiles_of_pieces_are_those_of_numpy(self) -> None:
        values = np.random.default_rng(1).standard_normal(3_000_017).astype(np.float32) ** 3
        seen = Percentiles(values.size)
        for piece in np.array_split(values, 13):
            seen.add(piece)
        expected = np.percentile(values.astype(np.float64), [0.1, 99.9])
        np.testing.assert_allclose([seen.stretch().lo, seen.stretch().hi], expected, rtol=1e-9)

    def test_the_percentiles_of_few_values_are_those_of_numpy(self) -> None:
        for count in (2, 3, 10, 999, 1001):
            values = np.arange(count, dtype=np.float32) + 1
            seen = Percentiles(count)
            seen.add(values)
            np.testing.assert_allclose([seen.stretch().lo, seen.stretch().hi], np.percentile(values, [0.1, 99.9]))


class Reading(unittest.TestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)

    def test_images_come_back_stretched_with_constants_of_the_training_part_alone(self) -> None:
        data = load(fake.write_run(self.folder / "run"), self.folder)
        _, pixels = fake.images(240, 16, 3)
        for domain, name in (("y10", "y10_sky"), ("y1", "y1_sky")):
            lo, hi = np.percentile(pixels[name][data.parts["train"]].astype(np.float64), [0.1, 99.9])
            np.testing.assert_allclose([data.stretches[domain].lo, data.stretches[domain].hi], [lo, hi], rtol=1e-9)
            np.testing.assert_array_equal(data.batch(domain, np.arange(240)), Stretch(lo, hi)(pixels[name]))
        self.assertEqual(data.layout.bands, ("g", "r", "i"))
        self.assertEqual(sum(sum(classes.values()) for classes in data.counts().values()), 240)

    def test_lists_of_names_are_json_or_of_an_earlier_version(self) -> None:
        strange = ["Disk, Face-on", '"quoted"', "[bracket", "étoile"]
        self.assertEqual(names(json.dumps(strange)), tuple(strange))
        self.assertEqual((names("g,r,i"), names("[OIII],Ha")), (("g", "r", "i"), ("[OIII]", "Ha")))

    def test_the_digest_does_not_depend_on_how_parts_are_cut(self) -> None:
        digests = {load(fake.write_run(self.folder / str(parts), parts=parts), self.folder).digest for parts in (1, 2, 5)}
        self.assertEqual(len(digests), 1)
        other = load(fake.write_run(self.folder / "other", seed=4), self.folder).digest
        self.assertNotIn(other, digests)

    def test_a_column_of_pyarrows_own_tensor_type_is_read_too(self) -> None:
        run = fake.write_run(self.folder / "run", parts=1)
        before = load(run, self.folder).digest
        part = run / "objects" / "part-00000.parquet"
        table = pq.read_table(part)
        kind = pa.fixed_shape_tensor(pa.float32(), (3, 16, 16), dim_names=["band", "y", "x"])
        for name in fake.COLUMNS:
            field = table.schema.field(name)
            column = table[name].combine_chunks()
            storage = column.storage if isinstance(column, pa.ExtensionArray) else column
            tensor = pa.ExtensionArray.from_storage(kind, storage.cast(kind.storage_type))
            extra = {key: value for key, value in field.metadata.items() if not key.startswith(b"ARROW:")}
            table = table.set_column(table.schema.get_field_index(name), pa.field(name, kind, False, extra), tensor)
        pq.write_table(table, part)
        self.assertEqual(load(run, self.folder).digest, before)

    def test_a_disk_without_space_is_told_before_it_is_written(self) -> None:
        run = fake.write_run(self.folder / "run")
        usage = namedtuple("Usage", "total used free")(10**9, 10**9 - 1000, 1000)
        with mock.patch("shutil.disk_usage", return_value=usage), self.assertRaisesRegex(TrainingError, "MiB are needed"):
            load(run, self.folder)
        self.assertEqual(list(self.folder.rglob("*.npy")), [])

    def test_refuses_runs_that_cannot_be_used_with_a_reason(self) -> None:
        def broken(name: str, change) -> str:
            run = fake.write_run(self.folder / name, parts=1)
            change(run)
            with self.assertRaises(TrainingError) as caught:
                load(run, self.folder)
            return str(caught.exception)

        def rewrite(change):
            def apply(run: Path) -> None:
                part = run / "objects" / "part-00000.parquet"
                pq.write_table(change(pq.read_table(part)), part)

            return apply

        def record(**changes: object):
            def apply(run: Path) -> None:
                known = json.loads((run / "run.json").read_text())
                (run / "run.json").write_text(json.dumps({**known, **changes}))

            return apply

        def index(table: pa.Table) -> int:
            return table.schema.get_field_index("y10_sky")

        def with_nan(table: pa.Table) -> pa.Table:
            pixels = np.full((table.num_rows, 3, 16, 16), np.nan, np.float32)
            return table.set_column(index(table), *fake.column(pixels, "y10_sky"))

        def smaller(table: pa.Table) -> pa.Table:
            return table.set_column(index(table), *fake.column(np.zeros((table.num_rows, 3, 8, 8), np.float32), "y10_sky"))

        def plain(table: pa.Table) -> pa.Table:
            return table.set_column(index(table), "y10_sky", pa.array(np.zeros(table.num_rows, np.float32)))

        self.assertIn("is not a run directory", broken("a", lambda run: (run / "run.json").unlink()))
        self.assertIn("is `interrupted`, expected `finished`", broken("b", record(state="interrupted")))
        self.assertIn("has format 4, this version reads up to 3", broken("j", record(format=4)))
        self.assertIn("no Parquet parts", broken("c", lambda run: (run / "objects" / "part-00000.parquet").unlink()))
        self.assertIn("no column `y1_sky`", broken("d", rewrite(lambda table: table.drop_columns("y1_sky"))))
        self.assertIn("add the transform `split", broken("i", rewrite(lambda table: table.drop_columns("split"))))
        self.assertIn("rows, `run.json` records 240", broken("e", rewrite(lambda table: table.slice(0, 200))))
        self.assertIn("not finite", broken("f", rewrite(with_nan)))
        self.assertIn("the image columns differ", broken("g", rewrite(smaller)))
        self.assertIn("not a float32 image", broken("h", rewrite(plain)))
