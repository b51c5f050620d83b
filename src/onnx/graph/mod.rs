//! The graph of an ONNX file as plain values: nodes in order, their attributes, constants as numbers.
//!
//! ONNX Runtime is not needed. A constant is an initialiser of the file, or made from one by `Constant`, `Cast` or `Identity`.
//! A constant of an unsupported form is an error only when it is read.

mod adapter;
mod added_nodes;
#[cfg(test)]
pub(super) mod builder;
mod constant;
mod hazards;
mod head;
mod node;
mod output_end;

use std::collections::HashMap;

use prost::{DecodeError, Message, bytes::Bytes};

pub(crate) use self::{
    adapter::{Adapter, InputShape, ModelInput, OutputForm, OutputUse, PixelScaling},
    hazards::Hazard,
    head::HeadStart,
    output_end::OutputKind,
};
pub(super) use self::{
    constant::Constant,
    head::{HEAD_INPUT, cut_head},
};
use super::{
    decode_model,
    interface::ModelInterface,
    wire::{NodeProto, OperatorSetIdProto, TensorProto},
};

/// The most nodes between a constant and its use.
const MAX_CHAIN: usize = 64;

/// The graph of a model.
#[derive(Debug, Clone)]
pub(crate) struct ModelGraph {
    /// What it declares about its inputs and outputs.
    pub(crate) interface: ModelInterface,
    /// The version of the operators of ONNX.
    pub(crate) opset: i64,
    /// In topological order, as ONNX requires.
    pub(super) nodes: Vec<NodeProto>,
    initializers: HashMap<String, TensorProto>,
    has_sparse_initializers: bool,
    /// Encoded `FunctionProto`.
    functions: Vec<Bytes>,
    /// The index of the node that produces a value.
    producers: HashMap<String, usize>,
}

impl ModelGraph {
    /// Reads the graph from the bytes of an ONNX file.
    pub(crate) fn read(bytes: Bytes) -> Result<Self, String> {
        let not_onnx = |error| format!("not an ONNX model: {error}");
        let model = decode_model(bytes).map_err(|error| error.to_string())?;
        let graph = model.graph.ok_or("the model has no graph")?;
        let interface = ModelInterface::of(&graph).map_err(not_onnx)?;
        let opset = opset_of(&model.opset_import).map_err(not_onnx)?;
        let nodes = graph.nodes().map_err(not_onnx)?;
        let initializers = graph.initializers().map_err(not_onnx)?;
        let initializers = initializers.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
        let outputs = nodes.iter().enumerate();
        let producers = outputs.flat_map(|(i, node)| node.output.iter().map(move |name| (name.clone(), i))).collect();
        let has_sparse_initializers = !graph.sparse_initializer.is_empty();
        let functions = model.functions;
        Ok(Self { interface, opset, nodes, initializers, has_sparse_initializers, functions, producers })
    }

    /// Fails for a graph with constants that are not read.
    pub(super) fn check_constants(&self) -> Result<(), String> {
        if self.has_sparse_initializers { Err("unsupported: sparse initialisers".into()) } else { Ok(()) }
    }

    /// The node that produces a value.
    fn producer(&self, name: &str) -> Option<&NodeProto> {
        self.producers.get(name).map(|&producer| &self.nodes[producer])
    }

    /// The nodes that compute `end` from `start`, in topological order. Nodes that produce constants are left out.
    pub(super) fn between(&self, start: &str, end: &str) -> Vec<&NodeProto> {
        let mut needed = vec![false; self.nodes.len()];
        let mut pending = vec![end];
        while let Some(name) = pending.pop() {
            if name == start || self.is_constant(name) {
                continue;
            }
            if let Some(&producer) = self.producers.get(name)
                && !needed[producer]
            {
                needed[producer] = true;
                pending.extend(self.nodes[producer].input.iter().map(String::as_str));
            }
        }
        self.nodes.iter().zip(needed).filter_map(|(node, needed)| needed.then_some(node)).collect()
    }

    /// Whether a value is the same for every image, and of a form that [`ModelGraph::constant`] reads.
    pub(super) fn is_constant(&self, name: &str) -> bool {
        let (origin, _) = self.origin(name);
        let producer = self.producers.get(origin).map(|&producer| &self.nodes[producer]);
        self.initializers.contains_key(origin) || producer.is_some_and(|node| node.op_type == "Constant")
    }

