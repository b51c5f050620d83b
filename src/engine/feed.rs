//! The front of a run: one thread reads splits in order, workers run the steps, and batches are handed out in order.
//!
//! ```text
//! source thread -> bounded channel -> N workers -> channel -> resequencer -> Feed::next
//! ```
//! Everything under way holds a permit, and permits are given in the order of the batches: the batch that is waited for
//! always has one, so nothing waits for ever. The channel from the workers therefore needs no bound of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use arrow::array::RecordBatch;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::{
    Queues, Step,
    memory::{Permit, Permits},
    order::Resequencer,
    workers::{Worked, bytes_of, fork, guarded, work},
};
use crate::{
    error::{Error, Result},
    stage::{Read, Reject, Source, Split},
};

/// How long a reader may wait for rows before it looks whether it should stop.
const PATIENCE: Duration = Duration::from_millis(100);

/// What to read, from where, and how.
pub(super) struct Plan {
    pub(super) source: Box<dyn Source>,
    pub(super) splits: Arc<[Split]>,
    /// Index of the first split to read, and the position in it.
    pub(super) start: (usize, u64),
    /// The most rows to take.
    pub(super) limit: Option<u64>,
    pub(super) steps: Vec<Step>,
    pub(super) threads: usize,
    pub(super) batch_rows: usize,
    pub(super) memory_bytes: usize,
}

/// A batch in order, with all that is known of it.
pub(super) struct Fed {
    /// Where the source stands after it: index of the split, position in it.
    pub(super) after: (usize, u64),
    /// Rows that the source gave, unreadable ones included.
    pub(super) source_rows: u64,
    /// Seconds that the source took.
    pub(super) source_seconds: f64,
    /// Rows that the source could not read.
    pub(super) unreadable: Vec<Reject>,
    pub(super) worked: Worked,
    /// Held until the batch is done with.
    pub(super) permit: Permit,
}

/// What [`Feed::next`] gives.
pub(super) enum Next {
    Batch(Box<Fed>),
    /// Nothing before the deadline.
    Idle,
    End,
}

struct Raw {
    number: u64,
    after: (usize, u64),
    source_rows: u64,
    source_seconds: f64,
    unreadable: Vec<Reject>,
    rows: RecordBatch,
    permit: Permit,
}

type Outcome = (u64, Result<Option<Box<Fed>>>);

/// The running front of a run. Dropping it stops and joins its threads.
pub(super) struct Feed {
    /// To see how many batches wait for a worker; given up first, for the source to notice when the workers are gone.
    raws: Option<Receiver<Raw>>,
    outcomes: Receiver<Outcome>,
    order: Resequencer<Result<Option<Box<Fed>>>>,
    permits: Arc<Permits>,
    cancelled: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Feed {
    /// Starts the threads. Source and steps are started already.
    pub(super) fn start(plan: Plan) -> Result<Self> {
        let threads = plan.threads.max(1);
        // Enough that no worker waits for a slow neighbour; few enough that memory is flat from early on.
        let permits = Permits::new(plan.memory_bytes, 3 * threads + 2);
        let cancelled = Arc::new(AtomicBool::new(false));
        let weight = Arc::new(RowWeight::default());
        let (send_raw, raws) = bounded::<Raw>(threads);
        let (send, outcomes) = unbounded::<Outcome>();
        let mut feed = Self {
            raws: Some(raws.clone()),
            outcomes,
            order: Resequencer::new(),
            permits,
            cancelled: cancelled.clone(),
            threads: Vec::new(),
        };
        let mut forks: Vec<Vec<Step>> = (1..threads).map(|_| fork(&plan.steps)).collect();
        let reading = Reading {
            splits: plan.splits,
            start: plan.start,
            limit: plan.limit,
            batch_rows: plan.batch_rows.max(1),
            permits: feed.permits.clone(),
            weight: weight.clone(),
            cancelled: cancelled.clone(),
            raws: send_raw,
            outcomes: send.clone(),
        };
        forks.push(plan.steps);
        for (index, mut steps) in forks.into_iter().enumerate() {
            let (raws, send, weight, cancelled) = (raws.clone(), send.clone(), weight.clone(), cancelled.clone());
            feed.spawn(format!("lucarne-worker-{index}"), move || {
                for raw in raws {
                    let number = raw.number;
                    let outcome = guarded("engine", || Ok(finish(&mut steps, raw, &weight)));
                    let outcome = outcome.unwrap_or_else(|error| (number, Err(error)));
                    if send.send(outcome).is_err() || cancelled.load(Ordering::Acquire) {
                        break;
                    }
                }
            })?;
        }
        let source = plan.source;
        feed.spawn("lucarne-source".into(), move || reading.run(source.as_ref()))?;
        Ok(feed)
    }

    /// The next batch in order; an error comes in the place of the batch that it concerns.
    pub(super) fn next(&mut self, deadline: Instant) -> Result<Next> {
        loop {
            if let Some(item) = self.order.take() {
                return item.map(|fed| fed.map_or(Next::End, Next::Batch));
            }
            match self.outcomes.recv_deadline(deadline) {
                Ok((number, item)) => self.order.put(number, item),
                Err(RecvTimeoutError::Timeout) => return Ok(Next::Idle),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::bug("the workers ended before the source"));
                }
            }
        }
    }

    /// What waits where.
    pub(super) fn queues(&self) -> Queues {
        let (batches, bytes) = self.permits.used();
        let (batches_bound, bytes_bound) = self.permits.bounds();
        Queues {
            unworked: self.raws.as_ref().map_or(0, Receiver::len),
            unworked_bound: self.raws.as_ref().and_then(Receiver::capacity).unwrap_or(0),
            early: self.order.early() + self.outcomes.len(),
            batches,
            batches_bound,
            bytes,
            bytes_bound,
        }
    }

    fn spawn(&mut self, name: String, body: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = thread::Builder::new().name(name).spawn(body);
        self.threads.push(thread.map_err(|error| Error::environment(format!("cannot start a thread: {error}")))?);
        Ok(())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Release);
        self.permits.close();
        self.raws = None;
        for thread in self.threads.drain(..) {
            // Panics of stages were caught where they happened.
            let _ = thread.join();
        }
    }
}

