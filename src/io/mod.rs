//! Bytes on disk: digests, atomic files, Parquet footers.

pub mod digest;
pub mod files;
pub mod parquet;