    /// The value that a chain of `Identity` and `Cast` nodes begins with, and the types that it is cast to, first cast first. A
    /// longer chain than any exporter writes, or a circle, is followed for [`MAX_CHAIN`] nodes: that is not a constant.
    fn origin<'a>(&'a self, name: &'a str) -> (&'a str, Vec<i64>) {
        let (mut name, mut casts) = (name, Vec::new());
        for _ in 0..MAX_CHAIN {
            let Some(&producer) = self.producers.get(name).filter(|_| !self.initializers.contains_key(name)) else {
                break;
            };
            let node = &self.nodes[producer];
            match node.op_type.as_str() {
                "Identity" => {}
                "Cast" => casts.push(node.int("to", 0)),
                _ => break,
            }
            name = node.input.first().map_or("", String::as_str);
        }
        casts.reverse();
        (name, casts)
    }

    /// The numbers of a constant.
    pub(super) fn constant(&self, name: &str) -> Result<Constant, String> {
        let (origin, casts) = self.origin(name);
        let constant = match self.initializers.get(origin) {
            Some(tensor) => Constant::read(tensor)?,
            None => {
                let producer = self.producers.get(origin).map(|&producer| &self.nodes[producer]);
                let node = producer.ok_or_else(|| format!("no node produces the value `{origin}`"))?;
                match node.op_type.as_str() {
                    "Constant" => node.constant()?,
                    op => return Err(format!("unsupported: the constant `{origin}` is the output of {op}")),
                }
            }
        };
        casts.into_iter().try_fold(constant, Constant::cast)
    }
}

/// The version of the operators of ONNX that a model uses; 1 if it names none.
fn opset_of(imports: &[Bytes]) -> Result<i64, DecodeError> {
    let mut version = 1;
    for import in imports {
        let import = OperatorSetIdProto::decode(import.clone())?;
        if matches!(import.domain.as_str(), "" | "ai.onnx") {
            version = version.max(import.version);
        }
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::{
        builder::{AttributeValue, GraphBuilder},
        *,
    };

    #[test]
    fn selects_the_nodes_between_two_values_in_order_and_without_constants() {
        let mut build = GraphBuilder::default();
        build.constant("w", &[1], vec![2.0]);
        build.node("Identity", &["w"], "same", &[]);
        build.node("Mul", &["image", "same"], "scaled", &[]);
        build.node("Relu", &["image"], "unused", &[]);
        build.node("Add", &["scaled", "w"], "latent", &[]);
        build.node("LeakyRelu", &["latent"], "logits", &[("alpha", AttributeValue::Float(0.1))]);
        let graph = build.read();
        let ops = |start, end| graph.between(start, end).iter().map(|node| node.op_type.clone()).collect::<Vec<_>>();
        assert_eq!(ops("image", "logits"), ["Mul", "Add", "LeakyRelu"]);
        assert_eq!(ops("latent", "logits"), ["LeakyRelu"]);
        assert!(graph.is_constant("same") && !graph.is_constant("scaled"));
        assert_eq!(graph.constant("same").unwrap().floats().unwrap(), [2.0]);
        assert_eq!(graph.between("image", "logits")[2].float("alpha"), Some(0.1));
    }

    #[test]
    fn reads_the_weights_of_a_shipped_model_and_widens_half_precision() {
        let graph = ModelGraph::read(std::fs::read("models/resnet18-da.onnx").unwrap().into()).unwrap();
        let weights = graph.constant("bottleneck.weight").unwrap();
        assert_eq!(weights.dims, [256, 512]);
        let rms = (weights.floats().unwrap().iter().map(|w| w * w).sum::<f32>() / 131_072.0).sqrt();
        assert!((0.001..0.1).contains(&rms), "{rms}");
        assert!(graph.constant("image").unwrap_err().contains("no node produces the value `image`"));
    }

    #[test]
    fn rejects_bytes_that_are_not_onnx() {
        assert!(ModelGraph::read(Bytes::from_static(b"import onnx")).is_err());
        assert!(ModelGraph::read(Bytes::new()).unwrap_err().contains("no graph"));
    }
}
