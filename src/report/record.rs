//! The run record of a reported run, and whether the run is still in progress.

use std::{fs, ops::Deref, path::Path};

use crate::{
    engine::is_running,
    error::{Error, Result},
    run::{RUN_RECORD, RunRecord, RunState, is_run},
};

/// The run record, read together with the lock of the run directory.
#[derive(Debug)]
pub(super) struct Record {
    record: RunRecord,
    is_running: bool,
}

/// The state of a run for a reader. A killed process leaves a record with the state `running`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing<'a> {
    Finished,
    Running,
    Killed,
    Interrupted,
    Failed(&'a str),
}

impl Deref for Record {
    type Target = RunRecord;

    fn deref(&self) -> &RunRecord {
        &self.record
    }
}

impl Record {
    /// The record of a run directory.
    pub(super) fn read(run_dir: &Path) -> Result<Self> {
        let shown = run_dir.display();
        if !run_dir.is_dir() {
            return Err(Error::data(format!("the run directory `{shown}` does not exist")));
        }
        let Some(record) = RunRecord::read(run_dir)? else {
            let several = fs::read_dir(run_dir)
                .is_ok_and(|entries| entries.flatten().any(|entry| is_run(&entry.path()).unwrap_or(false)));
            let instead = if several { "; it is a folder of runs: report them one by one" } else { "" };
            return Err(Error::data(format!("`{shown}` is not a run directory: it has no `{RUN_RECORD}`{instead}")));
        };
        Ok(Self { record, is_running: is_running(run_dir) })
    }

    /// The state of the run.
    pub(super) fn standing(&self) -> Standing<'_> {
        match self.state {
            RunState::Finished => Standing::Finished,
            RunState::Interrupted => Standing::Interrupted,
            RunState::Failed => Standing::Failed(self.error.as_deref().unwrap_or("the record does not name the error")),
            RunState::Running if self.is_running => Standing::Running,
            RunState::Running => Standing::Killed,
        }
    }

    /// The labels of the monitors of one kind, in order.
    pub(super) fn monitors(&self, kind: &str) -> Vec<&str> {
        self.labels("monitor", kind)
    }
}
