//! Bytes on disk: operations on files, digests, path expansion, Parquet footers.

pub(crate) mod checked;
pub mod digest;
pub(crate) mod disk;
mod folder;
pub mod parquet;
mod parquet_depth;
pub mod paths;
mod pattern;
