//! The contracts: what a source, a transform, a scorer, a monitor and a sink promise to the engine.
//!
//! Every stage lives the same life. It is *built* from its settings; *bound* to the schema before it, which reads model cards,
//! footers and one header but never pixels, so that `check` is exact; *started* once when a run begins (models load, FFTs are
//! planned); and then given batches. Stages are synchronous; the engine owns the threads.

mod monitor;
mod reject;
mod scorer;
mod settings;
mod sink;
mod source;
mod transform;

use std::sync::Arc;

pub use self::{
    monitor::{Monitor, MonitorOutput, Progress, RowsOut, Scorers, UpstreamSchemas},
    reject::{Reject, Rejects},
    scorer::{AffineHead, Model, ModelOutputs, PixelEvaluator, Scorer},
    settings::{Build, Kind, Settings},
    sink::Sink,
    source::{Read, Reader, Source, Split},
    transform::{Transform, TransformRole},
};
pub use crate::run::{Finding, Lookups, TablePart};
use crate::sync::atomic::{AtomicBool, Ordering};

/// A column that a stage reads, and the setting that names it (for the caret; empty when no setting does).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnRef {
    /// The key of the settings.
    pub key: String,
    /// The column.
    pub column: String,
    /// Whether the setting could name an earlier monitor instead, for a better help.
    pub may_name_monitor: bool,
}

impl ColumnRef {
    /// The column that a setting names.
    pub fn new(key: &str, column: impl Into<String>) -> Self {
        Self { key: key.to_owned(), column: column.into(), may_name_monitor: false }
    }

    /// The same for a setting that could name an earlier monitor instead.
    #[must_use]
    pub fn may_name_monitor(self) -> Self {
        Self { may_name_monitor: true, ..self }
    }
}

/// What a stage may know of its run when it starts.
#[derive(Debug, Clone, Default)]
pub struct RunContext {
    /// The seed of every draw of the run.
    pub seed: u64,
    /// Worker threads.
    pub threads: usize,
    /// The most rows of a batch.
    pub batch_rows: usize,
    /// Set when the run is to end. Check it at least once a second while waiting or working.
    pub stop: Stop,
}

/// Asks a run to end: it commits and returns [`Error::Interrupted`](crate::error::Error::Interrupted). Clones share one flag.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Requests the stop.
    pub fn request(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether a stop was requested.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
