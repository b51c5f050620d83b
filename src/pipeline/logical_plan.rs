//! The logical plan: the checked graph without its stages, as `explain` prints it.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use arrow::datatypes::{Field, SchemaRef};

use super::kinds::Family;
use crate::engine::GraphNode;

/// The graph of a checked pipeline, with the schema on every edge.
#[derive(Debug, Clone)]
pub struct LogicalPlan {
    /// The description in the document.
    pub description: Option<String>,
    /// The run directory.
    pub run: Option<PathBuf>,
    /// The kind of the source.
    pub source_kind: String,
    /// The columns that the source makes.
    pub source: Vec<Arc<Field>>,
    /// Transforms and scores in order, hidden ones included.
    pub steps: Vec<LogicalStep>,
    /// Monitors, in order.
    pub monitors: Vec<LogicalMonitor>,
    /// Sinks, in order.
    pub sinks: Vec<LogicalSink>,
    /// The columns that monitors and sinks receive.
    pub output: SchemaRef,
}

/// A transform or a score of a [`LogicalPlan`].
#[derive(Debug, Clone)]
pub struct LogicalStep {
    /// Transform or score, or source for the decoding that workers do.
    pub family: Family,
    /// Its label.
    pub label: String,
    /// Its kind.
    pub kind: String,
    /// The columns that it reads.
    pub reads: Vec<String>,
    /// The columns that it makes.
    pub made: Vec<Field>,
    /// The columns that are dropped after it.
    pub dropped: Vec<String>,
    /// The labels that share it, if it is a hidden step.
    pub shared_by: Vec<String>,
}

impl LogicalPlan {
    /// The declared steps, each with the steps whose columns it reads. A hidden step is replaced by the steps that it reads from.
    pub fn graph(&self) -> Vec<GraphNode> {
        let node = |family: Family, label: &str, kind: &str, reads: Vec<String>| GraphNode {
            family: family.name().into(),
            label: label.into(),
            kind: kind.into(),
            reads,
        };
        let mut graph = vec![node(Family::Source, SOURCE, &self.source_kind, Vec::new())];
        for step in self.steps.iter().filter(|step| is_declared(step)) {
            graph.push(node(step.family, &step.label, &step.kind, self.makers(&step.reads)));
        }
        for LogicalMonitor { label, kind, reads, upstream, .. } in &self.monitors {
            let mut inputs = self.makers(reads);
            inputs.extend(upstream.iter().cloned());
            graph.push(node(Family::Monitor, label, kind, inputs));
        }
        for LogicalSink { label, kind, columns } in &self.sinks {
            graph.push(node(Family::Sink, label, kind, self.makers(columns)));
        }
        graph
    }

    /// The labels of the declared steps that made these columns, each once.
    fn makers(&self, columns: &[String]) -> Vec<String> {
        let mut makers: Vec<String> = Vec::new();
        let mut open: Vec<&str> = columns.iter().rev().map(String::as_str).collect();
        let mut seen = BTreeSet::new();
        while let Some(column) = open.pop() {
            if !seen.insert(column) {
                continue;
            }
            match self.steps.iter().find(|step| step.made.iter().any(|field| field.name() == column)) {
                Some(step) if !is_declared(step) && !step.reads.is_empty() => {
                    open.extend(step.reads.iter().rev().map(String::as_str));
                }
                maker => {
                    let maker = maker.filter(|step| is_declared(step)).map_or(SOURCE, |step| &step.label);
                    if !makers.iter().any(|known| known == maker) {
                        makers.push(maker.into());
                    }
                }
            }
        }
        makers
    }
}

/// The label of the source, which a document does not name.
const SOURCE: &str = "source";

fn is_declared(step: &LogicalStep) -> bool {
    !step.label.starts_with('_') && step.family != Family::Source
}

/// A monitor of a [`LogicalPlan`].
#[derive(Debug, Clone)]
pub struct LogicalMonitor {
    /// Its label, which is its table.
    pub label: String,
    /// Its kind.
    pub kind: String,
    /// The columns that it reads, including the images that it queries models with.
    pub reads: Vec<String>,
    /// Its upstream monitors, whose rows it receives.
    pub upstream: Vec<String>,
    /// The schema of its table.
    pub table: SchemaRef,
}

/// A sink of a [`LogicalPlan`].
#[derive(Debug, Clone)]
pub struct LogicalSink {
    /// Its label, which is its table.
    pub label: String,
    /// Its kind.
    pub kind: String,
    /// The columns that it keeps.
    pub columns: Vec<String>,
}
