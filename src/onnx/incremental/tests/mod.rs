//! Incremental logits against golden outputs of ONNX Runtime and against a forward pass written from the definitions.

mod naive;
mod random;
mod runtime;

use serde::Deserialize;

use super::{
    BaseImage, CandidateScratch, Candidates, IncrementalModel, affine_head, geometry::LayerShape,
    layer_planner::LayerPlanner,
};
use crate::onnx::{
    graph::{
        HeadStart, ModelGraph,
        builder::{AttributeValue, GraphBuilder},
    },
    signature::{ModelSignature, RowShape, VectorOutput},
    wire::data_type::FLOAT,
};

fn vector(name: &str, length: usize) -> VectorOutput {
    VectorOutput { name: name.into(), of: name.into(), length }
}

/// The latent vector as the start of a head.
fn start(value: &str, length: usize) -> HeadStart {
    HeadStart { value: value.into(), element: FLOAT, length, axes: vec![length] }
}

/// The signature of a model without a latent vector.
fn signature(bands: usize, size: usize, classes: usize) -> ModelSignature {
    let row = RowShape::Image { bands, height: size, width: size };
    ModelSignature {
        input: "image".into(),
        is_half: false,
        of_probabilities: None,
        row,
        logits: Some(vector("logits", classes)),
        latent: None,
        probabilities: None,
    }
}

fn read(path: &str) -> ModelGraph {
    ModelGraph::read(std::fs::read(path).expect("the file exists").into()).expect("an ONNX model")
}

/// Outputs of Python's onnxruntime, written by `tests/golden/onnx_layers/make.py`.
#[derive(Deserialize)]
struct GoldenLayers {
    image: Vec<f32>,
    candidates: Vec<GoldenCandidates>,
    logits: std::collections::BTreeMap<String, Vec<f32>>,
}

#[derive(Deserialize)]
struct GoldenCandidates {
    #[serde(rename = "k")]
    pixels: usize,
    places: Vec<u32>,
    values: Vec<f32>,
}

fn golden() -> GoldenLayers {
    serde_json::from_str(&std::fs::read_to_string("tests/golden/onnx_layers/golden.json").unwrap()).unwrap()
}

fn model(name: &str) -> IncrementalModel {
    let graph = read(&format!("tests/golden/onnx_layers/{name}.onnx"));
    IncrementalModel::of(&graph, &signature(3, 12, 3)).unwrap()
}

fn logits(
    model: &IncrementalModel,
    base: &BaseImage,
    scratch: &mut CandidateScratch,
    GoldenCandidates { pixels, places, values }: &GoldenCandidates,
) -> Vec<f32> {
    let mut logits = Vec::new();
    model.append_logits(base, Candidates { pixels: *pixels, places, values }, scratch, &mut logits);
    logits
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn every_supported_layer_gives_the_logits_of_onnx_runtime() {
    let golden = golden();
    assert_eq!(golden.logits.len(), 4);
    for (name, expected) in &golden.logits {
        let model = model(name);
        let base = model.base_image(&golden.image);
        let mut scratch = model.scratch();
        let mut found = base.logits.clone();
        for candidates in &golden.candidates {
            found.extend(logits(&model, &base, &mut scratch, candidates));
        }
        assert_eq!(found.len(), expected.len());
        let largest = expected.iter().fold(1.0, |a: f32, b| a.max(b.abs()));
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() < 2e-6 * largest, "{name}, logit {i}: {found} {expected}");
        }
        let moved = expected[3..].iter().zip(expected[..3].iter().cycle()).map(|(a, b)| (a - b).abs());
        assert!(moved.fold(0.0, f32::max) > 1e-3 * largest, "{name}: the candidates would not reveal an error");
    }
}

