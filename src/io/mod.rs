//! Bytes on disk: digests, atomic files, path expansion, Parquet footers.

pub mod digest;
pub mod files;
pub mod parquet;
pub mod paths;
mod pattern;
