"""Networks, their batch norm, the exported files."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import torch

from training import export
from training.data import load
from training.networks import batch_norms, convnet, recalibrate, resnet18
from training.tests import fake


class ConvNet(unittest.TestCase):
    def test_it_has_the_paper_s_number_of_parameters_and_shapes(self) -> None:
        network = convnet(3, 100)
        self.assertEqual(sum(values.numel() for values in network.parameters()), 1_187_203)
        latent, logits = network(torch.zeros(2, 3, 100, 100))
        self.assertEqual((latent.shape, logits.shape), ((2, 256), (2, 3)))

    def test_its_latent_and_logits_are_float32_under_autocast(self) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            latent, logits = convnet(3, 16)(torch.rand(2, 3, 16, 16))
        self.assertEqual({latent.dtype, logits.dtype}, {torch.float32})

    def test_recalibration_gives_batch_norm_the_statistics_of_the_images(self) -> None:
        torch.manual_seed(1)
        network = convnet(3, 16)
        batches = [torch.randn(32, 3, 16, 16) * 0.3 + 0.6 for _ in range(4)]
        with torch.no_grad():
            first = network.body[0](torch.cat(batches) - 0.5)
        recalibrate(network, batches)
        norm = batch_norms(network)[0]
        np.testing.assert_allclose(norm.running_mean, first.mean(dim=(0, 2, 3)), atol=1e-6)
        np.testing.assert_allclose(norm.running_var, first.var(dim=(0, 2, 3)), rtol=5e-3)
        self.assertFalse(network.training or norm.training)


class ResNet18(unittest.TestCase):
    def test_it_has_the_paper_s_number_of_parameters_and_shapes(self) -> None:
        network = resnet18(3, 100)
        self.assertEqual(sum(values.numel() for values in network.parameters()), 11_308_611)
        latent, logits = network(torch.zeros(2, 3, 100, 100))
        self.assertEqual((latent.shape, logits.shape), ((2, 256), (2, 3)))

    def test_its_dropout_stands_before_the_average(self) -> None:
        kinds = [type(layer).__name__ for layer in resnet18(3, 100).body]
        self.assertEqual(kinds[-4:], ["BasicBlock", "Dropout", "AdaptiveAvgPool2d", "Flatten"])

    def test_its_file_answers_as_pytorch_and_in_half_precision_nearly_so(self) -> None:
        torch.manual_seed(4)
        network = resnet18(3, 32)
        images = torch.rand(64, 3, 32, 32)
        recalibrate(network, [images])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            export.write_graph(network, path, (3, 32, 32))
            self.assertLess(export.largest_difference(network, export.Session(path, 1), images.numpy()), 1e-4)
            whole, size = export.Session(path, 1)(images.numpy())[1], path.stat().st_size
            export.halve(path, path, 4096)
            halved = export.Session(path, 1)(images.numpy())[1]
            self.assertLess(path.stat().st_size, 0.51 * size)
        self.assertGreater(np.abs(halved - whole).max(), 0.0)
        np.testing.assert_allclose(halved, whole, atol=1e-2)


class Export(unittest.TestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)
        self.data = load(fake.write_run(self.folder / "run"), self.folder)
        torch.manual_seed(2)
        self.network = convnet(3, 16)
        images = torch.from_numpy(self.data.batch("y10", np.arange(64)))
        recalibrate(self.network, [images])
        self.card = export.card(self.data, ("y10", "y1"), {"seed": 9})
        self.path = self.folder / "model.onnx"
        export.write(self.network, self.path, self.card, (3, 16, 16))

    def test_onnx_runtime_answers_as_pytorch_for_any_batch(self) -> None:
        session = export.Session(self.path, 1)
        difference = export.largest_difference(self.network, session, self.data.batch("y1", np.arange(64)))
        self.assertLess(difference, 1e-5)

    def test_batch_norm_is_folded_and_the_names_are_those_of_the_card(self) -> None:
        graph = onnx.load(str(self.path)).graph
        expected = {"Sub", "Constant", "Conv", "Relu", "MaxPool", "Flatten", "Gemm"}
        self.assertEqual({node.op_type for node in graph.node}, expected)
        self.assertEqual([value.name for value in graph.input], ["image"])
        self.assertEqual([value.name for value in graph.output], ["latent", "logits"])
        self.assertEqual(graph.input[0].type.tensor_type.shape.dim[0].dim_param, "N")

    def test_the_card_survives_a_round_trip(self) -> None:
        card = export.read_card(self.path)
        self.assertEqual(card, self.card)
        self.assertEqual(card.classes, ["spiral", "elliptical", "merger"])
        self.assertEqual(card.domains["y1"]["hi"], self.data.stretches["y1"].hi)
        self.assertEqual((card.trained_on, card.latent, card.latent_size), (["y10", "y1"], "latent", 256))

    def test_the_head_in_its_file_makes_the_logits_of_the_latents(self) -> None:
        export.write_head(self.network, self.folder / "head.json")
        head = json.loads((self.folder / "head.json").read_text())
        latent, logits = export.Session(self.path, 1)(self.data.batch("y10", np.arange(7)))
        made = latent @ np.array(head["weights"], np.float32).T + np.array(head["bias"], np.float32)
        np.testing.assert_allclose(made, logits, atol=1e-6)
        np.testing.assert_array_equal(np.array(head["weights"], np.float32), self.network.head.weight.detach().numpy())