#[test]
fn candidates_are_bitwise_independent_of_each_other() {
    let golden = golden();
    for name in golden.logits.keys() {
        let model = model(name);
        let base = model.base_image(&golden.image);
        for candidates in &golden.candidates {
            let together = logits(&model, &base, &mut model.scratch(), candidates);
            let mut scratch = model.scratch();
            let pixels = candidates.pixels;
            for i in (0..candidates.places.len() / pixels).rev() {
                let one = GoldenCandidates {
                    pixels,
                    places: candidates.places[i * pixels..][..pixels].to_vec(),
                    values: candidates.values[i * pixels * 3..][..pixels * 3].to_vec(),
                };
                let alone = logits(&model, &base, &mut scratch, &one);
                assert_eq!(bits(&alone), bits(&together[i * 3..][..3]), "{name}, candidate {i}");
            }
        }
    }
}

#[test]
fn a_candidate_equal_to_the_image_has_the_logits_of_the_image() {
    let golden = golden();
    for name in golden.logits.keys() {
        let model = model(name);
        let base = model.base_image(&golden.image);
        let pixel = |place: usize| (0..3).map(move |band| band * 144 + place).map(|i| golden.image[i]);
        let values = pixel(17).chain(pixel(80)).collect();
        let same = GoldenCandidates { pixels: 2, places: vec![17, 80], values };
        assert_eq!(bits(&logits(&model, &base, &mut model.scratch(), &same)), bits(&base.logits), "{name}");
    }
}

#[test]
fn the_last_value_holds_when_a_candidate_names_a_place_twice() {
    let golden = golden();
    let model = model("residual");
    let base = model.base_image(&golden.image);
    let mut scratch = model.scratch();
    let twice = GoldenCandidates { pixels: 2, places: vec![70, 70], values: vec![0.0, 0.0, 1.0, 1.0, 0.5, 0.25] };
    let once = GoldenCandidates { pixels: 1, places: vec![70], values: vec![1.0, 0.5, 0.25] };
    let twice = logits(&model, &base, &mut scratch, &twice);
    let once = logits(&model, &base, &mut scratch, &once);
    assert_eq!(bits(&twice), bits(&once));
    assert_ne!(bits(&once), bits(&base.logits));
}

#[test]
fn threads_share_a_model_and_a_base_image() {
    let golden = golden();
    let model = model("pads");
    let base = model.base_image(&golden.image);
    let alone = logits(&model, &base, &mut model.scratch(), &golden.candidates[0]);
    std::thread::scope(|scope| {
        let work = || (0..50).all(|_| logits(&model, &base, &mut model.scratch(), &golden.candidates[0]) == alone);
        let workers: Vec<_> = (0..3).map(|_| scope.spawn(work)).collect();
        assert!(workers.into_iter().all(|worker| worker.join().unwrap()));
    });
}

#[test]
fn fuses_layers_and_multiplies_the_last_matrices() {
    let shapes = |path: &str| {
        let image = LayerShape { channels: 3, height: 100, width: 100 };
        let layers = LayerPlanner::layers_to_logits(&read(path), "image", image, "logits").unwrap();
        layers.iter().map(|layer| layer.epilogue.after).map(|s| (s.channels, s.height)).collect::<Vec<_>>()
    };
    let convnet = shapes("models/convnet-regular.onnx");
    assert_eq!(convnet, [(3, 100), (3, 100), (8, 50), (16, 25), (32, 12), (3, 1)]);
    let lenet = shapes("models/examples/lenet5.onnx");
    assert_eq!(lenet, [(3, 100), (3, 100), (6, 24), (16, 5), (120, 1), (84, 1), (3, 1)]);
    // The image, its centring, the stem, two layers in each of eight blocks (shortcuts and sums are parts of them), the means,
    // the logits.
    let resnet = shapes("models/resnet18-regular.onnx");
    assert_eq!(resnet.len(), 3 + 2 * 8 + 2, "{resnet:?}");
}

