//! Layers against ONNX Runtime's own numbers and against a forward pass that is written as the definitions are.

mod naive;
mod random;
mod runtime;

use serde::Deserialize;

use super::{Base, Incremental, Scratch, affine_head, plan::Planner, shape::Shape};
use crate::{
    card::Card,
    score::onnx::graph::{Graph, build::Build},
};

/// A card of a model of images of any bands.
fn card(bands: usize, size: usize, classes: usize) -> Card {
    let names = |count: usize| (0..count).map(|i| i.to_string()).collect::<Vec<_>>();
    serde_json::from_value(serde_json::json!({
        "classes": names(classes), "bands": names(bands), "size": size, "pixel_scale_arcsec": 0.2, "domains": {},
    }))
    .expect("a card")
}

fn read(path: &str) -> Graph {
    Graph::read(&std::fs::read(path).expect("the file is there")).expect("an ONNX model")
}

/// What `tests/golden/onnx_layers/make.py` got from Python's onnxruntime.
#[derive(Deserialize)]
struct Golden {
    image: Vec<f32>,
    candidates: Vec<Candidates>,
    logits: std::collections::BTreeMap<String, Vec<f32>>,
}

#[derive(Deserialize)]
struct Candidates {
    k: usize,
    places: Vec<u32>,
    values: Vec<f32>,
}

fn golden() -> Golden {
    serde_json::from_str(&std::fs::read_to_string("tests/golden/onnx_layers/golden.json").unwrap()).unwrap()
}

fn layers(name: &str) -> Incremental {
    let graph = read(&format!("tests/golden/onnx_layers/{name}.onnx"));
    Incremental::of(&graph, &card(3, 12, 3)).unwrap()
}

fn ask(incremental: &Incremental, base: &Base, scratch: &mut Scratch, asked: &Candidates) -> Vec<f32> {
    let mut out = Vec::new();
    incremental.logits(base, scratch, &asked.places, &asked.values, asked.k, &mut out);
    out
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn every_kind_of_layer_gives_the_logits_of_onnx_runtime() {
    let golden = golden();
    assert_eq!(golden.logits.len(), 4);
    for (name, expected) in &golden.logits {
        let incremental = layers(name);
        let base = incremental.base(&golden.image);
        let mut scratch = incremental.scratch();
        let mut found = base.logits.clone();
        for asked in &golden.candidates {
            found.extend(ask(&incremental, &base, &mut scratch, asked));
        }
        assert_eq!(found.len(), expected.len());
        let largest = expected.iter().fold(1.0, |a: f32, b| a.max(b.abs()));
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() < 2e-6 * largest, "{name}, logit {i}: {found} {expected}");
        }
        let moved = expected[3..].iter().zip(expected[..3].iter().cycle()).map(|(a, b)| (a - b).abs());
        assert!(moved.fold(0.0, f32::max) > 1e-3 * largest, "{name}: the candidates would not show a fault");
    }
}

#[test]
fn the_bits_of_a_candidate_do_not_depend_on_what_is_asked_beside_it() {
    let golden = golden();
    for name in golden.logits.keys() {
        let incremental = layers(name);
        let base = incremental.base(&golden.image);
        for asked in &golden.candidates {
            let together = ask(&incremental, &base, &mut incremental.scratch(), asked);
            let mut scratch = incremental.scratch();
            let n = asked.places.len() / asked.k;
            for i in (0..n).rev() {
                let one = Candidates {
                    k: asked.k,
                    places: asked.places[i * asked.k..][..asked.k].to_vec(),
                    values: asked.values[i * asked.k * 3..][..asked.k * 3].to_vec(),
                };
                let alone = ask(&incremental, &base, &mut scratch, &one);
                assert_eq!(bits(&alone), bits(&together[i * 3..][..3]), "{name}, candidate {i}");
            }
        }
    }
}

#[test]
fn a_candidate_that_is_the_image_has_the_logits_of_the_image() {
    let golden = golden();
    for name in golden.logits.keys() {
        let incremental = layers(name);
        let base = incremental.base(&golden.image);
        let values = |place: usize| (0..3).map(move |band| band * 144 + place).map(|i| golden.image[i]);
        let same = Candidates { k: 2, places: vec![17, 80], values: values(17).chain(values(80)).collect() };
        assert_eq!(bits(&ask(&incremental, &base, &mut incremental.scratch(), &same)), bits(&base.logits), "{name}");
    }
}

#[test]
fn of_equal_places_in_a_candidate_the_last_counts() {
    let golden = golden();
    let incremental = layers("residual");
    let base = incremental.base(&golden.image);
    let mut scratch = incremental.scratch();
    let twice = Candidates { k: 2, places: vec![70, 70], values: vec![0.0, 0.0, 1.0, 1.0, 0.5, 0.25] };
    let once = Candidates { k: 1, places: vec![70], values: vec![1.0, 0.5, 0.25] };
    let (twice, once) = (ask(&incremental, &base, &mut scratch, &twice), ask(&incremental, &base, &mut scratch, &once));
    assert_eq!(bits(&twice), bits(&once));
    assert_ne!(bits(&once), bits(&base.logits));
}

