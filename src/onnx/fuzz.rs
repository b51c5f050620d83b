//! Reads the graph of an ONNX file of any bytes, as far as scoring and monitors do. For fuzzing only.

use prost::{Message, bytes::Bytes};

use super::{
    graph::{Adapter, ModelGraph, cut_head},
    incremental::{IncrementalModel, affine_head},
    signature::{ModelSignature, RowShape, VectorOutput},
    wire::{ModelProto, TypeProto, ValueInfoProto},
};
use crate::stage::ModelOutputs;

/// Images of a fuzzed model are at most this large, so that models that pass are run in microseconds.
const MAX_SIZE: usize = 16;

/// Reads all constants, plans the layers, cuts the head.
///
/// # Panics
/// When a promise is broken.
pub(crate) fn read_graph(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let Ok(graph) = ModelGraph::read(bytes.clone()) else { return };
    for node in graph.nodes.iter().take(64) {
        for name in node.input.iter().chain(&node.output).take(8) {
            if let Ok(constant) = graph.constant(name) {
                assert!(graph.is_constant(name));
                let numbers = constant.floats().map(<[f32]>::len).or_else(|_| constant.ints().map(<[i64]>::len));
                assert_eq!(numbers, Ok(constant.dims.iter().product()));
            }
        }
    }
    let Some(signature) = signature(bytes.clone()) else { return };
    if let Ok(model) = IncrementalModel::of(&graph, &signature) {
        // What ONNX Runtime would say is not known: one image is compared, and differs.
        let outcome = model.compare(|_| Ok(ModelOutputs::default()));
        assert!(outcome.is_ok());
    }
    let _ = graph.hazards();
    for output in &graph.interface.outputs {
        let _ = graph.output_end(&output.name);
    }
    let adapter = Adapter::plain(&signature);
    if let Ok(adapted) = adapter.adapt(bytes.clone()) {
        let adapted = ModelGraph::read(adapted).expect("an adapted graph is a graph");
        assert!(adapted.interface.outputs.len() <= 2 && !adapted.interface.inputs.is_empty());
    }
    let (Some(start), Some(logits)) = (adapter.head_start(&graph), &signature.logits) else { return };
    if let Ok(head) = affine_head(&graph, &start, logits) {
        assert_eq!(head.weights.len(), head.bias.len() * start.length);
    }
    if let Ok(head) = cut_head(bytes, &start, logits) {
        let head = ModelProto::decode(head.as_slice()).expect("a head is an ONNX model");
        assert!(head.graph.is_some_and(|graph| graph.input.len() == 1 && graph.output.len() == 1));
    }
}

/// The first input as the image, the first output as the logits, the second as the latent vector, with the shapes that they declare.
fn signature(bytes: Bytes) -> Option<ModelSignature> {
    let graph = ModelProto::decode(bytes).ok()?.graph?;
    let dims = |value: &ValueInfoProto| -> Vec<usize> {
        let tensor = value.r#type.as_ref().and_then(|TypeProto { tensor_type }| tensor_type.as_ref());
        let dims = tensor.and_then(|tensor| tensor.shape.as_ref()).map_or(&[][..], |shape| &shape.dim);
        dims.iter().map(|dim| dim.dim_value.and_then(|value| usize::try_from(value).ok()).unwrap_or(1)).collect()
    };
    let vector = |value: &ValueInfoProto| {
        let length = dims(value).get(1).map_or(3, |length| (*length).clamp(1, 1024));
        VectorOutput { name: value.name.clone(), of: value.name.clone(), length }
    };
    let image = graph.input.first()?;
    let axes = dims(image);
    Some(ModelSignature {
        input: image.name.clone(),
        is_half: false,
        of_probabilities: None,
        row: RowShape::Image {
            bands: axes.get(1).map_or(3, |bands| (*bands).clamp(1, 4)),
            height: axes.get(2).map_or(8, |size| (*size).clamp(1, MAX_SIZE)),
            width: axes.get(2).map_or(8, |size| (*size).clamp(1, MAX_SIZE)),
        },
        logits: Some(vector(graph.output.first()?)),
        latent: graph.output.get(1).map(vector),
        probabilities: None,
    })
}
