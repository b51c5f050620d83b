//! Rows of one Parquet file as batches: positions, identities, images without gaps, rejects.

use std::{collections::BTreeMap, fs::File, path::PathBuf, sync::Arc, time::Instant};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt64Array},
    compute::cast,
    datatypes::{DataType, Float32Type},
};
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
};

use super::{Columns, broken};
use crate::{
    batch::{self, ImageLayout, OBJECT_ID, ORIGIN, ROW, list_column, list_type},
    error::{Error, Result},
    stage::{Read, Reader, Reject},
};

/// A file being read.
pub(super) struct FileReader {
    pub(super) path: String,
    pub(super) file: PathBuf,
    pub(super) footer: ArrowReaderMetadata,
    pub(super) columns: Arc<Columns>,
    /// Rows given.
    pub(super) position: u64,
    pub(super) batches: Option<ParquetRecordBatchReader>,
    /// Rows read and not given yet.
    pub(super) rest: Option<RecordBatch>,
}

impl Reader for FileReader {
    fn next(&mut self, max_rows: usize, _deadline: Instant) -> Result<Read> {
        let rows = match self.rest.take() {
            Some(rows) => rows,
            None => match self.batches(max_rows)?.next() {
                Some(rows) => rows.map_err(|error| broken(&self.file, &error))?,
                None => return Ok(Read::End),
            },
        };
        let taken = rows.num_rows().min(max_rows);
        if taken < rows.num_rows() {
            self.rest = Some(rows.slice(taken, rows.num_rows() - taken));
        }
        let read = self.convert(&rows.slice(0, taken))?;
        self.position += taken as u64;
        Ok(read)
    }

    fn offset(&self) -> u64 {
        self.position
    }
}

impl FileReader {
    /// The rest of the file from the position on, in batches of at most so many rows.
    fn batches(&mut self, max_rows: usize) -> Result<&mut ParquetRecordBatchReader> {
        if self.batches.is_none() {
            let file = File::open(&self.file).map_err(|error| Error::io("open", &self.file, error))?;
            let fields = self.columns.schema.fields();
            let roots = fields.iter().filter_map(|field| self.footer.schema().index_of(self.columns.read(field)?).ok());
            let mask = ProjectionMask::roots(self.footer.parquet_schema(), roots);
            let (groups, offset) = self.groups_from(self.position);
            let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.footer.clone())
                .with_projection(mask)
                .with_row_groups(groups)
                .with_offset(offset)
                .with_batch_size(max_rows)
                .build();
            self.batches = Some(reader.map_err(|error| broken(&self.file, &error))?);
        }
        self.batches.as_mut().ok_or_else(|| Error::bug("no reader"))
    }

    /// The row groups from a row on, and how many rows of the first are before it.
    fn groups_from(&self, row: u64) -> (Vec<usize>, usize) {
        let mut before = 0;
        let groups = self.footer.metadata().row_groups();
        for (index, group) in groups.iter().enumerate() {
            let rows = u64::try_from(group.num_rows()).unwrap_or(0);
            if row < before + rows {
                return ((index..groups.len()).collect(), usize::try_from(row - before).unwrap_or(usize::MAX));
            }
            before += rows;
        }
        (Vec::new(), 0)
    }

    fn convert(&self, rows: &RecordBatch) -> Result<Read> {
        let number = rows.num_rows();
        let first = self.position;
        let cast_to = |array: &ArrayRef, kind: &DataType| cast(array, kind).map_err(|error| broken(&self.file, &error));
        let ids = cast_to(batch::column_of(rows, &self.columns.identity)?, &DataType::Utf8)?;
        let ids: &StringArray = ids.as_string();
        let place = |row: usize| format!("{}[{}]", self.path, first + row as u64);
        let own = match self.columns.has_origin {
            true => Some(cast_to(batch::column_of(rows, ORIGIN)?, &DataType::Utf8)?),
            false => None,
        };
        let own = own.as_ref().map(AsArray::as_string::<i32>);
        let origin = |row: usize| match own.filter(|own| own.is_valid(row)) {
            Some(own) => own.value(row).to_owned(),
            None => place(row),
        };
        let mut bad: BTreeMap<usize, String> = BTreeMap::new();
        for row in (0..number).filter(|row| ids.is_null(*row)) {
            bad.insert(row, format!("no identity: column `{}` is null", self.columns.identity));
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.columns.schema.fields().len());
        for field in self.columns.schema.fields() {
            let image = self.columns.images.iter().find(|(name, _)| name == field.name());
            columns.push(match (field.name().as_str(), image) {
                (ROW, _) => Arc::new(UInt64Array::from_iter_values(first..first + number as u64)),
                (OBJECT_ID, _) => Arc::new(ids.iter().map(|id| Some(id.unwrap_or(""))).collect::<StringArray>()),
                (ORIGIN, _) => Arc::new(StringArray::from_iter_values((0..number).map(origin))),
                (name, Some((_, layout))) => images(name, batch::column_of(rows, name)?, layout, &mut bad)?,
                (name, None) => cast_to(batch::column_of(rows, name)?, field.data_type())?,
            });
        }
        let whole =
            RecordBatch::try_new(self.columns.schema.clone(), columns).map_err(|error| broken(&self.file, &error))?;
        let rejects = bad.iter().map(|(row, reason)| Reject {
            row: first + *row as u64,
            object_id: ids.is_valid(*row).then(|| ids.value(*row).to_owned()),
            origin: origin(*row),
            stage: "source".into(),
            reason: reason.clone(),
        });
        let rejects: Vec<Reject> = rejects.collect();
        let keep: Vec<bool> = (0..number).map(|row| !bad.contains_key(&row)).collect();
        let rows = if rejects.is_empty() { whole } else { batch::keep_rows(&whole, keep)? };
        Ok(Read::Batch { rows, rejects })
    }
}

