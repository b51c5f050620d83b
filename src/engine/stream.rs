//! Scored batches, pulled by the caller.

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
    Counts, Job, OnReject,
    back::shaped,
    feed::{Feed, Next, Plan},
    start::start_stages,
};
use crate::{
    error::{Error, Result},
    stage::{Reject, Stop},
};

/// The batches of a job in order, without its monitors and sinks. Dropping it stops its threads.
pub struct Stream {
    schema: SchemaRef,
    feed: Option<Feed>,
    on_reject: OnReject,
    counts: Counts,
    rejects: Vec<Reject>,
}

/// Starts the source and the steps of a job; batches come as the caller pulls them, a bounded number ahead.
///
/// # Errors
/// When a stage cannot start.
pub fn stream(mut job: Job) -> Result<Stream> {
    job.monitors.clear();
    job.sinks.clear();
    let context = start_stages(&mut job, &Stop::default())?;
    let feed = Feed::start(Plan {
        splits: job.source.splits()?.into(),
        source: job.source,
        start: (0, 0),
        limit: job.limit,
        steps: job.steps,
        threads: context.threads,
        batch_rows: context.batch_rows,
        memory_bytes: job.engine.memory_mib << 20,
    })?;
    let on_reject = job.engine.on_reject;
    Ok(Stream { schema: job.output, feed: Some(feed), on_reject, counts: Counts::default(), rejects: Vec::new() })
}

impl Stream {
    /// The next batch that has rows; `None` at the end, and after an error.
    ///
    /// # Errors
    /// As [`run`](super::run); the stream is over then.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let next = self.pull();
        if !matches!(next, Ok(Some(_))) {
            self.feed = None;
        }
        next
    }

    /// Where the rows went so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The rows refused since the last call.
    pub fn take_rejects(&mut self) -> Vec<Reject> {
        std::mem::take(&mut self.rejects)
    }

    fn pull(&mut self) -> Result<Option<RecordBatch>> {
        while let Some(feed) = &mut self.feed {
            let fed = match feed.next(Instant::now() + Duration::from_secs(60))? {
                Next::Batch(fed) => fed,
                Next::Idle => continue,
                Next::End => break,
            };
            let mut rejects = fed.unreadable;
            rejects.extend(fed.worked.rejects.rejected);
            rejects.sort_by_key(|reject| reject.row);
            if let (OnReject::Fail, Some(Reject { origin, stage, reason, .. })) = (self.on_reject, rejects.first()) {
                return Err(Error::data(format!("a row of `{origin}` was refused by `{stage}`: {reason}")));
            }
            self.counts.source += fed.source_rows;
            self.counts.written += fed.worked.rows.num_rows() as u64;
            self.counts.filtered += fed.worked.rejects.filtered;
            self.counts.rejected += rejects.len() as u64;
            self.rejects.append(&mut rejects);
            if fed.worked.rows.num_rows() > 0 {
                return shaped(&fed.worked.rows, &self.schema).map(Some);
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