#[test]
fn counts_the_work_of_a_pixel_to_decide_whether_it_pays() {
    let work = |path: &str| IncrementalModel::of(&read(path), &signature(3, 100, 3)).unwrap().work;
    let convnet = work("models/convnet-da.onnx");
    // 8 filters of 3x5x5, 16 of 8x3x3, 32 of 16x3x3, and 4608 numbers to 3 logits.
    assert_eq!(convnet.image, 30_000 + 100 * 100 * 8 * 75 + 50 * 50 * 16 * 72 + 25 * 25 * 32 * 144 + 4608 * 3);
    assert!((53_000..54_500).contains(&convnet.pixel), "{}", convnet.pixel);
    assert!(convnet.pays() && work("models/examples/lenet5.onnx").pays());
    let resnet = work("models/resnet18-da.onnx");
    assert!((0.5..0.9).contains(&(resnet.pixel as f64 / resnet.image as f64)), "{resnet:?}");
    assert!(!resnet.pays());
}

#[test]
fn names_what_is_not_supported() {
    let why = |ops: &[&str]| {
        let mut build = GraphBuilder::default();
        let mut last = "image".to_owned();
        for (i, op) in ops.iter().enumerate() {
            let next = if i + 1 == ops.len() { "logits".to_owned() } else { format!("v{i}") };
            build.node(op, &[&last], &next, &[]);
            last = next;
        }
        IncrementalModel::of(&build.read(), &signature(1, 2, 4)).unwrap_err()
    };
    assert_eq!(why(&["Relu", "Sigmoid"]), "unsupported: op Sigmoid");
    assert_eq!(why(&["Flatten", "GlobalAveragePool"]), "unsupported: op GlobalAveragePool of a row of numbers");
    assert_eq!(why(&["GlobalAveragePool", "Flatten"]), "`logits` has 1x1x1 numbers, expected one per class (4)");
    assert!(why(&["Conv"]).contains("Conv has no input 1"));
    let nan = IncrementalModel::of(&read("tests/golden/onnx/sometimes_nan.onnx"), &signature(3, 8, 3)).unwrap_err();
    assert!(nan.starts_with("unsupported: op "), "{nan}");
    let empty = IncrementalModel::of(&GraphBuilder::default().read(), &signature(1, 2, 4)).unwrap_err();
    assert_eq!(empty, "no node produces the value `logits`");
}

#[test]
fn recognises_an_affine_head() {
    #[derive(Deserialize)]
    struct FixtureOutputs {
        logits: Vec<Vec<f32>>,
        latents: Vec<Vec<f32>>,
    }
    let golden = std::fs::read_to_string("tests/golden/onnx/golden.json").unwrap();
    let golden: FixtureOutputs = serde_json::from_str(&golden).unwrap();
    let tiny = read("tests/golden/onnx/tiny.onnx");
    let head = affine_head(&tiny, &start("latent", 6), &vector("logits", 3)).unwrap();
    for (latent, logits) in golden.latents.iter().zip(&golden.logits) {
        for (class, logit) in logits.iter().enumerate() {
            let products = head.weights[class * 6..][..6].iter().zip(latent).map(|(weight, x)| weight * x);
            assert!((products.sum::<f32>() + head.bias[class] - logit).abs() < 1e-5);
        }
    }
    let mut build = GraphBuilder::default();
    build.constant("w", &[2, 3], vec![1.0; 6]);
    build.node("Relu", &["latent"], "bent", &[]);
    build.node("MatMul", &["bent", "w"], "logits", &[]);
    let why = affine_head(&build.read(), &start("latent", 2), &vector("logits", 3)).unwrap_err();
    assert_eq!(why, "`logits` is not an affine function of `latent`");
}

/// The error of a model of one node over an image of 3x8x8 pixels and constants of the given shapes.
fn refused(op: &str, constants: &[(&str, &[usize])], attributes: &[(&str, AttributeValue)]) -> String {
    let mut build = GraphBuilder::default();
    for (name, dims) in constants {
        let count = dims.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim)).unwrap_or(0);
        build.constant(name, dims, vec![0.5; count]);
    }
    let inputs: Vec<&str> = std::iter::once("image").chain(constants.iter().map(|(name, _)| *name)).collect();
    build.node(op, &inputs, "logits", attributes);
    IncrementalModel::of(&build.read(), &signature(3, 8, 3)).expect_err("refused")
}

