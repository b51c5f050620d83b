//! Builds graphs for tests: written to bytes and read again.

use prost::Message;

use super::{
    super::wire::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, data_type},
    ModelGraph,
};

/// Builds a graph node by node.
#[derive(Default)]
pub(in crate::onnx) struct GraphBuilder {
    graph: GraphProto,
}

/// The value of a node's attribute.
pub(in crate::onnx) enum AttributeValue<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Float(f32),
}

impl GraphBuilder {
    pub(in crate::onnx) fn constant(&mut self, name: &str, dims: &[usize], float_data: Vec<f32>) {
        let dims = dims.iter().map(|&dim| dim as i64).collect();
        let data_type = data_type::FLOAT;
        let tensor = TensorProto { name: name.into(), dims, data_type, float_data, ..TensorProto::default() };
        self.graph.initializer.push(tensor.encode_to_vec().into());
    }

    pub(in crate::onnx) fn node(
        &mut self,
        op: &str,
        input: &[&str],
        output: &str,
        attributes: &[(&str, AttributeValue)],
    ) {
        let attribute = attributes.iter().map(|(name, value)| {
            let named = AttributeProto { name: (*name).into(), ..AttributeProto::default() };
            match value {
                AttributeValue::Int(i) => AttributeProto { i: *i, ..named },
                AttributeValue::Ints(ints) => AttributeProto { ints: ints.to_vec(), ..named },
                AttributeValue::Float(f) => AttributeProto { f: *f, ..named },
            }
        });
        let node = NodeProto {
            op_type: op.into(),
            input: input.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.into()],
            attribute: attribute.collect(),
            ..NodeProto::default()
        };
        self.graph.node.push(node.encode_to_vec().into());
    }

    pub(in crate::onnx) fn read(self) -> ModelGraph {
        let model = ModelProto { graph: Some(self.graph), ..ModelProto::default() };
        ModelGraph::read(model.encode_to_vec().into()).expect("a graph")
    }
}
