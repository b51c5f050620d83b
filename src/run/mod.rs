//! Everything that outlives a process: what a run directory holds, and in which format.
//!
//! ```text
//! RUN/run.json                        the run record: what ran, on what, what came of it
//! RUN/_commits/0000000001.json        commit records: they alone say which rows the tables hold
//! RUN/_commits/0000000001.X.state     the snapshot of monitor X at that commit
//! RUN/objects/part-00000001.parquet   parts of a table, in the order of their names
//! RUN/_staging/objects/part-...       parts being written, or named by a record and not moved yet
//! ```
//!
//! Every record has a `format` number, and from format 2 on a checksum. This version writes format 3; `ARCHITECTURE.md` lists what it does with others. A newer
//! format is refused with its number, for every operation.

pub mod checkpoint;
pub mod commit;
pub mod metrics;
pub mod record;
pub mod snapshot;
mod verify;

use std::path::Path;

use schemars::Schema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use self::{
    checkpoint::{SourceCheckpoint, SplitBounds},
    commit::{CommitRecord, StateFile, commit_path, commits, findings, locate, part_files, replay, tables},
    metrics::StageMetric,
    record::{
        Counts, EngineSettings, GraphNode, HostRecord, Lookups, OnReject, RunRecord, RunState, StageWork, TableSize,
        Writer,
    },
    snapshot::SnapshotHeader,
    verify::{Verification, verify},
};
use crate::{
    error::{Error, Result},
    io::{digest, disk},
};

/// The format of the run records and commit records that this version writes.
pub const FORMAT: u32 = 3;
/// The format that this version resumes: tables of earlier ones have unsigned counts, and a table has one type for a column.
pub const RESUMED_FORMAT: u32 = FORMAT;
/// The folder of the commit records in a run directory.
pub const COMMITS: &str = "_commits";
/// The folder of the parts that are not in their tables yet.
pub const STAGING: &str = "_staging";
/// The file of the run record.
pub const RUN_RECORD: &str = "run.json";

/// A finished file of a table: durable in staging, and moved into the table's folder once a commit record names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TablePart {
    /// Its name, in staging and in the table.
    pub file: String,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// The CRC-32 of each of its blocks of 65,536 bytes, eight hexadecimal digits each. Empty in format 1, and where a sink leaves
    /// them to the engine.
    #[serde(default)]
    pub checksums: String,
}

impl TablePart {
    /// A part whose checksums the engine computes from the file.
    pub fn new(file: impl Into<String>, rows: u64, bytes: u64) -> Self {
        Self { file: file.into(), rows, bytes, checksums: String::new() }
    }
}

/// A threshold that was crossed: a run with findings exits 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Finding {
    /// The label of the monitor.
    pub monitor: String,
    /// What was found, in one sentence.
    pub message: String,
}

/// Whether a folder is a run directory: it has commit records, or a `run.json` of lucarne.
///
/// # Errors
/// When the system cannot tell.
pub fn is_run(folder: &Path) -> Result<bool> {
    if disk::is_folder(&folder.join(COMMITS))? {
        return Ok(true);
    }
    let record = disk::read_if_exists(&folder.join(RUN_RECORD))?;
    let ours = |bytes: Vec<u8>| {
        serde_json::from_slice::<serde_json::Value>(&bytes).is_ok_and(|run| run["lucarne"].is_object())
    };
    Ok(record.is_some_and(ours))
}

/// The JSON Schemas of the formats, by the name of their page in `schemas/`.
pub fn schemas() -> Vec<(&'static str, Schema)> {
    vec![
        ("run", schemars::schema_for!(RunRecord)),
        ("commit", schemars::schema_for!(CommitRecord)),
        ("snapshot", schemars::schema_for!(SnapshotHeader<serde_json::Value>)),
    ]
}

#[derive(Deserialize)]
struct FormatOf {
    #[serde(default)]
    format: u32,
}

