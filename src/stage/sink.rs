//! Sinks: what is kept of the rows.

use std::path::Path;

use arrow::{array::RecordBatch, datatypes::Schema};

use super::{ColumnRef, RunContext, TablePart};
use crate::error::{Diagnostic, Result};

/// Keeps rows. Files are written to a staging folder and become visible only when the engine publishes them, so a killed run
/// leaves nothing half written.
pub trait Sink: Send {
    /// The columns that it keeps, out of all that exist.
    fn bind(&mut self, input: &Schema) -> Result<Vec<ColumnRef>, Vec<Diagnostic>>;

    /// Starts writing into `staging`; published files are in `table`. Both are folders of one file system.
    fn start(&mut self, run: &RunContext, staging: &Path, table: &Path) -> Result<()>;

    /// Takes rows.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Closes what was written since the last call and makes it durable. Returns the files, each in `staging`.
    fn prepare(&mut self) -> Result<Vec<TablePart>>;

    /// Identifies the settings of a sink that was not built from [`Settings`](super::Settings). A run with a sink that has none
    /// cannot be resumed.
    fn digest(&self) -> Option<String> {
        None
    }
}
