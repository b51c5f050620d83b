//! The worker pool: one thread reads the source, workers run the steps, and batches are returned in order.
//!
//! ```text
//! source thread -> bounded channel -> N workers -> channel -> resequencer -> WorkerPool::next
//! ```
//! Every batch in flight holds a permit, and permits are given in the order of the batches. So the batch that is next in order
//! always has one and no deadlock is possible; the channel from the workers needs no separate bound.

use std::{sync::Arc, time::Instant};

use arrow::array::RecordBatch;

use super::{
    JobStage, Queues, Step,
    guard::guarded_engine,
    permits::{Permit, Permits},
    process::{ProcessedBatch, bytes_of, fork, process},
    resequencer::Resequencer,
    source_lag::SourceLag,
    source_progress::SplitOffset,
    source_thread::SourceThread,
};
use crate::{
    error::{Error, Result},
    stage::{Lookups, Reject, Source, Split},
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        channel::{Receiver, RecvTimeoutError, bounded, unbounded},
        thread::{self, JoinHandle},
    },
};

/// The source and how to read it.
pub(super) struct ReadPlan {
    pub(super) source: JobStage<dyn Source>,
    pub(super) splits: Arc<[Split]>,
    /// The splits to read, in order, and where each begins.
    pub(super) start: Vec<SplitOffset>,
    /// The maximum number of rows to read.
    pub(super) limit: Option<u64>,
    pub(super) steps: Vec<Step>,
    pub(super) threads: usize,
    pub(super) batch_rows: usize,
    pub(super) memory_bytes: usize,
}

/// A batch from the source, before the steps.
pub(super) struct SourceBatch {
    pub(super) number: u64,
    /// The offset of its split after it.
    pub(super) after: SplitOffset,
    /// Rows from the source, including unreadable ones.
    pub(super) source_rows: u64,
    /// Those that it looked up in a catalogue.
    pub(super) lookups: Lookups,
    pub(super) source_seconds: f64,
    /// Rows that the source could not read.
    pub(super) unreadable: Vec<Reject>,
    pub(super) rows: RecordBatch,
    pub(super) permit: Permit,
}

/// A batch after the steps, in order.
pub(super) struct OrderedBatch {
    /// The offset of its split after it.
    pub(super) after: SplitOffset,
    /// Rows from the source, including unreadable ones.
    pub(super) source_rows: u64,
    /// Those that it looked up in a catalogue.
    pub(super) lookups: Lookups,
    /// Seconds spent in the source.
    pub(super) source_seconds: f64,
    /// Rows that the source could not read.
    pub(super) unreadable: Vec<Reject>,
    pub(super) processed: ProcessedBatch,
    /// Held until the batch is no longer needed.
    pub(super) permit: Permit,
}

impl OrderedBatch {
    /// The rejected row that comes first in the split.
    pub(super) fn first_reject(&self) -> Option<&Reject> {
        self.unreadable.iter().chain(&self.processed.rejects.rejected).min_by_key(|reject| reject.row)
    }
}

/// What [`WorkerPool::next`] returns.
pub(super) enum Next {
    Batch(Box<OrderedBatch>),
    /// No batch before the deadline.
    Idle,
    End,
}

/// The number of a batch and its result; `None` at the end of the source.
pub(super) type Outcome = (u64, Result<Option<Box<OrderedBatch>>>);

