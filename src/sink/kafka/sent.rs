//! Which parts of the table were sent.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    io::disk,
};

/// The file, in the folder of the table.
const FILE: &str = "_sent.json";

/// The parts that the brokers have acknowledged, which are the first of the table.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Sent {
    format: u32,
    parts: usize,
    /// The name of the last one.
    last: Option<String>,
}

impl Sent {
    pub(super) fn read(table: &Path) -> Result<Self> {
        let path = table.join(FILE);
        let Some(bytes) = disk::read_if_exists(&path)? else { return Ok(Self { format: 1, ..Self::default() }) };
        let found: Self = serde_json::from_slice(&bytes)
            .map_err(|error| Error::data(format!("`{}` is damaged: {error}", path.display())))?;
        if found.format != 1 {
            return Err(Error::data(format!("`{}` has the format {}, expected 1", path.display(), found.format)));
        }
        Ok(found)
    }

    /// The parts that were not sent.
    ///
    /// # Errors
    /// When the table has other parts than those that were sent: it was compacted or replaced.
    pub(super) fn left<'a>(&self, parts: &'a [PathBuf]) -> Result<&'a [PathBuf]> {
        let known = self.parts.checked_sub(1).map(|last| parts.get(last).map(|part| name_of(part)));
        match known {
            None => Ok(parts),
            Some(Some(name)) if Some(&name) == self.last.as_ref() => Ok(&parts[self.parts..]),
            _ => Err(Error::data(format!(
                "the table has {} parts that are not those of which {} were sent; it is not known which rows consumers have",
                parts.len(),
                self.parts
            ))),
        }
    }

    pub(super) fn add(&mut self, part: &Path) {
        self.parts += 1;
        self.last = Some(name_of(part));
    }

    pub(super) fn write(&self, table: &Path) -> Result<()> {
        let json = serde_json::to_vec(self).map_err(|error| Error::bug(error.to_string()))?;
        disk::replace(&table.join(FILE), &json)
    }
}

fn name_of(part: &Path) -> String {
    part.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_left_behind_those_that_were_sent() {
        let table = tempfile::tempdir().expect("a folder");
        let parts = ["part-1", "part-2", "part-3"].map(|name| table.path().join(name));
        let mut sent = Sent::read(table.path()).expect("nothing sent");
        assert_eq!(sent.left(&parts).expect("all"), &parts);
        sent.add(&parts[0]);
        sent.add(&parts[1]);
        sent.write(table.path()).expect("written");
        let sent = Sent::read(table.path()).expect("two sent");
        assert_eq!(sent.left(&parts).expect("one"), &parts[2..]);
        assert!(sent.left(&parts[1..]).is_err() && sent.left(&parts[..1]).is_err());
    }
}
