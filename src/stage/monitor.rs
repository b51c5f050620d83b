//! Monitors: tables and findings computed from the stream, in its order.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Instant};

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};

use super::{ColumnRef, Finding, RunContext, Scorer};
use crate::error::{Diagnostic, Result};

/// The scorers of a run by label, for the monitors that query their models.
pub type Scorers = BTreeMap<String, Arc<dyn Scorer>>;

/// The table schemas of the monitors declared before one, by label.
pub type UpstreamSchemas = BTreeMap<String, SchemaRef>;

/// Observes the stream without changing it, and writes a table of its own. Sees every row once, in order.
///
/// The table depends on the rows alone, not on how they are cut into batches or when the process was restarted: everything that
/// a monitor remembers is in its snapshot, and its size has a bound.
pub trait Monitor: Send {
    /// Receives the labels of all monitors of the pipeline before any other call, so that a setting can name a score or a
    /// monitor.
    fn resolve_labels(&mut self, _monitors: &[String]) {}

    /// The columns it reads.
    fn required_columns(&self) -> Vec<ColumnRef>;

    /// The labels of the scores whose models it queries; their image columns are kept until the monitors have run.
    fn model_queries(&self) -> Vec<ColumnRef> {
        Vec::new()
    }

    /// The labels of the earlier monitors whose rows it reads.
    fn upstream(&self) -> Vec<ColumnRef> {
        Vec::new()
    }

    /// The schema of its table, given the columns of the stream and the tables of its upstream monitors.
    fn bind(&mut self, input: &Schema, upstream: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>>;

    /// Prepares for the run.
    fn start(&mut self, _run: &RunContext, _scorers: &Scorers) -> Result<()> {
        Ok(())
    }

    /// Observes rows of the stream. If that takes more than a second, it checks the stop flag of the run, and breaks off with
    /// [`Error::Interrupted`](crate::error::Error::Interrupted): the run ends without another commit, and a resume observes the rows
    /// again.
    fn observe(&mut self, batch: &RecordBatch) -> Result<MonitorOutput>;

    /// Receives rows emitted by an upstream monitor, in deterministic order; when they arrive relative to `observe` is not
    /// specified.
    fn observe_upstream(&mut self, _label: &str, _rows: &RowsOut) -> Result<MonitorOutput> {
        Ok(MonitorOutput::default())
    }

    /// Works until about `until` on accepted but unfinished objects, after the stream has ended. Called until it returns
    /// [`Progress::Done`]; commits happen in between.
    fn drain(&mut self, _until: Instant) -> Result<(MonitorOutput, Progress)> {
        Ok((MonitorOutput::default(), Progress::Done))
    }

    /// The last rows and findings, after all monitors have drained. It breaks off as `observe` does.
    fn finish(&mut self) -> Result<MonitorOutput>;

    /// Everything needed to continue after a restart, accepted but unfinished objects included.
    fn snapshot(&self) -> Result<Vec<u8>>;

    /// Continues from a snapshot. Called after `start`.
    fn restore(&mut self, snapshot: &[u8]) -> Result<()>;

    /// An upper bound of the size of its state, bytes.
    fn state_bound_bytes(&self) -> usize;

    /// How many objects it has accepted and not finished, if it works on objects beside the stream.
    fn pending_objects(&self) -> Option<usize> {
        None
    }

    /// The files that it has read beside the stream: references, catalogues, constants. A resume with other content is refused.
    fn input_files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// What it computes with, once started, for the run record: what it derived from references and constants. Null if there is
    /// nothing to say.
    fn provenance(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// Identifies the settings of a monitor that was not built from [`Settings`](super::Settings): equal digests promise an equal
    /// table. A run with a monitor that has none cannot be resumed.
    fn digest(&self) -> Option<String> {
        None
    }
}

/// Whether a monitor has finished its pending objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is pending.
    Done,
    /// Some objects are pending.
    Pending,
}

/// What a monitor emits.
#[derive(Debug, Default)]
pub struct MonitorOutput {
    /// Rows of its table.
    pub rows: Vec<RowsOut>,
    /// Thresholds crossed.
    pub findings: Vec<Finding>,
}

/// Rows of a monitor's table.
#[derive(Debug, Clone)]
pub struct RowsOut {
    /// The rows.
    pub rows: RecordBatch,
    /// The one row of the stream that they describe, if there is one: downstream monitors read columns from it that the table
    /// does not have.
    pub about: Option<RecordBatch>,
}

impl From<RecordBatch> for RowsOut {
    fn from(rows: RecordBatch) -> Self {
        Self { rows, about: None }
    }
}

impl MonitorOutput {
    /// Appends what was emitted later.
    pub fn append(&mut self, mut later: Self) {
        self.rows.append(&mut later.rows);
        self.findings.append(&mut later.findings);
    }
}
