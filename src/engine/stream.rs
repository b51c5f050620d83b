//! Streams of scored batches for the caller.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{
    array::{RecordBatch, RecordBatchReader},
    datatypes::SchemaRef,
    error::ArrowError,
};

use super::{
    Job,
    ordered_tail::{check_rejects, with_schema},
    source_progress::{SourceProgress, check_ids},
    start::start_stages,
    worker_pool::{Next, ReadPlan, WorkerPool},
};
use crate::{
    error::Result,
    run::{Counts, OnReject},
    stage::{Reject, Split, Stop},
};

/// The batches of a job in order, without its monitors and sinks. Dropping it stops its threads.
pub struct Stream {
    schema: SchemaRef,
    pool: Option<WorkerPool>,
    on_reject: OnReject,
    counts: Counts,
    rejects: Vec<Reject>,
}

/// Starts the source and the steps of a job; batches are processed as the caller pulls them, a bounded number ahead.
///
/// # Errors
/// When a stage cannot start.
pub fn stream(mut job: Job) -> Result<Stream> {
    job.monitors.clear();
    job.sinks.clear();
    let context = start_stages(&mut job, &Stop::default())?;
    let splits: Arc<[Split]> = job.source.stage.splits()?.into();
    check_ids(&splits)?;
    let pool = WorkerPool::start(ReadPlan {
        start: SourceProgress::new(&splits, job.source.stage.is_live()).remaining(),
        splits,
        source: job.source,
        limit: job.limit,
        steps: job.steps,
        threads: context.threads,
        batch_rows: context.batch_rows,
        memory_bytes: job.engine.memory_mib << 20,
    })?;
    let on_reject = job.engine.on_reject;
    Ok(Stream { schema: job.output, pool: Some(pool), on_reject, counts: Counts::default(), rejects: Vec::new() })
}

impl Stream {
    /// The next batch with rows; `None` at the end, and after an error.
    ///
    /// # Errors
    /// As for [`run`](super::run). The stream then ends.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let next = self.pull();
        if !matches!(next, Ok(Some(_))) {
            self.pool = None;
        }
        next
    }

    /// Rows read, written, filtered and rejected so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The rows rejected since the last call.
    pub fn take_rejects(&mut self) -> Vec<Reject> {
        std::mem::take(&mut self.rejects)
    }

    fn pull(&mut self) -> Result<Option<RecordBatch>> {
        while let Some(pool) = &mut self.pool {
            let batch = match pool.next(Instant::now() + Duration::from_secs(60))? {
                Next::Batch(batch) => batch,
                Next::Idle => continue,
                Next::End => break,
            };
            check_rejects(self.on_reject, &batch)?;
            let mut rejects = batch.unreadable;
            rejects.extend(batch.processed.rejects.rejected);
            rejects.sort_by_key(|reject| reject.row);
            self.counts.source += batch.source_rows;
            self.counts.written += batch.processed.rows.num_rows() as u64;
            self.counts.filtered += batch.processed.rejects.filtered;
            self.counts.rejected += rejects.len() as u64;
            self.rejects.append(&mut rejects);
            if batch.processed.rows.num_rows() > 0 {
                return with_schema(&batch.processed.rows, &self.schema).map(Some);
            }
        }
        Ok(None)
    }
}

impl Iterator for Stream {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().map_err(|error| ArrowError::ExternalError(Box::new(error))).transpose()
    }
}

impl RecordBatchReader for Stream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