#[test]
fn shapes_that_no_memory_holds_are_refused_before_they_are_made() {
    const HUGE: i64 = 1 << 40;
    let unsupported = |found: String| assert!(found.starts_with("unsupported: "), "{found}");
    let (kernel, zero) = (("kernel_shape", AttributeValue::Ints(&[1, 1])), ("pads", AttributeValue::Ints(&[0; 4])));
    unsupported(refused("MaxPool", &[], &[kernel, zero, ("strides", AttributeValue::Ints(&[HUGE, HUGE]))]));
    unsupported(refused("Conv", &[("w", &[3, 3, 1, 1])], &[("strides", AttributeValue::Ints(&[i64::MAX, 1]))]));
    let kernel = ("kernel_shape", AttributeValue::Ints(&[i64::MAX, i64::MAX]));
    unsupported(refused("AveragePool", &[], &[kernel, ("pads", AttributeValue::Ints(&[i64::MAX - 1; 4]))]));
    // 65,536 outputs in each direction.
    let kernel = ("kernel_shape", AttributeValue::Ints(&[1 << 16, 1 << 16]));
    unsupported(refused("MaxPool", &[], &[kernel, ("pads", AttributeValue::Ints(&[(1 << 16) - 1; 4]))]));
    // No numbers, whose shape says how many channels come out.
    let error = refused("Conv", &[("w", &[1 << 60, 0, 1, 1])], &[]);
    assert!(error.starts_with("Conv expects 0 channels"), "{error}");
    let error = refused("Conv", &[("w", &[1 << 33, 1 << 33, 1, 1])], &[]);
    assert!(error.contains("`w` has 0 numbers"), "{error}");
}

/// A mean over all cells of an image, then a matrix: with many channels the mean as a matrix would take terabytes.
#[test]
fn a_mean_and_a_matrix_become_one_matrix_without_the_matrix_of_the_mean() {
    let (channels, side) = (3, 5);
    let mut build = GraphBuilder::default();
    build.constant("w", &[channels, 2], (0..6).map(|weight| weight as f32 - 2.0).collect());
    build.node("GlobalAveragePool", &["image"], "mean", &[]);
    build.node("Flatten", &["mean"], "flat", &[]);
    build.node("MatMul", &["flat", "w"], "logits", &[]);
    let model = IncrementalModel::of(&build.read(), &signature(channels, side, 2)).expect("a model");
    let image: Vec<f32> = (0..channels * side * side).map(|pixel| pixel as f32).collect();
    // The means are 12, 37 and 62.
    let logits = model.base_image(&image).logits;
    let expected = [-2.0 * 12.0 + 2.0 * 62.0, -12.0 + 37.0 + 3.0 * 62.0];
    assert!(logits.iter().zip(expected).all(|(logit, expected)| (logit - expected).abs() < 1e-3), "{logits:?}");

    let many = 1 << 15;
    let mut build = GraphBuilder::default();
    build.constant("more", &[many, 3, 1, 1], vec![0.25; 3 * many]);
    build.constant("w", &[many, 2], vec![0.5; 2 * many]);
    build.node("Conv", &["image", "more"], "wide", &[]);
    build.node("GlobalAveragePool", &["wide"], "mean", &[]);
    build.node("Flatten", &["mean"], "flat", &[]);
    build.node("MatMul", &["flat", "w"], "logits", &[]);
    let model = IncrementalModel::of(&build.read(), &signature(3, side, 2)).expect("a model");
    let logits = model.base_image(&[1.0; 75]).logits;
    assert!(logits.iter().all(|logit| (logit / (0.75 * 0.5 * many as f32) - 1.0).abs() < 1e-4), "{logits:?}");
}
