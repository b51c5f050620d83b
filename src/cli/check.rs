//! `lucarne check`: every mistake of a document at once. Silent when there is none.

use clap::Args;

use super::{Exit, pipeline::PipelineArgs};
use crate::error::Result;

/// Finds every mistake of a pipeline at once, without touching pixels. Silent when there is none.
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
