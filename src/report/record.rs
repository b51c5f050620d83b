//! What `run.json` says of a run, and whether the run still goes on.

use std::{fs, path::Path};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    engine::{Counts, GraphNode, StageWork, is_running},
    error::{Error, Result},
    stage::Finding,
    table::{self, RUN_RECORD},
};

/// The run record, as far as a report tells of it.
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
    /// Of the run directory, when it was read.
    #[serde(skip)]
    is_running: bool,
}

/// What made the run.
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    pub(super) version: String,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing<'a> {
    Finished,
    Running,
    /// Its record says that it runs, but no process does.
    Killed,
    Interrupted,
    Failed(&'a str),
}

impl Record {
    /// The record of a run directory.
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

    /// How the run stands.
    pub(super) fn standing(&self) -> Standing<'_> {
        match self.state.as_str() {
            "finished" => Standing::Finished,
            "interrupted" => Standing::Interrupted,
            "failed" => Standing::Failed(self.error.as_deref().unwrap_or("the record does not say why")),
            _ if self.is_running => Standing::Running,
            _ => Standing::Killed,
        }
    }

    /// The labels of the monitors of one kind, in order.
    pub(super) fn monitors(&self, kind: &str) -> Vec<&str> {
        self.labels("monitor", kind)
    }

    /// The labels of the steps of one kind of a family, in order.
    pub(super) fn labels(&self, family: &str, kind: &str) -> Vec<&str> {
        let steps = self.document[family].as_object().into_iter().flatten();
        let is_kind = |step: &Value| step.as_object().is_some_and(|step| step.contains_key(kind));
        steps.filter(|(_, step)| is_kind(step)).map(|(label, _)| label.as_str()).collect()
    }

    /// A step's settings, by family and label; null where there are none.
    pub(super) fn settings(&self, family: &str, label: &str) -> &Value {
        let step = self.document[family][label].as_object().and_then(|step| step.values().next());
        step.unwrap_or(&Value::Null)
    }

    /// The rows of a table, as of the last commit.
    pub(super) fn rows(&self, table: &str) -> u64 {
        self.tables.get(table).and_then(|table| table["rows"].as_u64()).unwrap_or(0)
    }
}
