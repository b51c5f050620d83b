//! `lucarne compact`: merges the small Parquet parts of a run.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, path_argument::path, terminal};
use crate::{engine, error::Result};

/// Merge the small Parquet parts of a run's tables
///
/// Rows and their order do not change. The command is safe to kill at any time.
#[derive(Args)]
pub(super) struct Compact {
    /// The run directory
    #[arg(value_parser = path())]
    run: PathBuf,
    /// Merge parts up to this size, MiB
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    part_mib: u64,
}

impl Compact {
    pub(super) fn run(&self, quiet: bool) -> Result<Exit> {
        let done = engine::compact(&self.run, self.part_mib << 20)?;
        if !quiet {
            let engine::Compaction { parts_before, parts_after } = done;
            terminal::note(&format!("{}: merged {parts_before} parts into {parts_after}", self.run.display()));
        }
        Ok(Exit::Done)
    }
}
