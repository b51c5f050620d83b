//! Bytes on disk: operations on files, digests, path expansion, text, Parquet footers.

pub(crate) mod checked;
pub mod digest;
pub(crate) mod disk;
mod folder;
pub(crate) mod home;
pub mod parquet;
mod parquet_depth;
pub mod paths;
mod pattern;
pub(crate) mod text;
