//! `lucarne check`: reports all mistakes in a document, and prints nothing for a valid one.

use clap::Args;

use super::{Exit, pipeline::PipelineArgs};
use crate::error::Result;

/// Report all mistakes in a pipeline without reading pixels; print nothing for a valid pipeline
#[derive(Args)]
pub(super) struct Check {
    #[command(flatten)]
    pipeline: PipelineArgs,
}

impl Check {
    pub(super) fn run(&self) -> Result<Exit> {
        self.pipeline.pipeline()?.check()?;
        Ok(Exit::Done)
    }
}
