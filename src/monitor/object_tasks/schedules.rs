//! Per-object tasks under many schedules (`make schedules`).

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{
    tests::{number, rows, schema},
    *,
};
use crate::sync::{
    schedules::{below, explore, one_in, panic_quietly},
    thread::{self, yield_now},
};

/// Returns its row unchanged, or fails at one.
#[derive(Clone, Default)]
struct CopyTask {
    fails_at: Option<u64>,
    panics: bool,
    /// The row that it works on until it is stopped.
    waits_at: Option<u64>,
    /// The rows that it was called for.
    calls: Arc<Mutex<Vec<u64>>>,
    /// Held by everything that runs: it is alone when all threads have ended.
    token: Arc<()>,
}

impl ObjectTask for CopyTask {
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
        self.calls.lock().expect("no panic").push(number(subject));
        let mut rounds = below(3);
        while rounds > 0 || self.waits_at == Some(number(subject)) {
            if stopped() {
                return Ok(None);
            }
            yield_now();
            rounds = rounds.saturating_sub(1);
        }
        match self.fails_at {
            Some(row) if row == number(subject) && self.panics => panic_quietly("a fault of the task"),
            Some(row) if row == number(subject) => Err(Error::stage("copy", "a fault of the task")),
            _ => Ok(Some(subject.clone())),
        }
    }
}

fn started(task: &CopyTask, sample: Sample, threads: usize) -> ObjectTasks<CopyTask> {
    let mut monitor = ObjectTasks::new("copy", "copy", task.clone(), sample);
    monitor.bind(&schema(), &UpstreamSchemas::new()).expect("bound");
    let run = RunContext { seed: 3, threads, batch_rows: 8, ..RunContext::default() };
    monitor.start(&run, &Scorers::new()).expect("started");
    monitor
}

/// Drains until all is done, or a stop is requested, as a run does.
fn drain(monitor: &mut ObjectTasks<CopyTask>, may_stop: bool, emitted: &mut Vec<u64>) -> Result<()> {
    loop {
        // A wait that nothing but its deadline ends is a deadlock, unless the run is being stopped.
        let wait = if may_stop || one_in(2) { Duration::from_millis(50) } else { Duration::from_secs(3600) };
        let (out, progress) = monitor.drain(Instant::now() + wait)?;
        emitted.extend(out.rows.iter().map(|out| number(&out.rows)));
        if progress == Progress::Done || monitor.run.stop.requested() {
            return Ok(());
        }
    }
}

/// Observes and drains as a run does.
fn run(monitor: &mut ObjectTasks<CopyTask>, objects: u64, may_stop: bool, emitted: &mut Vec<u64>) -> Result<()> {
    let mut from = 0;
    while from < objects && !monitor.run.stop.requested() {
        let to = if one_in(4) { objects } else { objects.min(from + 1 + below(4) as u64) };
        let out = monitor.observe(&rows(from..to))?;
        emitted.extend(out.rows.iter().map(|out| number(&out.rows)));
        assert!(may_stop || monitor.pending.len() <= monitor.queue_capacity(), "the queue is bounded");
        from = to;
    }
    if monitor.run.stop.requested() { Ok(()) } else { drain(monitor, may_stop, emitted) }
}

/// Objects, some of which wait for a place in the queue; a stop, an error or a panic at any time, and a resume.
#[test]
fn objects_are_emitted_in_order_and_once_for_every_schedule() {
    explore(|| {
        let threads = 1 + below(3);
        let (threads, objects) = if one_in(8) { (1, QUEUE_PER_THREAD + 1 + below(3)) } else { (threads, 1 + below(5)) };
        let limit = one_in(4).then(|| 1 + below(4));
        let sample = Sample { fraction: None, limit };
        let fails_at = one_in(3).then(|| below(objects) as u64);
        let task = CopyTask { fails_at, panics: one_in(2), ..CopyTask::default() };
        let sampled: Vec<u64> = match limit {
            None => (0..objects as u64).collect(),
            Some(limit) => {
                let mut keys: Vec<_> =
                    (0..objects as u64).filter_map(|row| sample.key(3, &format!("object-{row}"), row)).collect();
                keys.sort_unstable();
                keys.truncate(limit);
                let mut sampled: Vec<u64> = keys.iter().map(|key| key.number).collect();
                sampled.sort_unstable();
                sampled
            }
        };
        let place = fails_at.and_then(|row| sampled.iter().position(|sampled| *sampled == row));
        let mut monitor = started(&task, sample, threads);
        let stops = one_in(3).then(|| {
            let stop = monitor.run.stop.clone();
            thread::spawn(move || {
                (0..below(if objects > QUEUE_PER_THREAD { 300 } else { 20 })).for_each(|_| yield_now());
                stop.request();
            })
        });
        let mut emitted = Vec::new();
        let outcome = run(&mut monitor, objects as u64, stops.is_some(), &mut emitted);
        assert!(sampled.starts_with(&emitted), "{emitted:?} of {sampled:?}");
        let stopped = monitor.run.stop.requested();
        match (&outcome, place) {
            (Err(error), Some(place)) => {
                assert!(error.report().contains("a fault of the task"), "{error}");
                assert!(emitted.len() <= place, "nothing after the fault");
            }
            (Err(error), None) => panic!("{error}"),
            (Ok(()), place) => assert!(stopped || place.is_none() && emitted == sampled, "{emitted:?}"),
        }
        // A run that ends by an error may drop the monitor while others work.
        let snapshot = (stopped && outcome.is_ok()).then(|| (monitor.seen, monitor.snapshot().expect("a snapshot")));
        drop(monitor);
        assert_eq!(Arc::strong_count(&task.token), 1, "all threads have ended");
        let mut calls = task.calls.lock().expect("no panic").clone();
        calls.sort_unstable();
        assert!(calls.is_sorted_by(|a, b| a < b), "one call for each object: {calls:?}");
        if let Some(thread) = stops {
            thread.join().expect("no panic");
        }
        if let Some((seen, snapshot)) = snapshot {
            let task = CopyTask::default();
            let mut resumed = started(&task, sample, 1 + below(2));
            resumed.restore(&snapshot).expect("restored");
            for row in seen..objects as u64 {
                let out = resumed.observe(&rows(row..row + 1)).expect("observed");
                emitted.extend(out.rows.iter().map(|out| number(&out.rows)));
            }
            drain(&mut resumed, false, &mut emitted).expect("drained");
            assert_eq!(emitted, sampled, "after a resume");
            resumed.finish().expect("finished");
            drop(resumed);
            assert_eq!(Arc::strong_count(&task.token), 1, "all threads have ended");
        }
    });
}

/// A monitor that is dropped at any time, for an error elsewhere, ends its threads.
#[test]
fn a_dropped_monitor_ends_its_threads() {
    explore(|| {
        let task = CopyTask { waits_at: one_in(2).then(|| below(3) as u64), ..CopyTask::default() };
        let mut monitor = started(&task, Sample::default(), 1 + below(3));
        let objects = 1 + below(6) as u64;
        monitor.observe(&rows(0..objects)).expect("observed");
        for _ in 0..below(3) {
            monitor.drain(Instant::now() + Duration::from_millis(50)).expect("drained");
        }
        drop(monitor);
        assert_eq!(Arc::strong_count(&task.token), 1, "all threads have ended");
    });
}
