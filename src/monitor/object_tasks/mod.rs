//! Per-object tasks: slow work on single objects, beside the stream.
//!
//! An [`ObjectTask`] receives one row of the stream at a time and returns rows of a table about that object. Objects are
//! accepted in stream order and processed by dedicated threads. Their rows are emitted in the order in which the objects were
//! accepted, so the table does not depend on timing. The stream blocks only while the queue of accepted objects is full.
//! Objects that were accepted but not emitted are part of the snapshot, so neither a commit nor a stop waits for them.

mod sample;
mod waiting;
mod workers;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{
    array::{RecordBatch, UInt64Array},
    compute::take_record_batch,
    datatypes::{DataType, Schema, SchemaRef},
};

pub(super) use self::sample::Sample;
use self::{
    sample::SampleKey,
    waiting::{TaskSource, Waiting},
    workers::Workers,
};
use super::kit::bottom_k::BottomK;
use crate::{
    batch::object_id,
    error::{Code, Diagnostic, Error, Result},
    stage::{ColumnRef, Monitor, MonitorOutput, Progress, RowsOut, RunContext, Scorers, UpstreamSchemas},
};

/// Queued objects per thread before the stream blocks.
const QUEUE_PER_THREAD: usize = 16;
/// How long a full queue waits for a result before it checks the stop flag again.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Bytes of a queued object besides its rows: keys of the maps and Arrow headers.
const OVERHEAD_BYTES: usize = 1024;

/// Work on single objects that is too slow for the stream.
pub(super) trait ObjectTask: Send + Sync + 'static {
    /// The columns it reads.
    fn required_columns(&self) -> Vec<ColumnRef>;
    /// The scores whose models it queries.
    fn model_queries(&self) -> Vec<ColumnRef>;
    /// The schema of its rows.
    fn bind(&mut self, input: &Schema, upstream: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>>;
    /// An upper bound of the rows it returns for one object. Called after `bind`.
    fn max_rows_per_object(&self) -> usize {
        1
    }
    /// Prepares for the run.
    fn start(&mut self, run: &RunContext, scorers: &Scorers) -> Result<()>;
    /// The rows about the object of `subject`, a batch of one row. Checks `stopped` several times a second, and returns `None`
    /// once it is true.
    fn run(&self, subject: &RecordBatch, stopped: &dyn Fn() -> bool) -> Result<Option<RecordBatch>>;
}

/// The monitor that runs a task on sampled objects of the stream.
pub(super) struct ObjectTasks<T> {
    kind: &'static str,
    label: String,
    task: Arc<T>,
    sample: Sample,
    /// Bytes of a row of the stream.
    row_bytes: usize,
    /// Bytes of all rows about one object.
    output_bytes: usize,
    run: RunContext,
    /// The sampled objects so far, if the sample has a limit: which objects are in it is known only at the end of the stream.
    smallest: Option<BottomK<SampleKey, RecordBatch>>,
    /// Objects accepted but not emitted, by row number in the stream.
    pending: BTreeMap<u64, RecordBatch>,
    /// Rows about pending objects that have to wait for an earlier object.
    done: BTreeMap<u64, RecordBatch>,
    workers: Option<Workers>,
    /// Rows of the stream so far.
    seen: u64,
}

impl<T: ObjectTask> ObjectTasks<T> {
    pub(super) fn new(kind: &'static str, label: &str, task: T, sample: Sample) -> Self {
        Self {
            kind,
            label: label.to_owned(),
            task: Arc::new(task),
            sample,
            row_bytes: 0,
            output_bytes: 0,
            run: RunContext::default(),
            smallest: sample.limit.map(BottomK::new),
            pending: BTreeMap::new(),
            done: BTreeMap::new(),
            workers: None,
            seen: 0,
        }
    }

    /// The task, before threads share it.
    fn task_mut(&mut self) -> Result<&mut T> {
        let shared = || Error::bug(format!("the threads of `{}` run before it was started", self.label));
        Arc::get_mut(&mut self.task).ok_or_else(shared)
    }

    fn accept(&mut self, number: u64, subject: RecordBatch) -> Result<()> {
        let workers = match &self.workers {
            Some(workers) => workers,
            None => self.workers.insert(Workers::start(&self.label, &self.task, &self.run)?),
        };
        workers.submit(number, subject.clone());
        self.pending.insert(number, subject);
        Ok(())
    }

    /// Receives results until `until`, or until nothing is pending, and emits those that are next in order.
    fn collect(&mut self, until: Instant, out: &mut MonitorOutput) -> Result<()> {
        if let Some(workers) = &self.workers {
            while !self.pending.is_empty()
                && let Some((number, rows)) = workers.next(until)?
            {
                self.done.insert(number, rows);
                emit_in_order(&mut self.pending, &mut self.done, out);
            }
        }
        Ok(())
    }

    fn source(&self) -> TaskSource<'_> {
        let scores = self.task.model_queries().into_iter().map(|query| query.column).collect();
        TaskSource { kind: self.kind, label: &self.label, scores, sample: self.sample }
    }

    fn queue_capacity(&self) -> usize {
        QUEUE_PER_THREAD * self.run.threads.max(1)
    }
}

