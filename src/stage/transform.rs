//! Transforms: columns of every row, or fewer rows.

use std::path::PathBuf;

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema},
};

use super::{ColumnRef, Rejects, RunContext};
use crate::error::{Diagnostic, Result};

/// What a planner that keeps only the steps it needs must know of a transform.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransformRole {
    /// Adds columns: needed if something reads them.
    Columns,
    /// Adds a stretched copy of an image, as models expect it.
    Stretch {
        /// The image column before the stretch.
        image: String,
    },
    /// Removes rows: always needed.
    Filter,
}

/// Adds columns to every row (named by its label, or beginning with it), or removes rows. The result of a row depends on the row,
/// the settings and the seed alone: transforms keep no state between rows, and copies of them run in parallel.
pub trait Transform: Send {
    /// The columns it reads. Once bound it also names those found beside them: the variance, mask and PSF of an image.
    fn required_columns(&self) -> Vec<ColumnRef>;

    /// Whether it adds columns, stretches an image or removes rows.
    fn role(&self) -> TransformRole {
        TransformRole::Columns
    }

    /// Steps that must run before this one and that equal steps can share (common subexpressions). Each has a hidden label
    /// (`_...`) that identifies its settings: the planner runs one step per label.
    fn prerequisites(&self) -> Vec<(String, Box<dyn Transform>)> {
        Vec::new()
    }

    /// The columns it adds, given those before it (all required columns exist).
    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>>;

    /// Prepares for the run.
    fn start(&mut self, _run: &RunContext) -> Result<()> {
        Ok(())
    }

    /// The batch with the new columns appended, without the rows passed to `rejects`.
    fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch>;

    /// A copy for another thread (after `start`).
    fn fork(&self) -> Box<dyn Transform>;

    /// The files that it has read beside the stream: references, catalogues, constants. A resume with other content is refused.
    fn input_files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Identifies the settings of a transform that was not built from [`Settings`](super::Settings): equal digests promise equal
    /// columns. A run with a transform that has none cannot be resumed.
    fn digest(&self) -> Option<String> {
        None
    }
}
