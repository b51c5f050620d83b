"""Cards put into ONNX files that exist. Needs ONNX and ONNX Runtime, not PyTorch."""

import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from training import TrainingError
from training.attach import attach
from training.cards import KEY

CARD = {"format": 3, "classes": ["a", "b", "c"], "bands": ["g"], "size": 4, "pixel_scale_arcsec": "any", "unit": "nJy"}


def model(end: list[onnx.NodeProto]) -> onnx.ModelProto:
    """Flatten, a matrix to 5 numbers, a ReLU, a matrix to 3 numbers called `sums`, then `end`."""
    random = np.random.default_rng(1)
    weights = {"w1": random.normal(size=(16, 5)), "w2": random.normal(size=(3, 5)), "b2": random.normal(size=3)}
    node = helper.make_node
    nodes = [
        node("Flatten", ["image"], ["flat"]),
        node("MatMul", ["flat", "w1"], ["wide"]),
        node("Relu", ["wide"], ["features"]),
        node("Gemm", ["features", "w2", "b2"], ["sums"], transB=1),
        *end,
    ]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 4, 4])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class Attach(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.model, self.out = self.folder / "model.onnx", self.folder / "out" / "with_card.onnx"
        self.out.parent.mkdir()

    def test_the_input_of_the_last_matrix_becomes_the_latent_vector(self) -> None:
        for end in ([], [helper.make_node("Softmax", ["sums"], ["p"]), helper.make_node("Identity", ["p"], ["Identity"])]):
            onnx.save(model(end), str(self.model))
            card = attach(self.model, CARD, self.out)
            self.assertEqual((card["latent"], card["latent_size"]), ("features", 5))
            self.assertEqual(card["logits"], "Identity" if end else "sums")
            made = onnx.load(str(self.out))
            self.assertEqual([json.loads(one.value) for one in made.metadata_props if one.key == KEY], [card])
            image = np.random.default_rng(2).normal(size=(2, 1, 4, 4)).astype(np.float32)
            latent, sums = onnxruntime.InferenceSession(str(self.out)).run(["features", card["logits"]], {"image": image})
            self.assertEqual((latent.shape, sums.shape), ((2, 5), (2, 3)))

    def test_a_card_is_replaced_and_other_metadata_stays(self) -> None:
        before = model([])
        helper.set_model_props(before, {KEY: "{}", "author": "somebody"})
        onnx.save(before, str(self.model))
        attach(self.model, CARD, self.out)
        keys = [one.key for one in onnx.load(str(self.out)).metadata_props]
        self.assertEqual(sorted(keys), ["author", KEY])

    def test_weights_beside_the_model_are_written_beside_the_copy(self) -> None:
        onnx.save(model([]), str(self.model), save_as_external_data=True, location="model.onnx.data", size_threshold=0)
        attach(self.model, CARD, self.out)
        self.assertTrue((self.out.parent / "with_card.onnx.data").exists())
        onnxruntime.InferenceSession(str(self.out))

    def test_an_output_that_is_not_there_is_refused_with_those_that_are(self) -> None:
        onnx.save(model([]), str(self.model))
        for key in ("logits", "latent"):
            with self.assertRaisesRegex(TrainingError, "no output `scores`; it has `sums`"):
                attach(self.model, {**CARD, key: "scores"}, self.out)


if __name__ == "__main__":
    unittest.main()
