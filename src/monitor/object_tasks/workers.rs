//! The threads that run per-object tasks.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use arrow::array::RecordBatch;

use super::{ObjectTask, RunContext};
use crate::{
    error::{Error, Result},
    stage::Stop,
    sync::{
        atomic::{AtomicBool, Ordering},
        channel::{Receiver, RecvTimeoutError, Sender, unbounded},
        thread::{self, JoinHandle},
    },
};

/// The number of an object, and its row of the stream.
type NumberedObject = (u64, RecordBatch);
/// The number of an object, and the rows about it; `None` when the task was stopped.
type NumberedResult = (u64, Result<Option<RecordBatch>>);

/// A pool of threads. Dropping it stops and joins them.
pub(super) struct Workers {
    objects: Option<Sender<NumberedObject>>,
    results: Receiver<NumberedResult>,
    cancelled: Arc<AtomicBool>,
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts as many threads as the run has workers. The channels are unbounded: the caller bounds the number of objects.
    pub(super) fn start<T: ObjectTask>(label: &str, task: &Arc<T>, run: &RunContext) -> Result<Self> {
        let (object_sender, objects) = unbounded::<NumberedObject>();
        let (result_sender, results) = unbounded::<NumberedResult>();
        let cancelled = Arc::new(AtomicBool::new(false));
        let mut workers = Self {
            objects: Some(object_sender),
            results,
            cancelled: cancelled.clone(),
            stop: run.stop.clone(),
            threads: Vec::new(),
        };
        for index in 0..run.threads.max(1) {
            let (objects, result_sender) = (objects.clone(), result_sender.clone());
            let (task, label) = (task.clone(), label.to_owned());
            let (cancelled, stop) = (cancelled.clone(), run.stop.clone());
            let work = move || {
                let stopped = || cancelled.load(Ordering::Acquire) || stop.requested();
                for (number, subject) in objects {
                    if stopped() {
                        break;
                    }
                    let result = catch_unwind(AssertUnwindSafe(|| task.run(&subject, &stopped)))
                        .unwrap_or_else(|panic| Err(panicked(&label, panic.as_ref())));
                    if result_sender.send((number, result)).is_err() {
                        break;
                    }
                }
            };
            let thread = thread::Builder::new().name(format!("lucarne-task-{index}")).spawn(work);
            let thread = thread.map_err(|error| Error::environment("cannot start a thread").caused_by(error))?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Queues an object. Threads that were stopped ignore it, so the caller keeps its own copy.
    pub(super) fn submit(&self, number: u64, subject: RecordBatch) {
        if let Some(objects) = &self.objects {
            let _ = objects.send((number, subject));
        }
    }

    /// The next finished object, in the order of completion; `None` when none finished before `until`, or after a stop.
    pub(super) fn next(&self, until: Instant) -> Result<Option<(u64, RecordBatch)>> {
        match self.results.recv_deadline(until) {
            Ok((number, result)) => Ok(result?.map(|rows| (number, rows))),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) if self.stop.requested() => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Error::bug("the threads of a per-object task ended early")),
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Release);
        self.objects = None;
        for thread in self.threads.drain(..) {
            // A panic was already returned as the result of its object.
            let _ = thread.join();
        }
    }
}

fn panicked(label: &str, panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    Error::stage(label, format!("panicked: {text}"))
}
