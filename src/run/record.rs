//! The run record, `run.json`: what ran, on what, and what came of it.

use std::{collections::BTreeMap, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{FORMAT, Finding, FormatOf, RUN_RECORD, StageMetric, check_name, read_record, sealed};
use crate::{
    error::{Error, Result},
    io::disk,
};

/// The most steps of a pipeline: a report draws each.
const MAX_STEPS: usize = 10_000;

/// The run record of a run directory, as of its last commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct RunRecord {
    /// The format of the run directory; 0 where it is missing.
    #[serde(default)]
    pub format: u32,
    /// What wrote it.
    pub lucarne: Writer,
    /// The state of the run. A process that was killed leaves `running`.
    pub state: RunState,
    /// The error that ended it, with its causes.
    #[serde(default)]
    pub error: Option<String>,
    /// When the run began, Unix time.
    pub begun_unix_seconds: f64,
    /// When this record was written, Unix time.
    pub updated_unix_seconds: f64,
    /// The description of the pipeline.
    #[serde(default)]
    pub description: Option<String>,
    /// The seed of every draw.
    pub seed: u64,
    /// The most rows to take from the source.
    pub limit: Option<u64>,
    /// Digest of the pipeline, without what does not affect its results.
    pub pipeline_digest: String,
    /// The machine.
    #[serde(default)]
    pub host: HostRecord,
    /// How it was run.
    #[serde(default)]
    pub engine: EngineSettings,
    /// What every scorer ran on and with, by label.
    #[serde(default)]
    pub scorers: Map<String, Value>,
    /// What monitors compute with, by label, where it is not in the document: the kernels of `latent_drift`, for example.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub monitors: Map<String, Value>,
    /// Digests of the models, by label of the score.
    #[serde(default)]
    pub models: BTreeMap<String, String>,
    /// Where the rows went.
    pub counts: Counts,
    /// How many commits there are.
    pub commits: u64,
    /// Size of every table.
    pub tables: BTreeMap<String, TableSize>,
    /// Thresholds crossed.
    pub findings: Vec<Finding>,
    /// Work of every stage, in order.
    pub stages: Vec<StageWork>,
    /// The same as metrics, under the names that Prometheus shows.
    #[serde(default)]
    pub metrics: Map<String, Value>,
    /// The declared steps and what each reads.
    #[serde(default)]
    pub graph: Vec<GraphNode>,
    /// The pipeline as it ran, all parameters filled in.
    pub document: Value,
}

/// What wrote a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Writer {
    /// The version of lucarne.
    pub version: String,
}

impl Writer {
    /// This version.
    pub fn this() -> Self {
        Self { version: env!("CARGO_PKG_VERSION").into() }
    }
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// A process works on it, or was killed while it did.
    Running,
    /// It is complete.
    Finished,
    /// It was stopped on request and can be resumed.
    Interrupted,
    /// An error ended it; it can be resumed.
    Failed,
}

impl RunState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Running, Self::Finished, Self::Interrupted, Self::Failed];

    /// The state as written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }
}

/// The machine of a run. Equal bits are promised for one kind of processor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HostRecord {
    /// The name of the processor.
    pub cpu: Option<String>,
    /// Its cores, as far as this process may use them.
    pub cores: usize,
    /// The operating system.
    pub system: String,
    /// The architecture.
    pub architecture: String,
}

/// The size of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TableSize {
    /// Rows.
    pub rows: u64,
    /// Files.
    pub parts: usize,
}

/// Where the rows of a run went: `source = written + filtered + rejected`, always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Rows from the source, unreadable ones included.
    pub source: u64,
    /// Rows that passed all steps and reached monitors and sinks.
    pub written: u64,
    /// Rows removed by filters.
    pub filtered: u64,
    /// Rows in the table `rejects`.
    pub rejected: u64,
}

/// The work of one stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageWork {
    /// `source`, `transform`, `score`, `monitor` or `sink`.
    pub family: String,
    /// The label.
    pub label: String,
    /// The kind, if known.
    pub kind: String,
    /// Rows received.
    pub rows: u64,
    /// Rows rejected.
    pub rejected: u64,
    /// Rows filtered out.
    pub filtered: u64,
    /// Seconds of work, summed over threads.
    pub seconds: f64,
    /// Rows that the source looked up in a catalogue.
    #[serde(default, skip_serializing_if = "Lookups::is_empty")]
    pub lookups: Lookups,
}

/// How many rows were looked up in a catalogue, and how many of them were found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lookups {
    /// Rows that were looked up.
    pub rows: u64,
    /// Rows that were found.
    pub found: u64,
}

impl Lookups {
    /// Whether nothing was looked up.
    pub(crate) const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Adds later ones.
    pub(crate) const fn add(&mut self, later: Self) {
        self.rows += later.rows;
        self.found += later.found;
    }
}

