//! The head of a model, from the latent vector to the logits, as an ONNX model.

use std::collections::{HashMap, HashSet};

use prost::{Message, bytes::Bytes};

use super::super::{
    decode_model,
    signature::VectorOutput,
    wire::{
        DimensionProto, ModelProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, data_type::FLOAT,
    },
};

/// Cuts the head out of an ONNX file: the bytes of a model with the input `latent` and the output `logits`. Fails when the
/// logits depend on more than the latent vector.
pub(in crate::onnx) fn cut_head(file: Bytes, latent: &VectorOutput, logits: &VectorOutput) -> Result<Vec<u8>, String> {
    let model = decode_model(file).map_err(|error| error.to_string())?;
    let mut graph = model.graph.ok_or("the model has no graph")?;
    let unreadable = |error| format!("the graph cannot be read: {error}");
    let nodes = graph.nodes().map_err(unreadable)?;
    let constants: Vec<String> =
        graph.initializers().map_err(unreadable)?.into_iter().map(|tensor| tensor.name).collect();
    let constant_names: HashSet<&str> = constants.iter().map(String::as_str).collect();
    let outputs = nodes.iter().enumerate().rev();
    let producers: HashMap<&str, usize> =
        outputs.flat_map(|(index, node)| node.output.iter().map(move |name| (name.as_str(), index))).collect();

    let mut kept = HashSet::new();
    let mut pending = vec![logits.name.as_str()];
    let mut used = HashSet::new();
    while let Some(name) = pending.pop() {
        if name.is_empty() || name == latent.name || !used.insert(name) || constant_names.contains(name) {
            continue;
        }
        let Some(&producer) = producers.get(name) else {
            return Err(format!("`{}` depends on `{name}` besides `{}`", logits.name, latent.name));
        };
        if kept.insert(producer) {
            pending.extend(nodes[producer].input.iter().map(String::as_str));
        }
    }
    let mut index = 0..;
    graph.node.retain(|_| index.next().is_some_and(|i| kept.contains(&i)));
    let mut names = constants.iter();
    graph.initializer.retain(|_| names.next().is_some_and(|name| used.contains(name.as_str())));
    graph.sparse_initializer.clear();
    graph.input = vec![value_info(latent)?];
    graph.output = vec![value_info(logits)?];
    Ok(ModelProto { graph: Some(graph), metadata_props: vec![], ..model }.encode_to_vec())
}

/// The declaration of a value `[N, length]` float32.
fn value_info(vector: &VectorOutput) -> Result<ValueInfoProto, String> {
    let length = i64::try_from(vector.length).map_err(|error| error.to_string())?;
    let dim = vec![
        DimensionProto { dim_value: None, dim_param: Some("N".into()) },
        DimensionProto { dim_value: Some(length), dim_param: None },
    ];
    let tensor_type = TensorTypeProto { elem_type: FLOAT, shape: Some(TensorShapeProto { dim }) };
    Ok(ValueInfoProto { name: vector.name.clone(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) })
}

#[cfg(test)]
mod tests {
    use ort::{session::Session, value::TensorRef};

    use super::*;
    use crate::onnx::{external, runtime};

    /// Logits and latents of the fixtures, from Python's onnxruntime.
    #[derive(serde::Deserialize)]
    struct FixtureOutputs {
        logits: Vec<Vec<f32>>,
        latents: Vec<Vec<f32>>,
    }

    fn head_of(path: &str, latent_length: usize) -> Result<Vec<u8>, String> {
        let vector = |name: &str, length| VectorOutput { name: name.into(), length };
        let model = external::inlined(path.as_ref(), std::fs::read(path).unwrap().into()).unwrap();
        cut_head(model, &vector("latent", latent_length), &vector("logits", 3))
    }

    #[test]
    fn the_head_computes_the_logits_of_the_model() {
        let golden = std::fs::read_to_string("tests/golden/onnx/golden.json").unwrap();
        let golden: FixtureOutputs = serde_json::from_str(&golden).unwrap();
        for model in ["tiny", "fixed_batch", "external"] {
            let head = head_of(&format!("tests/golden/onnx/{model}.onnx"), 6).unwrap();
            assert!(head.len() < 500, "{model}: weights that only the latent vector needs are left out");
            let environment = &runtime::runtime().unwrap().environment;
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
    fn heads_of_the_shipped_models_load() {
        for (model, length) in [("convnet-da", 256), ("resnet18-da", 256), ("examples/lenet5", 84)] {
            let head = head_of(&format!("models/{model}.onnx"), length).unwrap();
            let environment = &runtime::runtime().unwrap().environment;
            Session::builder(environment).unwrap().commit_from_memory(&head).unwrap();
        }
    }

    #[test]
    fn rejects_a_head_that_depends_on_the_image() {
        let why = head_of("tests/golden/onnx/sometimes_nan.onnx", 6).unwrap_err();
        assert_eq!(why, "`logits` depends on `image` besides `latent`");
    }
}
