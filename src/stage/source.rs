//! Sources: where rows come from.
//!
//! A source lists *splits*, the units of work: a file, a group of files, a partition of a topic. A split is read from an *offset*
//! (0 is its beginning) by a [`Reader`]. What was read is remembered as a *source checkpoint*, a map of split id to offset that
//! every commit record holds; after a restart each split is opened at its offset.
//!
//! **Sequential** sources (the default) are read one split after the other. Their rows have one order, (split, row), whatever
//! reads them. Splits may be appended to the list between two starts; those that a checkpoint has passed must keep their ids and
//! their order, or the resume is refused.
//!
//! **Live** sources ([`Source::is_live`]) never end by themselves: all splits are open at once and read in turn. The list may
//! grow between two starts; a new split begins at offset 0. A split that a checkpoint names must not disappear.
//!
//! Where a split begins and ends ([`Split::start`], [`Split::end`]) may depend on the moment: the newest message of a topic. It is decided
//! when a run begins, kept in every commit record, and holds after a restart.
//!
//! The engine promises: an offset is committed only together with everything that its rows caused (parts, rejects, monitor
//! states), so each row counts exactly once, however often the process is killed.

use std::{path::PathBuf, time::Instant};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use serde::{Deserialize, Serialize};

use super::{Lookups, Reject, RunContext, Transform};
use crate::error::{Diagnostic, Result};

/// Where rows come from.
pub trait Source: Send {
    /// The schema of the rows: `_row`, `object_id`, `origin` and all other columns. May read one header or footer.
    fn bind(&mut self) -> Result<SchemaRef, Vec<Diagnostic>>;

    /// Prepares for reading.
    fn start(&mut self, _run: &RunContext) -> Result<()> {
        Ok(())
    }

    /// The units of work, in order.
    fn splits(&self) -> Result<Vec<Split>>;

    /// Whether all splits are read at once, interleaved, and may yield rows for as long as the run lasts.
    fn is_live(&self) -> bool {
        false
    }

    /// Whether offsets count rows. Those of a topic may have gaps; then they only grow.
    fn offsets_count_rows(&self) -> bool {
        !self.is_live()
    }

    /// Opens a split at an offset: its start, or one that [`Reader::offset`] returned.
    fn open(&self, split: &Split, offset: u64) -> Result<Box<dyn Reader>>;

    /// The stateless part of reading that workers may share: a transform of the label `image`.
    fn decoder(&self) -> Option<Box<dyn Transform>> {
        None
    }

    /// The files that it has read beside the stream: references, catalogues, constants. A resume with other content is refused.
    fn input_files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Whether a resume may find more [`input_files`](Self::input_files) than the run began with: a folder of schemas grows while a
    /// survey lasts. Those that were there have to be the same.
    fn input_files_may_grow(&self) -> bool {
        false
    }

    /// What its readers look rows up in ([`Reader::lookups`]), in words: `column `id` of catalogue `objects.csv``. A run in which no
    /// row was found there has a finding.
    fn lookup_table(&self) -> Option<String> {
        None
    }

    /// Keys of its settings that do not change its rows: how brokers are reached. A run continues with others.
    fn unidentifying(&self) -> &'static [&'static str] {
        &[]
    }

    /// Identifies the settings of a source that was not built from [`Settings`](super::Settings): equal digests promise equal
    /// rows. A run with a source that has none cannot be resumed.
    fn digest(&self) -> Option<String> {
        None
    }
}

/// A unit of work of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Its identity, unique within the source: a path, `topic/partition`. It names the same rows at every start, on every
    /// machine, whatever was appended since; a file that is replaced by other content needs another id.
    pub id: String,
    /// How many rows it has, when that is known without reading them.
    pub rows: Option<u64>,
    /// The offset at which a run begins to read it.
    pub start: u64,
    /// The offset at which it ends, where that is decided when a run begins: "what is there now" of a topic.
    pub end: Option<u64>,
}

impl Split {
    /// A split that is read from its beginning to its end.
    pub fn new(id: impl Into<String>, rows: impl Into<Option<u64>>) -> Self {
        Self { id: id.into(), rows: rows.into(), start: 0, end: None }
    }

    /// The same from an offset on, and up to another.
    #[must_use]
    pub fn within(self, start: u64, end: Option<u64>) -> Self {
        Self { start, end, ..self }
    }
}

/// Reads one split.
pub trait Reader: Send {
    /// The next rows, at most `max_rows` of them, or [`Read::Idle`] when none arrived before the deadline.
    fn next(&mut self, max_rows: usize, deadline: Instant) -> Result<Read>;

    /// Identifies what the split holds up to the offset: equal for equal content, other when a file was replaced by one with other
    /// rows. It is compared when the split is opened again at the offset. `None` if the split cannot change.
    fn contents(&self) -> Option<u128> {
        None
    }

    /// How many of the rows that the last `next` returned were looked up in a table beside the stream, and how many were found.
    fn lookups(&self) -> Lookups {
        Lookups::default()
    }

    /// How far the split is behind what has arrived, in messages or rows, as far as that is known. For the live view alone.
    fn lag(&self) -> Option<u64> {
        None
    }

    /// The offset after everything that `next` returned: opening the split here yields the rows that follow. It counts rows, rejects
    /// included, or only grows ([`Source::offsets_count_rows`]).
    fn offset(&self) -> u64;
}

/// What a reader returns.
#[derive(Debug)]
pub enum Read {
    /// Rows, and those that could not be read. Each carries its number in the split (`_row`), rejects too.
    Batch {
        /// The readable rows.
        rows: RecordBatch,
        /// The others.
        rejects: Vec<Reject>,
    },
    /// No rows yet: a live source waits.
    Idle,
    /// The split is finished.
    End,
}
