//! Writes tables as Parquet parts into a staging folder. Which parts count is decided by commit records (`run`).

mod writer;

pub use writer::{PartFile, TableWriter, WriteOptions, part_number};
