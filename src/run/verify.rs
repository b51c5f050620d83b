//! Checks every byte of a run against its checksums.

use std::path::Path;

use super::{commit::replay, locate};
use crate::{
    error::{Error, Result},
    io::checked::CheckedFile,
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
    /// A message for every file that is missing or damaged.
    pub damaged: Vec<String>,
}

/// Reads every part that the commit records of a run name, and the snapshots of the last commit, and compares them with their
/// checksums. Reading the records checks these.
///
/// # Errors
/// [`Error::Data`] when a record is missing or damaged, because what the run holds is not known then; [`Error::Environment`] when
/// the system cannot read a file.
pub fn verify(run_dir: &Path) -> Result<Verification> {
    let records = replay(run_dir)?;
    let mut found = Verification::default();
    for (table, part) in records
        .iter()
        .flat_map(|record| &record.tables)
        .flat_map(|(table, parts)| parts.iter().map(move |part| (table, part)))
    {
        let checked = locate(run_dir, table, part)
            .and_then(|path| CheckedFile::open(&path, &part.checksums))
            .and_then(|file| file.check_all())
            .map(|()| part.bytes);
        found.add(checked, !part.checksums.is_empty())?;
    }
    for (_, state) in records.last().iter().flat_map(|record| record.states()) {
        found.add(state.read(run_dir).map(|snapshot| snapshot.len() as u64), true)?;
    }
    Ok(found)
}

impl Verification {
    /// Counts a file by its bytes, or notes its damage.
    fn add(&mut self, checked: Result<u64>, has_checksums: bool) -> Result<()> {
        match checked {
            Err(error @ Error::Environment { .. }) => return Err(error),
            Err(error) => self.damaged.push(error.to_string()),
            Ok(_) if !has_checksums => self.unchecked += 1,
            Ok(bytes) => {
                self.files += 1;
                self.bytes += bytes;
            }
        }
        Ok(())
    }
}
