//! Checks every byte of a run against its checksums.

use std::path::Path;

use super::{commit::replay, locate};
use crate::{
    error::Result,
    io::{checked::CheckedFile, digest, disk},
    run::COMMITS,
};

/// What a check of a run directory has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Files that are what was written.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files of runs of format 1 and before, which have no checksums: only their lengths are known.
    pub unchecked: usize,
    /// Every file that is missing or damaged, in a sentence.
    pub damaged: Vec<String>,
}

/// Reads every part that the commit records of a run name, and the snapshots of the last commit, and compares them with their
/// checksums. Reading the records checks these.
///
/// # Errors
/// When a record is missing or damaged: what the run holds is not known then.
pub fn verify(run_dir: &Path) -> Result<Verification> {
    let records = replay(run_dir)?;
    let mut found = Verification::default();
    for record in &records {
        for (table, parts) in &record.tables {
            for part in parts {
                let checked = locate(run_dir, table, part)
                    .and_then(|path| CheckedFile::open(&path, &part.checksums))
                    .and_then(|file| file.check_all());
                found.add(checked, part.bytes, part.checksums.is_empty());
            }
        }
    }
    for (_, state) in records.last().iter().flat_map(|record| record.states()) {
        let path = run_dir.join(COMMITS).join(&state.file);
        let bytes = disk::read(&path).and_then(|bytes| {
            let damaged = || crate::error::Error::data(format!("`{}` is damaged", path.display()));
            if digest::of_bytes(&bytes) == state.digest { Ok(bytes.len() as u64) } else { Err(damaged()) }
        });
        found.add(bytes.as_ref().map(|_| ()).map_err(ToString::to_string), *bytes.as_ref().unwrap_or(&0), false);
    }
    Ok(found)
}

impl Verification {
    fn add(&mut self, checked: Result<(), impl ToString>, bytes: u64, unchecked: bool) {
        match checked {
            Err(error) => self.damaged.push(error.to_string()),
            Ok(()) if unchecked => self.unchecked += 1,
            Ok(()) => {
                self.files += 1;
                self.bytes += bytes;
            }
        }
    }
}
