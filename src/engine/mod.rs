//! Runs a plan: threads, bounded channels, order, commit points, resume.

mod job;

pub use job::{EngineSettings, Job, OnReject, Step, StepStage};
