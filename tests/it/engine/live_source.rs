//! A live source with three partitions: read in turn, committed while idle, every row exactly once however often it is killed.

use std::{
    collections::BTreeMap,
    path::Path,
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use lucarne::{
    batch,
    engine::{EngineSettings, Existing, Job, RunOptions, Stop, run, stream},
    error::{Diagnostic, Error, Result},
    run::{CommitRecord, replay},
    stage::{Read, Reader, Source, Split},
};
use tempfile::tempdir;

use super::{
    child,
    stages::{Recipe, all_rows, mix, read_rows, source_schema, stage},
};

/// Messages in each partition.
const ROWS: [u64; 3] = [700, 0, 450];
/// Offsets of a topic have gaps: a message takes three.
const STRIDE: u64 = 3;

/// A topic whose messages arrive now and then, and that never ends.
struct Topic {
    partitions: &'static [&'static str],
}

struct Partition {
    number: u64,
    /// Messages read.
    at: u64,
    polls: u64,
}

const ALL: &[&str] = &["topic/0", "topic/1", "topic/2"];

impl Source for Topic {
    fn bind(&mut self) -> Result<SchemaRef, Vec<Diagnostic>> {
        Ok(source_schema(4))
    }

    fn splits(&self) -> Result<Vec<Split>> {
        Ok(self.partitions.iter().map(|id| Split::new(*id, None)).collect())
    }

    fn is_live(&self) -> bool {
        true
    }

    fn open(&self, split: &Split, offset: u64) -> Result<Box<dyn Reader>> {
        let number = split.id.trim_start_matches("topic/").parse().unwrap();
        Ok(Box::new(Partition { number, at: offset / STRIDE, polls: 0 }))
    }

    fn digest(&self) -> Option<String> {
        Some("a topic".into())
    }
}

impl Reader for Partition {
    fn next(&mut self, max_rows: usize, deadline: Instant) -> Result<Read> {
        self.polls += 1;
        let arrived = mix(self.number, self.polls) % 9;
        let left = ROWS[self.number as usize] - self.at;
        let rows = left.min(arrived).min(max_rows as u64);
        if rows == 0 {
            sleep(deadline.saturating_duration_since(Instant::now()).min(Duration::from_millis(2)));
            return Ok(Read::Idle);
        }
        let read = read_rows(4, self.number, self.at..self.at + rows);
        self.at += rows;
        read
    }

    fn offset(&self) -> u64 {
        self.at * STRIDE
    }
}

fn job(partitions: &'static [&'static str], run_dir: Option<&Path>) -> Job {
    let engine =
        EngineSettings { threads: 2, batch_rows: 16, commit_rows: 60, commit_seconds: 0.1, ..Default::default() };
    let mut job = Recipe { engine, ..Recipe::default() }.job(run_dir);
    job.source = stage("source", true, Box::new(Topic { partitions }));
    job
}

/// Runs, or resumes, until every message was read; then stops.
pub(super) fn run_until_all_rows(run_dir: &Path) {
    let stop = Stop::default();
    let options = RunOptions { existing: Existing::Resume };
    let outcome = run(job(ALL, Some(run_dir)), &options, &stop, &mut |status| {
        if status.counts.source == ROWS.iter().sum::<u64>() {
            stop.request();
        }
    });
    assert!(matches!(outcome, Err(Error::Interrupted)), "{outcome:?}");
}

fn last_commit(run_dir: &Path) -> CommitRecord {
    replay(run_dir).unwrap().pop().unwrap()
}

/// How often each row is in the tables of a run, by origin: kept, rejected.
fn origins(run_dir: &Path) -> BTreeMap<String, usize> {
    let [objects, _, rejects] = all_rows(run_dir);
    let mut origins = BTreeMap::new();
    for table in [&objects, &rejects] {
        for row in 0..table.num_rows() {
            *origins.entry(batch::origin(table, row).unwrap().to_owned()).or_default() += 1;
        }
    }
    origins
}

#[test]
fn every_row_counts_exactly_once_after_kills_at_random_instants() {
    let undisturbed = tempdir().unwrap();
    run_until_all_rows(undisturbed.path());
    let expected = origins(undisturbed.path());
    assert!(expected.values().all(|count| *count == 1));
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let dir = tempdir().unwrap();
    let mut kills = 0;
    loop {
        let mut running = child::spawn("live 0", dir.path());
        sleep(Duration::from_millis(20 + mix(seed, kills) % 300));
        if kills < 12 && running.try_wait().unwrap().is_none() {
            running.kill().unwrap();
            running.wait().unwrap();
            kills += 1;
            continue;
        }
        let output = running.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        break;
    }
    assert_eq!(origins(dir.path()), expected);
    let last = last_commit(dir.path());
    let offsets = BTreeMap::from([("topic/0", 2100), ("topic/1", 0), ("topic/2", 1350)]);
    assert_eq!(last.source.offsets, offsets.into_iter().map(|(id, offset)| (id.to_owned(), offset)).collect());
    assert_eq!(last.counts.source, 1150);
    // The monitor has seen every kept row, in windows that no kill has cut.
    let windows = &all_rows(dir.path())[1];
    assert_eq!(windows.num_rows() as u64, last.counts.written / 50);
    println!("{kills} kills");
}

#[test]
fn partitions_are_read_in_turn() {
    let mut rows = stream(job(ALL, None)).unwrap();
    let mut first = [None, None, None];
    let mut seen = 0;
    while first[0].is_none() || first[2].is_none() {
        let batch: RecordBatch = rows.next().unwrap().unwrap();
        let partition: usize = batch::object_id(&batch, 0).unwrap()[..1].parse().unwrap();
        first[partition].get_or_insert(seen);
        seen += 1;
    }
    // 700 rows of the first partition are many batches; the third does not wait for them.
    assert!(seen < 20, "{first:?}");
}

#[test]
fn a_partition_that_a_checkpoint_names_may_not_disappear_and_new_ones_begin() {
    let dir = tempdir().unwrap();
    let stop = Stop::default();
    let outcome = run(job(&["topic/0"], Some(dir.path())), &RunOptions::default(), &stop, &mut |status| {
        if status.counts.source == ROWS[0] {
            stop.request();
        }
    });
    assert!(matches!(outcome, Err(Error::Interrupted)));
    let options = RunOptions { existing: Existing::Resume };
    let error = run(job(&["topic/2"], Some(dir.path())), &options, &Stop::default(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("the split `topic/0`, which the run has read up to offset 2100, is missing"));
    run_until_all_rows(dir.path());
    assert_eq!(last_commit(dir.path()).counts.source, ROWS.iter().sum::<u64>());
    assert!(origins(dir.path()).values().all(|count| *count == 1));
}
