//! The table of a task is the same for any number of threads, any batches and any restart.

use std::{
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use arrow::{
    array::{AsArray, StringArray, UInt64Array},
    compute::concat_batches,
    datatypes::{DataType, Field, UInt64Type},
};

use super::*;
use crate::batch::OBJECT_ID;

/// Returns its row unchanged, after a delay that is longest for the first of six objects.
struct SlowCopy {
    panics_at: Option<u64>,
}

pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(OBJECT_ID, DataType::Utf8, false),
        Field::new("number", DataType::UInt64, false),
    ]))
}

pub(super) fn rows(range: std::ops::Range<u64>) -> RecordBatch {
    let ids = StringArray::from_iter_values(range.clone().map(|i| format!("object-{i}")));
    RecordBatch::try_new(schema(), vec![Arc::new(ids), Arc::new(UInt64Array::from_iter_values(range))]).expect("rows")
}

pub(super) fn number(row: &RecordBatch) -> u64 {
    row.column(1).as_primitive::<UInt64Type>().value(0)
}

impl ObjectTask for SlowCopy {
    fn required_columns(&self) -> Vec<ColumnRef> {
        Vec::new()
    }

    fn model_queries(&self) -> Vec<ColumnRef> {
        Vec::new()
    }

    fn bind(&mut self, _input: &Schema, _upstream: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        Ok(schema())
    }

    fn start(&mut self, _run: &RunContext, _scorers: &Scorers) -> Result<()> {
        Ok(())
    }

    fn run(&self, subject: &RecordBatch, stopped: &dyn Fn() -> bool) -> Result<Option<RecordBatch>> {
        assert_ne!(self.panics_at, Some(number(subject)), "a panic of the test");
        for _ in 0..6 - number(subject) % 6 {
            if stopped() {
                return Ok(None);
            }
            sleep(Duration::from_millis(1));
        }
        Ok(Some(subject.clone()))
    }
}

fn started(sample: Sample, threads: usize, panics_at: Option<u64>) -> ObjectTasks<SlowCopy> {
    let mut monitor = ObjectTasks::new("slow_copy", "slow", SlowCopy { panics_at }, sample);
    monitor.bind(&schema(), &UpstreamSchemas::new()).expect("bound");
    let run = RunContext { seed: 3, threads, batch_rows: 8, ..RunContext::default() };
    monitor.start(&run, &Scorers::new()).expect("started");
    monitor
}

/// Drains a monitor; the table of what it emitted before and now.
fn drained(monitor: &mut ObjectTasks<SlowCopy>, mut emitted: Vec<RowsOut>) -> RecordBatch {
    loop {
        let (out, progress) = monitor.drain(Instant::now() + Duration::from_millis(5)).expect("drained");
        emitted.extend(out.rows);
        if progress == Progress::Done {
            break;
        }
    }
    assert!(emitted.iter().all(|out| out.about.as_ref() == Some(&out.rows)), "each comes with its row of the stream");
    concat_batches(&schema(), emitted.iter().map(|out| &out.rows)).expect("one table")
}

#[test]
fn emits_rows_in_stream_order_for_any_number_of_threads() {
    for threads in [1, 4] {
        let mut monitor = started(Sample::default(), threads, None);
        let mut emitted = Vec::new();
        for start in (0..90).step_by(9) {
            emitted.extend(monitor.observe(&rows(start..start + 9)).expect("observed").rows);
            assert!(monitor.pending.len() <= monitor.queue_capacity(), "the queue is bounded");
        }
        assert_eq!(drained(&mut monitor, emitted), rows(0..90));
    }
}

#[test]
fn processes_a_limited_sample_after_the_stream_in_stream_order() {
    let sample = Sample { fraction: Some(0.9), limit: Some(10) };
    let mut monitor = started(sample, 3, None);
    assert!(monitor.observe(&rows(0..60)).expect("observed").rows.is_empty());
    assert_eq!(monitor.pending_objects(), Some(10));
    let table = drained(&mut monitor, Vec::new());
    assert_eq!((table.num_rows(), monitor.pending_objects()), (10, Some(0)));
    let mut row_by_row = started(sample, 1, None);
    (0..60).for_each(|i| assert!(row_by_row.observe(&rows(i..i + 1)).expect("observed").rows.is_empty()));
    assert_eq!(drained(&mut row_by_row, Vec::new()), table);
}

#[test]
fn stops_at_once_and_loses_no_object() {
    let mut monitor = started(Sample::default(), 2, None);
    monitor.run.stop.request();
    let begun = Instant::now();
    // More objects than the queue holds: after a stop request `observe` does not block.
    let emitted = monitor.observe(&rows(0..200)).expect("observed").rows;
    assert!(begun.elapsed() < Duration::from_secs(1));
    let snapshot = monitor.snapshot().expect("a snapshot");
    drop(monitor);
    let mut second = started(Sample::default(), 2, None);
    second.restore(&snapshot).expect("restored");
    assert_eq!(drained(&mut second, emitted), rows(0..200));
}

#[test]
fn a_panic_becomes_an_error_of_the_monitor() {
    let mut monitor = started(Sample::default(), 2, Some(3));
    monitor.observe(&rows(0..5)).expect("observed");
    let error = loop {
        match monitor.drain(Instant::now() + Duration::from_millis(5)) {
            Ok((_, progress)) => assert_eq!(progress, Progress::Pending),
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, Error::Stage { label, .. } if label == "slow"), "{error}");
    assert!(error.to_string().contains("a panic of the test"), "{error}");
}

#[test]
fn refuses_a_damaged_snapshot() {
    let monitor = started(Sample { fraction: None, limit: Some(2) }, 1, None);
    let mut snapshot = monitor.snapshot().expect("a snapshot");
    snapshot.truncate(5);
    assert!(started(Sample::default(), 1, None).restore(&snapshot).is_err());
    assert!(started(Sample::default(), 1, None).restore(b"{\"seen\":1,\"pending\":[0],\"smallest\":[]}\n").is_err());
}
