//! A plan without its stages: what `explain` shows.

use std::{path::PathBuf, sync::Arc};

use arrow::datatypes::{Field, SchemaRef};

use super::kinds::Family;

/// The graph of a checked pipeline, with the schema on every edge.
#[derive(Debug, Clone)]
pub struct Outline {
    /// What the document says that it is.
    pub description: Option<String>,
    /// The run directory.
    pub run: Option<PathBuf>,
    /// The kind of the source.
    pub source_kind: String,
    /// The columns of the source.
    pub source: Vec<Arc<Field>>,
    /// Transforms and scores in order, hidden ones included.
    pub steps: Vec<OutlineStep>,
    /// Monitors, in order.
    pub monitors: Vec<OutlineMonitor>,
    /// Sinks: label, kind, the columns kept.
    pub sinks: Vec<(String, String, Vec<String>)>,
    /// What monitors and sinks see.
    pub output: SchemaRef,
}

/// A transform or a score of an [`Outline`].
#[derive(Debug, Clone)]
pub struct OutlineStep {
    /// Transform or score; source, of the part of reading that workers share.
    pub family: Family,
    /// Its label.
    pub label: String,
    /// Its kind.
    pub kind: String,
    /// The columns that it reads.
    pub reads: Vec<String>,
    /// The columns that it makes.
    pub made: Vec<Field>,
    /// The columns that nothing after it uses.
    pub dropped: Vec<String>,
    /// The labels that share it, of a hidden step.
    pub shared_by: Vec<String>,
}

impl Outline {
    /// Every declared step but the source: label, kind, family.
    pub(super) fn labels(&self) -> Vec<(String, String, Family)> {
        let steps = self.steps.iter().filter(|step| !step.label.starts_with('_') && step.family != Family::Source);
        let steps = steps.map(|step| (step.label.clone(), step.kind.clone(), step.family));
        let monitors =
            self.monitors.iter().map(|monitor| (monitor.label.clone(), monitor.kind.clone(), Family::Monitor));
        let sinks = self.sinks.iter().map(|(label, kind, _)| (label.clone(), kind.clone(), Family::Sink));
        steps.chain(monitors).chain(sinks).collect()
    }
}

/// A monitor, bound.
#[derive(Debug, Clone)]
pub struct OutlineMonitor {
    /// Its label, which is its table.
    pub label: String,
    /// Its kind.
    pub kind: String,
    /// The columns that it reads, those of the images that it asks about included.
    pub reads: Vec<String>,
    /// The monitors above whose rows it works on.
    pub follows: Vec<String>,
    /// The schema of its table.
    pub table: SchemaRef,
}
