//! The source and the sink `fits`, and the reading of FITS files underneath.
#![allow(clippy::print_stdout, reason = "skipped tests report it")]

mod catalogues;
mod containers;
mod corpus;
mod golden;
mod identity;
mod meaning;
mod sink;
mod source;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use arrow::{array::RecordBatch, compute::concat_batches};
use lucarne::{
    error::Diagnostic,
    fits::{CardValue, Writer},
    stage::{Read, Reject, Settings, Source},
};

/// The output of a source: all rows in one batch, and the rejects.
pub(super) struct SourceOutput {
    pub(super) rows: RecordBatch,
    pub(super) rejects: Vec<Reject>,
}

/// Reads all splits, in batches of at most `batch_rows`.
pub(super) fn read_in_batches<S: Settings<dyn Source>>(
    settings: S,
    batch_rows: usize,
) -> Result<SourceOutput, Vec<Diagnostic>> {
    let mut source = settings.build("source")?;
    let schema = source.bind()?;
    let (mut batches, mut rejects) = (Vec::new(), Vec::new());
    for split in source.splits().unwrap() {
        let mut reader = source.open(&split, 0).unwrap();
        let mut seen = 0;
        loop {
            match reader.next(batch_rows, Instant::now()).unwrap() {
                Read::Batch { rows, rejects: bad } => {
                    assert_eq!(rows.schema(), schema, "batches have the bound schema");
                    seen += (rows.num_rows() + bad.len()) as u64;
                    assert_eq!(reader.offset(), seen, "the offset counts rows, rejects included");
                    batches.push(rows);
                    rejects.extend(bad);
                }
                Read::Idle => panic!("files are never idle"),
                Read::End => break,
            }
        }
        if let Some(rows) = split.rows {
            assert_eq!(rows, seen, "the split has its declared number of rows");
        }
    }
    Ok(SourceOutput { rows: concat_batches(&schema, &batches).unwrap(), rejects })
}

pub(super) fn read<S: Settings<dyn Source>>(settings: S) -> SourceOutput {
    read_in_batches(settings, 32).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

/// A folder of real data beside the project, if it exists.
pub(super) fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(folder);
    if !path.exists() {
        crate::skip::skip(format!("real FITS files: missing `../shared/data/{folder}`"));
        return None;
    }
    Some(path)
}

pub(super) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A cutout of three bands; its pixels count from `first`.
pub(super) fn cube(side: usize, first: f32) -> Vec<u8> {
    let pixels: Vec<f32> = (0..3 * side * side).map(|pixel| first + pixel as f32).collect();
    let mut file = Writer::new();
    file.image(&[3, side, side], &pixels, &[key("BANDS", "gri"), key("BUNIT", "nJy")]);
    file.into_bytes()
}

pub(super) fn key(key: &str, value: &str) -> (String, CardValue) {
    (key.to_owned(), CardValue::Text(value.to_owned()))
}
