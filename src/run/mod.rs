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
//! Every record has a `format` number. This version writes format 1; `ARCHITECTURE.md` lists what it does with others. A newer
//! format is refused with its number, for every operation.

pub mod checkpoint;
pub mod commit;
pub mod metrics;
pub mod record;
pub mod snapshot;

use std::{fs, path::Path};

use schemars::Schema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use self::{
    checkpoint::SourceCheckpoint,
    commit::{CommitRecord, MonitorState, commit_path, commits, locate, part_files, replay, tables},
    metrics::StageMetric,
    record::{
        Counts, EngineSettings, GraphNode, HostRecord, OnReject, RunRecord, RunState, StageWork, TableSize, Writer,
    },
    snapshot::SnapshotHeader,
};
use crate::error::{Error, Result};

/// The format of the run records and commit records that this version writes.
pub const FORMAT: u32 = 1;
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
pub fn is_run(folder: &Path) -> bool {
    let ours =
        |text: String| serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|run| run["lucarne"].is_object());
    folder.join(COMMITS).is_dir() || fs::read_to_string(folder.join(RUN_RECORD)).is_ok_and(ours)
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
    serde_json::from_slice(bytes).map_err(damaged)
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
}
