//! Work on single objects that takes long, beside the stream.
//!
//! A study is given one row of the stream at a time and makes the rows of a table about it. Objects are accepted in the
//! order of the stream and worked on by threads of their own; what comes of them is said in the order in which they were
//! accepted, so the table does not depend on timing. The stream is held back only while more than a bounded number of
//! objects waits. Whatever is accepted and not yet said is part of a snapshot, so that neither a commit nor a stop waits.

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
    datatypes::{Schema, SchemaRef},
};

pub(super) use self::sample::Sample;
use self::{
    sample::StudyKey,
    waiting::{StudySource, Waiting},
    workers::Workers,
};
use super::kit::bottom_k::BottomK;
use crate::{
    batch::object_id,
    error::{Diagnostic, Error, Result},
    stage::{ColumnRef, Monitor, MonitorOutput, Progress, RowsOut, RunContext, Scorers, UpstreamSchemas},
};

/// How many objects may wait for each thread before the stream is held back.
const QUEUE_PER_THREAD: usize = 16;
/// How long one waits for a study before one looks at the clock and the stop flag.
const PATIENCE: Duration = Duration::from_millis(20);

/// What is done to an object.
pub(super) trait Study: Send + Sync + 'static {
    /// The columns that it reads.
    fn required_columns(&self) -> Vec<ColumnRef>;
    /// The scores whose models it asks.
    fn model_queries(&self) -> Vec<ColumnRef>;
    /// The schema of its rows.
    fn bind(&mut self, input: &Schema, above: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>>;
    /// The most rows that it makes of one object, once bound.
    fn rows_of_one(&self) -> usize {
        1
    }
    /// Prepares for the run.
    fn start(&mut self, run: &RunContext, scorers: &Scorers) -> Result<()>;
    /// The rows about the one row of `subject`; `None` when it was told to stop, which it looks at often.
    fn study(&self, subject: &RecordBatch, stopped: &dyn Fn() -> bool) -> Result<Option<RecordBatch>>;
}

/// The monitor that a study makes.
pub(super) struct Studied<S> {
    kind: &'static str,
    label: String,
    study: Arc<S>,
    sample: Sample,
    /// Bytes of a row of the stream, and of all that is said of one.
    row_bytes: usize,
    said_bytes: usize,
    run: RunContext,
    /// With a limit: the best objects so far; which they are is known at the end.
    smallest: Option<BottomK<StudyKey, RecordBatch>>,
    /// Accepted and not yet said, by their numbers.
    pending: BTreeMap<u64, RecordBatch>,
    /// Done, but an earlier one is not.
    done: BTreeMap<u64, RecordBatch>,
    workers: Option<Workers>,
    /// Rows seen.
    seen: u64,
}

impl<S: Study> Studied<S> {
    pub(super) fn new(kind: &'static str, label: &str, study: S, sample: Sample) -> Self {
        Self {
            kind,
            label: label.to_owned(),
            study: Arc::new(study),
            sample,
            row_bytes: 0,
            said_bytes: 0,
            run: RunContext::default(),
            smallest: sample.limit.map(BottomK::new),
            pending: BTreeMap::new(),
            done: BTreeMap::new(),
            workers: None,
            seen: 0,
        }
    }

    fn study_mut(&mut self) -> Result<&mut S> {
        let shared = || Error::bug(format!("the study `{}` is shared before it has started", self.label));
        Arc::get_mut(&mut self.study).ok_or_else(shared)
    }

    fn accept(&mut self, number: u64, subject: RecordBatch) -> Result<()> {
        let workers = match &self.workers {
            Some(workers) => workers,
            None => self.workers.insert(Workers::start(&self.label, &self.study, &self.run)?),
        };
        workers.give(number, subject.clone());
        self.pending.insert(number, subject);
        Ok(())
    }

