//! Whether two rows are one object: the same identity from the same origin.
//!
//! Only identities and origins are read, never pixels; 16 bytes a row are held while it lasts.

use std::{collections::HashSet, fs::File, path::PathBuf};

use arrow::{
    array::{AsArray, RecordBatch, StringArray},
    compute::cast,
    datatypes::DataType,
};
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder},
};
use sha2::{Digest, Sha256};

use super::{Columns, broken, footer};
use crate::{
    batch::{self, ORIGIN},
    error::{Error, Result},
};

const BATCH_ROWS: usize = 8192;

/// Fails when two rows of the files, which are all different, have one identity and one origin. Where a file has no
/// origin, the place in it is the origin, so all rows differ.
pub(super) fn check(files: &[PathBuf], columns: &Columns) -> Result<()> {
    if !columns.has_origin {
        return Ok(());
    }
    let mut seen: Vec<u128> = Vec::new();
    each(files, columns, &mut |_, _, key| seen.push(hash(key)))?;
    seen.sort_unstable();
    let twice: HashSet<u128> = seen.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    if twice.is_empty() {
        return Ok(());
    }
    let mut first = None;
    let mut places = Vec::new();
    each(files, columns, &mut |file, row, key| {
        let hash = hash(key);
        if twice.contains(&hash) {
            let (one, _) = first.get_or_insert_with(|| (hash, format!("object `{}` of origin `{}`", key.0, key.1)));
            if *one == hash {
                places.push(format!("`{}[{row}]`", file.display()));
            }
        }
    })?;
    let object = first.map_or_else(String::new, |(_, object)| object);
    let places = places.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(" and ");
    Err(Error::data(format!("{object} is there twice, at {places}: an object is read once, or its origins differ")))
}

/// Calls with file, row, and (identity, origin) of every row that has both.
fn each(files: &[PathBuf], columns: &Columns, call: &mut impl FnMut(&PathBuf, usize, (&str, &str))) -> Result<()> {
    for path in files {
        let footer = footer(path)?;
        columns.check(path, footer.schema())?;
        let mut row = 0;
        for batch in texts(path, &footer, columns)? {
            let (identities, origins) = batch?;
            for (identity, origin) in identities.iter().zip(&origins) {
                if let (Some(identity), Some(origin)) = (identity, origin) {
                    call(path, row, (identity, origin));
                }
                row += 1;
            }
        }
    }
    Ok(())
}

/// Identities and origins of a file.
fn texts<'a>(
    path: &'a PathBuf,
    footer: &ArrowReaderMetadata,
    columns: &'a Columns,
) -> Result<impl Iterator<Item = Result<(StringArray, StringArray)>> + 'a> {
    let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    let roots = [&columns.identity, ORIGIN].into_iter().filter_map(|name| footer.schema().index_of(name).ok());
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer.clone())
        .with_projection(ProjectionMask::roots(footer.parquet_schema(), roots))
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(|error| broken(path, &error))?;
    let text = move |rows: &RecordBatch, name: &str| -> Result<StringArray> {
        let text = cast(batch::column_of(rows, name)?, &DataType::Utf8).map_err(|error| broken(path, &error))?;
        Ok(text.as_string().clone())
    };
    Ok(reader.map(move |rows| {
        let rows = rows.map_err(|error| broken(path, &error))?;
        Ok((text(&rows, &columns.identity)?, text(&rows, ORIGIN)?))
    }))
}

/// 128 bits of SHA-256: two of a thousand million rows agree by chance once in 10^20 runs.
fn hash((identity, origin): (&str, &str)) -> u128 {
    let digest = Sha256::new().chain_update(identity).chain_update(b"\0").chain_update(origin).finalize();
    digest.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte))
}
