//! The contract of `stage::Source`, checked for every example of every kind.
//!
//! The examples name files below `${data}`; [`data`] writes a folder with such files.

#![allow(clippy::unwrap_used, reason = "a test reports where it cannot continue")]

mod data;
#[cfg(feature = "alerts")]
mod packets;

use std::{collections::HashSet, path::Path, time::Instant};

use arrow::{
    array::{AsArray, RecordBatch},
    compute::concat_batches,
    datatypes::{Schema, UInt64Type},
};

use super::KINDS;
use crate::{
    batch::{ROW, unsigned_columns},
    stage::{Read, Reader, Reject, Rejects, RunContext, Source, Split},
};

/// A source that is bound and started.
struct SourceCase {
    name: String,
    source: Box<dyn Source>,
}

/// A source for every example.
fn cases(data: &Path) -> Vec<SourceCase> {
    // `kafka` needs a broker: `tests/it/kafka.rs` has one.
    let kinds = KINDS.iter().filter(|kind| kind.name != "kafka");
    let examples = kinds.flat_map(|kind| (kind.examples)().iter().map(move |example| (kind, *example)));
    let case = |(kind, example): (&crate::stage::Kind<dyn Source>, &str)| {
        let name = format!("{}: {example}", kind.name);
        let text = example.replace("${data}", data.to_str().unwrap());
        let settings = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let bound = (kind.build)("source", settings).and_then(|mut source| source.bind().map(|_| source));
        let mut source = bound.unwrap_or_else(|diagnostics| panic!("{name}: {diagnostics:?}"));
        source.start(&context()).unwrap();
        SourceCase { name, source }
    };
    examples.map(case).collect()
}

fn context() -> RunContext {
    RunContext { seed: 7, threads: 1, batch_rows: 16, ..RunContext::default() }
}

/// Rows of a split, in one batch, and its rejects.
#[derive(Debug, PartialEq)]
struct SplitRows {
    rows: RecordBatch,
    rejects: Vec<Reject>,
}

impl SplitRows {
    /// Those with a number from `first` on, before `end`.
    fn between(&self, first: u64, end: u64) -> Self {
        let numbers = numbers(&self.rows);
        let from = numbers.partition_point(|number| *number < first);
        let to = numbers.partition_point(|number| *number < end);
        let rejects = self.rejects.iter().filter(|reject| (first..end).contains(&reject.row)).cloned();
        Self { rows: self.rows.slice(from, to - from), rejects: rejects.collect() }
    }

    /// How many rows there are, rejects included.
    fn len(&self) -> u64 {
        (self.rows.num_rows() + self.rejects.len()) as u64
    }
}

fn numbers(rows: &RecordBatch) -> &[u64] {
    rows.column_by_name(ROW).unwrap().as_primitive::<UInt64Type>().values()
}

/// Reads at least `least` rows, or to the end of the split. Checks what every batch must satisfy.
fn read(reader: &mut dyn Reader, max_rows: usize, least: u64) -> SplitRows {
    let (mut batches, mut rejects) = (Vec::new(), Vec::new());
    let start = reader.offset();
    while reader.offset() - start < least {
        let before = reader.offset();
        let (rows, bad) = match reader.next(max_rows, Instant::now()).unwrap() {
            Read::Batch { rows, rejects } => (rows, rejects),
            Read::Idle => panic!("a sequential source is never idle"),
            Read::End => break,
        };
        assert!((1..=max_rows).contains(&(rows.num_rows() + bad.len())), "a batch has 1 to `max_rows` rows");
        assert!(numbers(&rows).is_sorted() && bad.is_sorted_by_key(|reject| reject.row));
        let mut seen = [numbers(&rows).to_vec(), bad.iter().map(|reject| reject.row).collect()].concat();
        seen.sort_unstable();
        let expected: Vec<u64> = (before..reader.offset()).collect();
        assert_eq!(seen, expected, "`_row` counts every row once, and the offset counts rejects");
        assert!(bad.iter().all(|reject| reject.stage == "source" && !reject.reason.is_empty()));
        batches.push(rows);
        rejects.extend(bad);
    }
    let schema = batches.first().map_or_else(|| Schema::empty().into(), RecordBatch::schema);
    assert_eq!(unsigned_columns(&schema), [""; 0], "counts are signed");
    SplitRows { rows: concat_batches(&schema, &batches).unwrap(), rejects }
}

