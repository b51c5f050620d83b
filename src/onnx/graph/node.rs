//! Inputs and attributes of a node.

use super::{
    super::wire::{AttributeProto, GraphProto, NodeProto},
    Constant,
};

impl NodeProto {
    /// The name of an optional input, if it is given.
    pub(in crate::onnx) fn optional_input(&self, i: usize) -> Option<&str> {
        self.input.get(i).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The name of a required input.
    pub(in crate::onnx) fn input(&self, i: usize) -> Result<&str, String> {
        self.optional_input(i).ok_or_else(|| format!("{} has no input {i}", self.op_type))
    }

    /// An attribute of type INT.
    pub(in crate::onnx) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    /// An attribute of type FLOAT.
    pub(in crate::onnx) fn float(&self, name: &str) -> Option<f32> {
        self.attribute(name).map(|attribute| attribute.f)
    }

    /// An attribute of type INTS.
    pub(in crate::onnx) fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|attribute| attribute.ints.as_slice())
    }

    /// An attribute of type STRING.
    pub(in crate::onnx) fn string(&self, name: &str) -> Option<&[u8]> {
        self.attribute(name).map(|attribute| attribute.s.as_ref())
    }

    /// An attribute of type STRINGS.
    pub(in crate::onnx) fn strings(&self, name: &str) -> Vec<String> {
        let attribute = self.attribute(name).map_or(&[][..], |attribute| &attribute.strings);
        attribute.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
    }

    /// The graphs in its attributes.
    pub(in crate::onnx) fn graphs(&self) -> impl Iterator<Item = &GraphProto> {
        self.attribute.iter().flat_map(|attribute| attribute.g.as_deref().into_iter().chain(&attribute.graphs))
    }

    /// The values that it reads, and those that the graphs in it read.
    pub(in crate::onnx) fn all_inputs(&self) -> Vec<String> {
        let mut all = self.input.clone();
        for graph in self.graphs() {
            all.extend(graph.nodes().unwrap_or_default().iter().flat_map(Self::all_inputs));
            // A graph in a node may give a value of the graph around it as it is.
            all.extend(graph.output.iter().map(|value| value.name.clone()));
        }
        all
    }

    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// The value of a `Constant` node.
    pub(super) fn constant(&self) -> Result<Constant, String> {
        let attribute = self.attribute.first().ok_or("a Constant node has no value")?;
        match (attribute.name.as_str(), &attribute.t) {
            ("value", Some(tensor)) => Constant::read(tensor),
            ("value_float", _) => Ok(Constant::scalar(attribute.f)),
            ("value_floats", _) => Ok(Constant::vector(attribute.floats.clone())),
            ("value_int", _) => Ok(Constant::integers(vec![], vec![attribute.i])),
            ("value_ints", _) => Ok(Constant::integers(vec![attribute.ints.len()], attribute.ints.clone())),
            (other, _) => Err(format!("unsupported: a Constant node with the attribute `{other}`")),
        }
    }
}
