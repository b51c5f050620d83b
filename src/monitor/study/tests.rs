//! A study of small work: whatever the threads do, the table is the same.

use std::{
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use arrow::{
    array::{StringArray, UInt64Array},
    compute::concat_batches,
    datatypes::{DataType, Field, UInt64Type},
};

use super::*;
use crate::batch::OBJECT_ID;

/// Copies its rows; the earlier ones take longest.
struct Slow {
    fails_at: Option<u64>,
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(OBJECT_ID, DataType::Utf8, false),
        Field::new("number", DataType::UInt64, false),
    ]))
}

fn rows(range: std::ops::Range<u64>) -> RecordBatch {
    let ids = StringArray::from_iter_values(range.clone().map(|i| format!("object-{i}")));
    RecordBatch::try_new(schema(), vec![Arc::new(ids), Arc::new(UInt64Array::from_iter_values(range))]).expect("rows")
}

fn number(row: &RecordBatch) -> u64 {
    use arrow::array::AsArray;
    row.column(1).as_primitive::<UInt64Type>().value(0)
}

impl Study for Slow {
    fn required_columns(&self) -> Vec<ColumnRef> {
        Vec::new()
    }

    fn model_queries(&self) -> Vec<ColumnRef> {
        Vec::new()
    }

    fn bind(&mut self, _input: &Schema, _above: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        Ok(schema())
    }

    fn start(&mut self, _run: &RunContext, _scorers: &Scorers) -> Result<()> {
        Ok(())
    }

    fn study(&self, subject: &RecordBatch, stopped: &dyn Fn() -> bool) -> Result<Option<RecordBatch>> {
        assert_ne!(self.fails_at, Some(number(subject)), "this one fails");
        for _ in 0..6 - number(subject) % 6 {
            if stopped() {
                return Ok(None);
            }
            sleep(Duration::from_millis(1));
        }
        Ok(Some(subject.clone()))
    }
}

fn started(sample: Sample, threads: usize, fails_at: Option<u64>) -> Studied<Slow> {
    let mut monitor = Studied::new("slow_study", "slow", Slow { fails_at }, sample);
    monitor.bind(&schema(), &UpstreamSchemas::new()).expect("bound");
    let run = RunContext { seed: 3, threads, batch_rows: 8, ..RunContext::default() };
    monitor.start(&run, &Scorers::new()).expect("started");
    monitor
}

fn all(monitor: &mut Studied<Slow>, mut said: Vec<RowsOut>) -> RecordBatch {
    loop {
        let (emitted, left) = monitor.drain(Instant::now() + Duration::from_millis(5)).expect("caught up");
        said.extend(emitted.rows);
        if left == Progress::Done {
            break;
        }
    }
    assert!(said.iter().all(|said| said.about.as_ref() == Some(&said.rows)), "each is about its own row");
    concat_batches(&schema(), said.iter().map(|said| &said.rows)).expect("one table")
}

#[test]
fn rows_come_in_the_order_of_the_stream_whatever_the_threads_do() {
    for threads in [1, 4] {
        let mut monitor = started(Sample::default(), threads, None);
        let mut said = Vec::new();
        for start in (0..90).step_by(9) {
            said.extend(monitor.observe(&rows(start..start + 9)).expect("observed").rows);
            assert!(monitor.pending.len() <= monitor.queue(), "the queue is bounded");
        }
        assert_eq!(all(&mut monitor, said), rows(0..90));
    }
}

#[test]
fn a_limit_is_worked_on_at_the_end_in_the_order_of_the_stream() {
    let sample = Sample { fraction: Some(0.9), limit: Some(10) };
    let mut monitor = started(sample, 3, None);
    assert!(monitor.observe(&rows(0..60)).expect("observed").rows.is_empty());
    assert_eq!(monitor.pending_objects(), Some(10));
    let whole = all(&mut monitor, Vec::new());
    assert_eq!((whole.num_rows(), monitor.pending_objects()), (10, Some(0)));
    let mut again = started(sample, 1, None);
    (0..60).for_each(|i| assert!(again.observe(&rows(i..i + 1)).expect("observed").rows.is_empty()));
    assert_eq!(all(&mut again, Vec::new()), whole);
}

#[test]
fn a_stop_ends_a_study_at_once_and_loses_nothing() {
    let mut monitor = started(Sample::default(), 2, None);
    monitor.run.stop.request();
    let begun = Instant::now();
    // More than the queue holds: the stream is not held back any more.
    let said = monitor.observe(&rows(0..200)).expect("observed").rows;
    assert!(begun.elapsed() < Duration::from_secs(1));
    let snapshot = monitor.snapshot().expect("a snapshot");
    drop(monitor);
    let mut second = started(Sample::default(), 2, None);
    second.restore(&snapshot).expect("restored");
    assert_eq!(all(&mut second, said), rows(0..200));
}

#[test]
fn a_panic_is_an_error_that_names_the_study() {
    let mut monitor = started(Sample::default(), 2, Some(3));
    monitor.observe(&rows(0..5)).expect("observed");
    let error = loop {
        match monitor.drain(Instant::now() + Duration::from_millis(5)) {
            Ok((_, left)) => assert_eq!(left, Progress::Pending),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("`slow`"), "{error}");
}

#[test]
fn a_broken_snapshot_is_refused() {
    let monitor = started(Sample { fraction: None, limit: Some(2) }, 1, None);
    let mut snapshot = monitor.snapshot().expect("a snapshot");
    snapshot.truncate(5);
    assert!(started(Sample::default(), 1, None).restore(&snapshot).is_err());
    assert!(started(Sample::default(), 1, None).restore(b"{\"seen\":1,\"pending\":[0],\"smallest\":[]}\n").is_err());
}
