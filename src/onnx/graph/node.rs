//! Inputs and attributes of a node.

use super::{
    super::wire::{AttributeProto, NodeProto},
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
