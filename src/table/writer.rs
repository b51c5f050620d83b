//! Writes the Parquet parts of a table into its staging folder: streamed, bounded, durable when prepared.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, SchemaRef},
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding, ZstdLevel},
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder},
    schema::types::ColumnPath,
};

use super::{Part, sync_folder};
use crate::{
    batch,
    error::{Error, Result},
};

/// How the parts of a table are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// Level of the zstd compression, 1 to 22.
    pub compression_level: i32,
    /// A row group is closed at about this size: what a writer holds in memory.
    pub row_group_bytes: usize,
    /// A part is closed at about this size.
    pub part_bytes: u64,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { compression_level: 1, row_group_bytes: 16 << 20, part_bytes: 256 << 20 }
    }
}

/// Writes a table. What it has written counts only when a commit record names it.
pub struct TableWriter {
    schema: SchemaRef,
    staging: PathBuf,
    properties: WriterProperties,
    part_bytes: u64,
    /// Number of the next part. Names go up in the order of the rows, over restarts too.
    next: u64,
    /// Whether the table has a part already, which gives it its schema.
    has_part: bool,
    open: Option<PartFile>,
    closed: Vec<Part>,
}

impl TableWriter {
    /// A writer of a table with this schema, whose parts are made in `staging` and will be moved to `table`.
    ///
    /// # Errors
    /// When the folders cannot be made or read.
    pub fn new(schema: SchemaRef, staging: &Path, table: &Path, options: WriteOptions) -> Result<Self> {
        fs::create_dir_all(staging).map_err(|error| Error::io("make", staging, &error))?;
        let last = last_number(table)?;
        let properties = options.properties(&schema)?;
        Ok(Self {
            schema,
            staging: staging.to_owned(),
            properties,
            part_bytes: options.part_bytes,
            next: last.unwrap_or(0) + 1,
            has_part: last.is_some(),
            open: None,
            closed: Vec::new(),
        })
    }

    /// The schema of the table.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Appends rows: the columns of the table, by name, out of those of the batch.
    ///
    /// # Errors
    /// [`Error::Outside`] when the disk is full, [`Error::Bug`] when a column is missing or of another type.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let columns = self.schema.fields().iter().map(|field| batch::column_of(batch, field.name()).cloned());
        let rows = RecordBatch::try_new(self.schema.clone(), columns.collect::<Result<_>>()?)?;
        let mut part = match self.open.take() {
            Some(part) => part,
            None => self.begin()?,
        };
        part.write(&rows)?;
        if part.size() >= self.part_bytes {
            self.closed.push(part.finish()?);
        } else {
            self.open = Some(part);
        }
        Ok(())
    }

    /// Closes what was written and makes it durable: the parts since the last call. A table that has no part yet gets one
    /// without rows, for its schema.
    ///
    /// # Errors
    /// [`Error::Outside`] when the disk is full.
    pub fn prepare(&mut self) -> Result<Vec<Part>> {
        if self.open.is_none() && !self.has_part {
            self.open = Some(self.begin()?);
        }
        if let Some(part) = self.open.take() {
            self.closed.push(part.finish()?);
        }
        if !self.closed.is_empty() {
            sync_folder(&self.staging)?;
        }
        Ok(std::mem::take(&mut self.closed))
    }

    fn begin(&mut self) -> Result<PartFile> {
        let name = format!("part-{:08}.parquet", self.next);
        let part = PartFile::create(&self.staging, name, self.schema.clone(), self.properties.clone())?;
        self.next += 1;
        self.has_part = true;
        Ok(part)
    }
}

/// One part being written.
pub struct PartFile {
    path: PathBuf,
    name: String,
    rows: u64,
    writer: ArrowWriter<Watched>,
    trouble: Trouble,
}

