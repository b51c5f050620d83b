//! Refuses objects that are read twice: rows with the same identity and the same origin.
//!
//! Only identities and origins are read, never pixels. The check keeps 16 bytes per row in memory while it runs.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use arrow::{
    array::{AsArray, RecordBatch, StringArray},
    compute::cast,
    datatypes::DataType,
};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};

use super::columns::ColumnMapping;
use crate::{
    batch::{self, ORIGIN},
    error::{Error, Result},
    io::{
        digest,
        parquet::{Batches, not_parquet},
    },
};

const BATCH_ROWS: usize = 8192;

/// What identifies a row, as text in its file.
struct RowIdentity<'a> {
    identity: &'a str,
    origin: &'a str,
}

impl RowIdentity<'_> {
    /// 128 bits stand for the pair: two of 10^9 different rows agree in one of 10^20 runs.
    fn hash(&self) -> u128 {
        digest::wide_number_of(&[self.identity.as_bytes(), b"\0", self.origin.as_bytes()])
    }
}

/// Fails when two rows of the files have the same identity and the same origin. Without a column of origins the origin
/// of a row is its place in the file, so no two rows agree.
pub(super) fn check(files: &[PathBuf], columns: &ColumnMapping) -> Result<()> {
    if !columns.has_origin {
        return Ok(());
    }
    let mut seen: Vec<u128> = Vec::new();
    for_each_row(files, columns, &mut |_, _, row| seen.push(row.hash()))?;
    seen.sort_unstable();
    let repeated: HashSet<u128> = seen.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    if repeated.is_empty() {
        return Ok(());
    }
    // Names are kept for one object only, so they are read a second time.
    let mut first = None;
    let mut places = Vec::new();
    for_each_row(files, columns, &mut |file, number, row| {
        let hash = row.hash();
        if repeated.contains(&hash) {
            let object = || (hash, format!("object `{}` of origin `{}`", row.identity, row.origin));
            if first.get_or_insert_with(object).0 == hash {
                places.push(format!("`{}[{number}]`", file.display()));
            }
        }
    })?;
    let object = first.map_or_else(String::new, |(_, object)| object);
    let places = places.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(" and ");
    Err(Error::data(format!("{object} is read twice, from {places}: name one of them, or give them different origins")))
}

/// Calls with file, number in the file, and identity of every row that has both columns.
fn for_each_row(
    files: &[PathBuf],
    columns: &ColumnMapping,
    call: &mut impl FnMut(&Path, usize, &RowIdentity<'_>),
) -> Result<()> {
    for path in files {
        let mut number = 0;
        for batch in identities_and_origins(path, columns)? {
            let (identities, origins) = batch?;
            for (identity, origin) in identities.iter().zip(&origins) {
                if let (Some(identity), Some(origin)) = (identity, origin) {
                    call(path, number, &RowIdentity { identity, origin });
                }
                number += 1;
            }
        }
    }
    Ok(())
}

/// The two columns of a file, batch by batch.
fn identities_and_origins<'a>(
    path: &'a Path,
    columns: &'a ColumnMapping,
) -> Result<impl Iterator<Item = Result<(StringArray, StringArray)>> + 'a> {
    let (file, footer) = crate::io::parquet::open(path)?;
    columns.check(path, footer.schema())?;
    let roots = [&columns.identity, ORIGIN].into_iter().filter_map(|name| footer.schema().index_of(name).ok());
    let mask = ProjectionMask::roots(footer.parquet_schema(), roots);
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer);
    let batches = Batches::of(path, builder.with_projection(mask).with_batch_size(BATCH_ROWS))?;
    let text = move |rows: &RecordBatch, name: &str| -> Result<StringArray> {
        let text = cast(batch::column_of(rows, name)?, &DataType::Utf8).map_err(|error| not_parquet(path, error))?;
        Ok(text.as_string().clone())
    };
    Ok(batches.map(move |rows| {
        let rows = rows?;
        Ok((text(&rows, &columns.identity)?, text(&rows, ORIGIN)?))
    }))
}
