//! `lucarne card`: proposes the card of a model.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, path_argument::path, terminal};
use crate::{error::Result, score::onnx::propose_card};

/// Propose a model card: read the graph of an ONNX file, and say what it does not tell
///
/// Write the result to `MODEL.card.yaml` beside the model (`net.card.yaml` for `net.onnx`) and fill in each TODO; a card with a TODO is
/// refused. A score also takes a card from `card:`.
#[derive(Args)]
pub(super) struct Card {
    /// The ONNX file
    #[arg(value_parser = path())]
    model: PathBuf,
    /// What another program wrote about the model, or its folder: `meta.yaml` of lsst.meas.transiNet, `config.json` of timm or Zoobot,
    /// `preprocessor_config.json`, `runtime_config.toml` of Hyrax. What cannot be taken over is listed
    #[arg(long, value_name = "FILE", value_parser = path())]
    from: Option<PathBuf>,
}

impl Card {
    pub(super) fn run(&self) -> Result<Exit> {
        let proposal = propose_card(&self.model, self.from.as_deref())?;
        terminal::result(&proposal.card)?;
        if !proposal.taken.is_empty() {
            terminal::note(&format!("taken over: {}", proposal.taken.join(", ")));
        }
        for left_out in &proposal.left_out {
            terminal::note(&format!("not taken over: {left_out}"));
        }
        if !proposal.unknown.is_empty() {
            terminal::note(&format!("fill in: {}", proposal.unknown.join(", ")));
        }
        Ok(Exit::Done)
    }
}