    /// Takes what the threads have done, waiting for it until `until` at most, and says what is next in order.
    fn collect(&mut self, until: Instant, out: &mut MonitorOutput) -> Result<()> {
        if let Some(workers) = &self.workers {
            while let Some((number, rows)) = workers.next(until)? {
                self.done.insert(number, rows);
                say(&mut self.pending, &mut self.done, out);
                if self.pending.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn source(&self) -> StudySource<'_> {
        let scores = self.study.model_queries().into_iter().map(|query| query.column).collect();
        StudySource { kind: self.kind, label: &self.label, scores, sample: self.sample }
    }

    fn queue(&self) -> usize {
        QUEUE_PER_THREAD * self.run.threads.max(1)
    }
}

impl<S: Study> Monitor for Studied<S> {
    fn required_columns(&self) -> Vec<ColumnRef> {
        self.study.required_columns()
    }

    fn model_queries(&self) -> Vec<ColumnRef> {
        self.study.model_queries()
    }

    fn bind(&mut self, input: &Schema, above: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        self.row_bytes = row_bytes(input);
        let study = self.study_mut();
        let study = study.map_err(|error| vec![Diagnostic::at("", crate::error::Code::Conflict, error.to_string())])?;
        let table = study.bind(input, above)?;
        self.said_bytes = self.study.rows_of_one() * row_bytes(&table);
        Ok(table)
    }

    fn start(&mut self, run: &RunContext, scorers: &Scorers) -> Result<()> {
        self.run = run.clone();
        self.study_mut()?.start(run, scorers)
    }

    fn observe(&mut self, batch: &RecordBatch) -> Result<MonitorOutput> {
        let mut out = MonitorOutput::default();
        for row in 0..batch.num_rows() {
            let number = self.seen;
            self.seen += 1;
            let Some(key) = self.sample.key(self.run.seed, object_id(batch, row)?, number) else { continue };
            match &mut self.smallest {
                Some(smallest) if smallest.accepts(&key) => smallest.insert(key, row_of(batch, row)?),
                Some(_) => {}
                None => {
                    // When the run is told to stop the queue may grow: what it holds is kept by the snapshot.
                    while self.pending.len() >= self.queue() && !self.run.stop.requested() {
                        self.collect(Instant::now() + PATIENCE, &mut out)?;
                    }
                    self.accept(number, row_of(batch, row)?)?;
                }
            }
        }
        self.collect(Instant::now(), &mut out)?;
        Ok(out)
    }

    fn drain(&mut self, until: Instant) -> Result<(MonitorOutput, Progress)> {
        if let Some(smallest) = &mut self.smallest {
            let mut sampled: Vec<(StudyKey, RecordBatch)> = smallest.drain().collect();
            sampled.sort_unstable_by_key(|(key, _)| key.number);
            for (key, subject) in sampled {
                self.accept(key.number, subject)?;
            }
        }
        let mut out = MonitorOutput::default();
        self.collect(until, &mut out)?;
        let left = if self.pending.is_empty() { Progress::Done } else { Progress::Pending };
        Ok((out, left))
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
        let rows = self.sample.limit.unwrap_or(0) + self.queue();
        // What is said of an object waits beside it while one before it is under way.
        rows * (self.row_bytes + self.said_bytes + 1024)
    }

    fn pending_objects(&self) -> Option<usize> {
        Some(self.pending.len() + self.smallest.as_ref().map_or(0, BottomK::len))
    }
}

/// Says what is done, as far as nothing before it is not.
fn say(pending: &mut BTreeMap<u64, RecordBatch>, done: &mut BTreeMap<u64, RecordBatch>, out: &mut MonitorOutput) {
    while let Some(first) = pending.first_entry() {
        let Some(rows) = done.remove(first.key()) else { break };
        out.rows.push(RowsOut { rows, about: Some(first.remove()) });
    }
}

/// One row of a batch, in memory of its own: a slice would hold the whole batch.
fn row_of(batch: &RecordBatch, row: usize) -> Result<RecordBatch> {
    Ok(take_record_batch(batch, &UInt64Array::from(vec![row as u64]))?)
}

/// About how many bytes a row takes: of lists their numbers, of texts a guess.
fn row_bytes(schema: &Schema) -> usize {
    use arrow::datatypes::DataType;
    let bytes = |data_type: &DataType| match data_type {
        DataType::FixedSizeList(item, length) => {
            item.data_type().primitive_width().unwrap_or(8) * usize::try_from(*length).unwrap_or(0)
        }
        other => other.primitive_width().unwrap_or(256),
    };
    schema.fields().iter().map(|field| bytes(field.data_type())).sum()
}

#[cfg(test)]
mod tests;
