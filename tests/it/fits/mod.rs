//! FITS files in, FITS files out.
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

mod corpus;
mod golden;
mod sink;
mod source;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use arrow::{array::RecordBatch, compute::concat_batches};
use lucarne::{
    error::Diagnostic,
    fits::{Value, Writer},
    source::fits::Fits,
    stage::{Read, Reject, Settings, Source},
};

/// What a source gave: its rows in one batch, and the others.
pub(super) struct Given {
    pub(super) rows: RecordBatch,
    pub(super) rejects: Vec<Reject>,
}

/// Reads all splits, in batches of at most `batch_rows`.
pub(super) fn read_in_batches(settings: Fits, batch_rows: usize) -> Result<Given, Vec<Diagnostic>> {
    let mut source: Box<dyn Source> = settings.build("source")?;
    let schema = source.bind()?;
    let (mut batches, mut rejects) = (Vec::new(), Vec::new());
    for split in source.splits().unwrap() {
        let mut reader = source.open(&split, 0).unwrap();
        let mut seen = 0;
        loop {
            match reader.next(batch_rows, Instant::now()).unwrap() {
                Read::Batch { rows, rejects: bad } => {
                    assert_eq!(rows.schema(), schema, "batches have the schema that was promised");
                    seen += (rows.num_rows() + bad.len()) as u64;
                    assert_eq!(reader.offset(), seen, "the position counts rows, bad ones included");
                    batches.push(rows);
                    rejects.extend(bad);
                }
                Read::Idle => panic!("files are never idle"),
                Read::End => break,
            }
        }
        if let Some(rows) = split.rows {
            assert_eq!(rows, seen, "the split has as many rows as it says");
        }
    }
    Ok(Given { rows: concat_batches(&schema, &batches).unwrap(), rejects })
}

pub(super) fn read(settings: Fits) -> Given {
    read_in_batches(settings, 32).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

/// Real data beside the project, if it is there.
pub(super) fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(folder);
    if !path.exists() {
        println!("skipped: no `{}`", path.display());
        return None;
    }
    Some(path)
}

pub(super) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A cube of three bands as a survey would cut it.
pub(super) fn cube(side: usize, first: f32) -> Vec<u8> {
    let pixels: Vec<f32> = (0..3 * side * side).map(|pixel| first + pixel as f32).collect();
    let mut file = Writer::new();
    file.image(&[3, side, side], &pixels, &[key("BANDS", "gri"), key("BUNIT", "nJy")]);
    file.into_bytes()
}

pub(super) fn key(key: &str, value: &str) -> (String, Value) {
    (key.to_owned(), Value::Text(value.to_owned()))
}
