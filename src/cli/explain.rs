//! `lucarne explain`: prints the graph of a pipeline with the schema on every edge.

use clap::{Args, ValueEnum};

use super::{Exit, pipeline::PipelineArgs, terminal};
use crate::{
    error::Result,
    pipeline::{mermaid, text},
};

/// Print the graph of a pipeline: the columns that every step reads, makes and drops
#[derive(Args)]
pub(super) struct Explain {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Select the output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Text: `+` a column that a step makes, `-` a column dropped after it, `=` the columns that remain
    Text,
    /// A Mermaid flowchart
    Mermaid,
}

impl Explain {
    pub(super) fn run(&self) -> Result<Exit> {
        let plan = self.pipeline.pipeline()?.check()?;
        terminal::result(&match self.format {
            Format::Text => text(plan.logical_plan()),
            Format::Mermaid => mermaid(plan.logical_plan()),
        })?;
        Ok(Exit::Done)
    }
}
