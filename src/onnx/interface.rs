//! What an ONNX file declares about its inputs and outputs, read without ONNX Runtime.

use std::{collections::HashSet, fmt};

use prost::{DecodeError, Message};

use super::wire::{DimensionProto, GraphProto, ValueInfoProto, data_type};

/// The inputs and outputs of a graph.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ModelInterface {
    /// Without initialisers, which old files list as inputs.
    pub(crate) inputs: Vec<ModelPort>,
    pub(crate) outputs: Vec<ModelPort>,
}

/// An input or an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelPort {
    pub(crate) name: String,
    /// `TensorProto.DataType`; `None` for a sequence, a map or a value without a type.
    pub(crate) element: Option<i32>,
    /// Lengths of the axes, the batch first; `None` if the number of axes is not declared. An open length is `None`.
    pub(crate) dims: Option<Vec<Option<usize>>>,
}

/// The name of a tensor, of all its fields.
#[derive(Clone, PartialEq, Message)]
struct TensorName {
    #[prost(string, tag = "8")]
    name: String,
}

impl ModelInterface {
    /// Reads the declarations of a graph.
    pub(crate) fn of(graph: &GraphProto) -> Result<Self, DecodeError> {
        let mut initializers = HashSet::new();
        if graph.input.len() > 1 {
            for tensor in &graph.initializer {
                initializers.insert(TensorName::decode(tensor.clone())?.name);
            }
        }
        let inputs = graph.input.iter().filter(|value| !initializers.contains(&value.name));
        Ok(Self {
            inputs: inputs.map(ModelPort::of).collect(),
            outputs: graph.output.iter().map(ModelPort::of).collect(),
        })
    }

    /// An input by name.
    pub(crate) fn input(&self, name: &str) -> Option<&ModelPort> {
        self.inputs.iter().find(|port| port.name == name)
    }

    /// An output by name.
    pub(crate) fn output(&self, name: &str) -> Option<&ModelPort> {
        self.outputs.iter().find(|port| port.name == name)
    }
}

impl ModelPort {
    fn of(value: &ValueInfoProto) -> Self {
        let tensor = value.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
        let length = |dim: &DimensionProto| dim.dim_value.and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
        let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
        Self {
            name: value.name.clone(),
            element: tensor.map(|tensor| tensor.elem_type),
            dims: shape.map(|shape| shape.dim.iter().map(length).collect()),
        }
    }

    /// The batch size that the graph is fixed to, if it is.
    pub(crate) fn fixed_batch(&self) -> Option<usize> {
        self.dims.as_ref()?.first().copied().flatten()
    }

    /// How many numbers a row has: the product of all axes after the batch. `None` if one is open.
    pub(crate) fn numbers_per_row(&self) -> Option<usize> {
        let dims = self.dims.as_ref()?;
        dims.iter().skip(1).try_fold(1_usize, |product, dim| product.checked_mul((*dim)?))
    }

    /// Whether a row may be `length` numbers in a line: at most one axis after the batch is longer than 1.
    pub(crate) fn may_be_row_of(&self, length: usize) -> bool {
        let Some(dims) = &self.dims else { return true };
        let rest = dims.get(1..).unwrap_or_default();
        let long: Vec<usize> = rest.iter().flatten().copied().filter(|&n| n > 1).collect();
        match (long.as_slice(), rest.iter().any(Option::is_none)) {
            _ if dims.is_empty() => false,
            ([], false) => length == 1,
            ([], true) => true,
            ([one], _) => *one == length,
            _ => false,
        }
    }
}

impl fmt::Display for ModelPort {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(element) = self.element else { return out.write_str("not a tensor") };
        out.write_str(&data_type::name(element))?;
        let Some(dims) = &self.dims else { return out.write_str(" of any shape") };
        let length = |(axis, dim): (usize, &Option<usize>)| match dim {
            Some(n) => n.to_string(),
            None if axis == 0 => "N".into(),
            None => "?".into(),
        };
        let lengths: Vec<String> = dims.iter().enumerate().map(length).collect();
        write!(out, " [{}]", lengths.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::wire::{TensorProto, TensorShapeProto, TensorTypeProto, TypeProto};

    fn value(name: &str, elem_type: i32, dims: &[i64]) -> ValueInfoProto {
        let dim = |&n: &i64| match n {
            0 => DimensionProto { dim_value: None, dim_param: Some("n".into()) },
            n => DimensionProto { dim_value: Some(n), dim_param: None },
        };
        let shape = Some(TensorShapeProto { dim: dims.iter().map(dim).collect() });
        let tensor_type = Some(TensorTypeProto { elem_type, shape });
        ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
    }

    #[test]
    fn initializers_are_not_inputs_and_types_are_shown_as_numpy_has_them() {
        let weights = TensorProto { name: "w".into(), ..TensorProto::default() };
        let graph = GraphProto {
            input: vec![value("image", data_type::FLOAT16, &[0, 3, 8, 8]), value("w", data_type::FLOAT, &[3])],
            output: vec![
                value("logits", data_type::FLOAT, &[4, 3, 1, 1]),
                ValueInfoProto { name: "map".into(), r#type: None },
            ],
            initializer: vec![weights.encode_to_vec().into()],
            ..GraphProto::default()
        };
        let ModelInterface { inputs, outputs } = ModelInterface::of(&graph).expect("an interface");
        assert_eq!(inputs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["float16 [N, 3, 8, 8]"]);
        assert_eq!(outputs[1].to_string(), "not a tensor");
        assert_eq!((inputs[0].fixed_batch(), outputs[0].fixed_batch()), (None, Some(4)));
        assert_eq!((inputs[0].numbers_per_row(), outputs[0].numbers_per_row()), (Some(192), Some(3)));
    }

    #[test]
    fn a_row_has_one_long_axis() {
        let fits = |dims: &[i64], length| ModelPort::of(&value("x", data_type::FLOAT, dims)).may_be_row_of(length);
        assert!(fits(&[0, 3], 3) && fits(&[0, 3, 1, 1], 3) && fits(&[0], 1) && fits(&[0, 1], 1) && fits(&[0, 0], 7));
        assert!(!fits(&[0, 3], 4) && !fits(&[0, 3, 2], 6) && !fits(&[0], 2) && !fits(&[], 1));
    }
}
