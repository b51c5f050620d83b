//! Rejects: rows that could not be used, and why.

use arrow::array::RecordBatch;

use crate::{
    batch::{keep_rows, object_id, origin, row_number},
    error::Result,
};

/// A row that could not be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Its number in the split.
    pub row: u64,
    /// Its identity, if that is known.
    pub object_id: Option<String>,
    /// Where it came from: file, HDU, row.
    pub origin: String,
    /// The label of the stage that rejected it; `source` for the source.
    pub stage: String,
    /// Why: what was found, what was expected.
    pub reason: String,
}

/// The rows that a batch loses on its way.
#[derive(Debug, Default)]
pub struct Rejects {
    /// Rejected rows.
    pub rejected: Vec<Reject>,
    /// How many rows a filter removed.
    pub filtered: u64,
}

impl Rejects {
    /// Removes bad rows (index and reason) from a batch.
    pub fn take(&mut self, batch: RecordBatch, stage: &str, bad: &[(usize, String)]) -> Result<RecordBatch> {
        if bad.is_empty() {
            return Ok(batch);
        }
        let mut keep = vec![true; batch.num_rows()];
        for (row, reason) in bad {
            if !std::mem::replace(&mut keep[*row], false) {
                continue;
            }
            self.rejected.push(Reject {
                row: row_number(&batch, *row)?,
                object_id: Some(object_id(&batch, *row)?.to_owned()),
                origin: origin(&batch, *row)?.to_owned(),
                stage: stage.to_owned(),
                reason: reason.clone(),
            });
        }
        keep_rows(&batch, keep)
    }

    /// Removes the rows that a filter does not keep; they are counted.
    pub fn filter(&mut self, batch: &RecordBatch, keep: Vec<bool>) -> Result<RecordBatch> {
        self.filtered += keep.iter().filter(|keep| !**keep).count() as u64;
        keep_rows(batch, keep)
    }
}
