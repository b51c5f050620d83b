//! Opens Parquet files: the footer, and batches.

use std::{fs::File, path::Path};

use parquet::{
    arrow::arrow_reader::{
        ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
    },
    file::reader::ChunkReader,
};

use super::{checked::CheckedFile, disk};
use crate::error::{Error, Result};

/// Opens a Parquet file and reads its footer.
///
/// # Errors
/// [`Error::Environment`] when the file cannot be opened, [`Error::Data`] when it is not Parquet.
pub fn open(path: &Path) -> Result<(File, ArrowReaderMetadata)> {
    let file = disk::open(path)?;
    let footer =
        ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|error| not_parquet(path, error))?;
    Ok((file, footer))
}

/// Opens a part of a table with its checksums, and reads its footer.
///
/// # Errors
/// As [`open`]; [`Error::Data`] when it is damaged.
pub(crate) fn open_checked(path: &Path, checksums: &str) -> Result<(CheckedFile, ArrowReaderMetadata)> {
    let file = CheckedFile::open(path, checksums)?;
    let footer =
        ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|error| not_parquet(path, error))?;
    Ok((file, footer))
}

/// Reads batches of at most `batch_rows` rows of an open file, all columns.
///
/// # Errors
/// [`Error::Data`] when the file is not Parquet.
pub(crate) fn batches<F: ChunkReader + 'static>(
    path: &Path,
    file: F,
    footer: ArrowReaderMetadata,
    batch_rows: usize,
) -> Result<ParquetRecordBatchReader> {
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer).with_batch_size(batch_rows);
    builder.build().map_err(|error| not_parquet(path, error))
}

/// Reads batches of at most `batch_rows` rows, all columns.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path, batch_rows: usize) -> Result<ParquetRecordBatchReader> {
    let (file, footer) = open(path)?;
    batches(path, file, footer, batch_rows)
}

/// A file that cannot be read as Parquet.
pub fn not_parquet(path: &Path, error: impl Into<crate::error::Cause>) -> Error {
    Error::data(format!("cannot read `{}` as Parquet", path.display())).caused_by(error)
}
