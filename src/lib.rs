#![doc = include_str!("ARCHITECTURE.md")]

pub mod batch;
pub mod card;
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "the command line is the one place that prints")]
pub mod cli;
pub mod engine;
pub mod error;
pub mod fits;
pub mod image;
pub mod io;
pub mod monitor;
pub mod morphology;
mod onnx;
pub mod pipeline;
pub mod query;
pub mod random;
pub mod report;
pub mod run;
pub mod score;
pub mod sink;
pub mod source;
pub mod stage;
pub mod stats;
pub mod survey;
pub mod table;
pub mod transform;
