//! Commit records: what the tables of a run hold, and what it needs to continue.
//!
//! A record lists the parts that its commit added; a *checkpoint* lists all parts of all tables. The tables are what the latest
//! checkpoint and the records after it name, without a gap. [`replay`] reads them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    COMMITS, Counts, Finding, STAGING, SourceCheckpoint, StageWork, TablePart, check_name, read_record, sealed,
};
use crate::{
    error::{Error, Result},
    io::{digest, disk},
};

/// One commit. Counts, source and monitors are as of this commit; tables and findings are what it adds to the commit before, or
/// everything if it is a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommitRecord {
    /// The format of the record; 0 where it is missing.
    #[serde(default)]
    pub format: u32,
    /// Its number, counted from 1.
    pub commit: u64,
    /// Whether it lists all parts and findings, so that no record before it matters.
    pub checkpoint: bool,
    /// Digest of the pipeline, without what does not affect its results.
    pub digest: String,
    /// The seed of every draw.
    pub seed: u64,
    /// The most rows to take from the source.
    pub limit: Option<u64>,
    /// Digests of the models, by label.
    pub models: BTreeMap<String, String>,
    /// SHA-256 of files that stages read beside the stream, by their paths. Missing in format 1.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, String>,
    /// How far the source was read. Records of format 0 have another field instead, and cannot be resumed.
    #[serde(default)]
    pub source: SourceCheckpoint,
    /// Where the rows went.
    pub counts: Counts,
    /// Work of every stage, in order.
    pub stages: Vec<StageWork>,
    /// The states of the monitors, by label.
    pub monitors: BTreeMap<String, StateFile>,
    /// The states of the sinks that hold rows back, by label.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sinks: BTreeMap<String, StateFile>,
    /// Parts by table.
    pub tables: BTreeMap<String, Vec<TablePart>>,
    /// Findings.
    pub findings: Vec<Finding>,
    /// Whether the run is complete.
    pub finished: bool,
}

/// The snapshot of a stage, in a file beside the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateFile {
    /// The name of the file.
    pub file: String,
    /// SHA-256 of its bytes.
    pub digest: String,
}

impl StateFile {
    /// The snapshot.
    ///
    /// # Errors
    /// [`Error::Data`] when it is not the one that the record names.
    pub fn read(&self, run_dir: &Path) -> Result<Vec<u8>> {
        let path = run_dir.join(COMMITS).join(&self.file);
        let snapshot = disk::read(&path)?;
        if digest::of_bytes(&snapshot) == self.digest {
            return Ok(snapshot);
        }
        Err(Error::data(format!("`{}` is not the state that the commit record names", path.display())))
    }
}

impl CommitRecord {
    /// Reads a record; `None` if there is none of this number.
    ///
    /// # Errors
    /// [`Error::Data`] when it is damaged, of a newer format, or names what is not in the run directory.
    pub fn read(run_dir: &Path, commit: u64) -> Result<Option<Self>> {
        let path = commit_path(run_dir, commit);
        let Some(bytes) = disk::read_if_exists(&path)? else { return Ok(None) };
        let record = Self::parse(&path, &bytes)?;
        if record.commit != commit {
            return Err(Error::data(format!("`{}` is the record of commit {}", path.display(), record.commit)));
        }
        Ok(Some(record))
    }

    /// Reads a record from its bytes. The path is for messages.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let record: Self = read_record(path, bytes, "commit record")?;
        record.check_names(path)?;
        Ok(record)
    }

    /// The state files, by the label of their stage. No two stages have one label.
    pub fn states(&self) -> impl Iterator<Item = (&String, &StateFile)> {
        self.monitors.iter().chain(&self.sinks)
    }

    /// Refuses names that could lead out of the run directory.
    fn check_names(&self, path: &Path) -> Result<()> {
        let parts = self.tables.values().flatten().map(|part| &part.file);
        let states = self.states().flat_map(|(label, state)| [label, &state.file]);
        self.tables.keys().chain(parts).chain(states).try_for_each(|name| check_name(path, name))
    }

    /// Writes the record into a run directory and makes it durable: the commit.
    ///
    /// # Errors
    /// When the disk is full; [`Error::Data`] when a sink has given a file a name that no reader would accept.
    pub fn write(&self, run_dir: &Path) -> Result<()> {
        self.check_names(&commit_path(run_dir, self.commit))?;
        disk::replace(&commit_path(run_dir, self.commit), &self.to_bytes()?)
    }

    /// The record as it is written.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let bytes = serde_json::to_vec(self)
            .map_err(|error| Error::bug("a commit record that is not JSON").caused_by(error))?;
        // A record of an older format stays one: those before it have no checksums either.
        Ok(if self.format >= 2 { sealed(bytes) } else { bytes })
    }
}

