//! The head of a model, from the latent vector to the logits, as an ONNX model.

use std::collections::HashSet;

use prost::{Message, bytes::Bytes};

use super::{
    ModelGraph,
    added_nodes::{AddedNodes, value_info},
};
use crate::onnx::{
    decode_model,
    signature::VectorOutput,
    wire::{ModelProto, data_type::FLOAT},
};

/// The input of a head that was cut out.
pub(in crate::onnx) const HEAD_INPUT: &str = "lucarne:latent_in";

/// The value at which a head begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeadStart {
    /// The value in the graph.
    pub(crate) value: String,
    /// `TensorProto.DataType`.
    pub(crate) element: i32,
    /// Numbers of a latent vector.
    pub(crate) length: usize,
    /// The lengths of the axes after the batch: `[D]`, or as in `[N, D, 1, 1]` and `[N, 1, 1, D]`.
    pub(crate) axes: Vec<usize>,
}

impl ModelGraph {
    /// The nodes of the head, by their numbers, and all values in it. Fails when the logits depend on more than the start.
    fn head_nodes(&self, start: &str, logits: &str) -> Result<(HashSet<usize>, HashSet<String>), String> {
        let (mut kept, mut used) = (HashSet::new(), HashSet::new());
        let mut pending = vec![logits.to_owned()];
        while let Some(name) = pending.pop() {
            let is_known = name.is_empty() || name == start || self.initializers.contains_key(&name);
            if !used.insert(name.clone()) || is_known {
                continue;
            }
            match self.producers.get(&name) {
                Some(&producer) if kept.insert(producer) => pending.extend(self.nodes[producer].all_inputs()),
                Some(_) => {}
                None if self.interface.input(&name).is_some() || name == logits => {
                    return Err(format!("`{logits}` depends on `{name}` besides `{start}`"));
                }
                // A value that a graph in a node makes for itself.
                None => {}
            }
        }
        if used.contains(start) { Ok((kept, used)) } else { Err(format!("`{logits}` does not depend on `{start}`")) }
    }

    /// Why the logits cannot be computed from a latent vector alone, if they cannot.
    pub(crate) fn no_head(&self, start: &str, logits: &str) -> Option<String> {
        self.head_nodes(start, logits).err()
    }
}

/// Cuts the head out of an ONNX file: the bytes of a model with the input [`HEAD_INPUT`] and the output `logits`. Fails when the
/// logits depend on more than the latent vector.
pub(in crate::onnx) fn cut_head(file: Bytes, start: &HeadStart, logits: &VectorOutput) -> Result<Vec<u8>, String> {
    let (kept, used) = ModelGraph::read(file.clone())?.head_nodes(&start.value, &logits.name)?;
    let model = decode_model(file).map_err(|error| error.to_string())?;
    let mut graph = model.graph.ok_or("the model has no graph")?;
    let constants = graph.initializers().map_err(|error| format!("the graph cannot be read: {error}"))?;
    let mut names = constants.iter().map(|tensor| tensor.name.as_str());
    graph.initializer.retain(|_| names.next().is_some_and(|name| used.contains(name)));
    graph.sparse_initializer.clear();
    let mut added = AddedNodes::default();
    added.head_input(HEAD_INPUT, start);
    let mut index = 0..;
    graph.node.retain(|_| index.next().is_some_and(|i| kept.contains(&i)));
    graph.node.splice(..0, added.take());
    graph.initializer.append(&mut added.constants);
    graph.input = vec![value_info(HEAD_INPUT, FLOAT, &[None, Some(start.length)])];
    graph.output = vec![value_info(&logits.name, FLOAT, &[None, Some(logits.length)])];
    Ok(ModelProto { graph: Some(graph), metadata_props: vec![], ..model }.encode_to_vec())
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
        let logits = VectorOutput { name: "logits".into(), of: "logits".into(), length: 3 };
        let start =
            HeadStart { value: "latent".into(), element: FLOAT, length: latent_length, axes: vec![latent_length] };
        let model = external::inlined(path.as_ref(), std::fs::read(path).unwrap().into()).unwrap();
        cut_head(model, &start, &logits)
    }

    #[test]
    fn the_head_computes_the_logits_of_the_model() {
        let golden = std::fs::read_to_string("tests/golden/onnx/golden.json").unwrap();
        let golden: FixtureOutputs = serde_json::from_str(&golden).unwrap();
        for model in ["tiny", "fixed_batch", "external"] {
            let head = head_of(&format!("tests/golden/onnx/{model}.onnx"), 6).unwrap();
            assert!(head.len() < 700, "{model}: weights that only the latent vector needs are left out");
            let environment = &runtime::runtime().unwrap().environment;
            let mut session = Session::builder(environment).unwrap().commit_from_memory(&head).unwrap();
            let latents = golden.latents.concat();
            let input = TensorRef::from_array_view(([golden.latents.len(), 6], latents.as_slice())).unwrap();
            let outputs = session.run(ort::inputs![HEAD_INPUT => input]).unwrap();
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
