//! Every test that needs more than one module, in one binary: a file here is a subject.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod alerts;
mod class_names;
mod conformance;
mod damage;
#[cfg(target_os = "linux")]
mod descriptors;
mod documents;
mod engine;
mod fits;
mod house;
mod kafka;
mod lessons;
mod mistakes;
mod morphology_labels;
mod morphology_oracle;
mod observe_noise;
mod observe_oracle;
mod observe_space;
mod one_pixel;
mod onnx_heads;
mod onnx_matrix;
mod onnx_reliability;
mod pixels;
mod queries;
mod real_shift;
mod report;
mod run_formats;
mod score_onnx;
mod settings;
mod skip;
mod tiles;
mod tiles_catalogue;
mod tiles_psfex;

/// The one of the command: how flat memory is depends on it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
