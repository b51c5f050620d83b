//! Writes the Parquet parts of a table into its staging folder: streamed, bounded, durable when prepared.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef},
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding, ZstdLevel},
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder},
    schema::types::ColumnPath,
};

use crate::{
    batch::{self, LATENT_LAYOUT},
    error::{Error, Result},
    io::{
        checked::BlockSums,
        disk::{self, NewFile},
        parquet as parquet_file,
    },
    run::TablePart,
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
    closed: Vec<TablePart>,
}

impl TableWriter {
    /// A writer of a table with this schema, whose parts are made in `staging` and will be moved to `table`.
    ///
    /// # Errors
    /// When the folders cannot be made or read; [`Error::Data`] when the table has parts with other columns: its source has changed.
    pub fn new(schema: SchemaRef, staging: &Path, table: &Path, options: WriteOptions) -> Result<Self> {
        disk::create_folder(staging)?;
        let last = last_number(table)?;
        let schema = match last {
            Some(last) => continued_schema(table, last, &schema)?,
            None => schema,
        };
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
    /// [`Error::Environment`] when the disk is full, [`Error::Bug`] when a column is missing or of another type.
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
    /// [`Error::Environment`] when the disk is full.
    pub fn prepare(&mut self) -> Result<Vec<TablePart>> {
        if self.open.is_none() && !self.has_part {
            self.open = Some(self.begin()?);
        }
        if let Some(part) = self.open.take() {
            self.closed.push(part.finish()?);
        }
        if !self.closed.is_empty() {
            disk::sync_folder(&self.staging)?;
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
        let trouble = Trouble::default();
        let watched =
            Watched { file: NewFile::create(&path)?, bytes: 0, sums: BlockSums::default(), trouble: trouble.clone() };
        let writer = ArrowWriter::try_new(watched, schema, Some(properties));
        let writer = writer.map_err(|error| trouble.explain(&path, error))?;
        Ok(Self { path, name, rows: 0, writer, trouble })
    }

    /// Appends rows of the part's schema.
    ///
    /// # Errors
    /// [`Error::Environment`] when the disk is full.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.writer.write(rows).map_err(|error| self.trouble.explain(&self.path, error))?;
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
    /// [`Error::Environment`] when the disk is full.
    pub fn finish(mut self) -> Result<TablePart> {
        self.writer.finish().map_err(|error| self.trouble.explain(&self.path, error))?;
        let Watched { file, bytes, sums, .. } = self.writer.inner();
        file.sync()?;
        Ok(TablePart { file: self.name, rows: self.rows, bytes: *bytes, checksums: sums.clone().finish() })
    }
}

/// The highest number of a part in a folder; compacted parts keep the number of their last one.
fn last_number(table: &Path) -> Result<Option<u64>> {
    Ok(disk::names(table)?.iter().filter_map(|name| part_number(name)).max())
}

/// The schema with which a table is continued. Refuses other columns than its last part has. A part that cannot be opened is not judged
/// here.
fn continued_schema(table: &Path, last: u64, schema: &SchemaRef) -> Result<SchemaRef> {
    let is_last = |name: &String| part_number(name) == Some(last);
    let Some(name) = disk::names(table)?.into_iter().find(is_last) else { return Ok(schema.clone()) };
    let path = table.join(name);
    let Ok((_, footer)) = parquet_file::open(&path) else { return Ok(schema.clone()) };
    let schema = &without_new_keys(schema, footer.schema());
    let described = |field: &Field| format!("{} ({}, {:?})", field.name(), field.data_type(), sorted(field.metadata()));
    let [before, now] = [footer.schema(), schema]
        .map(|schema| schema.fields().iter().map(|field| described(field)).collect::<Vec<String>>());
    let Some(at) = (0..before.len().max(now.len())).find(|at| before.get(*at) != now.get(*at)) else {
        return Ok(schema.clone());
    };
    let [before, now] = [before, now].map(|columns| columns.get(at).cloned().unwrap_or_else(|| "none".into()));
    Err(Error::data(format!(
        "the columns of `{}` have changed since the run began: column {} was {before}, and is {now}; restore what the source had, or \
         begin again with overwrite",
        table.display(),
        at + 1
    )))
}

/// A schema without the metadata that the version which began the table did not write: all parts of a table have the same.
fn without_new_keys(schema: &SchemaRef, before: &Schema) -> SchemaRef {
    let field = |field: &FieldRef| {
        let is_described = |field: &Field| field.metadata().contains_key(LATENT_LAYOUT);
        if !is_described(field) || before.field_with_name(field.name()).is_ok_and(is_described) {
            return field.clone();
        }
        let mut metadata = field.metadata().clone();
        metadata.remove(LATENT_LAYOUT);
        Arc::new(field.as_ref().clone().with_metadata(metadata))
    };
    let fields: Fields = schema.fields().iter().map(field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn sorted(metadata: &std::collections::HashMap<String, String>) -> BTreeMap<&String, &String> {
    metadata.iter().collect()
}

/// The number in the name of a part.
pub fn part_number(name: &str) -> Option<u64> {
    let number = name.strip_prefix("part-")?.strip_suffix(".parquet")?;
    number.split('-').next()?.parse().ok()
}

impl WriteOptions {
    /// The properties of the Parquet writer. Dictionaries and statistics where they help; lists of float32 (images, latents)
    /// get neither, and their bytes are grouped by significance, which zstd packs tighter. Where statistics of pages are,
    /// readers also ask where the pages begin, and read of images only those that they want.
    ///
    /// # Errors
    /// [`Error::Bug`] when zstd has no such level.
    pub fn properties(self, schema: &SchemaRef) -> Result<WriterProperties> {
        let level = ZstdLevel::try_new(self.compression_level)
            .map_err(|_| Error::bug(format!("zstd has no level {}", self.compression_level)))?;
        let builder = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(1 << 20))
            .set_max_row_group_bytes(Some(self.row_group_bytes.max(1)))
            .set_statistics_enabled(EnabledStatistics::Page)
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
    file: NewFile,
    /// How many bytes it has.
    bytes: u64,
    sums: BlockSums,
    trouble: Trouble,
}

#[derive(Clone, Default)]
struct Trouble(Arc<Mutex<Option<io::Error>>>);

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes).inspect_err(|error| self.trouble.note(error))?;
        self.bytes += written as u64;
        self.sums.update(&bytes[..written]);
        Ok(written)
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

    fn explain(&self, path: &Path, error: ParquetError) -> Error {
        match self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
            Some(io) => Error::io("write", path, io),
            None => Error::bug(format!("cannot write `{}`", path.display())).caused_by(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use parquet::file::{
        reader::{FileReader, SerializedFileReader},
        statistics::Statistics,
    };

    use super::*;
    use crate::batch::{ImageLayout, Unit, list_column};

    fn images(rows: usize) -> RecordBatch {
        let layout = ImageLayout {
            bands: vec!["g".into(), "r".into(), "i".into()],
            height: 100,
            width: 100,
            unit: Unit::Electron,
            pixel_scale_arcsec: Some(0.2),
            stretch: None,
            electrons_per_njy: None,
            wcs: None,
        };
        let mut draw = 1_u32;
        let mut next = || {
            draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (draw >> 8) as f32
        };
        let pixels = list_column((0..rows * 30_000).map(|_| next()).collect(), 30_000).expect("a column");
        let ids: arrow::array::ArrayRef =
            Arc::new(arrow::array::StringArray::from_iter_values((0..rows).map(|row| row.to_string())));
        let schema = Schema::new(vec![Field::new("object_id", DataType::Utf8, false), layout.field("image")]);
        RecordBatch::try_new(Arc::new(schema), vec![ids, pixels]).expect("a batch")
    }

    fn writer(folder: &Path, rows: &RecordBatch, options: WriteOptions) -> TableWriter {
        TableWriter::new(rows.schema(), &folder.join("staging"), &folder.join("table"), options).expect("a writer")
    }

    #[test]
    fn a_table_is_not_continued_with_other_columns() {
        let folder = tempfile::tempdir().expect("a folder");
        let rows = images(1);
        let mut first = writer(folder.path(), &rows, WriteOptions::default());
        first.write(&rows).expect("written");
        let parts = first.prepare().expect("a part");
        let (staging, table) = (folder.path().join("staging"), folder.path().join("table"));
        fs::create_dir(&table).expect("a folder");
        fs::rename(staging.join(&parts[0].file), table.join(&parts[0].file)).expect("published");
        writer(folder.path(), &rows, WriteOptions::default());
        let field = |index: usize| rows.schema().field(index).clone();
        for fields in [
            vec![field(0)],
            vec![field(0), field(1), field(0).with_name("more")],
            vec![field(0).with_data_type(DataType::Int64), field(1)],
            vec![field(0), field(1).with_metadata([("unit".to_owned(), "nJy".to_owned())].into())],
        ] {
            let error = TableWriter::new(Arc::new(Schema::new(fields)), &staging, &table, WriteOptions::default());
            let report = error.err().expect("other columns").report();
            assert!(report.contains("have changed since the run began"), "{report}");
        }
    }

    #[test]
    fn a_table_whose_latents_are_not_described_is_continued_without_a_description() {
        let folder = tempfile::tempdir().expect("a folder");
        let field = |layout: Option<&str>| {
            let layout = layout.map(|layout| (LATENT_LAYOUT.to_owned(), layout.to_owned()));
            let field = Field::new("a_latent", batch::list_type(2), false);
            Schema::new(vec![field.with_metadata(layout.into_iter().collect())])
        };
        let rows = |layout| {
            let latents = list_column(vec![1.0, 2.0], 2).expect("latents");
            RecordBatch::try_new(Arc::new(field(layout)), vec![latents]).expect("a row")
        };
        let mut first = writer(folder.path(), &rows(None), WriteOptions::default());
        first.write(&rows(None)).expect("written");
        let parts = first.prepare().expect("a part");
        let (staging, table) = (folder.path().join("staging"), folder.path().join("table"));
        fs::create_dir(&table).expect("a folder");
        fs::rename(staging.join(&parts[0].file), table.join(&parts[0].file)).expect("published");
        let mut next = writer(folder.path(), &rows(Some("{}")), WriteOptions::default());
        next.write(&rows(Some("{}"))).expect("written");
        assert!(next.schema().field(0).metadata().is_empty());
        let part = next.prepare().expect("a part").remove(0);
        let described = parquet_file::open(&staging.join(&part.file)).expect("a part").1.schema().clone();
        assert!(described.field(0).metadata().get(LATENT_LAYOUT).is_none());
        // A table that has a description keeps it.
        fs::rename(staging.join(&part.file), folder.path().join("away.parquet")).expect("moved");
        fs::remove_file(table.join(&parts[0].file)).expect("removed");
        let mut described = writer(folder.path(), &rows(Some("{}")), WriteOptions::default());
        described.write(&rows(Some("{}"))).expect("written");
        let parts = described.prepare().expect("a part");
        fs::rename(staging.join(&parts[0].file), table.join(&parts[0].file)).expect("published");
        writer(folder.path(), &rows(Some("{}")), WriteOptions::default());
        let other = TableWriter::new(rows(Some("[]")).schema(), &staging, &table, WriteOptions::default());
        assert!(other.err().expect("another layout").report().contains("have changed since the run began"));
    }

    fn read(folder: &Path, part: &TablePart) -> SerializedFileReader<File> {
        SerializedFileReader::new(File::open(folder.join("staging").join(&part.file)).expect("a file"))
            .expect("Parquet")
    }

    #[test]
    fn row_groups_of_images_are_bounded_in_bytes_and_parts_in_size() {
        let folder = tempfile::tempdir().expect("a folder");
        let rows = images(20);
        let options = WriteOptions { row_group_bytes: 1 << 20, part_bytes: 4 << 20, ..WriteOptions::default() };
        let mut writer = writer(folder.path(), &rows, options);
        for _ in 0..5 {
            writer.write(&rows).expect("room");
        }
        let parts = writer.prepare().expect("room");
        assert_eq!(parts.iter().map(|part| part.rows).sum::<u64>(), 100);
        // 12 MB of images whose lowest byte is noise, in parts of 4 MiB.
        assert!(parts.len() >= 2 && parts.iter().all(|part| part.bytes < 7 << 20), "{parts:?}");
        for part in &parts {
            let file = read(folder.path(), part);
            let groups = file.metadata().row_groups();
            assert!(groups.len() > 1 && groups.iter().all(|group| group.compressed_size() < 3 << 20));
        }
    }

    #[test]
    fn identities_have_statistics_and_images_neither_these_nor_a_dictionary() {
        let folder = tempfile::tempdir().expect("a folder");
        let rows = images(3);
        let mut writer = writer(folder.path(), &rows, WriteOptions::default());
        writer.write(&rows).expect("room");
        let file = read(folder.path(), &writer.prepare().expect("room")[0]);
        let columns = file.metadata().row_group(0).columns();
        let bound = |of: fn(&Statistics) -> Option<&[u8]>| columns[0].statistics().and_then(of);
        assert_eq!(bound(Statistics::min_bytes_opt), Some(b"0".as_slice()));
        assert_eq!(bound(Statistics::max_bytes_opt), Some(b"2".as_slice()));
        assert!(columns[1].statistics().is_none() && columns[1].dictionary_page_offset().is_none());
    }

    #[test]
    fn a_table_without_rows_gets_one_part_for_its_schema_and_names_go_on_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let rows = images(1);
        let mut first = writer(folder.path(), &rows, WriteOptions::default());
        let empty = first.prepare().expect("room");
        assert_eq!((empty.len(), empty[0].rows, empty[0].file.as_str()), (1, 0, "part-00000001.parquet"));
        assert!(first.prepare().expect("room").is_empty());
        fs::create_dir(folder.path().join("table")).expect("room");
        for name in ["part-00000001.parquet", "part-00000007-12.parquet", "notes.txt"] {
            fs::write(folder.path().join("table").join(name), "").expect("room");
        }
        let mut second = writer(folder.path(), &rows, WriteOptions::default());
        assert!(second.prepare().expect("room").is_empty());
        second.write(&rows).expect("room");
        assert_eq!(second.prepare().expect("room")[0].file, "part-00000008.parquet");
    }

    #[test]
    fn a_column_that_a_batch_lacks_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let rows = images(1);
        let mut writer = writer(folder.path(), &rows, WriteOptions::default());
        let error = writer.write(&rows.project(&[0]).expect("a batch")).expect_err("a missing column");
        assert!(error.to_string().contains("no column `image`"), "{error}");
    }
}
