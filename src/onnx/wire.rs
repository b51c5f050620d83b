//! The parts of ONNX's messages that are read, and those that are written; field numbers from onnx.proto3.
//!
//! What is not named here is dropped when a message is read. So a graph that is written again ([`RawGraph`]) keeps its
//! nodes and its initialisers as bytes: on the wire, a repeated message is repeated bytes.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Model {
    #[prost(message, optional, tag = "7")]
    pub(super) graph: Option<Graph>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub(super) node: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    pub(super) initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "15")]
    pub(super) sparse_initializer: Vec<Nothing>,
}

/// A message of which nothing is read but that it is there.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Nothing {}

#[derive(Clone, PartialEq, Message)]
pub(in super::super) struct Node {
    #[prost(string, repeated, tag = "1")]
    pub(in super::super) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(in super::super) output: Vec<String>,
    #[prost(string, tag = "4")]
    pub(in super::super) op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub(in super::super) attribute: Vec<Attribute>,
    #[prost(string, tag = "7")]
    pub(in super::super) domain: String,
}

#[derive(Clone, PartialEq, Message)]
pub(in super::super) struct Attribute {
    #[prost(string, tag = "1")]
    pub(in super::super) name: String,
    #[prost(float, tag = "2")]
    pub(in super::super) f: f32,
    #[prost(int64, tag = "3")]
    pub(in super::super) i: i64,
    #[prost(bytes = "vec", tag = "4")]
    pub(in super::super) s: Vec<u8>,
    #[prost(message, optional, tag = "5")]
    pub(in super::super) t: Option<Tensor>,
    #[prost(float, repeated, tag = "7")]
    pub(in super::super) floats: Vec<f32>,
    #[prost(int64, repeated, tag = "8")]
    pub(in super::super) ints: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(in super::super) struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    pub(in super::super) dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub(in super::super) data_type: i32,
    #[prost(float, repeated, tag = "4")]
    pub(in super::super) float_data: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    pub(in super::super) int32_data: Vec<i32>,
    #[prost(int64, repeated, tag = "7")]
    pub(in super::super) int64_data: Vec<i64>,
    #[prost(string, tag = "8")]
    pub(in super::super) name: String,
    #[prost(bytes = "vec", tag = "9")]
    pub(in super::super) raw_data: Vec<u8>,
    #[prost(double, repeated, tag = "10")]
    pub(in super::super) double_data: Vec<f64>,
    #[prost(int32, tag = "14")]
    pub(in super::super) data_location: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RawModel {
    #[prost(int64, tag = "1")]
    pub(super) ir_version: i64,
    #[prost(message, optional, tag = "7")]
    pub(super) graph: Option<RawGraph>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub(super) opset_import: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "25")]
    pub(super) functions: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RawGraph {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(super) node: Vec<Vec<u8>>,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub(super) initializer: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "11")]
    pub(super) input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    pub(super) output: Vec<ValueInfo>,
}

/// Of a node, what it hangs on.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Edges {
    #[prost(string, repeated, tag = "1")]
    pub(super) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) output: Vec<String>,
}

/// Of a tensor, its name.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Named {
    #[prost(string, tag = "8")]
    pub(super) name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ValueInfo {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) kind: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Type {
    #[prost(message, optional, tag = "1")]
    pub(super) tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorType {
    #[prost(int32, tag = "1")]
    pub(super) element: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) shape: Option<Dimensions>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Dimensions {
    #[prost(message, repeated, tag = "1")]
    pub(super) dim: Vec<Dimension>,
}

/// A number, or a name where the size is open.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Dimension {
    #[prost(int64, optional, tag = "1")]
    pub(super) value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub(super) name: Option<String>,
}
