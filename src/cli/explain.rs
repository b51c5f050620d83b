//! `lucarne explain`: the graph of a pipeline with the schema on every edge.

use clap::{Args, ValueEnum};

use super::{Exit, pipeline::PipelineArgs, terminal};
use crate::{
    error::Result,
    pipeline::{mermaid, text},
};

/// Shows the graph of a pipeline: what every step reads and makes, and where columns are dropped.
#[derive(Args)]
pub(super) struct Explain {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// How to show it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Lines of text: `+` what a step makes, `-` what is dropped after it, `=` what flows on.
    Text,
    /// A Mermaid flowchart.
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
