//! Runs a plan: threads, bounded channels, order, commit points, resume.

mod back;
mod commit;
mod compact;
mod directory;
mod feed;
mod job;
mod memory;
mod order;
mod provenance;
mod record;
mod run;
mod start;
mod stream;
mod summary;
mod workers;

pub use compact::{Compaction, compact};
pub use directory::is_running;
pub use job::{EngineSettings, GraphNode, Job, OnReject, PipelineMetadata, Step, StepStage};
pub use run::run;
pub use stream::{Stream, stream};
pub use summary::{Counts, Existing, Queues, RunOptions, StageWork, Status, Summary};

pub use crate::stage::Stop;
