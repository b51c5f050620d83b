//! Commit points: parts closed and durable, monitors written down, one record renamed into place, then the parts moved.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use super::{
    Counts, Job, StageWork, Summary,
    back::Back,
    directory::{Past, RunDir},
    provenance::{Provenance, Standing},
    record::{Progression, Record},
};
use crate::{
    error::{Error, Result},
    stage::Finding,
    table::sync_folder,
};

/// A chain of fewer records than this is never replaced by a checkpoint.
const SHORT_CHAIN: usize = 64;

/// The commits of a run.
pub(super) struct Ledger {
    dir: RunDir,
    provenance: Provenance,
    /// The last record; number 0 before the first commit.
    last: Record,
    at: Instant,
    /// Rows and number of parts of every table.
    tables: BTreeMap<String, (u64, usize)>,
    findings: Vec<Finding>,
    chain: usize,
    checkpoint_parts: usize,
}

impl Ledger {
    /// The ledger of a run directory that is in order.
    pub(super) fn open(
        dir: RunDir,
        provenance: Provenance,
        job: &Job,
        digest: String,
        past: Option<&Past>,
    ) -> Result<Self> {
        let first = Record {
            commit: 0,
            checkpoint: false,
            digest,
            seed: job.seed,
            limit: job.limit,
            models: provenance.models.clone(),
            position: Progression::new().position(&[]),
            counts: Counts::default(),
            stages: Vec::new(),
            monitors: BTreeMap::new(),
            tables: BTreeMap::new(),
            findings: Vec::new(),
            finished: false,
        };
        let ledger = Self {
            dir,
            provenance,
            last: past.map_or(first, |past| past.last.clone()),
            at: Instant::now(),
            tables: past.map(|past| past.tables.clone()).unwrap_or_default(),
            findings: past.map(|past| past.findings.clone()).unwrap_or_default(),
            chain: past.map_or(0, |past| past.chain),
            checkpoint_parts: past.map_or(0, |past| past.checkpoint_parts),
        };
        // First of all the run record: it makes the folder a run directory and names the tables.
        ledger.write_run_record(&Standing::Running)?;
        let commits = ledger.dir.commits();
        fs::create_dir_all(&commits).map_err(|error| Error::io("make", &commits, error))?;
        sync_folder(ledger.dir.path())?;
        Ok(ledger)
    }

    /// Whether there is something to commit, and it is time: every so many rows, or so long after the last commit.
    pub(super) fn is_due(&self, back: &Back, (rows, time): (u64, Duration)) -> bool {
        let new = back.counts.source - self.last.counts.source;
        new >= rows || (new > 0 && self.at.elapsed() >= time)
    }

    /// Whether the last commit was so long ago.
    pub(super) fn has_waited(&self, time: Duration) -> bool {
        self.at.elapsed() >= time
    }

    /// Commits unless nothing has come since the last commit.
    pub(super) fn commit_if_new(&mut self, back: &mut Back) -> Result<()> {
        if back.counts == self.last.counts { Ok(()) } else { self.commit(back, false) }
    }

    /// Commits.
    pub(super) fn commit(&mut self, back: &mut Back, finished: bool) -> Result<()> {
        let begun = Instant::now();
        let commit = self.last.commit + 1;
        let mut added = back.prepare()?;
        for table in added.iter().filter(|(_, parts)| !parts.is_empty()).map(|(table, _)| table) {
            sync_folder(&self.dir.staging(table))?;
        }
        let monitors = back.snapshot(&self.dir, commit)?;
        for (table, parts) in &added {
            let (rows, number) = self.tables.entry(table.clone()).or_default();
            *rows += parts.iter().map(|part| part.rows).sum::<u64>();
            *number += parts.len();
        }
        let new_findings = std::mem::take(&mut back.findings);
        self.findings.extend(new_findings.iter().cloned());
        let checkpoint = commit == 1 || self.chain >= SHORT_CHAIN.max(self.checkpoint_parts);
        let just_added = added.clone();
        if checkpoint {
            let mut all = self.dir.all_parts()?;
            for (table, parts) in added {
                all.entry(table).or_default().extend(parts);
            }
            added = all;
        }
        let record = Record {
            commit,
            checkpoint,
            position: back.progression.position(back.splits()),
            counts: back.counts,
            stages: back.stages.clone(),
            monitors,
            tables: added,
            findings: if checkpoint { self.findings.clone() } else { new_findings },
            finished,
            ..self.last.clone()
        };
        self.dir.write_record(&record)?;
        // From here on the commit counts, whatever happens.
        self.dir.publish(&just_added)?;
        self.dir.forget(&record)?;
        (self.chain, self.checkpoint_parts) = if checkpoint {
            (1, record.tables.values().map(Vec::len).sum())
        } else {
            (self.chain + 1, self.checkpoint_parts)
        };
        self.last = record;
        self.at = Instant::now();
        tracing::debug!(commit, rows = back.counts.source, seconds = begun.elapsed().as_secs_f64(), "committed");
        if finished { Ok(()) } else { self.write_run_record(&Standing::Running) }
    }

    /// Leaves the directory as a reader should find it.
    pub(super) fn close(&self, standing: &Standing<'_>) -> Result<()> {
        let removed = self.dir.remove_staging();
        self.write_run_record(standing)?;
        removed
    }

    /// What to tell the caller of a finished run.
    pub(super) fn summary(&self, stages: Vec<StageWork>, seconds: f64) -> Summary {
        Summary {
            run_dir: self.dir.path().to_owned(),
            counts: self.last.counts,
            tables: self.tables.iter().map(|(table, (rows, _))| (table.clone(), *rows)).collect(),
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

    /// The findings that commits keep.
    pub(super) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn write_run_record(&self, standing: &Standing<'_>) -> Result<()> {
        self.provenance.write(self.dir.path(), &self.last, &self.tables, &self.findings, standing)
    }
}
