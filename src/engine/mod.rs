//! Runs a job: threads, bounded channels, order, commit points, resume.

mod commit_log;
mod compact;
mod guard;
mod job;
mod ordered_tail;
mod permits;
mod process;
mod resequencer;
mod resume;
mod run;
mod run_dir;
mod run_record;
#[cfg(all(test, shuttle))]
mod schedules;
mod source_lag;
mod source_progress;
mod source_thread;
mod stage_works;
mod start;
mod status;
mod stream;
mod worker_pool;

pub use compact::{Compaction, compact};
pub use job::{Job, JobMonitor, JobStage, PipelineMetadata, Step, StepStage};
pub use run::run;
pub use run_dir::is_running;
pub use status::{Existing, Queues, RunOptions, Status, Summary};
pub use stream::{Stream, stream};

pub use crate::{
    run::{Counts, EngineSettings, GraphNode, OnReject, StageWork},
    stage::Stop,
};
