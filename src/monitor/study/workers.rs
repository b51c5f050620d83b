//! The threads of a study.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use arrow::array::RecordBatch;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::{RunContext, Study};
use crate::{
    error::{Error, Result},
    stage::Stop,
};

type Task = (u64, RecordBatch);
type Outcome = (u64, Result<Option<RecordBatch>>);

/// Threads that work on objects. Dropping them stops and joins them.
pub(super) struct Workers {
    tasks: Option<Sender<Task>>,
    outcomes: Receiver<Outcome>,
    cancelled: Arc<AtomicBool>,
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts a thread for every worker thread of the run. The number of waiting tasks is bounded by whoever gives them.
    pub(super) fn start<S: Study>(label: &str, study: &Arc<S>, run: &RunContext) -> Result<Self> {
        let (give, tasks) = unbounded::<Task>();
        let (send, outcomes) = unbounded::<Outcome>();
        let cancelled = Arc::new(AtomicBool::new(false));
        let stop = run.stop.clone();
        let mut workers = Self { tasks: Some(give), outcomes, cancelled: cancelled.clone(), stop, threads: Vec::new() };
        for index in 0..run.threads.max(1) {
            let (tasks, send) = (tasks.clone(), send.clone());
            let (study, label, cancelled, stop) =
                (study.clone(), label.to_owned(), cancelled.clone(), run.stop.clone());
            let work = move || {
                let stopped = || cancelled.load(Ordering::Acquire) || stop.requested();
                for (number, subject) in tasks {
                    if stopped() {
                        break;
                    }
                    let done = catch_unwind(AssertUnwindSafe(|| study.study(&subject, &stopped)))
                        .unwrap_or_else(|_| Err(Error::bug(format!("the study `{label}` panicked"))));
                    if send.send((number, done)).is_err() {
                        break;
                    }
                }
            };
            let thread = thread::Builder::new().name(format!("lucarne-study-{index}")).spawn(work);
            let thread = thread.map_err(|error| Error::environment(format!("cannot start a thread: {error}")))?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Gives them an object. Threads that were told to stop take none any more: whoever gave it keeps it.
    pub(super) fn give(&self, number: u64, subject: RecordBatch) {
        if let Some(tasks) = &self.tasks {
            let _ = tasks.send((number, subject));
        }
    }

    /// The next object that is done, in whatever order; `None` when none was before `until`, or when they were told to stop.
    pub(super) fn next(&self, until: Instant) -> Result<Option<(u64, RecordBatch)>> {
        match self.outcomes.recv_deadline(until) {
            Ok((number, done)) => Ok(done?.map(|rows| (number, rows))),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) if self.stop.requested() => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Error::bug("the threads of a study are gone")),
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Release);
        self.tasks = None;
        for thread in self.threads.drain(..) {
            // A panic was told already, as the outcome of its object.
            let _ = thread.join();
        }
    }
}