impl PartFile {
    /// Begins a part.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(staging: &Path, name: String, schema: SchemaRef, properties: WriterProperties) -> Result<Self> {
        let path = staging.join(&name);
        let file = File::create(&path).map_err(|error| Error::io("create", &path, &error))?;
        let trouble = Trouble::default();
        let watched = Watched { file, trouble: trouble.clone() };
        let writer = ArrowWriter::try_new(watched, schema, Some(properties));
        let writer = writer.map_err(|error| trouble.explain(&path, &error))?;
        Ok(Self { path, name, rows: 0, writer, trouble })
    }

    /// Appends rows of the part's schema.
    ///
    /// # Errors
    /// [`Error::Outside`] when the disk is full.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.writer.write(rows).map_err(|error| self.trouble.explain(&self.path, &error))?;
        self.rows += rows.num_rows() as u64;
        Ok(())
    }

    /// About the size that the part would have if it were closed now.
    pub fn size(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size()) as u64
    }

    /// Closes the part and makes its content durable (its name is, once its folder is synced).
    ///
    /// # Errors
    /// [`Error::Outside`] when the disk is full.
    pub fn finish(mut self) -> Result<Part> {
        self.writer.finish().map_err(|error| self.trouble.explain(&self.path, &error))?;
        let file = &self.writer.inner().file;
        file.sync_all().map_err(|error| Error::io("sync", &self.path, &error))?;
        let bytes = file.metadata().map_err(|error| Error::io("read", &self.path, &error))?.len();
        Ok(Part { file: self.name, rows: self.rows, bytes })
    }
}

/// The highest number of a part in a folder; compacted parts keep the number of their last one.
fn last_number(table: &Path) -> Result<Option<u64>> {
    let entries = match fs::read_dir(table) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", table, &error)),
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter_map(|name| part_number(&name)).max())
}

/// The number in the name of a part.
pub fn part_number(name: &str) -> Option<u64> {
    let number = name.strip_prefix("part-")?.strip_suffix(".parquet")?;
    number.split('-').next()?.parse().ok()
}

impl WriteOptions {
    /// What the Parquet writer is told. Dictionaries and statistics where they help; lists of float32 (images, latents)
    /// get neither, and their bytes are grouped by significance, which zstd packs tighter.
    ///
    /// # Errors
    /// [`Error::Bug`] when zstd has no such level.
    pub fn properties(self, schema: &SchemaRef) -> Result<WriterProperties> {
        let level = ZstdLevel::try_new(self.compression_level)
            .map_err(|_| Error::Bug(format!("zstd has no level {}", self.compression_level)))?;
        let builder = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(1 << 20))
            .set_max_row_group_bytes(Some(self.row_group_bytes.max(1)))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_created_by(concat!("lucarne ", env!("CARGO_PKG_VERSION")).to_owned());
        Ok(schema.fields().iter().fold(builder, |builder, field| column_properties(builder, field)).build())
    }
}

fn column_properties(builder: WriterPropertiesBuilder, field: &Field) -> WriterPropertiesBuilder {
    let DataType::FixedSizeList(item, _) = field.data_type() else { return builder };
    if *item.data_type() != DataType::Float32 {
        return builder;
    }
    // Parquet's name of the numbers in a list.
    let path = ColumnPath::new(vec![field.name().clone(), "list".into(), item.name().clone()]);
    builder
        .set_column_dictionary_enabled(path.clone(), false)
        .set_column_statistics_enabled(path.clone(), EnabledStatistics::None)
        .set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT)
}

/// A file that remembers why it could not be written: the Parquet writer does not always pass the reason on.
struct Watched {
    file: File,
    trouble: Trouble,
}

#[derive(Clone, Default)]
struct Trouble(Arc<Mutex<Option<io::Error>>>);

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).inspect_err(|error| self.trouble.note(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().inspect_err(|error| self.trouble.note(error))
    }
}

impl Trouble {
    fn note(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::Interrupted {
            return;
        }
        let copy = error.raw_os_error().map_or_else(|| io::Error::from(error.kind()), io::Error::from_raw_os_error);
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(copy);
    }

    fn explain(&self, path: &Path, error: &ParquetError) -> Error {
        match &*self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            Some(io) => Error::io("write", path, io),
            None => Error::Bug(format!("cannot write `{}`: {error}", path.display())),
        }
    }
}
