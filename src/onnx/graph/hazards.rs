//! Nodes that make an answer depend on chance or on the rest of the batch.

use prost::Message;

use super::ModelGraph;
use crate::onnx::wire::{FunctionProto, NodeProto};

/// Operators that draw random numbers.
const RANDOM: [&str; 6] =
    ["RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"];

/// A node that no reproducible score can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hazard {
    /// It draws random numbers.
    Random(String),
    /// It normalises by the mean and variance of the batch.
    BatchStatistics(String),
}

impl ModelGraph {
    /// The hazards among the nodes of the graph, of the graphs in its nodes, and of its functions.
    pub(crate) fn hazards(&self) -> Vec<Hazard> {
        let mut found = Vec::new();
        for node in &self.nodes {
            visit(node, &|name| self.constant_bool(name), &mut found);
        }
        for function in &self.functions {
            let nodes = FunctionProto::decode(function.clone()).map(|function| function.node).unwrap_or_default();
            let nodes: Vec<NodeProto> = nodes.into_iter().filter_map(|node| NodeProto::decode(node).ok()).collect();
            nodes.iter().for_each(|node| visit(node, &|name| made_bool(&nodes, name), &mut found));
        }
        found
    }

    /// The value of a constant of one boolean; `None` if it is not one.
    pub(super) fn constant_bool(&self, name: &str) -> Option<bool> {
        let origin = self.copied(name);
        if let Some(tensor) = self.initializers.get(&origin) {
            let byte = tensor.raw_data.first().map(|byte| *byte != 0);
            return byte.or_else(|| tensor.int32_data.first().map(|value| *value != 0));
        }
        made_bool(std::slice::from_ref(self.producer(&origin)?), &origin)
    }
}

/// The value of a constant boolean that one of some nodes makes.
fn made_bool(nodes: &[NodeProto], name: &str) -> Option<bool> {
    let node =
        nodes.iter().find(|node| node.op_type == "Constant" && node.output.iter().any(|output| output == name))?;
    let tensor = node.attribute.first()?.t.as_ref()?;
    tensor.raw_data.first().map(|byte| *byte != 0).or_else(|| tensor.int32_data.first().map(|value| *value != 0))
}

/// Collects the hazards of a node and of the graphs in it. `constant` finds the value of a constant boolean.
fn visit(node: &NodeProto, constant: &dyn Fn(&str) -> Option<bool>, found: &mut Vec<Hazard>) {
    let described = || match node.name.as_str() {
        "" => format!("{} of `{}`", node.op_type, node.output.first().map_or("", String::as_str)),
        name => format!("{} `{name}`", node.op_type),
    };
    // Before operator set 12 Dropout had no such input, and drew only in training sessions.
    let drops = || node.optional_input(2).is_some_and(|mode| constant(mode).unwrap_or(true));
    match node.op_type.as_str() {
        op if RANDOM.contains(&op) => found.push(Hazard::Random(described())),
        "Dropout" if drops() => found.push(Hazard::Random(format!("{} in training mode", described()))),
        "BatchNormalization" if node.int("training_mode", 0) != 0 => found.push(Hazard::BatchStatistics(described())),
        _ => {}
    }
    for graph in node.graphs() {
        let nodes = graph.nodes().unwrap_or_default();
        // A graph in a node sees the values around it.
        let of_graph = |name: &str| made_bool(&nodes, name).or_else(|| constant(name));
        nodes.iter().for_each(|node| visit(node, &of_graph, found));
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::builder::{AttributeValue, GraphBuilder},
        *,
    };

    #[test]
    fn random_nodes_and_those_in_training_mode_are_named() {
        let mut build = GraphBuilder::default();
        build.node("RandomNormalLike", &["image"], "noise", &[]);
        build.node("BatchNormalization", &["image"], "bn", &[("training_mode", AttributeValue::Int(1))]);
        build.node("BatchNormalization", &["bn"], "steady", &[]);
        build.node("Dropout", &["steady", "", "unknown"], "dropped", &[]);
        build.node("Dropout", &["steady"], "kept", &[]);
        assert_eq!(
            build.read().hazards(),
            [
                Hazard::Random("RandomNormalLike of `noise`".into()),
                Hazard::BatchStatistics("BatchNormalization of `bn`".into()),
                Hazard::Random("Dropout of `dropped` in training mode".into()),
            ]
        );
    }
}