impl<T: ObjectTask> Monitor for ObjectTasks<T> {
    fn required_columns(&self) -> Vec<ColumnRef> {
        self.task.required_columns()
    }

    fn model_queries(&self) -> Vec<ColumnRef> {
        self.task.model_queries()
    }

    fn bind(&mut self, input: &Schema, upstream: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        self.row_bytes = row_bytes(input);
        let task = self.task_mut().map_err(|error| vec![Diagnostic::at("", Code::Conflict, error.to_string())])?;
        let table = task.bind(input, upstream)?;
        self.output_bytes = self.task.max_rows_per_object() * row_bytes(&table);
        Ok(table)
    }

    fn start(&mut self, run: &RunContext, scorers: &Scorers) -> Result<()> {
        self.run = run.clone();
        self.task_mut()?.start(run, scorers)
    }

    fn observe(&mut self, batch: &RecordBatch) -> Result<MonitorOutput> {
        let mut out = MonitorOutput::default();
        for row in 0..batch.num_rows() {
            let number = self.seen;
            self.seen += 1;
            let Some(key) = self.sample.key(self.run.seed, object_id(batch, row)?, number) else { continue };
            match &mut self.smallest {
                Some(smallest) if smallest.accepts(&key) => smallest.insert(key, copy_row(batch, row)?),
                Some(_) => {}
                None => {
                    // After a stop request the queue may grow: the snapshot keeps what it holds, and the run ends soon.
                    while self.pending.len() >= self.queue_capacity() && !self.run.stop.requested() {
                        self.collect(Instant::now() + POLL_INTERVAL, &mut out)?;
                    }
                    self.accept(number, copy_row(batch, row)?)?;
                }
            }
        }
        self.collect(Instant::now(), &mut out)?;
        Ok(out)
    }

    fn drain(&mut self, until: Instant) -> Result<(MonitorOutput, Progress)> {
        if let Some(smallest) = &mut self.smallest {
            let mut sampled: Vec<(SampleKey, RecordBatch)> = smallest.drain().collect();
            sampled.sort_unstable_by_key(|(key, _)| key.number);
            for (key, subject) in sampled {
                self.accept(key.number, subject)?;
            }
        }
        let mut out = MonitorOutput::default();
        self.collect(until, &mut out)?;
        let progress = if self.pending.is_empty() { Progress::Done } else { Progress::Pending };
        Ok((out, progress))
    }

    fn finish(&mut self) -> Result<MonitorOutput> {
        self.workers = None;
        Ok(MonitorOutput::default())
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        let sampled = self.smallest.iter().flat_map(BottomK::iter).map(|(key, row)| (key.number, row));
        Waiting::write(&self.source(), self.seen, self.pending.iter().map(|(number, row)| (*number, row)), sampled)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<()> {
        let waiting = Waiting::read(&self.source(), snapshot)?;
        self.seen = waiting.seen;
        for (number, row) in waiting.sampled {
            let key = self.sample.key(self.run.seed, object_id(&row, 0)?, number);
            if let (Some(smallest), Some(key)) = (&mut self.smallest, key) {
                smallest.insert(key, row);
            }
        }
        waiting.pending.into_iter().try_for_each(|(number, row)| self.accept(number, row))
    }

    fn state_bound_bytes(&self) -> usize {
        let objects = self.sample.limit.unwrap_or(0) + self.queue_capacity();
        // The rows about an object are held beside it until every earlier object is emitted.
        objects * (self.row_bytes + self.output_bytes + OVERHEAD_BYTES)
    }

    fn pending_objects(&self) -> Option<usize> {
        Some(self.pending.len() + self.smallest.as_ref().map_or(0, BottomK::len))
    }
}

/// Emits finished objects up to the first that is not finished.
fn emit_in_order(
    pending: &mut BTreeMap<u64, RecordBatch>,
    done: &mut BTreeMap<u64, RecordBatch>,
    out: &mut MonitorOutput,
) {
    while let Some(first) = pending.first_entry() {
        let Some(rows) = done.remove(first.key()) else { break };
        out.rows.push(RowsOut { rows, about: Some(first.remove()) });
    }
}

/// A copy of one row: a slice would keep the buffers of the complete batch alive.
fn copy_row(batch: &RecordBatch, row: usize) -> Result<RecordBatch> {
    Ok(take_record_batch(batch, &UInt64Array::from(vec![row as u64]))?)
}

/// About how many bytes a row takes: exact for numbers and lists, 256 for a text.
fn row_bytes(schema: &Schema) -> usize {
    let bytes = |data_type: &DataType| match data_type {
        DataType::FixedSizeList(item, length) => {
            item.data_type().primitive_width().unwrap_or(8) * usize::try_from(*length).unwrap_or(0)
        }
        other => other.primitive_width().unwrap_or(256),
    };
    schema.fields().iter().map(|field| bytes(field.data_type())).sum()
}

#[cfg(all(test, shuttle))]
mod schedules;
#[cfg(test)]
mod tests;
