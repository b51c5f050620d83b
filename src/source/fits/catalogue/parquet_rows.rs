//! Catalogues in files of Parquet, read in pieces: none is in memory as a whole.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use arrow::{array::RecordBatch, compute::concat_batches, datatypes::SchemaRef};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};

use super::{
    Catalogue, Columns,
    keyed_rows::{KeyedRows, Pieces},
    values::RawColumn,
};
use crate::{
    error::{Code, Diagnostic, Error, Result},
    io::parquet as parquet_file,
};

/// Rows of one of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) struct FileRows {
    /// Its place among the files.
    pub file: usize,
    pub rows: Range<u64>,
}

/// A file, and how many rows it has.
#[derive(Debug, Clone)]
pub(in crate::source) struct ParquetPart {
    pub path: PathBuf,
    pub rows: u64,
}

/// A catalogue in files of Parquet that have the same columns.
#[derive(Debug)]
pub(in crate::source) struct ParquetRows {
    catalogue: Catalogue,
    files: Vec<ParquetPart>,
    /// The columns that are read.
    names: Vec<String>,
}

impl ParquetRows {
    /// Opens the files of a catalogue and reads their footers, which are not kept: those of wide catalogues are large.
    pub(in crate::source) fn open(catalogue: Catalogue, paths: Vec<PathBuf>) -> Result<Self, Vec<Diagnostic>> {
        let mut files = Vec::with_capacity(paths.len());
        let mut first: Option<SchemaRef> = None;
        for path in paths {
            let (_, footer) = parquet_file::open(&path).map_err(|error| Catalogue::at_path(error.report()))?;
            let schema = footer.schema();
            let chosen = catalogue.chosen(&names(schema))?;
            let chosen = schema.project(&chosen).map_err(|error| catalogue.unreadable(&error))?;
            let first = first.get_or_insert_with(|| chosen.clone().into());
            let types = |schema: &arrow::datatypes::Schema, name: &str| {
                schema.field_with_name(name).map(|field| field.data_type().clone()).ok()
            };
            for field in first.fields() {
                let (found, expected) = (types(&chosen, field.name()), field.data_type());
                if found.as_ref() != Some(expected) {
                    let (name, found) = (field.name(), found.map_or_else(|| "nothing".into(), |kind| kind.to_string()));
                    let path = path.display();
                    let message =
                        format!("column `{name}` of `{path}` holds {found}, expected {expected} as in the first file");
                    let help = "the files of a catalogue have the same columns; one of them may be damaged or of another version";
                    return Err(vec![Diagnostic::at("catalogue.path", Code::WrongColumn, message).help(help)]);
                }
            }
            let rows = footer.metadata().file_metadata().num_rows();
            files.push(ParquetPart { path, rows: u64::try_from(rows).unwrap_or_default() });
        }
        let names = first.iter().flat_map(|schema| schema.fields().iter().map(|field| field.name().clone())).collect();
        Ok(Self { catalogue, files, names })
    }

    pub(in crate::source) fn files(&self) -> &[ParquetPart] {
        &self.files
    }

    /// Reads a piece again: only the row groups that have it.
    pub(in crate::source) fn read(&self, piece: &FileRows) -> Result<KeyedRows> {
        let rows = usize::try_from(piece.rows.end - piece.rows.start).unwrap_or(usize::MAX);
        let batches = self.batches(piece.file, Some(&piece.rows), rows)?.collect::<Result<Vec<_>>>()?;
        let path = self.files[piece.file].path.display();
        if row_count(&batches) != rows {
            return Err(Error::data(format!("`{path}` has fewer rows than when the run began: it was replaced")));
        }
        self.keyed(piece.file, &batches).map_err(|diagnostics| {
            let first = diagnostics.first().map(ToString::to_string).unwrap_or_default();
            Error::data(format!("rows {} to {} of `{path}`: {first}", piece.rows.start, piece.rows.end))
        })
    }

