//! Source checkpoints: how far a source was read.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far a source was read at a commit: a map of split to offset.
///
/// A sequential source has at most one split in it, the one being read; those before it are finished and known by their number
/// and the digest of their ids. A live source has all of its splits in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceCheckpoint {
    /// How many splits are finished.
    pub finished_splits: usize,
    /// SHA-256 of the ids of the finished splits, in order, each followed by a NUL.
    pub finished_digest: String,
    /// The offset of every open split, by its id.
    pub offsets: BTreeMap<String, u64>,
    /// What open splits held up to there, by their ids: 32 hexadecimal digits of a digest. Missing in format 1.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contents: BTreeMap<String, String>,
    /// Where splits begin and end, by their ids, if that was decided when the run began.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bounds: BTreeMap<String, SplitBounds>,
}

/// Where a split begins and ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SplitBounds {
    /// The offset at which the run began to read it.
    pub start: u64,
    /// The offset at which it ends for this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
}
