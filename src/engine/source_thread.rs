//! The source thread: reads splits and hands batches to the workers.
//!
//! Splits of a sequential source are read one after the other. Those of a live source are all open; each is polled in turn, and
//! only when none has rows does the thread wait.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    guard::guarded,
    permits::Permits,
    process::bytes_of,
    source_lag::SourceLag,
    source_progress::SplitOffset,
    worker_pool::{Outcome, RowWeight, SourceBatch},
};
use crate::{
    error::{Error, Result},
    stage::{Read, Reader, Source, Split},
    sync::{
        atomic::{AtomicBool, Ordering},
        channel::Sender,
    },
};

/// How long a reader may wait for rows before the thread checks whether it should stop.
const PATIENCE: Duration = Duration::from_millis(100);

/// Everything that the source thread needs.
pub(super) struct SourceThread {
    pub(super) splits: Arc<[Split]>,
    /// The splits to read, in order, and where each begins.
    pub(super) start: Vec<SplitOffset>,
    pub(super) live: bool,
    pub(super) offsets_count_rows: bool,
    pub(super) custom: bool,
    /// The maximum number of rows to read.
    pub(super) limit: u64,
    pub(super) batch_rows: usize,
    pub(super) permits: Arc<Permits>,
    pub(super) lag: SourceLag,
    pub(super) weight: Arc<RowWeight>,
    pub(super) cancelled: Arc<AtomicBool>,
    pub(super) batches: Sender<SourceBatch>,
    pub(super) outcomes: Sender<Outcome>,
}

/// A split being read.
struct OpenSplit {
    split: usize,
    reader: Box<dyn Reader>,
}

/// The result of one read.
enum Pulled {
    /// A batch was sent to the workers.
    Sent,
    /// No rows.
    Idle,
    /// The split is finished.
    End,
    /// The run was cancelled.
    Cancelled,
}

/// The progress of reading.
struct Position {
    /// The number of the next batch.
    batch: u64,
    /// The number of rows that may still be read.
    rows_left: u64,
}

impl SourceThread {
    /// Reads until the end, the limit, an error or the cancellation.
    pub(super) fn run(self, source: &dyn Source) {
        let mut position = Position { batch: 0, rows_left: self.limit };
        let end = guarded("source", self.custom, || {
            if self.live { self.read_live(source, &mut position) } else { self.read_in_order(source, &mut position) }
        });
        // The receiver is dropped if the run was cancelled.
        let _ = self.outcomes.send((position.batch, end.map(|()| None)));
    }

    fn read_in_order(&self, source: &dyn Source, position: &mut Position) -> Result<()> {
        for at in &self.start {
            if position.rows_left == 0 {
                break;
            }
            let mut open = self.open(source, *at)?;
            while position.rows_left > 0 {
                match self.pull(&mut open, Instant::now() + PATIENCE, position)? {
                    Pulled::Sent | Pulled::Idle => {}
                    Pulled::End => break,
                    Pulled::Cancelled => return Ok(()),
                }
            }
        }
        Ok(())
    }

    fn read_live(&self, source: &dyn Source, position: &mut Position) -> Result<()> {
        let mut open = self.start.iter().map(|at| self.open(source, *at)).collect::<Result<Vec<_>>>()?;
        let mut idle = false;
        while !open.is_empty() && position.rows_left > 0 {
            // A round without rows is followed by one that waits, the same time for each split.
            let wait = if idle { PATIENCE / u32::try_from(open.len()).unwrap_or(u32::MAX) } else { Duration::ZERO };
            idle = true;
            let mut index = 0;
            while index < open.len() && position.rows_left > 0 {
                match self.pull(&mut open[index], Instant::now() + wait, position)? {
                    Pulled::Sent => {
                        idle = false;
                        index += 1;
                    }
                    Pulled::Idle => index += 1,
                    Pulled::End => {
                        open.remove(index);
                    }
                    Pulled::Cancelled => return Ok(()),
                }
            }
        }
        Ok(())
    }