/// Images as lists of float32 without gaps; rows that have none are noted.
fn images(name: &str, column: &ArrayRef, layout: &ImageLayout, bad: &mut BTreeMap<usize, String>) -> Result<ArrayRef> {
    let pixels = layout.pixels();
    // Variances are infinite where nothing is known; masks and PSFs are not judged here either.
    let judged = !["_variance", "_mask", "_psf"].iter().any(|companion| name.ends_with(companion));
    let ours = list_type(pixels);
    if *column.data_type() == ours && column.null_count() == 0 {
        let lists = column.as_fixed_size_list();
        let values = lists.values().as_primitive::<Float32Type>();
        if values.null_count() == 0 {
            let start = usize::try_from(lists.value_offset(0)).unwrap_or(0);
            let values = &values.values()[start..start + lists.len() * pixels];
            for (row, image) in values.chunks_exact(pixels).enumerate().filter(|_| judged) {
                note_non_finite(name, row, image, bad);
            }
            return Ok(column.clone());
        }
    }
    let mut all = vec![0.0; column.len() * pixels];
    for (row, image) in all.chunks_exact_mut(pixels).enumerate() {
        match numbers(column, row)? {
            Some(numbers) if numbers.len() == pixels && numbers.null_count() == 0 => {
                image.copy_from_slice(numbers.as_primitive::<Float32Type>().values());
                if judged {
                    note_non_finite(name, row, image, bad);
                }
            }
            Some(numbers) if numbers.len() == pixels => {
                bad.entry(row).or_insert_with(|| format!("`{name}` has {} missing pixels", numbers.null_count()));
            }
            Some(numbers) => {
                let found = numbers.len();
                bad.entry(row).or_insert_with(|| format!("`{name}` has {found} pixels, not {pixels}"));
            }
            None => {
                bad.entry(row).or_insert_with(|| format!("`{name}` is missing"));
            }
        }
    }
    list_column(all, pixels)
}

/// The list of a row as float32, if it has one.
fn numbers(column: &ArrayRef, row: usize) -> Result<Option<ArrayRef>> {
    if column.is_null(row) {
        return Ok(None);
    }
    let list = match column.data_type() {
        DataType::FixedSizeList(..) => column.as_fixed_size_list().value(row),
        DataType::List(_) => column.as_list::<i32>().value(row),
        DataType::LargeList(_) => column.as_list::<i64>().value(row),
        other => return Err(Error::data(format!("a column of {other} holds no images"))),
    };
    Ok(Some(cast(&list, &DataType::Float32)?))
}

fn note_non_finite(name: &str, row: usize, image: &[f32], bad: &mut BTreeMap<usize, String>) {
    if image.iter().any(|value| !value.is_finite()) {
        let count = image.iter().filter(|value| !value.is_finite()).count();
        bad.entry(row).or_insert_with(|| format!("`{name}` has {count} non-finite pixels"));
    }
}
