//! The shipped models and the fixtures, against ONNX Runtime.

use std::path::Path;

use super::{
    super::{Agreement, Candidates, IncrementalModel},
    read, signature, vector,
};
use crate::{
    onnx::{LoadOptions, LoadedModel, graph::Adapter, probe::probe_image, provider, signature::ModelSignature},
    stage::Model,
};

fn load(path: &str, signature: &ModelSignature) -> LoadedModel {
    let options = LoadOptions {
        providers: vec![&provider::CPU],
        workers: 1,
        max_batch_size: None,
        threshold: 0.5,
        count_nodes: false,
    };
    LoadedModel::load(Path::new(path), Adapter::plain(signature), &options).unwrap()
}

/// The signature of a model of three bands and three classes.
fn with_latent(size: usize, latent_length: usize) -> ModelSignature {
    ModelSignature { latent: Some(vector("latent", latent_length)), ..signature(3, size, 3) }
}

#[test]
fn the_shipped_models_agree_with_onnx_runtime() {
    for (path, signature) in [
        ("models/convnet-regular", with_latent(100, 256)),
        ("models/convnet-da", with_latent(100, 256)),
        ("models/examples/lenet5", with_latent(100, 84)),
        ("tests/golden/onnx/tiny", with_latent(8, 6)),
        ("tests/golden/onnx/no_latent", signature(3, 8, 3)),
        ("tests/golden/onnx/fixed_batch", with_latent(8, 6)),
    ] {
        let path = format!("{path}.onnx");
        let loaded = load(&path, &signature);
        let incremental = IncrementalModel::of(&read(&path), &signature).unwrap();
        let mut compared = 0;
        let evaluate = |images: &[f32]| {
            compared += images.len() / signature.row_length();
            loaded.evaluate(images)
        };
        assert_eq!(incremental.compare(evaluate).unwrap(), Agreement::Agrees, "{path}");
        assert!(compared >= 30, "{path}: {compared} images");
    }
}

#[test]
fn the_comparison_rejects_another_model() {
    let signature = with_latent(100, 256);
    let loaded = load("models/convnet-regular.onnx", &signature);
    let other = IncrementalModel::of(&read("models/convnet-da.onnx"), &signature).unwrap();
    let agreement = other.compare(|images| loaded.evaluate(images)).unwrap();
    let Agreement::Differs(reason) = agreement else { panic!("the models differ") };
    assert!(reason.contains("from those of ONNX Runtime"), "{reason}");
}

/// A patch soon covers entire layers of a ResNet18, which must not change the result.
#[test]
fn a_residual_network_agrees_with_onnx_runtime() {
    for path in ["models/resnet18-regular.onnx", "models/resnet18-da.onnx"] {
        let signature = with_latent(100, 256);
        let loaded = load(path, &signature);
        let incremental = IncrementalModel::of(&read(path), &signature).unwrap();
        let image = probe_image(30_000);
        let base = incremental.base_image(&image);
        let mut found = base.logits.clone();
        let (places, values) = ([5051, 99], [1.0, 0.0, 0.7, 0.0, 1.0, 0.2]);
        let candidates = Candidates { pixels: 2, places: &places, values: &values };
        incremental.append_logits(&base, candidates, &mut incremental.scratch(), &mut found);
        let mut images = [image.as_slice(), &image].concat();
        for (place, values) in places.iter().zip(values.chunks(3)) {
            for (band, value) in values.iter().enumerate() {
                images[30_000 + band * 10_000 + *place as usize] = *value;
            }
        }
        let expected = loaded.evaluate(&images).unwrap().logits;
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-4, "{path}: {found} {expected}");
        }
        assert!((expected[0] - expected[3]).abs() > 1e-3);
    }
}
