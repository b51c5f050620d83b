//! What the engine runs: bound stages in order, and how to run them.

use std::{path::PathBuf, sync::Arc};

use arrow::datatypes::SchemaRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stage::{Monitor, Scorer, Sink, Source, Transform};

/// A checked pipeline, every stage bound, nothing started.
pub struct Job {
    /// The run directory; `None` when the caller pulls the batches and no table is written.
    pub run_dir: Option<PathBuf>,
    /// Where rows come from.
    pub source: Box<dyn Source>,
    /// Transforms (the source's decoder and shared steps included) and scores, in order.
    pub steps: Vec<Step>,
    /// Monitors, by label, with the schemas of their tables.
    pub monitors: Vec<(String, SchemaRef, Box<dyn Monitor>)>,
    /// Sinks, by label.
    pub sinks: Vec<(String, Box<dyn Sink>)>,
    /// The schema after the last step: what monitors and sinks see.
    pub output: SchemaRef,
    /// The seed of every draw.
    pub seed: u64,
    /// The most rows to take from the source; all of them when `None`.
    pub limit: Option<u64>,
    /// How to run.
    pub engine: EngineSettings,
    /// The pipeline as it will run, all parameters filled in: kept in `run.json`, and its digest guards a resume.
    pub document: serde_json::Value,
    /// What is told of it in `run.json` besides, for readers.
    pub about: PipelineMetadata,
}

/// What a pipeline is, in the words of its document and as a graph.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineMetadata {
    /// What the document says that it is.
    #[serde(default)]
    pub description: Option<String>,
    /// Its declared steps, in order: source, transforms, scores, monitors, sinks.
    #[serde(default)]
    pub graph: Vec<GraphNode>,
}

/// A declared step of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphNode {
    /// `source`, `transform`, `score`, `monitor` or `sink`.
    pub family: String,
    /// Its label.
    pub label: String,
    /// Its kind.
    pub kind: String,
    /// The labels of the steps whose columns it reads, or whose rows it follows.
    pub reads: Vec<String>,
}

/// A step of the fused, stateless part of a pipeline.
pub struct Step {
    /// Its label; hidden ones begin with `_`.
    pub label: String,
    /// The kind, for metrics and `explain`.
    pub kind: String,
    /// What it does.
    pub stage: StepStage,
    /// The columns that nothing after it uses.
    pub drop_after: Vec<String>,
}

/// What a step does.
pub enum StepStage {
    /// Makes a column or removes rows.
    Transform(Box<dyn Transform>),
    /// Asks a model.
    Score(Arc<dyn Scorer>),
}

/// How a pipeline is run: the section `engine` of a document. Results do not depend on any of these, but for `on_reject`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSettings {
    /// Worker threads; 0 takes one for every core.
    pub threads: usize,
    /// The most rows of a batch; 0 takes as many as the scores are best asked about at once: 32, and 200 on a GPU.
    #[schemars(range(min = 0, max = 65536))]
    pub batch_rows: usize,
    /// The most memory that batches under way may take, MiB.
    #[schemars(range(min = 16))]
    pub memory_mib: usize,
    /// A commit after this many rows.
    #[schemars(range(min = 1))]
    pub commit_rows: u64,
    /// A commit after this many seconds.
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
    /// Write it to the table `rejects` with its reason, and go on.
    Quarantine,
    /// End the run.
    Fail,
}
