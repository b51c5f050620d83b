//! Snapshots of the per-object tasks of a monitor: the objects that wait for a task.

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

use super::Sample;
use crate::{
    error::Result,
    monitor::kit::snapshot::{damaged, expect_same},
    run::snapshot::{decode, decode_rows, encode, encode_rows},
};

/// What the per-object tasks of a monitor were created from. A snapshot of other tasks is refused.
pub(super) struct TaskSource<'a> {
    /// The name of the kind.
    pub(super) kind: &'static str,
    /// The label of the monitor.
    pub(super) label: &'a str,
    /// The scores whose models are queried.
    pub(super) scores: Vec<String>,
    pub(super) sample: Sample,
}

/// Waiting objects: rows of the stream by their numbers.
pub(super) struct Waiting {
    /// Rows of the stream so far.
    pub(super) seen: u64,
    /// Accepted, and not emitted.
    pub(super) pending: Vec<(u64, RecordBatch)>,
    /// Sampled so far.
    pub(super) sampled: Vec<(u64, RecordBatch)>,
}

/// The state in a snapshot; the rows of pending, then of sampled objects follow.
#[derive(Serialize, Deserialize)]
struct ObjectTaskState {
    scores: Vec<String>,
    fraction: Option<f64>,
    limit: Option<usize>,
    seen: u64,
    pending: Vec<u64>,
    sampled: Vec<u64>,
}

impl Waiting {
    /// Writes a snapshot. The sampled objects may come in any order.
    pub(super) fn write<'a>(
        of: &TaskSource<'_>,
        seen: u64,
        pending: impl Iterator<Item = (u64, &'a RecordBatch)>,
        sampled: impl Iterator<Item = (u64, &'a RecordBatch)>,
    ) -> Result<Vec<u8>> {
        let (pending, mut rows): (Vec<u64>, Vec<&RecordBatch>) = pending.unzip();
        let mut sampled: Vec<(u64, &RecordBatch)> = sampled.collect();
        sampled.sort_unstable_by_key(|(number, _)| *number);
        let (sampled, more): (Vec<u64>, Vec<&RecordBatch>) = sampled.into_iter().unzip();
        rows.extend(more);
        let Sample { fraction, limit } = of.sample;
        let state = ObjectTaskState { scores: of.scores.clone(), fraction, limit, seen, pending, sampled };
        encode(of.kind, &state, &encode_rows(rows)?)
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    /// [`Error::Data`](crate::error::Error::Data) if it is damaged, of another kind, or of other settings.
    pub(super) fn read(of: &TaskSource<'_>, snapshot: &[u8]) -> Result<Self> {
        let (state, body) = decode::<ObjectTaskState>(of.kind, snapshot)?;
        expect_same(of.label, "the list of scores", &state.scores, &of.scores)?;
        expect_same(of.label, "the sampled fraction", &state.fraction, &of.sample.fraction)?;
        expect_same(of.label, "`limit`", &state.limit, &of.sample.limit)?;
        let mut rows = decode_rows(body)?;
        if rows.len() != state.pending.len() + state.sampled.len() || rows.iter().any(|row| row.num_rows() != 1) {
            return Err(damaged(of.label));
        }
        let sampled = rows.split_off(state.pending.len());
        Ok(Self {
            seen: state.seen,
            pending: state.pending.into_iter().zip(rows).collect(),
            sampled: state.sampled.into_iter().zip(sampled).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, UInt64Array};

    use super::*;

    fn row(number: u64) -> (u64, RecordBatch) {
        let column: ArrayRef = Arc::new(UInt64Array::from(vec![number]));
        (number, RecordBatch::try_from_iter([("number", column)]).expect("a row"))
    }

    fn source(kind: &'static str, score: &str, limit: Option<usize>) -> TaskSource<'static> {
        let sample = Sample { fraction: None, limit };
        TaskSource { kind, label: "attack", scores: vec![score.to_owned()], sample }
    }

    #[test]
    fn waiting_objects_survive_a_snapshot_of_the_same_study() {
        let of = source("one_pixel", "a", Some(9));
        let (pending, sampled) = ([row(3), row(5)], [row(8), row(1)]);
        let rows = |rows: &'static [u64]| rows.iter().map(|number| row(*number)).collect::<Vec<_>>();
        fn borrowed(rows: &[(u64, RecordBatch)]) -> impl Iterator<Item = (u64, &RecordBatch)> {
            rows.iter().map(|(number, row)| (*number, row))
        }
        let snapshot = Waiting::write(&of, 20, borrowed(&pending), borrowed(&sampled)).expect("a snapshot");
        let read = Waiting::read(&of, &snapshot).expect("read");
        assert_eq!((read.seen, read.pending, read.sampled), (20, rows(&[3, 5]), rows(&[1, 8])));
        let why = |of: &TaskSource<'_>| Waiting::read(of, &snapshot).map(|_| ()).expect_err("refused").to_string();
        assert!(why(&source("pixel_map", "a", Some(9))).contains("expected a snapshot of `pixel_map`"));
        assert!(why(&source("one_pixel", "b", Some(9))).contains("the list of scores is [\"a\"], expected [\"b\"]"));
        assert!(why(&source("one_pixel", "a", None)).contains("`limit` is Some(9), expected None"));
        assert!(Waiting::read(&of, &snapshot[..snapshot.len() / 2]).is_err());
    }
}
