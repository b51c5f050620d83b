//! Every test that needs more than one module, in one binary: a file here is a subject.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod engine;
mod fits;

mod fits;
mod house;
mod observe_noise;
mod observe_oracle;
mod pixels;
mod queries;
mod score_onnx;