/// The path of a commit record.
pub fn commit_path(run_dir: &Path, commit: u64) -> PathBuf {
    run_dir.join(COMMITS).join(format!("{commit:010}.json"))
}

/// The numbers of the commit records of a run, in order.
///
/// # Errors
/// When the folder cannot be read.
pub fn commits(run_dir: &Path) -> Result<Vec<u64>> {
    let names = disk::names(&run_dir.join(COMMITS))?;
    let mut numbers: Vec<u64> =
        names.iter().filter_map(|name| name.strip_suffix(".json")?.parse::<u64>().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The latest checkpoint and the records after it, in order; empty before the first commit.
///
/// # Errors
/// [`Error::Environment`] when a record cannot be read, [`Error::Data`] when one is missing, damaged or of a newer format.
pub fn replay(run_dir: &Path) -> Result<Vec<CommitRecord>> {
    // A compaction may remove old records while they are read; its own record replaces them.
    let mut attempts = 0;
    loop {
        attempts += 1;
        match replay_once(run_dir)? {
            Ok(records) => return Ok(records),
            Err(_) if attempts < 5 => {}
            Err(missing) => return Err(Error::data(format!("the commit record `{}` is missing", missing.display()))),
        }
    }
}

fn replay_once(run_dir: &Path) -> Result<Result<Vec<CommitRecord>, PathBuf>> {
    let Some(latest) = commits(run_dir)?.last().copied() else { return Ok(Ok(Vec::new())) };
    let mut records = Vec::new();
    for commit in (0..=latest).rev() {
        let Some(record) = CommitRecord::read(run_dir, commit)? else {
            return Ok(Err(commit_path(run_dir, commit)));
        };
        let done = record.checkpoint;
        records.push(record);
        if done {
            records.reverse();
            return Ok(Ok(records));
        }
    }
    Ok(Err(commit_path(run_dir, 0)))
}

/// The findings of a run that are committed, in their order.
///
/// # Errors
/// When the records cannot be read.
pub fn findings(run_dir: &Path) -> Result<Vec<Finding>> {
    Ok(replay(run_dir)?.into_iter().flat_map(|record| record.findings).collect())
}

/// The parts of every table of a run, in the order of their rows.
///
/// # Errors
/// When the records cannot be read.
pub fn tables(run_dir: &Path) -> Result<BTreeMap<String, Vec<TablePart>>> {
    let mut tables: BTreeMap<String, Vec<TablePart>> = BTreeMap::new();
    for record in replay(run_dir)? {
        for (table, parts) in record.tables {
            tables.entry(table).or_default().extend(parts);
        }
    }
    Ok(tables)
}

/// The path of a committed part: in its table, or still in staging.
///
/// # Errors
/// [`Error::Data`] when it is missing, of another length, or behind a link.
pub fn locate(run_dir: &Path, table: &str, part: &TablePart) -> Result<PathBuf> {
    let (folder, staging) = (run_dir.join(table), run_dir.join(STAGING).join(table));
    // The engine may move it between two looks.
    for folder in [&folder, &staging, &folder] {
        if disk::is_link(folder)? {
            return Err(Error::data(format!("`{}` is a symbolic link, expected a folder", folder.display())));
        }
        let path = folder.join(&part.file);
        match disk::size(&path)? {
            None => {}
            Some(bytes) if bytes == part.bytes => return Ok(path),
            Some(bytes) => {
                return Err(Error::data(format!(
                    "`{}` has {bytes} bytes, expected {} from the commit records: it is damaged",
                    path.display(),
                    part.bytes
                )));
            }
        }
    }
    Err(Error::data(format!("`{}` is missing; the commit records name it", folder.join(&part.file).display())))
}

/// The files of a table of a run, in the order of their rows; `None` when the run has no such table.
///
/// # Errors
/// When the records cannot be read.
pub fn part_files(run_dir: &Path, table: &str) -> Result<Option<Vec<PathBuf>>> {
    let parts = tables(run_dir)?.remove(table);
    parts.map(|parts| parts.iter().map(|part| locate(run_dir, table, part)).collect()).transpose()
}
