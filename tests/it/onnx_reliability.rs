//! Rubin's real/bogus network of DP1, as it was published: a sigmoid, raw fluxes, no card inside. Its file is not in the repository.

use std::{fs, path::Path, sync::Arc};

use arrow::{
    array::{AsArray, RecordBatch, StringArray, UInt64Array},
    datatypes::{DataType, Field, Int32Type, Schema},
};
use lucarne::{
    batch::{ImageLayout, OBJECT_ID, ORIGIN, ROW, Unit, list_column, list_values},
    score::onnx::{Device, Onnx, OnnxScorer, propose_card},
    stage::{Rejects, RunContext, Scorer},
};
use serde::Deserialize;

const MODEL: &str = "../shared/data/rubin_reliability/rubin_reliability_dp1.onnx";
const CARD: &str = "format: 3
head: sigmoid
classes: [bogus, real]
bands: [difference, science, template]
size: 51
pixel_scale_arcsec: any
unit: nJy
logits: score
latent: latent
";
const ROWS: usize = 6;
const SIDE: usize = 51;

/// Outputs of Python's onnxruntime, written by `tests/golden/onnx_reliability/make.py`.
#[derive(Deserialize)]
struct GoldenOutputs {
    score: Vec<f32>,
    logit: Vec<f32>,
    latent: Vec<f32>,
}

/// The images of the script.
fn images() -> Vec<f32> {
    let plane = SIDE * SIDE;
    let pixel = |i: usize| {
        let (row, band, place) = (i / (3 * plane), i / plane % 3, i % plane);
        let pattern = ((i * 7919 + (i / SIDE) * 104_729) % 2003) as f32 - 1001.0;
        let (y, x) = ((place / SIDE) as i32 - 25, (place % SIDE) as i32 - 25);
        let disc = (64 - y * y - x * x).max(0) as f32 / 4.0 * row as f32;
        pattern / 16.0 + [disc, 2.0 * disc, 0.0][band]
    };
    (0..ROWS * 3 * plane).map(pixel).collect()
}

fn layout() -> ImageLayout {
    ImageLayout::new(["difference", "science", "template"], SIDE, SIDE, Unit::NanoJansky)
}

fn batch() -> RecordBatch {
    let fields = vec![
        Field::new(ROW, DataType::UInt64, false),
        Field::new(OBJECT_ID, DataType::Utf8, false),
        Field::new(ORIGIN, DataType::Utf8, false),
        layout().field("stamps"),
    ];
    let rows: UInt64Array = (0..ROWS as u64).collect();
    let names = Arc::new(StringArray::from_iter_values((0..ROWS).map(|i| format!("source-{i}"))));
    let pixels = list_column(images(), layout().pixels()).unwrap();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![Arc::new(rows), names.clone(), names, pixels]).unwrap()
}

fn largest_difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn scores_latents_and_changed_pixels_are_those_of_onnxruntime_in_python() {
    if !Path::new(MODEL).exists() {
        println!("skipped: {MODEL} is absent");
        return;
    }
    let golden = fs::read_to_string("tests/golden/onnx_reliability/reliability.json").unwrap();
    let golden: GoldenOutputs = serde_json::from_str(&golden).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("reliability.onnx");
    fs::copy(MODEL, &model).unwrap();
    fs::write(folder.path().join("reliability.card.yaml"), CARD).unwrap();

    let mut scorer = OnnxScorer::new("m", Onnx { device: Device::Cpu, ..Onnx::new(&model, "stamps") });
    scorer.bind(&Schema::new(vec![layout().field("stamps")])).unwrap();
    scorer.start(&RunContext { seed: 1, threads: 2, batch_rows: 32, ..RunContext::default() }).unwrap();
    let scored = scorer.score(batch(), &mut Rejects::default()).unwrap();
    let (probabilities, classes) = list_values(&scored, "m_probability").unwrap();
    let real: Vec<f32> = probabilities.chunks_exact(classes).map(|row| row[1]).collect();
    assert!(largest_difference(&real, &golden.score) < 1e-6);
    let (latents, length) = list_values(&scored, "m_latent").unwrap();
    assert_eq!(length, 32);
    assert!(largest_difference(latents, &golden.latent) < 1e-3, "of numbers up to some hundreds");
    let class = scored.column_by_name("m_class").unwrap().as_dictionary::<Int32Type>();
    let is_real: Vec<bool> = class.keys().values().iter().map(|key| *key == 1).collect();
    assert_eq!(is_real, golden.score.iter().map(|score| *score > 0.5).collect::<Vec<_>>());

    // The logits are 0 and that of the network; the head from its latents gives the same.
    let network = scorer.model().unwrap();
    let (images, latent_head) = (images(), network.head(&golden.latent).unwrap());
    let logits: Vec<f32> = latent_head.chunks_exact(2).map(|row| row[1]).collect();
    assert!(largest_difference(&logits, &golden.logit) < 1e-3);

    // Its convolutions have no padding; a pixel changes little of it.
    let image = &images[5 * layout().pixels()..];
    let mut evaluator = network.pixel_evaluator(image).unwrap();
    assert!(evaluator.is_incremental());
    let (places, values) = ([1300, 0, 2600], [900.0, -20.0, 0.0, 5.0, 700.0, 3.0, 0.0, 0.0, 400.0]);
    let mut found = Vec::new();
    evaluator.logits(1, &places, &values, &mut found).unwrap();
    for (i, place) in places.iter().enumerate() {
        let mut changed = image.to_vec();
        for band in 0..3 {
            changed[band * SIDE * SIDE + *place as usize] = values[3 * i + band];
        }
        let expected = network.evaluate(&changed).unwrap().logits;
        assert!(largest_difference(&found[2 * i..][..2], &expected) < 1e-3, "pixel {place}");
    }
}

#[test]
fn the_card_that_is_proposed_for_it_knows_the_graph() {
    if !Path::new(MODEL).exists() {
        println!("skipped: {MODEL} is absent");
        return;
    }
    let proposal = propose_card(Path::new(MODEL), None).unwrap();
    assert_eq!(proposal.unknown, ["classes", "bands", "pixel_scale_arcsec", "unit"]);
    for line in ["head: sigmoid", "logits: \"score\"", "latent: \"latent\"", "size: [51, 51]", "channels: first"] {
        assert!(proposal.card.contains(line), "{line}:\n{}", proposal.card);
    }
}