/// A declared step of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GraphNode {
    /// `source`, `transform`, `score`, `monitor` or `sink`.
    pub family: String,
    /// Its label.
    pub label: String,
    /// Its kind.
    pub kind: String,
    /// The labels of the steps whose columns or rows it reads.
    pub reads: Vec<String>,
}

/// How a pipeline is run: the section `engine` of a document. Results do not depend on any of these, except for `on_reject`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSettings {
    /// Worker threads; 0 uses one per core.
    #[schemars(range(min = 0, max = 1024))]
    pub threads: usize,
    /// The most rows of a batch; 0 uses the batch size that the scores work best with: 32, and 200 on a GPU.
    #[schemars(range(min = 0, max = 65536))]
    pub batch_rows: usize,
    /// The most memory that batches in flight may take, MiB.
    #[schemars(range(min = 16))]
    pub memory_mib: usize,
    /// Commit after this many rows.
    #[schemars(range(min = 1))]
    pub commit_rows: u64,
    /// Commit after this many seconds.
    #[schemars(range(min = 0.1))]
    pub commit_seconds: f64,
    /// What to do with a row that cannot be used.
    pub on_reject: OnReject,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            threads: 0,
            batch_rows: 0,
            memory_mib: 512,
            commit_rows: 10_000,
            commit_seconds: 30.0,
            on_reject: OnReject::Quarantine,
        }
    }
}

/// What to do with a row that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnReject {
    /// Write it to the table `rejects` with its reason, and continue.
    Quarantine,
    /// End the run.
    Fail,
}

impl RunRecord {
    /// Reads the record of a run directory; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Data`] when it is damaged or of a newer format.
    pub fn read(run_dir: &Path) -> Result<Option<Self>> {
        let path = run_dir.join(RUN_RECORD);
        let Some(bytes) = disk::read_if_exists(&path)? else { return Ok(None) };
        Self::parse(&path, &bytes).map(Some)
    }

    /// Reads a record from its bytes. The path is for messages.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let record: Self = read_record(path, bytes, "run record")?;
        if record.graph.len() > MAX_STEPS {
            let steps = record.graph.len();
            return Err(Error::data(format!("`{}` has {steps} steps, expected at most {MAX_STEPS}", path.display())));
        }
        let labels = record.graph.iter().map(|node| &node.label).chain(record.stages.iter().map(|stage| &stage.label));
        labels.chain(record.tables.keys()).try_for_each(|label| check_name(path, label))?;
        Ok(record)
    }

    /// Whether a run directory has a record of a newer format.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_newer(run_dir: &Path) -> Result<bool> {
        let bytes = disk::read_if_exists(&run_dir.join(RUN_RECORD))?.unwrap_or_default();
        Ok(serde_json::from_slice::<FormatOf>(&bytes).is_ok_and(|record| record.format > FORMAT))
    }

    /// Writes the record, in one step. A reader sees the old one or the new; when this returns, the new one is durable.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn write(&self, run_dir: &Path) -> Result<()> {
        disk::replace(&run_dir.join(RUN_RECORD), &self.to_bytes()?)
    }

    /// The record as it is written.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let bytes = serde_json::to_vec_pretty(&Self { format: FORMAT, ..self.clone() })
            .map_err(|error| Error::bug("a run record that is not JSON").caused_by(error))?;
        Ok(sealed(bytes))
    }

    /// The labels of the steps of one kind of a family, in the order of the document.
    pub fn labels(&self, family: &str, kind: &str) -> Vec<&str> {
        let steps = self.document[family].as_object().into_iter().flatten();
        let is_kind = |step: &Value| step.as_object().is_some_and(|step| step.contains_key(kind));
        steps.filter(|(_, step)| is_kind(step)).map(|(label, _)| label.as_str()).collect()
    }

    /// The settings of a step, by family and label; null where there are none.
    pub fn settings(&self, family: &str, label: &str) -> &Value {
        let step = self.document[family][label].as_object().and_then(|step| step.values().next());
        step.unwrap_or(&Value::Null)
    }

    /// The rows of a table, as of the last commit.
    pub fn rows(&self, table: &str) -> u64 {
        self.tables.get(table).map_or(0, |table| table.rows)
    }
}

/// The work of stages as metrics, under the names that Prometheus shows.
pub fn metrics(stages: &[StageWork]) -> Map<String, Value> {
    let mut metrics = Map::new();
    for work in stages {
        for metric in StageMetric::ALL {
            let name = format!("{}{{family=\"{}\",stage=\"{}\"}}", metric.full_name(), work.family, work.label);
            metrics.insert(name, Value::Number(metric.value(work)));
        }
    }
    metrics
}
