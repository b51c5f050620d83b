//! Reads `run.json`, and tests whether the run is still running.

use std::{fs, path::Path};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    engine::{Counts, GraphNode, StageWork, is_running},
    error::{Error, Result},
    stage::Finding,
    table::{self, RUN_RECORD},
};

/// The fields of the run record that a report shows.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    pub(super) lucarne: Version,
    state: String,
    error: Option<String>,
    pub(super) begun_unix_seconds: f64,
    pub(super) updated_unix_seconds: f64,
    #[serde(default)]
    pub(super) description: Option<String>,
    pub(super) seed: u64,
    pub(super) limit: Option<u64>,
    pub(super) pipeline_digest: String,
    #[serde(default)]
    pub(super) host: Map<String, Value>,
    #[serde(default)]
    pub(super) engine: Map<String, Value>,
    #[serde(default)]
    pub(super) scorers: Map<String, Value>,
    pub(super) counts: Counts,
    pub(super) commits: u64,
    pub(super) tables: Map<String, Value>,
    pub(super) findings: Vec<Finding>,
    pub(super) stages: Vec<StageWork>,
    #[serde(default)]
    pub(super) graph: Vec<GraphNode>,
    pub(super) document: Value,
    /// Whether a process held the lock of the run directory when the record was read.
    #[serde(skip)]
    is_running: bool,
}

/// The version of lucarne that wrote the run.
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    pub(super) version: String,
}

/// The status of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing<'a> {
    Finished,
    Running,
    /// The record says `running`, but no process holds the lock.
    Killed,
    Interrupted,
    Failed(&'a str),
}

impl Record {
    /// Reads the record of a run directory.
    pub(super) fn read(run_dir: &Path) -> Result<Self> {
        let shown = run_dir.display();
        if !run_dir.is_dir() {
            return Err(Error::data(format!("there is no run directory `{shown}`")));
        }
        let path = run_dir.join(RUN_RECORD);
        if !path.exists() {
            let several = fs::read_dir(run_dir)
                .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|entry| table::is_run(&entry.path()))));
            let instead = if several { "; it is a folder of runs: report them one by one" } else { "" };
            return Err(Error::data(format!("`{shown}` is no run directory: it has no `{RUN_RECORD}`{instead}")));
        }
        let text = fs::read(&path).map_err(|error| Error::io("read", &path, error))?;
        let record: Self = serde_json::from_slice(&text)
            .map_err(|error| Error::data(format!("`{}` is no run record: {error}", path.display())))?;
        Ok(Self { is_running: is_running(run_dir), ..record })
    }

    /// The status of the run.
    pub(super) fn standing(&self) -> Standing<'_> {
        match self.state.as_str() {
            "finished" => Standing::Finished,
            "interrupted" => Standing::Interrupted,
            "failed" => Standing::Failed(self.error.as_deref().unwrap_or("the record does not say why")),
            _ if self.is_running => Standing::Running,
            _ => Standing::Killed,
        }
    }

    /// The labels of the monitors of a kind, in declaration order.
    pub(super) fn monitors(&self, kind: &str) -> Vec<&str> {
        self.labels("monitor", kind)
    }

    /// The labels of the steps of a family and kind, in declaration order.
    pub(super) fn labels(&self, family: &str, kind: &str) -> Vec<&str> {
        let steps = self.document[family].as_object().into_iter().flatten();
        let is_kind = |step: &Value| step.as_object().is_some_and(|step| step.contains_key(kind));
        steps.filter(|(_, step)| is_kind(step)).map(|(label, _)| label.as_str()).collect()
    }

    /// The settings of a step, by family and label; null if the document does not have it.
    pub(super) fn settings(&self, family: &str, label: &str) -> &Value {
        let step = self.document[family][label].as_object().and_then(|step| step.values().next());
        step.unwrap_or(&Value::Null)
    }

    /// The number of rows of a table, as of the last commit.
    pub(super) fn rows(&self, table: &str) -> u64 {
        self.tables.get(table).and_then(|table| table["rows"].as_u64()).unwrap_or(0)
    }
}