    fn open(&self, source: &dyn Source, at: SplitOffset) -> Result<OpenSplit> {
        let split = &self.splits[at.split];
        let reader = source.open(split, at.offset)?;
        if at.offset > 0 && at.contents.is_some() && reader.contents() != at.contents {
            return Err(Error::data(format!(
                "the source has changed: the first {} rows of its split `{}` are not those that the run has read; restore its files, or begin again with overwrite",
                at.offset, split.id
            )));
        }
        Ok(OpenSplit { split: at.split, reader })
    }

    fn pull(&self, open: &mut OpenSplit, deadline: Instant, position: &mut Position) -> Result<Pulled> {
        if self.cancelled.load(Ordering::Acquire) {
            return Ok(Pulled::Cancelled);
        }
        let begun = Instant::now();
        let before = open.reader.offset();
        let max_rows = self.batch_rows.min(usize::try_from(position.rows_left).unwrap_or(usize::MAX));
        let read = open.reader.next(max_rows, deadline)?;
        if let Some(lag) = open.reader.lag() {
            self.lag.set(open.split, lag);
        }
        let (rows, unreadable) = match read {
            Read::Batch { rows, rejects } => (rows, rejects),
            Read::Idle => return Ok(Pulled::Idle),
            Read::End => return Ok(Pulled::End),
        };
        let lookups = open.reader.lookups();
        let source_rows = (rows.num_rows() + unreadable.len()) as u64;
        let offset = open.reader.offset();
        let read = ReadRange { before, after: offset, rows: source_rows, max_rows: max_rows as u64 };
        read.check(&self.splits[open.split], self.offsets_count_rows)?;
        position.rows_left -= source_rows;
        let source_seconds = begun.elapsed().as_secs_f64();
        let bytes = self.weight.expect(rows.num_rows(), bytes_of(&rows));
        let Some(permit) = self.permits.acquire(bytes) else { return Ok(Pulled::Cancelled) };
        let after = SplitOffset { split: open.split, offset, contents: open.reader.contents() };
        let batch = SourceBatch {
            number: position.batch,
            after,
            source_rows,
            lookups,
            source_seconds,
            unreadable,
            rows,
            permit,
        };
        position.batch += 1;
        Ok(if self.batches.send(batch).is_ok() { Pulled::Sent } else { Pulled::Cancelled })
    }
}

/// The rows that a reader reports to have read.
struct ReadRange {
    before: u64,
    after: u64,
    rows: u64,
    max_rows: u64,
}

impl ReadRange {
    /// Checks the counts of a reader. A reader that miscounts would lose or repeat rows after a restart.
    fn check(&self, split: &Split, offsets_count_rows: bool) -> Result<()> {
        let Self { before, after, rows, max_rows } = *self;
        let counts = if offsets_count_rows { before + rows == after } else { after >= before + rows };
        if counts && rows <= max_rows {
            return Ok(());
        }
        Err(Error::stage(
            "source",
            format!(
                "miscounted: it returned {rows} rows of `{}` when asked for {max_rows}, and moved from offset {before} to {after}",
                split.id
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_miscounts_is_refused() {
        let split = Split::new("a", None);
        let fits = |before, after, rows, gaps: bool| {
            ReadRange { before, after, rows, max_rows: 8 }.check(&split, !gaps).is_ok()
        };
        assert!(fits(3, 7, 4, false) && fits(3, 3, 0, false));
        assert!(!fits(3, 8, 4, false) && !fits(3, 6, 4, false) && !fits(0, 9, 9, false));
        // Offsets of a topic may have gaps, but they always increase when rows were read.
        assert!(fits(3, 12, 4, true) && fits(3, 9, 0, true));
        assert!(!fits(3, 3, 1, true) && !fits(3, 2, 0, true) && !fits(3, 5, 3, true));
    }
}
