//! The arguments that all commands on a pipeline share.

use std::path::PathBuf;

use clap::Args;

use super::path_argument::path;
use crate::{error::Result, pipeline::Pipeline};

/// A pipeline and the settings that override it.
#[derive(Args)]
pub(super) struct PipelineArgs {
    /// The pipeline document
    #[arg(value_name = "PIPELINE", value_parser = path())]
    pub path: PathBuf,
    /// Set a parameter of the document. VALUE is text as typed where a setting takes text (`*.fits`, `#1`, `a: b`), and YAML elsewhere:
    /// `5`, `true`, `[g, r]`, `{ g: 1 }`, `~` for no value. In quotes it is text everywhere: '"5"'
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Set one setting of one step; dots separate nested keys, and `source` and `engine` are labels too. VALUE is read as that of `--set`
    #[arg(short, long = "config", value_name = "LABEL:KEY=VALUE", value_parser = pair)]
    config: Vec<(String, String)>,
    /// Set the seed of all random draws
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

impl PipelineArgs {
    /// Reads the pipeline and applies the arguments.
    pub(super) fn pipeline(&self) -> Result<Pipeline> {
        let mut pipeline = Pipeline::from_file(&self.path)?;
        for (name, value) in &self.set {
            pipeline = pipeline.set(name, value);
        }
        for (setting, value) in &self.config {
            pipeline = pipeline.configure(setting, value);
        }
        Ok(if let Some(seed) = self.seed { pipeline.seed(seed) } else { pipeline })
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` has no `=`"))?;
    Ok((name.trim().to_owned(), value.to_owned()))
}
