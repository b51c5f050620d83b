//! Scored batches, pulled by the caller.

use arrow::{
    array::{RecordBatch, RecordBatchReader},
    datatypes::SchemaRef,
    error::ArrowError,
};

use super::{Counts, Job};
use crate::{
    error::{Error, Result},
    stage::Reject,
};

/// The batches of a job in order, without its monitors and sinks. Dropping it stops its threads.
pub struct Stream {
    schema: SchemaRef,
    counts: Counts,
}

/// Starts the source and the steps of a job; batches come as the caller pulls them, a bounded number ahead.
///
/// # Errors
/// When a stage cannot start.
pub fn stream(job: Job) -> Result<Stream> {
    Err(Error::Bug(format!("nothing runs {} steps yet", job.steps.len())))
}

impl Stream {
    /// Where the rows went so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The rows refused since the last call.
    pub fn take_rejects(&mut self) -> Vec<Reject> {
        Vec::new()
    }
}

impl Iterator for Stream {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}

impl RecordBatchReader for Stream {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
