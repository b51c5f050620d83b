//! Runs a plan: threads, bounded channels, order, commit points, resume.

mod job;
mod run;
mod stream;
mod summary;

pub use job::{EngineSettings, Job, OnReject, Step, StepStage};
pub use run::run;
pub use stream::{Stream, stream};
pub use summary::{Counts, Existing, RunOptions, StageWork, Status, Stop, Summary};
