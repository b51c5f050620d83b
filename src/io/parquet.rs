//! Opens Parquet files: the footer, and batches.

use std::{
    cell::{Cell, RefCell},
    fs::File,
    io::{self, BufReader, Read},
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
    errors::{ParquetError, Result as ParquetResult},
    file::reader::{ChunkReader, Length},
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
pub fn open(path: &Path) -> Result<(ParquetFile, ArrowReaderMetadata)> {
    let file = ParquetFile { file: disk::open(path)?, path: path.to_owned() };
    let footer = footer(path, &file)?;
    Ok((file, footer))
}

/// An open file whose failed reads stay errors of the environment.
#[derive(Debug)]
pub struct ParquetFile {
    file: File,
    path: PathBuf,
}

impl ParquetFile {
    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl Length for ParquetFile {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for ParquetFile {
    type T = ParquetFileReader;

    fn get_read(&self, start: u64) -> ParquetResult<ParquetFileReader> {
        Ok(ParquetFileReader { reader: self.file.get_read(start)?, path: self.path.clone() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<bytes::Bytes> {
        self.file.get_bytes(start, length).map_err(|error| match error {
            ParquetError::External(cause) => match cause.downcast::<io::Error>() {
                Ok(error) => ParquetError::External(noted(&self.path, *error).into()),
                Err(cause) => ParquetError::External(cause),
            },
            error => error,
        })
    }
}

/// Reads a [`ParquetFile`] from some place on.
pub struct ParquetFileReader {
    reader: BufReader<File>,
    path: PathBuf,
}

impl Read for ParquetFileReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.reader.read(out).map_err(|error| noted(&self.path, error))
    }
}

/// Notes that the system could not read a file; a file that ends too early is damaged instead.
fn noted(path: &Path, error: io::Error) -> io::Error {
    if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::Interrupted) {
        return error;
    }
    let copy = io::Error::new(error.kind(), error.to_string());
    note(Error::io("read", path, error));
    copy
}

/// Keeps an error of the environment for [`contained`]: the libraries for Parquet and Arrow pass on its text only.
pub(super) fn note(error: Error) {
    FAILED_READ.with(|failed| _ = failed.borrow_mut().get_or_insert(error));
}

/// Reads a footer. The libraries panic at some damaged ones (`unimplemented!`, a length that does not fit): that is damage too.
fn footer(path: &Path, file: &impl ChunkReader) -> Result<ArrowReaderMetadata> {
    if is_too_deep(file) {
        return Err(not_parquet(path, format!("its schema has more than {MAX_LEVELS} levels")));
    }
    contained(path, || ArrowReaderMetadata::load(file, ArrowReaderOptions::new()))
}

/// Calls a function of the libraries for Parquet and Arrow; a panic becomes an error of the file.
///
/// # Errors
/// [`Error::Environment`] when the system could not read, otherwise [`Error::Data`].
fn contained<T, E: Into<crate::error::Cause>>(
    path: &Path,
    call: impl FnOnce() -> std::result::Result<T, E>,
) -> Result<T> {
    FAILED_READ.take();
    let error = match caught(call) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => not_parquet(path, error),
        Err(panic) => not_parquet(path, panic),
    };
    Err(FAILED_READ.take().unwrap_or(error))
}

/// Calls a function of the libraries for Parquet and Arrow; the error is the text of a panic, which damaged files cause.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> std::result::Result<T, String> {
    QUIET.with(|quiet| quiet.set(quiet.get() + 1));
    let result = catch_unwind(AssertUnwindSafe(call));
    QUIET.with(|quiet| quiet.set(quiet.get() - 1));
    result.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        text.unwrap_or_else(|| "the library failed".into())
    })
}

/// Whether a panic of this thread is contained, and not to be printed as a bug.
pub fn panics_are_contained() -> bool {
    QUIET.with(|quiet| quiet.get() > 0)
}

thread_local! {
    static QUIET: Cell<usize> = const { Cell::new(0) };
    /// The first read of this thread that failed within a call of the libraries.
    static FAILED_READ: RefCell<Option<Error>> = const { RefCell::new(None) };
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
        let reader = contained(path, || builder.build())?;
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
        contained(path, || reader.next().transpose()).transpose()
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

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use arrow::{
        array::{ArrayRef, Int32Array},
        datatypes::{DataType, Field, Schema},
    };
    use parquet::arrow::ArrowWriter;

    use super::*;
    use crate::io::checked::{BlockSums, CheckedFile};

    fn part(folder: &Path) -> PathBuf {
        let path = folder.join("part.parquet");
        let schema = Arc::new(Schema::new(vec![Field::new("number", DataType::Int32, false)]));
        let column: ArrayRef = Arc::new(Int32Array::from_iter_values(0..100_000));
        let rows = RecordBatch::try_new(schema.clone(), vec![column]).expect("rows");
        let mut writer = ArrowWriter::try_new(fs::File::create(&path).expect("room"), schema, None).expect("a writer");
        writer.write(&rows).expect("room");
        writer.close().expect("room");
        path
    }

    /// A file of which every read fails: it is open for writing only.
    fn unreadable(path: &Path) -> File {
        File::options().write(true).open(path).expect("a file")
    }

    fn is_environment(error: &Error) -> bool {
        matches!(error, Error::Environment { .. }) && error.report().contains("part.parquet`: ")
    }

    #[test]
    fn a_read_that_fails_is_of_the_environment_and_a_file_that_is_cut_off_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = part(folder.path());
        let (_, good) = open(&path).expect("Parquet");
        let file = || ParquetFile { file: unreadable(&path), path: path.clone() };
        assert!(is_environment(&footer(&path, &file()).expect_err("a failing disk")));
        let mut rows = batches(&path, file(), good.clone(), 10).expect("a reader");
        assert!(is_environment(&rows.next().expect("rows").expect_err("a failing disk")));

        let bytes = fs::read(&path).expect("a file");
        let checked = || CheckedFile::of(unreadable(&path), &path, &BlockSums::of(&bytes)).expect("checksums");
        assert!(is_environment(&footer(&path, &checked()).expect_err("a failing disk")));
        let mut rows = batches(&path, checked(), good.clone(), 10).expect("a reader");
        assert!(is_environment(&rows.next().expect("rows").expect_err("a failing disk")));

        fs::write(&path, &bytes[..1000]).expect("room");
        let short = ParquetFile { file: File::open(&path).expect("a file"), path: path.clone() };
        let mut rows = batches(&path, short, good, 10).expect("a reader");
        assert!(matches!(rows.find_map(Result::err), Some(Error::Data { .. })));
        assert!(matches!(open(&path), Err(Error::Data { .. })));
    }
}
