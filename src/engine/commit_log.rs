//! The commit log. A commit closes the parts and makes them durable, writes the snapshots of monitors, renames one record into
//! place, and then moves the parts into their tables.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{
    Job, Summary,
    ordered_tail::{OrderedTail, States},
    run_dir::{RecoveredState, RunDir},
    run_record,
    source_progress::SourceProgress,
};
use crate::{
    error::Result,
    io::disk,
    run::{CommitRecord, Counts, FORMAT, Finding, RunRecord, RunState, StageWork, TableSize},
};

/// A log of fewer records than this is never replaced by a checkpoint.
const SHORT_LOG: usize = 64;

/// The commits of a run.
pub(super) struct CommitLog {
    dir: RunDir,
    run_record: RunRecord,
    /// The last record; number 0 before the first commit.
    last: CommitRecord,
    /// The time of the last commit.
    at: Instant,
    sizes: BTreeMap<String, TableSize>,
    findings: Vec<Finding>,
    /// Records since the last checkpoint, including it.
    length: usize,
    /// Parts that the checkpoint lists.
    checkpoint_parts: usize,
    /// Whether every part that a record may name is in its table.
    settled: bool,
}

impl CommitLog {
    /// The log of a directory that was recovered or cleared.
    pub(super) fn open(
        dir: RunDir,
        run_record: RunRecord,
        job: &Job,
        inputs: BTreeMap<String, String>,
        past: Option<&RecoveredState>,
    ) -> Result<Self> {
        let first = || CommitRecord {
            format: FORMAT,
            commit: 0,
            checkpoint: false,
            digest: run_record.pipeline_digest.clone(),
            seed: job.seed,
            limit: job.limit,
            models: run_record.models.clone(),
            inputs: BTreeMap::new(),
            source: SourceProgress::new(&[], false).checkpoint(&[]),
            counts: Counts::default(),
            stages: Vec::new(),
            monitors: BTreeMap::new(),
            sinks: BTreeMap::new(),
            tables: BTreeMap::new(),
            findings: Vec::new(),
            finished: false,
        };
        let mut log = Self {
            dir,
            last: past.map_or_else(first, |past| past.last.clone()),
            run_record,
            at: Instant::now(),
            sizes: past.map(RecoveredState::sizes).unwrap_or_default(),
            findings: past.map(|past| past.findings.clone()).unwrap_or_default(),
            length: past.map_or(0, |past| past.log_length),
            checkpoint_parts: past.map_or(0, |past| past.checkpoint_parts),
            settled: true,
        };
        log.last.inputs = inputs;
        // The run record comes first: it makes the folder a run directory and names the tables.
        log.write_run_record()?;
        disk::create_folder(&log.dir.commits())?;
        // Also if it was there: an earlier process may have ended before the name was durable.
        disk::sync_folder(log.dir.path())?;
        Ok(log)
    }

    /// Whether a commit is due: there are rows to commit, and `rows` rows or `time` have passed since the last commit.
    pub(super) fn is_due(&self, tail: &OrderedTail, rows: u64, time: Duration) -> bool {
        let new = tail.counts.source - self.last.counts.source;
        new >= rows || (new > 0 && self.at.elapsed() >= time)
    }

    /// Whether the last commit is older than that.
    pub(super) fn is_older_than(&self, time: Duration) -> bool {
        self.at.elapsed() >= time
    }

    /// Commits unless there are no rows since the last commit.
    pub(super) fn commit_if_new(&mut self, tail: &mut OrderedTail) -> Result<()> {
        if tail.counts == self.last.counts { Ok(()) } else { self.commit(tail, false) }
    }

    /// Commits.
    pub(super) fn commit(&mut self, tail: &mut OrderedTail, finished: bool) -> Result<()> {
        let begun = Instant::now();
        let commit = self.last.commit + 1;
        let mut added = tail.prepare(&self.dir)?;
        for table in added.iter().filter(|(_, parts)| !parts.is_empty()).map(|(table, _)| table) {
            disk::sync_folder(&self.dir.staging(table))?;
        }
        let States { monitors, sinks } = tail.snapshot(&self.dir, commit)?;
        for (table, parts) in &added {
            let size = self.sizes.entry(table.clone()).or_default();
            size.rows += parts.iter().map(|part| part.rows).sum::<u64>();
            size.parts += parts.len();
        }
        let new_findings = std::mem::take(&mut tail.findings);
        self.findings.extend(new_findings.iter().cloned());
        let checkpoint = commit == 1 || self.length >= SHORT_LOG.max(self.checkpoint_parts);
        let just_added = added.clone();
        if checkpoint {
            let mut all = self.dir.all_parts()?;
            for (table, parts) in added {
                all.entry(table).or_default().extend(parts);
            }
            added = all;
        }
        let record = CommitRecord {
            format: FORMAT,
            commit,
            checkpoint,
            source: tail.progress.checkpoint(tail.splits()),
            counts: tail.counts,
            stages: tail.works.to_vec(),
            monitors,
            sinks,
            tables: added,
            findings: if checkpoint { self.findings.clone() } else { new_findings },
            finished,
            ..self.last.clone()
        };
        // From here on the commit may be durable, also after an error: what is staged has to stay.
        self.settled = false;
        self.dir.write_record(&record)?;
        self.dir.publish(&just_added)?;
        self.dir.forget(&record)?;
        self.settled = true;
        (self.length, self.checkpoint_parts) = if checkpoint {
            (1, record.tables.values().map(Vec::len).sum())
        } else {
            (self.length + 1, self.checkpoint_parts)
        };
        self.last = record;
        self.at = Instant::now();
        tracing::debug!(commit, rows = tail.counts.source, seconds = begun.elapsed().as_secs_f64(), "committed");
        if !finished {
            self.write_run_record()?;
        }
        tail.deliver(&self.dir)
    }

    /// Ends the run: removes what is not committed, and records its state. What a commit may name stays, for the resume.
    pub(super) fn close(&mut self, state: RunState, error: Option<String>) -> Result<()> {
        let removed = if self.settled { self.dir.remove_staging() } else { Ok(()) };
        (self.run_record.state, self.run_record.error) = (state, error);
        self.write_run_record()?;
        removed
    }

    /// The summary of a finished run.
    pub(super) fn summary(&self, stages: Vec<StageWork>, seconds: f64) -> Summary {
        Summary {
            run_dir: self.dir.path().to_owned(),
            counts: self.last.counts,
            tables: self.sizes.iter().map(|(table, size)| (table.clone(), size.rows)).collect(),
            findings: self.findings.clone(),
            stages,
            seconds,
            already_finished: false,
        }
    }

    pub(super) fn dir(&self) -> &RunDir {
        &self.dir
    }

    pub(super) const fn commits(&self) -> u64 {
        self.last.commit
    }

    /// The findings that are committed.
    pub(super) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn write_run_record(&mut self) -> Result<()> {
        run_record::update(&mut self.run_record, &self.last, &self.sizes, &self.findings);
        self.run_record.write(self.dir.path())
    }
}
