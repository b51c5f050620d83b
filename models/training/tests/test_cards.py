"""Model cards. Needs neither PyTorch nor ONNX."""

import unittest

from training import TrainingError
from training.cards import Card

REQUIRED = {
    "classes": ["spiral", "merger"],
    "bands": ["g", "r"],
    "size": 16,
    "pixel_scale_arcsec": 0.2,
    "domains": {"y1": {"lo": -1.0, "hi": 9.0}},
}


class Cards(unittest.TestCase):
    def test_a_card_survives_serialisation(self) -> None:
        card = Card.from_json({**REQUIRED, "latent": "latent", "latent_size": 5, "seed": 9}, "of a test")
        self.assertEqual((card.latent_size, card.input, card.notes), (5, "image", {"seed": 9}))
        self.assertEqual(card.to_json()["format"], 2)
        self.assertEqual(Card.from_json(card.to_json(), "of a test"), card)

    def test_a_card_without_a_number_has_format_1(self) -> None:
        self.assertEqual(Card.from_json(REQUIRED, "a"), Card.from_json({"format": 1, **REQUIRED}, "a"))

    def test_refuses_newer_formats_and_missing_keys(self) -> None:
        with self.assertRaisesRegex(TrainingError, "the card `a.onnx` has format 3, this version reads up to 2"):
            Card.from_json({"format": 3}, "`a.onnx`")
        with self.assertRaisesRegex(TrainingError, "has no `size`"):
            Card.from_json({key: value for key, value in REQUIRED.items() if key != "size"}, "`a.onnx`")
        with self.assertRaisesRegex(TrainingError, "is not a mapping"):
            Card.from_json(None, "`a.yaml`")
