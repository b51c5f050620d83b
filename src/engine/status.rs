//! What a caller exchanges with a run: options before, status during, summary after.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;

use crate::run::{Counts, Finding, StageWork};

/// What to do if the run directory already holds a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// Refuse to run.
    #[default]
    Refuse,
    /// Continue after its last commit, or start if there is none.
    Resume,
    /// Remove its tables and start again.
    Overwrite,
}

/// How to start a run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// What to do about an existing run.
    pub existing: Existing,
}

/// The progress of a run. The caller's function receives it on the caller's thread: after every batch and commit, and about twenty
/// times a second while the run waits for rows or its monitors drain.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Status<'a> {
    /// Rows so far, including those before a resume.
    pub counts: Counts,
    /// Rows of the source, at most the limit; `None` if a split does not know its number of rows.
    pub total: Option<u64>,
    /// Source rows per second since this process began.
    pub rows_per_second: f64,
    /// Commits so far.
    pub commits: u64,
    /// Findings so far.
    pub findings: usize,
    /// Those that are committed, in order.
    pub committed_findings: &'a [Finding],
    /// Those since the last commit, in order.
    pub new_findings: &'a [Finding],
    /// Work of every stage so far, in order: source, steps, monitors, sinks.
    pub stages: &'a [StageWork],
    /// Queue lengths between the threads.
    pub queues: Queues,
    /// How many objects are pending in the per-object tasks of a monitor, by label; other monitors are not listed.
    pub waiting: &'a [(&'a str, usize)],
    /// How far each split of a live source is behind what has arrived, in messages, as far as that is known.
    pub source_lag: &'a [(String, u64)],
}

impl Status<'_> {
    /// The last findings, the newest first.
    pub fn last_findings(&self, most: usize) -> impl Iterator<Item = &Finding> {
        self.committed_findings.iter().chain(self.new_findings).rev().take(most)
    }
}

/// Queue lengths between the threads of a run, with their bounds. All are zero after the stream has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Queues {
    /// Batches that wait for a worker.
    pub unworked: usize,
    /// The maximum of [`unworked`](Self::unworked).
    pub unworked_bound: usize,
    /// Batches that have passed all steps and wait for earlier ones.
    pub early: usize,
    /// Batches in flight, from the source to the sinks.
    pub batches: usize,
    /// The maximum, including the batches in the other two queues.
    pub batches_bound: usize,
    /// Bytes of the batches in flight.
    pub bytes: usize,
    /// The most bytes; a single larger batch is admitted alone.
    pub bytes_bound: usize,
}

/// A finished run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// The run directory.
    pub run_dir: PathBuf,
    /// Rows read, written, filtered and rejected.
    pub counts: Counts,
    /// Rows of every table of the run.
    pub tables: BTreeMap<String, u64>,
    /// The findings.
    pub findings: Vec<Finding>,
    /// Work of every stage, in order.
    pub stages: Vec<StageWork>,
    /// Seconds that this process spent on it.
    pub seconds: f64,
    /// Whether the run had already finished, so that a resume had nothing to do.
    pub already_finished: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_findings_are_newest_first_across_a_commit() {
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
            source_lag: &[],
        };
        let last: Vec<&str> = status.last_findings(3).map(|finding| finding.message.as_str()).collect();
        assert_eq!(last, ["window 4", "window 3", "window 2"]);
    }
}