fn read_split(source: &dyn Source, split: &Split, max_rows: usize) -> SplitRows {
    read(source.open(split, 0).unwrap().as_mut(), max_rows, u64::MAX)
}

#[test]
fn splits_are_the_same_at_every_start() {
    let data = data::folder();
    for (case, again) in cases(data.path()).iter().zip(cases(data.path())) {
        let splits = case.source.splits().unwrap();
        assert_eq!(splits, case.source.splits().unwrap(), "{}", case.name);
        assert_eq!(splits, again.source.splits().unwrap(), "{}", case.name);
        let ids: HashSet<&str> = splits.iter().map(|split| split.id.as_str()).collect();
        assert_eq!(ids.len(), splits.len(), "{}", case.name);
        assert!(!case.source.is_live(), "{}: live sources need checks of their own", case.name);
    }
}

#[test]
fn rows_have_the_bound_schema_and_do_not_depend_on_max_rows() {
    let data = data::folder();
    let mut rejects = 0;
    for SourceCase { name, mut source } in cases(data.path()) {
        let schema = source.bind().unwrap();
        for split in source.splits().unwrap() {
            let all = read_split(source.as_ref(), &split, 10_000);
            assert_eq!(all.rows.schema(), schema, "{name}");
            assert!(all.rows.num_rows() > 0, "{name}: an example has rows");
            if let Some(rows) = split.rows {
                assert_eq!(all.len(), rows, "{name}");
            }
            for max_rows in [1, 3, 64] {
                assert_eq!(read_split(source.as_ref(), &split, max_rows), all, "{name}");
            }
            rejects += all.rejects.len();
        }
    }
    assert!(rejects > 0, "the examples have rejects");
}

#[test]
fn a_split_opened_at_any_offset_yields_the_rows_that_follow() {
    let data = data::folder();
    for SourceCase { name, source } in cases(data.path()) {
        for split in source.splits().unwrap() {
            let all = read_split(source.as_ref(), &split, 10_000);
            let step = if all.len() > 100 { 97 } else { 1 };
            for offset in (0..=all.len()).step_by(step).chain([all.len() - 1, all.len()]) {
                let mut reader = source.open(&split, offset).unwrap();
                assert_eq!(reader.offset(), offset, "{name}");
                let found = read(reader.as_mut(), 3, 8);
                let expected = all.between(offset, reader.offset());
                assert_eq!(reader.offset(), (offset + 9).min(all.len()), "{name}: at {offset}");
                assert_eq!(found.rejects, expected.rejects, "{name}: at {offset}");
                if found.rows.num_columns() > 0 {
                    assert_eq!(found.rows, expected.rows, "{name}: at {offset}");
                }
            }
        }
    }
}

#[test]
fn a_decoder_gives_the_same_columns_for_any_batch() {
    let data = data::folder();
    for SourceCase { name, mut source } in cases(data.path()) {
        let schema = source.bind().unwrap();
        let Some(mut decoder) = source.decoder() else { continue };
        decoder.bind(&schema).unwrap();
        decoder.start(&context()).unwrap();
        let split = source.splits().unwrap().remove(0);
        let rows = read(source.open(&split, 0).unwrap().as_mut(), 4, 4).rows;
        let decode = |rows: RecordBatch| decoder.fork().apply(rows, &mut Rejects::default()).unwrap();
        let all = decode(rows.clone());
        let single: Vec<RecordBatch> = (0..rows.num_rows()).map(|row| decode(rows.slice(row, 1))).collect();
        assert_eq!(concat_batches(&all.schema(), &single).unwrap(), all, "{name}");
    }
}
