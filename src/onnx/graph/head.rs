//! The part of a graph from the latent vector to the logits, as a model of its own.

use std::collections::HashSet;

use prost::Message;

use super::{
    Graph,
    tensor::FLOAT,
    wire::{Dimension, Dimensions, Edges, Named, RawModel, TensorType, Type, ValueInfo},
};

impl Graph {
    /// Cuts the head out of the bytes of an ONNX file: a model with the one input `latent` `[N, D]` and the one output
    /// `logits` `[N, class]`, as bytes. An error when the logits hang on more than the latent vector.
    pub(in super::super) fn head(
        bytes: &[u8],
        (latent, length): (&str, usize),
        (logits, classes): (&str, usize),
    ) -> Result<Vec<u8>, String> {
        let model = RawModel::decode(bytes).map_err(|error| format!("this is not an ONNX model: {error}"))?;
        let mut graph = model.graph.clone().ok_or("the model has no graph")?;
        let unreadable = |error: prost::DecodeError| format!("the graph cannot be read: {error}");
        let edges: Result<Vec<Edges>, _> = graph.node.iter().map(|node| Edges::decode(node.as_slice())).collect();
        let edges = edges.map_err(unreadable)?;
        let names: Result<Vec<Named>, _> = graph.initializer.iter().map(|raw| Named::decode(raw.as_slice())).collect();
        let constants: Vec<String> = names.map_err(unreadable)?.into_iter().map(|named| named.name).collect();

        let mut kept = HashSet::new();
        let mut wanted = vec![logits];
        let mut used = HashSet::new();
        while let Some(name) = wanted.pop() {
            if name.is_empty() || name == latent || !used.insert(name) || constants.iter().any(|own| own == name) {
                continue;
            }
            let Some(maker) = edges.iter().position(|edges| edges.output.iter().any(|output| output == name)) else {
                return Err(format!("`{logits}` hangs on `{name}` beside `{latent}`"));
            };
            kept.insert(maker);
            wanted.extend(edges[maker].input.iter().map(String::as_str));
        }
        let mut place = 0..;
        graph.node.retain(|_| place.next().is_some_and(|i| kept.contains(&i)));
        let mut names = constants.iter();
        graph.initializer.retain(|_| names.next().is_some_and(|name| used.contains(name.as_str())));
        graph.input = vec![vectors(latent, length)?];
        graph.output = vec![vectors(logits, classes)?];
        Ok(RawModel { graph: Some(graph), ..model }.encode_to_vec())
    }
}

/// A value `[N, length]` of float32.
fn vectors(name: &str, length: usize) -> Result<ValueInfo, String> {
    let length = i64::try_from(length).map_err(|error| error.to_string())?;
    let dim = vec![Dimension { value: None, name: Some("N".into()) }, Dimension { value: Some(length), name: None }];
    let tensor = TensorType { element: FLOAT, shape: Some(Dimensions { dim }) };
    Ok(ValueInfo { name: name.to_owned(), kind: Some(Type { tensor: Some(tensor) }) })
}

#[cfg(test)]
mod tests {
    use ort::{session::Session, value::TensorRef};

    use super::*;
    use crate::score::onnx::library;

    #[derive(serde::Deserialize)]
    struct Golden {
        logits: Vec<Vec<f32>>,
        latents: Vec<Vec<f32>>,
    }

    #[test]
    fn the_head_alone_gives_the_logits_of_the_model() {
        let golden = std::fs::read_to_string("tests/golden/onnx/golden.json").unwrap();
        let golden: Golden = serde_json::from_str(&golden).unwrap();
        for model in ["tiny", "fixed_batch"] {
            let bytes = std::fs::read(format!("tests/golden/onnx/{model}.onnx")).unwrap();
            let head = Graph::head(&bytes, ("latent", 6), ("logits", 3)).unwrap();
            assert!(head.len() < 500, "{model}: the weights before the latent vector are left out");
            let environment = &library::runtime().unwrap().environment;
            let mut session = Session::builder(environment).unwrap().commit_from_memory(&head).unwrap();
            let latents = golden.latents.concat();
            let input = TensorRef::from_array_view(([golden.latents.len(), 6], latents.as_slice())).unwrap();
            let outputs = session.run(ort::inputs!["latent" => input]).unwrap();
            let (shape, logits) = outputs["logits"].try_extract_tensor::<f32>().unwrap();
            assert_eq!(shape[..], [7, 3]);
            for (found, expected) in logits.iter().zip(golden.logits.concat()) {
                assert!((found - expected).abs() < 1e-5, "{model}: {found} {expected}");
            }
        }
    }

    #[test]
    fn heads_of_the_shipped_models_load_and_one_that_hangs_on_the_image_is_refused() {
        for (model, length) in [("convnet-da", 256), ("resnet18-da", 256), ("examples/lenet5", 84)] {
            let bytes = std::fs::read(format!("models/{model}.onnx")).unwrap();
            let head = Graph::head(&bytes, ("latent", length), ("logits", 3)).unwrap();
            let environment = &library::runtime().unwrap().environment;
            Session::builder(environment).unwrap().commit_from_memory(&head).unwrap();
        }
        let bytes = std::fs::read("tests/golden/onnx/sometimes_nan.onnx").unwrap();
        let why = Graph::head(&bytes, ("latent", 6), ("logits", 3)).unwrap_err();
        assert_eq!(why, "`logits` hangs on `image` beside `latent`");
    }
}
