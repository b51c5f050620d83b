//! The shipped models and the fixtures, asked beside ONNX Runtime.

use std::path::{Path, PathBuf};

use arrow::datatypes::Schema;

use super::{super::Incremental, read};
use crate::{
    batch::{ImageLayout, Unit},
    card::Card,
    score::onnx::{Device, Onnx, OnnxScorer},
    stage::{RunContext, Scorer},
};

fn started(path: &str) -> (Card, OnnxScorer) {
    let card = Card::read(Path::new(path)).unwrap();
    let layout = ImageLayout {
        bands: card.bands.clone(),
        height: card.size,
        width: card.size,
        unit: Unit::Stretched,
        pixel_scale_arcsec: Some(card.pixel_scale_arcsec),
        stretch: card.domains.values().next().copied(),
        electrons_per_njy: None,
    };
    let mut scorer = OnnxScorer::new("da", Onnx { device: Device::Cpu, ..Onnx::new(PathBuf::from(path), "image") });
    scorer.bind(&Schema::new(vec![layout.field("image")])).unwrap();
    scorer.start(&RunContext { seed: 1, threads: 1, batch_rows: 32, ..RunContext::default() }).unwrap();
    (card, scorer)
}

#[test]
fn the_trial_finds_the_shipped_models_to_be_those_of_onnx_runtime() {
    let files = ["models/convnet-regular", "models/convnet-da", "models/examples/lenet5", "tests/golden/onnx/tiny"];
    for path in files.iter().chain(&["tests/golden/onnx/no_latent", "tests/golden/onnx/fixed_batch"]) {
        let path = format!("{path}.onnx");
        let (card, scorer) = started(&path);
        let incremental = Incremental::of(&read(&path), &card).unwrap();
        let mut asked = 0;
        let ask = |images: &[f32]| {
            asked += images.len() / (card.bands.len() * card.size * card.size);
            scorer.model().unwrap().evaluate(images)
        };
        assert_eq!(incremental.trial(ask).unwrap(), Ok(()), "{path}");
        assert!(asked >= 30, "{path}: {asked} images");
    }
}

#[test]
fn the_trial_finds_another_model_out() {
    let (card, scorer) = started("models/convnet-regular.onnx");
    let other = Incremental::of(&read("models/convnet-da.onnx"), &card).unwrap();
    let why = other.trial(|images| scorer.model().unwrap().evaluate(images)).unwrap().unwrap_err();
    assert!(why.contains("from those of ONNX Runtime"), "{why}");
}

/// Patches of its layers soon are the layers; they are right all the same.
#[test]
fn a_residual_net_of_a_hundred_pixels_is_scored_as_onnx_runtime_does() {
    for path in ["models/resnet18-regular.onnx", "models/resnet18-da.onnx"] {
        let (card, scorer) = started(path);
        let incremental = Incremental::of(&read(path), &card).unwrap();
        let image: Vec<f32> = (0..30_000).map(crate::score::onnx::batching::noise).collect();
        let base = incremental.base(&image);
        let mut found = base.logits.clone();
        let (places, values) = ([5051, 99], [1.0, 0.0, 0.7, 0.0, 1.0, 0.2]);
        incremental.logits(&base, &mut incremental.scratch(), &places, &values, 2, &mut found);
        let mut images = [image.as_slice(), &image].concat();
        for (place, values) in places.iter().zip(values.chunks(3)) {
            for (band, value) in values.iter().enumerate() {
                images[30_000 + band * 10_000 + *place as usize] = *value;
            }
        }
        let expected = scorer.model().unwrap().evaluate(&images).unwrap().logits;
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-4, "{path}: {found} {expected}");
        }
        assert!((expected[0] - expected[3]).abs() > 1e-3);
    }
}
