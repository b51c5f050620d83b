//! Which parts of the table were sent.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    io::disk,
};

/// The file, in the folder of the table.
const FILE: &str = "_sent.json";

/// How many rows the brokers have acknowledged, which are the first of the table, and how many findings, which are the first of the
/// run. A compaction keeps the order of both.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sent {
    format: u32,
    pub(super) rows: u64,
    #[serde(default)]
    pub(super) findings: u64,
}

/// A part of the table that has rows to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnsentPart {
    pub(super) path: PathBuf,
    /// How many of its rows were sent.
    pub(super) skip: u64,
    pub(super) rows: u64,
}

impl Sent {
    pub(super) fn read(table: &Path) -> Result<Self> {
        let path = table.join(FILE);
        let Some(bytes) = disk::read_if_exists(&path)? else { return Ok(Self { format: 1, rows: 0, findings: 0 }) };
        let found: Self = serde_json::from_slice(&bytes)
            .map_err(|error| Error::data(format!("`{}` is damaged: {error}", path.display())))?;
        if found.format != 1 {
            return Err(Error::data(format!("`{}` has the format {}, expected 1", path.display(), found.format)));
        }
        Ok(found)
    }

    /// The parts with rows that were not sent, of parts with their numbers of rows.
    pub(super) fn left(&self, parts: Vec<(PathBuf, u64)>) -> Vec<UnsentPart> {
        let mut before = 0;
        let mut left = Vec::new();
        for (path, rows) in parts {
            let skip = self.rows.saturating_sub(before).min(rows);
            before += rows;
            if skip < rows {
                left.push(UnsentPart { path, skip, rows });
            }
        }
        left
    }

    pub(super) fn write(&self, table: &Path) -> Result<()> {
        let json = serde_json::to_vec(self).map_err(|error| Error::bug(error.to_string()))?;
        disk::replace(&table.join(FILE), &json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_left_behind_those_that_were_sent_also_in_other_parts() {
        let table = tempfile::tempdir().expect("a folder");
        let sent = Sent::read(table.path()).expect("nothing sent");
        let part = |name: &str, skip, rows| UnsentPart { path: name.into(), skip, rows };
        let parts = || vec![("a".into(), 3), ("b".into(), 0), ("c".into(), 5)];
        assert_eq!(sent.left(parts()), [part("a", 0, 3), part("c", 0, 5)]);
        assert_eq!(sent.findings, 0);
        // Without `findings`, as it was written before they were sent.
        std::fs::write(table.path().join(FILE), r#"{"format":1,"rows":4}"#).expect("written");
        assert_eq!(Sent::read(table.path()).expect("four sent").findings, 0);
        Sent { rows: 4, findings: 2, ..sent }.write(table.path()).expect("written");
        let sent = Sent::read(table.path()).expect("four sent");
        assert_eq!(sent.findings, 2);
        assert_eq!(sent.left(parts()), [part("c", 1, 5)]);
        assert_eq!(sent.left(vec![("whole".into(), 8)]), [part("whole", 4, 8)]);
        assert_eq!(Sent { rows: 8, ..sent }.left(parts()), []);
    }
}
