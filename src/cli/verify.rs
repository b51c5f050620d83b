//! `lucarne verify`: checks the files of a run against their checksums.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, path_argument::path, terminal};
use crate::{
    error::{Error, Result},
    run,
};

/// Check every file of a run against its checksum
///
/// Reads all parts of all tables, and the snapshots of the monitors. Queries and reports check what they read anyway. Damaged files are
/// named, and the exit code is 3.
#[derive(Args)]
pub(super) struct Verify {
    /// The run directory
    #[arg(value_parser = path())]
    run: PathBuf,
}

impl Verify {
    pub(super) fn run(&self) -> Result<Exit> {
        if !run::is_run(&self.run)? {
            return Err(Error::environment(format!("`{}` is not a run directory", self.run.display())));
        }
        let run::Verification { files, bytes, unchecked, damaged } = run::verify(&self.run)?;
        for sentence in &damaged {
            terminal::note(sentence);
        }
        let old = match unchecked {
            0 => String::new(),
            files => format!("; {files} files of an older version have no checksums, and have the right length"),
        };
        let shown = self.run.display();
        terminal::result(&format!("{shown}: {files} files, {bytes} bytes, are what was written{old}\n"))?;
        match damaged.len() {
            0 => Ok(Exit::Done),
            number => Err(Error::data(format!("{number} files of `{shown}` are missing or damaged"))),
        }
    }
}