    /// The batches of a file, or of some of its rows.
    fn batches(&self, file: usize, rows: Option<&Range<u64>>, batch_rows: usize) -> Result<parquet_file::Batches> {
        let path = &self.files[file].path;
        let (opened, footer) = parquet_file::open(path)?;
        let names = names(footer.schema());
        let roots = self.names.iter().map(|name| names.iter().position(|found| found == name));
        let roots: Option<Vec<usize>> = roots.collect();
        let roots = roots.ok_or_else(|| replaced(path))?;
        let mask = ProjectionMask::roots(footer.parquet_schema(), roots);
        let groups = rows.map(|rows| {
            let (mut start, mut first, mut groups) = (0, None, Vec::new());
            for (number, group) in footer.metadata().row_groups().iter().enumerate() {
                let end = start + u64::try_from(group.num_rows()).unwrap_or_default();
                if start < rows.end && rows.start < end {
                    first.get_or_insert(start);
                    groups.push(number);
                }
                start = end;
            }
            (groups, rows.start - first.unwrap_or(rows.start), rows.end - rows.start)
        });
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(opened, footer)
            .with_projection(mask)
            .with_batch_size(batch_rows);
        if let Some((groups, offset, limit)) = groups {
            builder = builder.with_row_groups(groups).with_offset(offset as usize).with_limit(limit as usize);
        }
        parquet_file::Batches::of(path, builder)
    }

    /// The keys and the new columns of batches of a file, which are not empty.
    fn keyed(&self, file: usize, batches: &[RecordBatch]) -> Result<KeyedRows, Vec<Diagnostic>> {
        let path = self.files[file].path.display();
        let wrong = |reason: &dyn std::fmt::Display| Catalogue::at_path(format!("cannot read `{path}`: {reason}"));
        let schema = batches.first().map(RecordBatch::schema).ok_or_else(|| wrong(&"it has no rows"))?;
        let table = concat_batches(&schema, batches).map_err(|error| wrong(&error))?;
        let columns = schema.fields().iter().zip(table.columns());
        let columns: Columns =
            columns.map(|(field, array)| (field.name().clone(), RawColumn::Typed(array.clone()))).collect();
        self.catalogue.keyed(&columns)
    }

    /// The new columns, without rows.
    pub(in crate::source) fn without_rows(&self) -> Result<KeyedRows, Vec<Diagnostic>> {
        let Some(first) = self.files.first() else { return Err(self.catalogue.unreadable(&"it has no files")) };
        let (_, footer) = parquet_file::open(&first.path).map_err(|error| Catalogue::at_path(error.report()))?;
        let fields = footer.schema().fields().iter().filter(|field| self.names.contains(field.name()));
        let columns = fields
            .map(|field| (field.name().clone(), RawColumn::Typed(arrow::array::new_empty_array(field.data_type()))));
        self.catalogue.keyed(&columns.collect())
    }
}

impl Pieces for ParquetRows {
    type Place = FileRows;

    fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    fn each_piece(
        &self,
        rows: usize,
        take: &mut dyn FnMut(FileRows, KeyedRows) -> Result<(), Vec<Diagnostic>>,
    ) -> Result<(), Vec<Diagnostic>> {
        let unreadable = |error: Error| Catalogue::at_path(error.report());
        for file in 0..self.files.len() {
            let (mut start, mut waiting) = (0, Vec::new());
            for batch in self.batches(file, None, rows).map_err(unreadable)? {
                let mut batch = batch.map_err(unreadable)?;
                // Batches can end with row groups.
                while batch.num_rows() > 0 {
                    let taken = (rows - row_count(&waiting)).min(batch.num_rows());
                    waiting.push(batch.slice(0, taken));
                    batch = batch.slice(taken, batch.num_rows() - taken);
                    if row_count(&waiting) == rows {
                        let piece = FileRows { file, rows: start..start + rows as u64 };
                        start = piece.rows.end;
                        let keyed = self.keyed(file, &std::mem::take(&mut waiting))?;
                        take(piece, keyed)?;
                    }
                }
            }
            if !waiting.is_empty() {
                let piece = FileRows { file, rows: start..start + row_count(&waiting) as u64 };
                take(piece, self.keyed(file, &waiting)?)?;
            }
        }
        Ok(())
    }
}

fn names(schema: &SchemaRef) -> Vec<&str> {
    schema.fields().iter().map(|field| field.name().as_str()).collect()
}

fn row_count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

fn replaced(path: &Path) -> Error {
    Error::data(format!("`{}` has other columns than when the run began: it was replaced", path.display()))
}
