//! Sinks: what is kept of the rows.

use std::path::Path;

use arrow::{array::RecordBatch, datatypes::Schema};

use super::{ColumnRef, RunContext, TablePart};
use crate::error::{Diagnostic, Error, Result};

/// Keeps rows. Files are written to a staging folder and become visible only when the engine publishes them, so a killed run
/// leaves nothing half written.
pub trait Sink: Send {
    /// The columns that it keeps, out of all that exist.
    fn bind(&mut self, input: &Schema) -> Result<Vec<ColumnRef>, Vec<Diagnostic>>;

    /// Starts writing into `staging`; published files are in `table`. Both are folders of one file system.
    fn start(&mut self, run: &RunContext, staging: &Path, table: &Path) -> Result<()>;

    /// Takes rows.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Makes durable what was written since the last call, except for rows that the snapshot holds. Returns the files, each in
    /// `staging`, with names of letters, digits, `_`, `-`, `+` and `.`.
    fn prepare(&mut self) -> Result<Vec<TablePart>>;

    /// Hands to the world outside what the table holds and was not handed over yet. It is called after every commit, when a run continues
    /// from one, and when a finished run is resumed: a process may be killed after a commit and before this.
    ///
    /// # Errors
    /// [`Error::Environment`] when it cannot be handed over now. The run ends, and a resume tries again.
    fn deliver(&mut self, _table: &Path) -> Result<()> {
        Ok(())
    }

    /// Writes the remaining rows, after the last one of the stream.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    /// The rows of a file that is not full yet; empty if every file is full. Files must not depend on commits, so a commit does not
    /// close them early.
    ///
    /// # Errors
    /// When it cannot be written.
    fn snapshot(&self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    /// Continues from a snapshot that is not empty, after [`start`](Self::start).
    ///
    /// # Errors
    /// When it is damaged, or another sink's.
    fn restore(&mut self, _snapshot: &[u8]) -> Result<()> {
        Err(Error::data("this sink has no snapshots"))
    }

    /// Keys of its settings that do not change what it does with rows: how brokers are reached. A run continues with others.
    fn unidentifying(&self) -> &'static [&'static str] {
        &[]
    }

    /// Identifies the settings of a sink that was not built from [`Settings`](super::Settings). A run with a sink that has none
    /// cannot be resumed.
    fn digest(&self) -> Option<String> {
        None
    }
}
