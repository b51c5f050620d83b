//! How a run is queried.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// How a run is queried: its limits, whether what is read is checked, and further tables.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryOptions {
    /// Whether what is read is compared with its checksums. It costs 2 % of a query.
    pub checksums: bool,
    /// The most bytes of sorts, joins and groupings; before that they spill to disk, or fail. Values of functions are not counted.
    pub memory_bytes: usize,
    /// The longest time of a query, from when it is planned to its last row. It is looked at between batches, so a function that
    /// works for long on one batch is not interrupted.
    pub max_time: Option<Duration>,
    /// Tables of the caller by their names: files in Parquet, or in CSV with a header line. CSV is held in memory, at most
    /// `memory_bytes` of text; its columns get the narrowest type that keeps all digits.
    pub tables: BTreeMap<String, PathBuf>,
}

impl Default for QueryOptions {
    /// Checksums are compared; 2 GiB; no limit of time; the tables of the run alone.
    fn default() -> Self {
        Self { checksums: true, memory_bytes: 2 << 30, max_time: None, tables: BTreeMap::new() }
    }
}
