//! Models in ONNX files: their graphs, ONNX Runtime, and incremental scoring. No Arrow.
//!
//! ONNX Runtime is a shared library that is found and loaded when a model is first started ([`runtime`]). A model runs in one
//! or more sessions on an execution provider ([`provider`], [`session`]). Its results must be bitwise independent of batch
//! composition, which is checked when it is loaded ([`batching`]). Images that differ from one image in a few pixels are scored
//! from what changes in every layer, where that pays ([`incremental`]); this needs the [`graph`] of the file, decoded from its
//! protobuf messages ([`wire`]).

mod batching;
mod graph;
mod incremental;
mod model;
mod pixel_patch;
mod probe;
pub(crate) mod provider;
pub(crate) mod runtime;
mod session;
mod signature;
pub(crate) mod wire;

pub(crate) use self::{
    model::{LoadOptions, LoadedModel},
    signature::{ModelSignature, VectorOutput},
};