#[test]
fn threads_share_a_model_and_a_base() {
    let golden = golden();
    let incremental = layers("pads");
    let base = incremental.base(&golden.image);
    let alone = ask(&incremental, &base, &mut incremental.scratch(), &golden.candidates[0]);
    std::thread::scope(|scope| {
        let work =
            || (0..50).all(|_| ask(&incremental, &base, &mut incremental.scratch(), &golden.candidates[0]) == alone);
        let workers: Vec<_> = (0..3).map(|_| scope.spawn(work)).collect();
        assert!(workers.into_iter().all(|worker| worker.join().unwrap()));
    });
}

#[test]
fn layers_are_fused_and_the_matrices_at_the_end_are_one() {
    let layers = |path: &str, size: usize| {
        let image = Shape { channels: 3, height: size, width: size };
        let (layers, _) = Planner::logits(&read(path), ("image", image), "logits").unwrap();
        layers.iter().map(|layer| layer.end.after).map(|s| (s.channels, s.height)).collect::<Vec<_>>()
    };
    let shapes = layers("models/convnet-regular.onnx", 100);
    assert_eq!(shapes, [(3, 100), (3, 100), (8, 50), (16, 25), (32, 12), (3, 1)]);
    let shapes = layers("models/examples/lenet5.onnx", 100);
    assert_eq!(shapes, [(3, 100), (3, 100), (6, 24), (16, 5), (120, 1), (84, 1), (3, 1)]);
    // The image, its centring, the stem, two layers in each of eight blocks (shortcuts and sums are parts of them), the means, the logits.
    let shapes = layers("models/resnet18-regular.onnx", 100);
    assert_eq!(shapes.len(), 3 + 2 * 8 + 2, "{shapes:?}");
}

#[test]
fn what_a_pixel_costs_says_where_it_is_worth_it() {
    let of = |path: &str| Incremental::of(&read(path), &card(3, 100, 3)).unwrap();
    let convnet = of("models/convnet-da.onnx");
    let (most, whole) = convnet.work();
    // 8 filters of 3x5x5, 16 of 8x3x3, 32 of 16x3x3, and 4608 numbers to 3 logits.
    assert_eq!(whole, 30_000 + 100 * 100 * 8 * 75 + 50 * 50 * 16 * 72 + 25 * 25 * 32 * 144 + 4608 * 3);
    assert!((53_000..54_500).contains(&most), "{most}");
    assert!(convnet.is_worth_it() && of("models/examples/lenet5.onnx").is_worth_it());
    let resnet = of("models/resnet18-da.onnx");
    let (most, whole) = resnet.work();
    assert!((0.5..0.9).contains(&(most as f64 / whole as f64)), "{most} of {whole}");
    assert!(!resnet.is_worth_it());
}

#[test]
fn what_cannot_be_computed_is_named() {
    let why = |ops: &[&str]| {
        let mut build = Build::default();
        let mut last = "image".to_owned();
        for (i, op) in ops.iter().enumerate() {
            let next = if i + 1 == ops.len() { "logits".to_owned() } else { format!("v{i}") };
            build.node(op, &[&last], &next, &[]);
            last = next;
        }
        Incremental::of(&build.read(), &card(1, 2, 4)).unwrap_err()
    };
    assert_eq!(why(&["Relu", "Sigmoid"]), "unsupported: op Sigmoid");
    assert_eq!(why(&["Flatten", "GlobalAveragePool"]), "unsupported: op GlobalAveragePool of a row of numbers");
    assert!(why(&["GlobalAveragePool", "Flatten"]).contains("`logits` has the shape"));
    assert!(why(&["Conv"]).contains("Conv has no input 1"));
    let nan = Incremental::of(&read("tests/golden/onnx/sometimes_nan.onnx"), &card(3, 8, 3)).unwrap_err();
    assert!(nan.starts_with("unsupported: op "), "{nan}");
    let nameless = Incremental::of(&Build::default().read(), &card(1, 2, 4)).unwrap_err();
    assert_eq!(nameless, "nothing makes the value `logits`");
}

#[test]
fn a_head_that_is_affine_is_found_to_be_so() {
    #[derive(Deserialize)]
    struct Golden {
        logits: Vec<Vec<f32>>,
        latents: Vec<Vec<f32>>,
    }
    let golden = std::fs::read_to_string("tests/golden/onnx/golden.json").unwrap();
    let golden: Golden = serde_json::from_str(&golden).unwrap();
    let head = affine_head(&read("tests/golden/onnx/tiny.onnx"), "latent", 6, "logits").unwrap();
    for (latent, logits) in golden.latents.iter().zip(&golden.logits) {
        for (class, logit) in logits.iter().enumerate() {
            let products = head.weights[class * 6..][..6].iter().zip(latent).map(|(weight, x)| weight * x);
            assert!((products.sum::<f32>() + head.bias[class] - logit).abs() < 1e-5);
        }
    }
    let mut build = Build::default();
    build.constant("w", &[2, 3], vec![1.0; 6]);
    build.node("Relu", &["latent"], "bent", &[]);
    build.node("MatMul", &["bent", "w"], "logits", &[]);
    let bent = affine_head(&build.read(), "latent", 2, "logits").unwrap_err();
    assert_eq!(bent, "`logits` is no affine function of `latent`");
}
