//! Reads the rows of one Parquet file as batches: row numbers, identities, images without gaps, rejects.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt64Array},
    compute::cast,
    datatypes::DataType,
};
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder},
};

use super::{columns::ColumnMapping, images::images, stored_images::StoredImages};
use crate::{
    batch::{self, OBJECT_ID, ORIGIN, ROW},
    error::{Error, Result},
    io::{
        digest,
        parquet::{self as parquet_file, Batches, ParquetFile, not_parquet},
    },
    stage::{Read, Reader, Reject},
};

/// Why rows of a batch are rejected, by row: the first reason of each.
pub(super) type RejectReasons = BTreeMap<usize, String>;

/// Reads a file from a row on.
pub(super) struct ParquetReader {
    path: PathBuf,
    columns: Arc<ColumnMapping>,
    /// How this file holds the image columns.
    images: BTreeMap<String, StoredImages>,
    /// The row of the file that comes next.
    offset: u64,
    /// Identifies the file: its length and its end, where Parquet has its footer.
    contents: u128,
    /// The file and its footer until the first batch is read, which sets the batch size.
    unread: Option<(ParquetFile, ArrowReaderMetadata)>,
    batches: Option<Batches>,
    /// Rows that were read and not returned, when a later batch is smaller than the first.
    pending: Option<RecordBatch>,
}

impl Reader for ParquetReader {
    fn next(&mut self, max_rows: usize, _deadline: Instant) -> Result<Read> {
        let rows = match self.pending.take() {
            Some(rows) => rows,
            None => match self.batches(max_rows)?.next() {
                Some(rows) => rows?,
                None => return Ok(Read::End),
            },
        };
        let taken = rows.num_rows().min(max_rows);
        if taken < rows.num_rows() {
            self.pending = Some(rows.slice(taken, rows.num_rows() - taken));
        }
        let read = self.convert(&rows.slice(0, taken))?;
        self.offset += taken as u64;
        Ok(read)
    }

    fn offset(&self) -> u64 {
        self.offset
    }

    fn contents(&self) -> Option<u128> {
        Some(self.contents)
    }
}

/// A digest of the length of a file and its last 64 KiB.
fn end_of(mut file: &File) -> io::Result<u128> {
    let length = file.metadata()?.len();
    let mut end = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(1 << 16)))?;
    file.read_to_end(&mut end)?;
    Ok(digest::wide_number_of(&[&length.to_le_bytes(), &end]))
}

impl ParquetReader {
    /// Opens a file, checks its columns, and continues at a row.
    pub(super) fn open(path: &Path, columns: Arc<ColumnMapping>, offset: u64) -> Result<Self> {
        let (file, footer) = parquet_file::open(path)?;
        let images = columns.check(path, footer.schema())?;
        let contents = end_of(file.file()).map_err(|error| Error::io("read", path, error))?;
        let unread = Some((file, footer));
        Ok(Self { path: path.to_owned(), columns, images, offset, contents, unread, batches: None, pending: None })
    }

    /// The rest of the file, in batches of at most `max_rows` of the first call.
    fn batches(&mut self, max_rows: usize) -> Result<&mut Batches> {
        if let Some((file, footer)) = self.unread.take() {
            let fields = self.columns.schema.fields().iter();
            let names = fields.filter_map(|field| self.columns.column_in_file(field));
            let mask = ProjectionMask::roots(
                footer.parquet_schema(),
                names.filter_map(|name| footer.schema().index_of(name).ok()),
            );
            let (groups, skipped) = row_groups_from(&footer, self.offset);
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer)
                .with_projection(mask)
                .with_row_groups(groups)
                .with_offset(skipped)
                .with_batch_size(max_rows);
            self.batches = Some(Batches::of(&self.path, builder)?);
        }
        self.batches.as_mut().ok_or_else(|| Error::bug("a Parquet file is read after an error"))
    }

    /// Rows of the file as rows of the source.
    fn convert(&self, rows: &RecordBatch) -> Result<Read> {
        let ids = self.text(rows, &self.columns.identity)?;
        let origins = self.origins(rows)?;
        let mut reasons = RejectReasons::new();
        for row in (0..rows.num_rows()).filter(|row| ids.is_null(*row)) {
            reasons.insert(row, format!("no identity: column `{}` is null", self.columns.identity));
        }
        let end = self.offset + rows.num_rows() as u64;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.columns.schema.fields().len());
        for field in self.columns.schema.fields() {
            columns.push(match (field.name().as_str(), self.images.get(field.name())) {
                (ROW, _) => Arc::new(UInt64Array::from_iter_values(self.offset..end)),
                (OBJECT_ID, _) => Arc::new(ids.iter().map(|id| Some(id.unwrap_or(""))).collect::<StringArray>()),
                (ORIGIN, _) => Arc::new(StringArray::from_iter_values(&origins)),
                (name, Some(stored)) => images(name, batch::column_of(rows, name)?, stored, &mut reasons)?,
                (name, None) => self.cast(rows, name, field.data_type())?,
            });
        }
        let all = RecordBatch::try_new(self.columns.schema.clone(), columns);
        let all = all.map_err(|error| not_parquet(&self.path, error))?;
        let keep: Vec<bool> = (0..rows.num_rows()).map(|row| !reasons.contains_key(&row)).collect();
        let usable = if reasons.is_empty() { all } else { batch::keep_rows(&all, keep)? };
        let reject = |(row, reason): (usize, String)| Reject {
            row: self.offset + row as u64,
            object_id: ids.is_valid(row).then(|| ids.value(row).to_owned()),
            origin: origins[row].clone(),
            stage: "source".into(),
            reason,
        };
        Ok(Read::Batch { rows: usable, rejects: reasons.into_iter().map(reject).collect() })
    }

    /// The origin of every row: that of the file where it has one, else the place of the row.
    fn origins(&self, rows: &RecordBatch) -> Result<Vec<String>> {
        let given = if self.columns.has_origin { Some(self.text(rows, ORIGIN)?) } else { None };
        let origin = |row: usize| match given.as_ref().filter(|given| given.is_valid(row)) {
            Some(given) => given.value(row).to_owned(),
            None => format!("{}[{}]", self.path.display(), self.offset + row as u64),
        };
        Ok((0..rows.num_rows()).map(origin).collect())
    }

    fn text(&self, rows: &RecordBatch, name: &str) -> Result<StringArray> {
        Ok(self.cast(rows, name, &DataType::Utf8)?.as_string().clone())
    }

    fn cast(&self, rows: &RecordBatch, name: &str, kind: &DataType) -> Result<ArrayRef> {
        cast(batch::column_of(rows, name)?, kind).map_err(|error| not_parquet(&self.path, error))
    }
}

/// The row groups from a row on, and how many rows of the first one precede it.
fn row_groups_from(footer: &ArrowReaderMetadata, row: u64) -> (Vec<usize>, usize) {
    let mut before = 0u64;
    let groups = footer.metadata().row_groups();
    for (index, group) in groups.iter().enumerate() {
        let rows = u64::try_from(group.num_rows()).unwrap_or(0);
        if row < before.saturating_add(rows) {
            return ((index..groups.len()).collect(), usize::try_from(row - before).unwrap_or(usize::MAX));
        }
        before = before.saturating_add(rows);
    }
    (Vec::new(), 0)
}
