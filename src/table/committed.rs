//! What the tables of a run hold, told by its commit records alone.
//!
//! A record lists the parts that its commit added; a checkpoint lists all parts of all tables. So the tables are what the
//! latest checkpoint and the records after it name: a chain without gaps.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};

use super::TablePart;
use crate::error::{Error, Result};

/// The folder of the commit records in a run directory.
pub const COMMITS: &str = "_commits";
/// The folder of the parts that are not in their tables yet.
pub const STAGING: &str = "_staging";
/// The file that says what a run was: provenance, counts, findings.
pub const RUN_RECORD: &str = "run.json";

/// What a chain needs to know of a record.
pub trait Link: DeserializeOwned {
    /// Whether it says everything, so that no record before it matters.
    fn is_checkpoint(&self) -> bool;
}

#[derive(Deserialize)]
struct Committed {
    checkpoint: bool,
    tables: BTreeMap<String, Vec<TablePart>>,
}

impl Link for Committed {
    fn is_checkpoint(&self) -> bool {
        self.checkpoint
    }
}

/// Whether a folder is a run directory: it has commit records, or a `run.json` of ours.
pub fn is_run(folder: &Path) -> bool {
    let ours =
        |text: String| serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|run| run["lucarne"].is_object());
    folder.join(COMMITS).is_dir() || fs::read_to_string(folder.join(RUN_RECORD)).is_ok_and(ours)
}

/// The path of a commit record.
pub fn record_path(run_dir: &Path, commit: u64) -> PathBuf {
    run_dir.join(COMMITS).join(format!("{commit:010}.json"))
}

/// The numbers of the commit records that there are, in order.
///
/// # Errors
/// When the folder cannot be read.
pub fn records(run_dir: &Path) -> Result<Vec<u64>> {
    let folder = run_dir.join(COMMITS);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", &folder, error)),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| Error::io("read", &folder, error))?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.strip_suffix(".json")?.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The latest checkpoint and the records after it, in order; empty before the first commit.
///
/// # Errors
/// [`Error::Environment`] when a record cannot be read, [`Error::Data`] when one is missing or is no record.
pub fn chain<T: Link>(run_dir: &Path) -> Result<Vec<T>> {
    // A compaction may remove old records while they are read; what it wrote instead is there then.
    let mut attempts = 0;
    loop {
        attempts += 1;
        match read_chain(run_dir)? {
            Ok(chain) => return Ok(chain),
            Err(_) if attempts < 5 => {}
            Err(missing) => return Err(Error::data(format!("the commit record `{}` is missing", missing.display()))),
        }
    }
}

fn read_chain<T: Link>(run_dir: &Path) -> Result<Result<Vec<T>, PathBuf>> {
    let Some(latest) = records(run_dir)?.last().copied() else { return Ok(Ok(Vec::new())) };
    let mut chain = Vec::new();
    for commit in (0..=latest).rev() {
        let path = record_path(run_dir, commit);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err(path)),
            Err(error) => return Err(Error::io("read", &path, error)),
        };
        let record: T = serde_json::from_slice(&text)
            .map_err(|error| Error::data(format!("`{}` is no commit record: {error}", path.display())))?;
        let done = record.is_checkpoint();
        chain.push(record);
        if done {
            chain.reverse();
            return Ok(Ok(chain));
        }
    }
    Ok(Err(record_path(run_dir, 0)))
}

/// The parts of every table of a run, in the order of their rows.
///
/// # Errors
/// When the records cannot be read.
pub fn tables(run_dir: &Path) -> Result<BTreeMap<String, Vec<TablePart>>> {
    let mut tables: BTreeMap<String, Vec<TablePart>> = BTreeMap::new();
    for record in chain::<Committed>(run_dir)? {
        for (table, parts) in record.tables {
            tables.entry(table).or_default().extend(parts);
        }
    }
    Ok(tables)
}

/// Where a committed part lies: in its table, or still in staging.
pub fn locate(run_dir: &Path, table: &str, part: &TablePart) -> PathBuf {
    let moved = run_dir.join(table).join(&part.file);
    let staged = run_dir.join(STAGING).join(table).join(&part.file);
    if moved.exists() || !staged.exists() { moved } else { staged }
}

/// The files of a table of a run, in the order of their rows; `None` when the run has no such table.
///
/// # Errors
/// When the records cannot be read.
pub fn part_files(run_dir: &Path, table: &str) -> Result<Option<Vec<PathBuf>>> {
    let parts = tables(run_dir)?.remove(table);
    Ok(parts.map(|parts| parts.iter().map(|part| locate(run_dir, table, part)).collect()))
}
