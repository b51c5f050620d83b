//! The job that the engine runs: bound stages in order, and the engine settings.

use std::{path::PathBuf, sync::Arc};

use arrow::datatypes::SchemaRef;

use crate::{
    run::{EngineSettings, Finding, GraphNode},
    stage::{Monitor, Scorer, Sink, Source, Transform},
};

/// A checked pipeline: every stage is bound, none is started.
pub struct Job {
    /// The run directory; `None` when the caller pulls the batches and no table is written.
    pub run_dir: Option<PathBuf>,
    /// Where rows come from.
    pub source: JobStage<dyn Source>,
    /// Transforms (including the decoder of the source and shared steps) and scores, in order.
    pub steps: Vec<Step>,
    /// Monitors, in order.
    pub monitors: Vec<JobMonitor>,
    /// Sinks, in order.
    pub sinks: Vec<JobStage<dyn Sink>>,
    /// The schema after the last step: what monitors and sinks receive.
    pub output: SchemaRef,
    /// The most bytes that the columns of one row take at any step, as far as the schemas say; 0 if that is not known.
    pub row_bytes: usize,
    /// The seed of all random draws.
    pub seed: u64,
    /// The maximum number of rows to read from the source; `None` for all.
    pub limit: Option<u64>,
    /// The engine settings.
    pub engine: EngineSettings,
    /// The pipeline with all parameters inserted. It is written to `run.json`, and a resume compares its digest.
    pub document: serde_json::Value,
    /// Labels of stages whose settings are not in the document and that have no digest: a run with such stages
    /// cannot be resumed.
    pub undigested: Vec<String>,
    /// Metadata of the pipeline for the run record.
    pub metadata: PipelineMetadata,
}

/// A stage with its label.
pub struct JobStage<T: ?Sized> {
    /// Its label.
    pub label: String,
    /// Its kind.
    pub kind: String,
    /// Whether it is the caller's own: its errors are then reported as [`Error::Stage`](crate::error::Error::Stage).
    pub custom: bool,
    /// The stage.
    pub stage: Box<T>,
}

/// A monitor with the schema of its table.
pub struct JobMonitor {
    /// The monitor.
    pub stage: JobStage<dyn Monitor>,
    /// The schema of its table.
    pub table: SchemaRef,
}

impl Job {
    /// The findings of the started scorers.
    pub(super) fn scorer_findings(&self) -> Vec<Finding> {
        let scorers = self.steps.iter().filter_map(|step| match &step.stage {
            StepStage::Score(scorer) => Some((&step.label, scorer)),
            StepStage::Transform(_) => None,
        });
        let found = scorers.flat_map(|(label, scorer)| {
            scorer.findings().into_iter().map(|message| Finding { monitor: label.clone(), message })
        });
        found.collect()
    }
}

/// The description of a pipeline, and its graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PipelineMetadata {
    /// The description in the document.
    pub description: Option<String>,
    /// The declared steps, in order: source, transforms, scores, monitors, sinks.
    pub graph: Vec<GraphNode>,
}

/// A step of the fused, stateless part of a pipeline.
pub struct Step {
    /// Its label; hidden ones begin with `_`.
    pub label: String,
    /// The kind, for metrics and `explain`.
    pub kind: String,
    /// Whether it is the caller's own.
    pub custom: bool,
    /// The transform or score.
    pub stage: StepStage,
    /// The columns that nothing after it reads.
    pub drop_after: Vec<String>,
}

/// The stage of a step.
pub enum StepStage {
    /// Adds columns or removes rows.
    Transform(Box<dyn Transform>),
    /// Queries a model.
    Score(Arc<dyn Scorer>),
}
