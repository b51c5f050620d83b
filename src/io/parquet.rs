//! Opens Parquet files: the footer, and batches.

use std::{
    cell::Cell,
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use arrow::{
    array::{RecordBatch, RecordBatchReader},
    datatypes::SchemaRef,
};
use parquet::{
    arrow::arrow_reader::{
        ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
    },
    file::reader::ChunkReader,
};

use super::{
    checked::CheckedFile,
    disk,
    parquet_depth::{MAX_LEVELS, is_too_deep},
};
use crate::error::{Error, Result};

/// Opens a Parquet file and reads its footer.
///
/// # Errors
/// [`Error::Environment`] when the file cannot be opened, [`Error::Data`] when it is not Parquet.
pub fn open(path: &Path) -> Result<(File, ArrowReaderMetadata)> {
    let file = disk::open(path)?;
    let footer = footer(path, &file)?;
    Ok((file, footer))
}

/// Reads a footer. The libraries panic at some damaged ones (`unimplemented!`, a length that does not fit): that is damage too.
fn footer(path: &Path, file: &impl ChunkReader) -> Result<ArrowReaderMetadata> {
    if is_too_deep(file) {
        return Err(not_parquet(path, format!("its schema has more than {MAX_LEVELS} levels")));
    }
    let load = || ArrowReaderMetadata::load(file, ArrowReaderOptions::new());
    contained(path, load)?.map_err(|error| not_parquet(path, error))
}

/// Calls a function of the libraries for Parquet and Arrow; a panic becomes an error of the file.
///
/// # Errors
/// [`Error::Data`] after a panic.
fn contained<T>(path: &Path, call: impl FnOnce() -> T) -> Result<T> {
    QUIET.with(|quiet| quiet.set(quiet.get() + 1));
    let result = catch_unwind(AssertUnwindSafe(call));
    QUIET.with(|quiet| quiet.set(quiet.get() - 1));
    result.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        not_parquet(path, text.unwrap_or_else(|| "the library failed".into()))
    })
}

/// Whether a panic of this thread is contained, and not to be printed as a bug.
pub fn panics_are_contained() -> bool {
    QUIET.with(|quiet| quiet.get() > 0)
}

thread_local! {
    static QUIET: Cell<usize> = const { Cell::new(0) };
}

/// Opens a part of a table with its checksums, and reads its footer.
///
/// # Errors
/// As [`open`]; [`Error::Data`] when it is damaged.
pub(crate) fn open_checked(path: &Path, checksums: &str) -> Result<(CheckedFile, ArrowReaderMetadata)> {
    let file = CheckedFile::open(path, checksums)?;
    let footer = footer(path, &file)?;
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
) -> Result<Batches> {
    Batches::of(path, ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer).with_batch_size(batch_rows))
}

/// The batches of a file.
pub struct Batches {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
}

impl Batches {
    /// The batches that a builder selects.
    ///
    /// # Errors
    /// [`Error::Data`] when the file is damaged.
    pub fn of<F: ChunkReader + 'static>(path: &Path, builder: ParquetRecordBatchReaderBuilder<F>) -> Result<Self> {
        let reader = contained(path, || builder.build())?.map_err(|error| not_parquet(path, error))?;
        Ok(Self { path: path.to_owned(), reader })
    }

    /// Their columns.
    pub fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self { path, reader } = self;
        match contained(path, || reader.next()) {
            Ok(rows) => Some(rows?.map_err(|error| not_parquet(path, error))),
            Err(panic) => Some(Err(panic)),
        }
    }
}

/// Reads batches of at most `batch_rows` rows, all columns.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path, batch_rows: usize) -> Result<Batches> {
    let (file, footer) = open(path)?;
    batches(path, file, footer, batch_rows)
}

/// A file that cannot be read as Parquet.
pub fn not_parquet(path: &Path, error: impl Into<crate::error::Cause>) -> Error {
    Error::data(format!("cannot read `{}` as Parquet", path.display())).caused_by(error)
}
