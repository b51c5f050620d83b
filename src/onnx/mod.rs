//! Models in ONNX files: their graphs, ONNX Runtime, and incremental scoring. No Arrow.
//!
//! ONNX Runtime is a shared library that is found and loaded when a model is first started ([`runtime`]). A model runs in one
//! or more sessions on an execution provider ([`provider`], [`session`]), and it is counted where its nodes run ([`placement`]). Its results must be bitwise independent of batch
//! composition, which is checked when it is loaded ([`batching`]). Images that differ from one image in a few pixels are scored
//! from what changes in every layer, where that pays ([`incremental`]); this needs the [`graph`] of the file, decoded from its
//! protobuf messages ([`wire`]). A graph of another form (channels last, half precision, softmax inside, several inputs) is
//! adapted in memory before it runs ([`graph::Adapter`]). Files beside the model belong to it ([`external`]).

#[cfg(feature = "onnx")]
mod batching;
#[cfg_attr(not(feature = "onnx"), expect(dead_code, reason = "numbers are read for ONNX Runtime"))]
pub(crate) mod external;
mod field_count;
#[cfg(all(feature = "onnx", any(test, fuzzing)))]
pub(crate) mod fuzz;
#[cfg(feature = "onnx")]
pub(crate) mod graph;
#[cfg(feature = "onnx")]
mod incremental;
#[cfg(feature = "onnx")]
mod interface;
#[cfg(feature = "onnx")]
mod model;
#[cfg(feature = "onnx")]
mod pixel_patch;
#[cfg(feature = "onnx")]
mod placement;
#[cfg(feature = "onnx")]
mod probe;
#[cfg(feature = "onnx")]
pub(crate) mod provider;
#[cfg(feature = "onnx")]
pub(crate) mod runtime;
#[cfg(feature = "onnx")]
mod session;
#[cfg(feature = "onnx")]
mod signature;
#[cfg_attr(not(feature = "onnx"), expect(dead_code, reason = "cards need no nodes and tensors"))]
pub(crate) mod wire;

pub(crate) use self::field_count::{DecodeModelError, decode_model, promised_length};
#[cfg(feature = "onnx")]
pub(crate) use self::{
    batching::ROUNDING,
    interface::ModelPort,
    model::{LoadOptions, LoadedModel},
    probe::probe_rows,
    signature::ProbabilityKind,
};
