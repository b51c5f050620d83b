//! `lucarne compact`: merges small Parquet parts of a run.

use std::path::PathBuf;

use clap::Args;

use super::Exit;
use crate::{engine, error::Result};

/// Merges the small parts of a run's tables. The rows and their order stay; it may be killed at any instant.
#[derive(Args)]
pub(super) struct Compact {
    /// The run directory.
    run: PathBuf,
    /// Size of the parts that come of it, MiB.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    part_mib: u64,
}

impl Compact {
    pub(super) fn run(&self, quiet: bool) -> Result<Exit> {
        let done = engine::compact(&self.run, self.part_mib << 20)?;
        if !quiet {
            eprintln!("{}: {} parts, before {}", self.run.display(), done.parts_after, done.parts_before);
        }
        Ok(Exit::Done)
    }
}