/// The running threads of the pool. Dropping it stops and joins them.
pub(super) struct WorkerPool {
    /// For the number of batches that wait for a worker. Dropped first, so that the source thread notices when the workers end.
    batches: Option<Receiver<SourceBatch>>,
    outcomes: Receiver<Outcome>,
    resequencer: Resequencer<Result<Option<Box<OrderedBatch>>>>,
    permits: Arc<Permits>,
    lag: SourceLag,
    splits: Arc<[Split]>,
    cancelled: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl WorkerPool {
    /// Starts the threads. Source and steps have been started already.
    pub(super) fn start(plan: ReadPlan) -> Result<Self> {
        let threads = plan.threads.max(1);
        // Enough batches that no worker waits for a slower one, and so few that memory use reaches its maximum early.
        let permits = Permits::new(plan.memory_bytes, 3 * threads + 2);
        let cancelled = Arc::new(AtomicBool::new(false));
        let weight = Arc::new(RowWeight::default());
        let (send_batch, batches) = bounded::<SourceBatch>(threads);
        let (send, outcomes) = unbounded::<Outcome>();
        let mut pool = Self {
            batches: Some(batches.clone()),
            outcomes,
            resequencer: Resequencer::new(),
            permits,
            lag: SourceLag::default(),
            splits: plan.splits.clone(),
            cancelled: cancelled.clone(),
            threads: Vec::new(),
        };
        let JobStage { custom, stage: source, .. } = plan.source;
        let mut forks: Vec<Vec<Step>> = (1..threads).map(|_| fork(&plan.steps)).collect();
        let source_thread = SourceThread {
            splits: plan.splits,
            start: plan.start,
            live: source.is_live(),
            offsets_count_rows: source.offsets_count_rows(),
            custom,
            limit: plan.limit.unwrap_or(u64::MAX),
            batch_rows: plan.batch_rows.max(1),
            permits: pool.permits.clone(),
            lag: pool.lag.clone(),
            weight: weight.clone(),
            cancelled: cancelled.clone(),
            batches: send_batch,
            outcomes: send.clone(),
        };
        forks.push(plan.steps);
        for (index, mut steps) in forks.into_iter().enumerate() {
            let (batches, send, weight, cancelled) = (batches.clone(), send.clone(), weight.clone(), cancelled.clone());
            pool.spawn(format!("lucarne-worker-{index}"), move || {
                for batch in batches {
                    let number = batch.number;
                    let outcome = guarded_engine(|| finish(&mut steps, batch, &weight)).flatten();
                    if send.send((number, outcome)).is_err() || cancelled.load(Ordering::Acquire) {
                        break;
                    }
                }
            })?;
        }
        pool.spawn("lucarne-source".into(), move || source_thread.run(source.as_ref()))?;
        Ok(pool)
    }

    /// The next batch in order. An error takes the place of its batch.
    pub(super) fn next(&mut self, deadline: Instant) -> Result<Next> {
        loop {
            if let Some(item) = self.resequencer.take() {
                return item.map(|batch| batch.map_or(Next::End, Next::Batch));
            }
            match self.outcomes.recv_deadline(deadline) {
                Ok((number, item)) => self.resequencer.put(number, item),
                Err(RecvTimeoutError::Timeout) => return Ok(Next::Idle),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::bug("the workers ended before the source"));
                }
            }
        }
    }

    /// The lengths of the queues.
    pub(super) fn queues(&self) -> Queues {
        let (batches, bytes) = self.permits.used();
        let (batches_bound, bytes_bound) = self.permits.bounds();
        Queues {
            unworked: self.batches.as_ref().map_or(0, Receiver::len),
            unworked_bound: self.batches.as_ref().and_then(Receiver::capacity).unwrap_or(0),
            early: self.resequencer.early() + self.outcomes.len(),
            batches,
            batches_bound,
            bytes,
            bytes_bound,
        }
    }

    /// How far the splits of the source are behind, by their ids.
    pub(super) fn source_lag(&self) -> Vec<(String, u64)> {
        self.lag.by_id(&self.splits)
    }

    #[cfg(all(test, shuttle))]
    pub(super) fn permits(&self) -> Arc<Permits> {
        self.permits.clone()
    }

    fn spawn(&mut self, name: String, body: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = thread::Builder::new().name(name).spawn(body);
        self.threads.push(thread.map_err(|error| Error::environment("cannot start a thread").caused_by(error))?);
        Ok(())
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Release);
        self.permits.close();
        self.batches = None;
        for thread in self.threads.drain(..) {
            // Panics of stages were caught where they happened.
            let _ = thread.join();
        }
    }
}

/// An estimate of the bytes that a row needs in the steps, from earlier rows.
#[derive(Default)]
pub(super) struct RowWeight {
    /// The largest peak size per row of a batch.
    bytes: AtomicUsize,
}

impl RowWeight {
    fn learn(&self, rows: usize, peak: usize) {
        self.bytes.fetch_max(peak / rows.max(1), Ordering::Relaxed);
    }

    pub(super) fn expect(&self, rows: usize, read: usize) -> usize {
        read.max(rows.saturating_mul(self.bytes.load(Ordering::Relaxed)))
    }
}

fn finish(steps: &mut [Step], batch: SourceBatch, weight: &RowWeight) -> Result<Option<Box<OrderedBatch>>> {
    let SourceBatch { number, after, source_rows, lookups, source_seconds, unreadable, rows, mut permit } = batch;
    let rows_in = rows.num_rows();
    let processed = process(steps, rows)?;
    weight.learn(rows_in, processed.peak_bytes);
    permit.resize(bytes_of(&processed.rows));
    tracing::debug!(number, rows_in, rows_out = processed.rows.num_rows(), "batch processed");
    Ok(Some(Box::new(OrderedBatch { after, source_rows, lookups, source_seconds, unreadable, processed, permit })))
}
