//! What a run tells its caller: while it goes on, and when it is over.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::stage::Finding;

/// What to do about what the run directory holds already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// Refuse to touch an existing run.
    #[default]
    Refuse,
    /// Go on where its last commit ended; begin where there is none.
    Resume,
    /// Remove its tables and begin again.
    Overwrite,
}

/// How to start a run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// What to do about an existing run.
    pub existing: Existing,
}

/// Where the rows of a run went: `source = written + filtered + rejected`, always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows that the source gave, unreadable ones included.
    pub source: u64,
    /// Rows that came through all steps to the monitors and sinks.
    pub written: u64,
    /// Rows that a filter left out.
    pub filtered: u64,
    /// Rows in the table `rejects`.
    pub rejected: u64,
}

/// How far a run is; given to the caller's progress function after every batch and commit, on the caller's thread.
#[derive(Debug, Clone, Copy)]
pub struct Status {
    /// Rows so far, those of the run that was resumed included.
    pub counts: Counts,
    /// All rows of the source, where every split knows its number (and no more than the job's limit).
    pub total: Option<u64>,
    /// Source rows per second since this process began.
    pub rows_per_second: f64,
    /// Commits so far.
    pub commits: u64,
    /// Findings so far.
    pub findings: usize,
}

/// Work of one stage: its metrics in `run.json` are made of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StageWork {
    /// `source`, `transform`, `score`, `monitor` or `sink`.
    pub family: String,
    /// The label.
    pub label: String,
    /// The kind, where known.
    pub kind: String,
    /// Rows that it was given.
    pub rows: u64,
    /// Rows that it refused.
    pub rejected: u64,
    /// Rows that it filtered out.
    pub filtered: u64,
    /// Seconds that it worked, summed over threads.
    pub seconds: f64,
}

/// A run that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The run directory.
    pub run_dir: PathBuf,
    /// Where the rows went.
    pub counts: Counts,
    /// Rows of every table of the run.
    pub tables: BTreeMap<String, u64>,
    /// Thresholds crossed.
    pub findings: Vec<Finding>,
    /// Work of every stage, in order.
    pub stages: Vec<StageWork>,
    /// Seconds that this process worked on it.
    pub seconds: f64,
    /// The run had ended before: a resume found nothing to do.
    pub already_finished: bool,
}
