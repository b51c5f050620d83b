//! Reads the graph of an ONNX file as plain values: nodes in order, their attributes, constants as numbers.
//!
//! No runtime is needed. Weights are numbers of the file itself or constants made of them (`Constant`, `Cast`,
//! `Identity`); what cannot be read is an error only when it is asked for, and says what it is.

#[cfg(test)]
pub(super) mod build;
mod head;
mod tensor;
mod wire;

use std::collections::HashMap;

use prost::Message;

pub(super) use self::{tensor::Tensor, wire::Node};

/// The graph of a model.
#[derive(Debug, Clone)]
pub(super) struct Graph {
    /// In an order in which they can be computed.
    pub(super) nodes: Vec<Node>,
    constants: HashMap<String, wire::Tensor>,
    /// Which node makes a value.
    makers: HashMap<String, usize>,
}

impl Graph {
    /// Reads the bytes of an ONNX file.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let model = wire::Model::decode(bytes).map_err(|error| format!("this is not an ONNX model: {error}"))?;
        let graph = model.graph.ok_or("the model has no graph")?;
        if !graph.sparse_initializer.is_empty() {
            return Err("unsupported: sparse constants".into());
        }
        let constants = graph.initializer.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
        let outputs = graph.node.iter().enumerate();
        let makers = outputs.flat_map(|(i, node)| node.output.iter().map(move |name| (name.clone(), i))).collect();
        Ok(Self { nodes: graph.node, constants, makers })
    }

    /// The nodes that a value needs, in order, without those before `start` and those that make constants.
    pub(super) fn between(&self, start: &str, end: &str) -> Vec<&Node> {
        let mut needed = vec![false; self.nodes.len()];
        let mut wanted = vec![end];
        while let Some(name) = wanted.pop() {
            if name == start || self.is_constant(name) {
                continue;
            }
            if let Some(&maker) = self.makers.get(name)
                && !needed[maker]
            {
                needed[maker] = true;
                wanted.extend(self.nodes[maker].input.iter().map(String::as_str));
            }
        }
        self.nodes.iter().zip(needed).filter_map(|(node, needed)| needed.then_some(node)).collect()
    }

    /// Whether a value is the same for every image, and of a form that [`Graph::constant`] can read.
    pub(super) fn is_constant(&self, name: &str) -> bool {
        if self.constants.contains_key(name) {
            return true;
        }
        let Some(&maker) = self.makers.get(name) else { return false };
        let node = &self.nodes[maker];
        match node.op_type.as_str() {
            "Constant" => true,
            "Cast" | "Identity" => node.input.first().is_some_and(|from| self.is_constant(from)),
            _ => false,
        }
    }

    /// The numbers of a constant.
    pub(super) fn constant(&self, name: &str) -> Result<Tensor, String> {
        if let Some(tensor) = self.constants.get(name) {
            return Tensor::read(tensor);
        }
        let maker = self.makers.get(name).map(|&maker| &self.nodes[maker]);
        let node = maker.ok_or_else(|| format!("nothing makes the value `{name}`"))?;
        let from = node.input.first().map_or("", String::as_str);
        match node.op_type.as_str() {
            "Constant" => node.constant(),
            "Identity" => self.constant(from),
            "Cast" => self.constant(from)?.cast(node.int("to", 0)),
            op => Err(format!("unsupported: the constant `{name}` is made by {op}")),
        }
    }
}

impl Node {
    /// The name of an input that may be left out.
    pub(super) fn optional(&self, i: usize) -> Option<&str> {
        self.input.get(i).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The name of an input.
    pub(super) fn input(&self, i: usize) -> Result<&str, String> {
        self.optional(i).ok_or_else(|| format!("{} has no input {i}", self.op_type))
    }

    /// An attribute that is one integer.
    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    /// An attribute that is one number.
    pub(super) fn float(&self, name: &str) -> Option<f32> {
        self.attribute(name).map(|attribute| attribute.f)
    }

    /// An attribute that is a list of integers.
    pub(super) fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|attribute| attribute.ints.as_slice())
    }

    /// An attribute that is a word.
    pub(super) fn word(&self, name: &str) -> Option<&[u8]> {
        self.attribute(name).map(|attribute| attribute.s.as_slice())
    }

    fn attribute(&self, name: &str) -> Option<&wire::Attribute> {
        self.attribute.iter().find(|attribute| attribute.name == name)
    }

    fn constant(&self) -> Result<Tensor, String> {
        let attribute = self.attribute.first().ok_or("a Constant without a value")?;
        match (attribute.name.as_str(), &attribute.t) {
            ("value", Some(tensor)) => Tensor::read(tensor),
            ("value_float", _) => Ok(Tensor::scalar(attribute.f)),
            ("value_floats", _) => Ok(Tensor::vector(attribute.floats.clone())),
            ("value_int", _) => Ok(Tensor::integers(vec![], vec![attribute.i])),
            ("value_ints", _) => Ok(Tensor::integers(vec![attribute.ints.len()], attribute.ints.clone())),
            (other, _) => Err(format!("unsupported: a Constant by `{other}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        build::{Build, Is},
        *,
    };

    #[test]
    fn what_a_value_needs_comes_in_order_and_without_constants() {
        let mut build = Build::default();
        build.constant("w", &[1], vec![2.0]);
        build.node("Identity", &["w"], "same", &[]);
        build.node("Mul", &["image", "same"], "scaled", &[]);
        build.node("Relu", &["image"], "unused", &[]);
        build.node("Add", &["scaled", "w"], "latent", &[]);
        build.node("LeakyRelu", &["latent"], "logits", &[("alpha", Is::Float(0.1))]);
        let graph = build.read();
        let ops = |start, end| graph.between(start, end).iter().map(|node| node.op_type.clone()).collect::<Vec<_>>();
        assert_eq!(ops("image", "logits"), ["Mul", "Add", "LeakyRelu"]);
        assert_eq!(ops("latent", "logits"), ["LeakyRelu"]);
        assert!(graph.is_constant("same") && !graph.is_constant("scaled"));
        assert_eq!(graph.constant("same").unwrap().floats().unwrap(), [2.0]);
        assert_eq!(graph.between("image", "logits")[2].float("alpha"), Some(0.1));
    }

    #[test]
    fn the_weights_of_a_shipped_model_are_found_and_those_in_half_precision_widened() {
        let graph = Graph::read(&std::fs::read("models/resnet18-da.onnx").unwrap()).unwrap();
        let weights = graph.constant("bottleneck.weight").unwrap();
        assert_eq!(weights.dims, [256, 512]);
        let rms = (weights.floats().unwrap().iter().map(|w| w * w).sum::<f32>() / 131_072.0).sqrt();
        assert!((0.001..0.1).contains(&rms), "{rms}");
        assert!(graph.constant("image").unwrap_err().contains("nothing makes the value `image`"));
    }

    #[test]
    fn what_is_no_model_is_said_to_be_none() {
        assert!(Graph::read(b"import onnx").is_err());
        assert!(Graph::read(b"").unwrap_err().contains("no graph"));
    }
}
