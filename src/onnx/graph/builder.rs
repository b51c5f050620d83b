//! Graphs for tests, written to bytes and read again.

use prost::Message;

use super::{
    Graph,
    tensor::FLOAT,
    wire::{Attribute, Graph as GraphMessage, Model, Node, Tensor},
};

/// A graph in the making.
#[derive(Default)]
pub(in super::super) struct Build {
    graph: GraphMessage,
}

/// An attribute of a node.
pub(in super::super) enum Is<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Float(f32),
}

impl Build {
    pub(in super::super) fn constant(&mut self, name: &str, dims: &[usize], float_data: Vec<f32>) {
        let dims = dims.iter().map(|&dim| dim as i64).collect();
        let tensor = Tensor { name: name.into(), dims, data_type: FLOAT, float_data, ..Tensor::default() };
        self.graph.initializer.push(tensor);
    }

    pub(in super::super) fn node(&mut self, op: &str, input: &[&str], output: &str, attributes: &[(&str, Is)]) {
        let attribute = attributes.iter().map(|(name, value)| {
            let own = Attribute { name: (*name).into(), ..Attribute::default() };
            match value {
                Is::Int(i) => Attribute { i: *i, ..own },
                Is::Ints(ints) => Attribute { ints: ints.to_vec(), ..own },
                Is::Float(f) => Attribute { f: *f, ..own },
            }
        });
        self.graph.node.push(Node {
            op_type: op.into(),
            input: input.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.into()],
            attribute: attribute.collect(),
            domain: String::new(),
        });
    }

    pub(in super::super) fn read(self) -> Graph {
        Graph::read(&Model { graph: Some(self.graph) }.encode_to_vec()).expect("a graph")
    }
}
