//! Tables on disk: Parquet parts written through a staging folder, and the commit records that say which parts count.
//!
//! ```text
//! RUN/objects/part-00000001.parquet    parts of a table, in the order of their names
//! RUN/_staging/objects/part-00000002...parts being written, or named by a record and not moved yet
//! RUN/_commits/0000000001.json         the records: they alone say what a table holds
//! ```

mod committed;
mod writer;

use serde::{Deserialize, Serialize};

pub use crate::io::files::{sync_folder, write_atomically, write_durably};
pub use committed::{
    COMMITS, Link, RUN_RECORD, STAGING, chain, is_run, locate, part_files, record_path, records, tables,
};
pub use writer::{PartFile, TableWriter, WriteOptions, part_number};

/// A finished file of a table: durable in staging, and moved into the table's folder once a commit record names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TablePart {
    /// Its name, in staging and in the table.
    pub file: String,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
}
