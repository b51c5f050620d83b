//! A plan without its stages: what `explain` shows.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use arrow::datatypes::{Field, SchemaRef};

use super::kinds::Family;
use crate::engine::GraphNode;

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
    /// The declared steps, each with those that it takes from; hidden steps stand for what they read.
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
        for OutlineMonitor { label, kind, reads, follows, .. } in &self.monitors {
            let mut above = self.makers(reads);
            above.extend(follows.iter().cloned());
            graph.push(node(Family::Monitor, label, kind, above));
        }
        let sinks = self.sinks.iter().map(|(label, kind, kept)| node(Family::Sink, label, kind, self.makers(kept)));
        graph.extend(sinks);
        graph
    }

    /// The labels of the declared steps that made these columns, each once.
    fn makers(&self, columns: &[String]) -> Vec<String> {
        let mut makers: Vec<String> = Vec::new();
        let mut left: Vec<&str> = columns.iter().rev().map(String::as_str).collect();
        let mut seen = BTreeSet::new();
        while let Some(column) = left.pop() {
            if !seen.insert(column) {
                continue;
            }
            match self.steps.iter().find(|step| step.made.iter().any(|field| field.name() == column)) {
                Some(step) if !is_declared(step) && !step.reads.is_empty() => {
                    left.extend(step.reads.iter().rev().map(String::as_str));
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

/// The label of a source, which has none of its own.
const SOURCE: &str = "source";

fn is_declared(step: &OutlineStep) -> bool {
    !step.label.starts_with('_') && step.family != Family::Source
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