/// How heavy a row becomes on its way through the steps, learnt from those that went it.
#[derive(Default)]
struct RowWeight {
    /// The most bytes a row that a batch had at its widest.
    bytes: AtomicUsize,
}

impl RowWeight {
    fn learn(&self, rows: usize, peak: usize) {
        self.bytes.fetch_max(peak / rows.max(1), Ordering::Relaxed);
    }

    fn expect(&self, rows: usize, read: usize) -> usize {
        read.max(rows.saturating_mul(self.bytes.load(Ordering::Relaxed)))
    }
}

fn finish(steps: &mut [Step], raw: Raw, weight: &RowWeight) -> Outcome {
    let Raw { number, after, source_rows, source_seconds, unreadable, rows, mut permit } = raw;
    let given = rows.num_rows();
    let worked = work(steps, rows).map(|worked| {
        weight.learn(given, worked.peak_bytes);
        permit.resize(bytes_of(&worked.rows));
        tracing::debug!(number, given, left = worked.rows.num_rows(), "batch worked");
        Some(Box::new(Fed { after, source_rows, source_seconds, unreadable, worked, permit }))
    });
    (number, worked)
}

/// The source thread.
struct Reading {
    splits: Arc<[Split]>,
    start: (usize, u64),
    limit: Option<u64>,
    batch_rows: usize,
    permits: Arc<Permits>,
    weight: Arc<RowWeight>,
    cancelled: Arc<AtomicBool>,
    raws: Sender<Raw>,
    outcomes: Sender<Outcome>,
}

impl Reading {
    fn run(self, source: &dyn Source) {
        let mut number = 0;
        let end = guarded("source", || self.read(source, &mut number));
        // Nobody listens any more when the run was given up.
        let _ = self.outcomes.send((number, end.map(|()| None)));
    }

    fn read(&self, source: &dyn Source, number: &mut u64) -> Result<()> {
        let (first, mut position) = self.start;
        let mut left = self.limit.unwrap_or(u64::MAX);
        for (index, split) in self.splits.iter().enumerate().skip(first) {
            if left == 0 {
                break;
            }
            let mut reader = source.open(split, std::mem::take(&mut position))?;
            while left > 0 {
                if self.cancelled.load(Ordering::Acquire) {
                    return Ok(());
                }
                let begun = Instant::now();
                let before = reader.offset();
                let most = self.batch_rows.min(usize::try_from(left).unwrap_or(usize::MAX));
                let (rows, unreadable) = match reader.next(most, begun + PATIENCE)? {
                    Read::Batch { rows, rejects } => (rows, rejects),
                    Read::Idle => continue,
                    Read::End => break,
                };
                let source_rows = (rows.num_rows() + unreadable.len()) as u64;
                let after = reader.offset();
                check(split, (before, after), source_rows, most as u64)?;
                left -= source_rows;
                let source_seconds = begun.elapsed().as_secs_f64();
                let bytes = self.weight.expect(rows.num_rows(), bytes_of(&rows));
                let Some(permit) = self.permits.acquire(bytes) else { return Ok(()) };
                let after = (index, after);
                let raw = Raw { number: *number, after, source_rows, source_seconds, unreadable, rows, permit };
                *number += 1;
                if self.raws.send(raw).is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// A reader that miscounts would lose or repeat rows after a restart.
fn check(split: &Split, (before, after): (u64, u64), rows: u64, most: u64) -> Result<()> {
    if before + rows == after && rows <= most {
        return Ok(());
    }
    Err(Error::bug(format!(
        "the source gave {rows} rows of `{}` when asked for {most}, and says that it went from position {before} to {after}",
        split.id
    )))
}
