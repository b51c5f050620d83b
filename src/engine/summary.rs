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

/// How far a run is; given to the caller's progress function on the caller's thread: after every batch and commit, and about
/// twenty times a second while the run waits for rows or its monitors catch up.
#[derive(Debug, Clone, Copy)]
pub struct Status<'a> {
    /// Rows so far, those of the run that was resumed included.
    pub counts: Counts,
    /// All rows of the source, where every split knows its number (and no more than the job's limit).
    pub total: Option<u64>,
    /// Source rows per second since this process began.
    pub rows_per_second: f64,
    /// Commits so far.
    pub commits: u64,
    /// How many findings there are so far.
    pub findings: usize,
    /// Those that a commit keeps already, in order.
    pub committed_findings: &'a [Finding],
    /// Those since the last commit, in order.
    pub new_findings: &'a [Finding],
    /// Work of every stage so far, in order: source, steps, monitors, sinks.
    pub stages: &'a [StageWork],
    /// What waits between the threads.
    pub queues: Queues,
    /// How many objects wait in the study of a monitor, by its label; monitors without one are not here.
    pub waiting: &'a [(&'a str, usize)],
}

impl Status<'_> {
    /// The last findings, the newest first.
    pub fn last_findings(&self, most: usize) -> impl Iterator<Item = &Finding> {
        self.committed_findings.iter().chain(self.new_findings).rev().take(most)
    }
}

/// What waits between the threads of a run, with the bounds. All is nothing when the stream has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Queues {
    /// Batches that were read and wait for a worker.
    pub unworked: usize,
    /// The most of them.
    pub unworked_bound: usize,
    /// Batches that came through all steps and wait for their turn.
    pub early: usize,
    /// Batches under way: from the source until monitors and sinks are done with them.
    pub batches: usize,
    /// The most of them, those in the other two queues included.
    pub batches_bound: usize,
    /// Bytes of the batches under way.
    pub bytes: usize,
    /// The most bytes; one batch that is larger is let in alone.
    pub bytes_bound: usize,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_findings_come_newest_first_from_both_sides_of_a_commit() {
        let findings: Vec<Finding> =
            (0..5).map(|i| Finding { monitor: "drift".into(), message: format!("window {i}") }).collect();
        let status = Status {
            counts: Counts::default(),
            total: None,
            rows_per_second: 0.0,
            commits: 1,
            findings: 5,
            committed_findings: &findings[..3],
            new_findings: &findings[3..],
            stages: &[],
            queues: Queues::default(),
            waiting: &[],
        };
        let last: Vec<&str> = status.last_findings(3).map(|finding| finding.message.as_str()).collect();
        assert_eq!(last, ["window 4", "window 3", "window 2"]);
    }
}