/// Refuses a name that could mean something outside of a run directory, or outside of a folder that a report writes into.
fn check_name(record: &Path, name: &str) -> Result<()> {
    let plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '+' | '.');
    if !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && name.chars().all(plain) {
        return Ok(());
    }
    let shown: String = name.chars().take(80).flat_map(char::escape_debug).collect();
    Err(Error::data(format!(
        "`{}` names `{shown}`, expected letters, digits, `_`, `-`, `+` and `.` alone: it is damaged, or not from lucarne",
        record.display()
    )))
}

/// Reads a record from JSON. A newer format is refused before anything else of it is looked at.
fn read_record<T: DeserializeOwned>(path: &Path, bytes: &[u8], what: &str) -> Result<T> {
    let damaged = |error| Error::data(format!("`{}` is not a {what}", path.display())).caused_by(error);
    let FormatOf { format } = serde_json::from_slice(bytes).map_err(damaged)?;
    if format > FORMAT {
        return Err(Error::data(format!(
            "`{}` has format {format}, this version of lucarne ({}) reads formats up to {FORMAT}: use a newer version",
            path.display(),
            env!("CARGO_PKG_VERSION"),
        )));
    }
    // Without the second condition a damaged `format` would make an old record of a new one.
    let has_seal = bytes.len().checked_sub(seal(b"").len()).is_some_and(|end| bytes[end..].starts_with(SEAL));
    if (format >= 2 || has_seal) && !is_sealed(bytes) {
        return Err(Error::data(format!(
            "`{}` is damaged, or was changed after it was written: its checksum is another",
            path.display()
        )));
    }
    serde_json::from_slice(bytes).map_err(damaged)
}

/// Appends the last key of a record, `checksum`: the SHA-256 of all bytes before it.
pub(crate) fn sealed(mut json: Vec<u8>) -> Vec<u8> {
    while json.last().is_some_and(|last| last.is_ascii_whitespace() || *last == b'}') {
        if json.pop() == Some(b'}') {
            break;
        }
    }
    json.truncate(json.trim_ascii_end().len());
    let seal = seal(&json);
    json.extend_from_slice(seal.as_bytes());
    json
}

/// What the end of a sealed record begins with.
const SEAL: &[u8] = b",\n  \"checksum\": \"";

/// The end of a sealed record.
fn seal(json: &[u8]) -> String {
    format!(",\n  \"checksum\": \"{}\"\n}}\n", digest::of_bytes(json))
}

fn is_sealed(bytes: &[u8]) -> bool {
    let length = seal(b"").len();
    bytes.len().checked_sub(length).is_some_and(|end| bytes[end..] == *seal(&bytes[..end]).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_newer_format_by_name_before_reading_anything_else() {
        let read = |text: &str| read_record::<TablePart>(Path::new("run.json"), text.as_bytes(), "run record");
        let error = read(r#"{ "format": 7, "what": "is this" }"#).expect_err("newer");
        assert!(error.to_string().contains("`run.json` has format 7"), "{error}");
        let error = read(r#"{ "format": 1 }"#).expect_err("no part");
        assert!(error.report().contains("`run.json` is not a run record: missing field"), "{}", error.report());
    }

    #[test]
    fn a_record_that_was_changed_in_any_byte_is_refused() {
        let record = serde_json::json!({ "format": 2, "file": "part-00000001.parquet", "rows": 3, "bytes": 5 });
        for json in [serde_json::to_vec(&record), serde_json::to_vec_pretty(&record)] {
            let bytes = sealed(json.expect("JSON"));
            let read = |bytes: &[u8]| read_record::<TablePart>(Path::new("a"), bytes, "record");
            assert_eq!(read(&bytes).expect("whole"), TablePart::new("part-00000001.parquet", 3, 5));
            for at in 0..bytes.len() {
                for bit in 0..8 {
                    let mut flipped = bytes.clone();
                    flipped[at] ^= 1 << bit;
                    assert!(read(&flipped).is_err(), "{}", String::from_utf8_lossy(&flipped));
                }
                assert!(read(&bytes[..at]).is_err());
            }
        }
    }
}
