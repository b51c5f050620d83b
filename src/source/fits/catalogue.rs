//! Columns from a table beside the files, joined by a key.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array},
    compute::{cast, concat_batches, take},
    csv::reader::{Format, ReaderBuilder},
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    batch,
    error::{Code, Diagnostic, Result},
    io::parquet as parquet_file,
};

/// A CSV file (with a header line) or Parquet file with more columns for the objects. The columns that are used are held in
/// memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// The file: `.csv` or `.parquet`.
    pub path: String,
    /// Its column with the keys, one per object.
    pub key: String,
    /// The header key whose value is looked up in that column; by default the identity of the object is looked up.
    #[serde(default)]
    pub header_key: Option<String>,
    /// New columns, and the columns of the catalogue that fill them: `{label: morphology, magnitude: mag_r}`. `label`, `ra` and
    /// `dec` may be among them. An object that is not in the catalogue gets nulls.
    pub columns: BTreeMap<String, String>,
}

/// A catalogue in memory.
pub(super) struct LoadedCatalogue {
    /// The row of each key.
    rows: HashMap<String, u32>,
    columns: Vec<(Field, ArrayRef)>,
}

impl Catalogue {
    /// Reads the columns that are used.
    pub(super) fn load(&self) -> Result<LoadedCatalogue, Vec<Diagnostic>> {
        let path = Path::new(&self.path);
        if !fs::metadata(path).map_err(|error| self.unreadable(&error))?.is_file() {
            return Err(self.unreadable(&"it is not an ordinary file"));
        }
        let extension = path.extension().map(std::ffi::OsStr::to_ascii_lowercase);
        let is_parquet = extension.is_some_and(|extension| extension == "parquet" || extension == "pq");
        let table = if is_parquet { self.read_parquet(path) } else { self.read_csv(path) }?;
        let mut columns = Vec::new();
        for (name, from) in &self.columns {
            let array = self.column(&table, from)?;
            let kind = match (name.as_str(), array.data_type()) {
                (batch::LABEL, _) | (_, DataType::Utf8View | DataType::LargeUtf8) => DataType::Utf8,
                (batch::RA | batch::DEC, _) => DataType::Float64,
                (_, DataType::Dictionary(_, values)) => (**values).clone(),
                (_, kind) => kind.clone(),
            };
            let array = cast(array, &kind).map_err(|error| {
                vec![Diagnostic::at(&format!("catalogue.columns.{name}"), Code::WrongColumn, error.to_string())]
            })?;
            columns.push((Field::new(name, kind, true), array));
        }
        Ok(LoadedCatalogue { rows: self.rows_by_key(&table)?, columns })
    }

    fn rows_by_key(&self, table: &RecordBatch) -> Result<HashMap<String, u32>, Vec<Diagnostic>> {
        let keys = cast(self.column(table, &self.key)?, &DataType::Utf8).map_err(|error| self.unreadable(&error))?;
        let keys = keys.as_string::<i32>();
        let mut rows = HashMap::with_capacity(keys.len());
        for (row, key) in (0..).zip(keys).filter_map(|(row, key)| Some((row, key?))) {
            if rows.insert(key.trim().to_owned(), row).is_some() {
                let message = format!("catalogue `{}` has `{key}` twice in column `{}`", self.path, self.key);
                let help = "name a column with one row per object";
                return Err(vec![Diagnostic::at("catalogue.key", Code::Conflict, message).help(help)]);
            }
        }
        Ok(rows)
    }

    fn column<'a>(&self, table: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, Vec<Diagnostic>> {
        let missing = || self.unreadable(&format!("it has no column `{name}`"));
        table.column_by_name(name).ok_or_else(missing)
    }

    /// The indices of the columns to read, or diagnostics with the nearest names.
    fn chosen(&self, names: &[&str]) -> Result<Vec<usize>, Vec<Diagnostic>> {
        let columns = self.columns.iter().map(|(name, from)| (format!("catalogue.columns.{name}"), from));
        let (mut found, mut diagnostics) = (Vec::new(), Vec::new());
        for (key, name) in columns.chain([("catalogue.key".to_owned(), &self.key)]) {
            if let Some(index) = names.iter().position(|found| found == name) {
                found.push(index);
            } else {
                let message = format!("catalogue `{}` has no column `{name}`", self.path);
                let diagnostic = Diagnostic::at(&key, Code::UnknownColumn, message);
                diagnostics.push(diagnostic.suggest(name, names.iter().copied(), "columns"));
            }
        }
        found.sort_unstable();
        found.dedup();
        if diagnostics.is_empty() { Ok(found) } else { Err(diagnostics) }
    }

    /// Only the columns that are used are kept and looked at, of however many.
    fn read_csv(&self, path: &Path) -> Result<RecordBatch, Vec<Diagnostic>> {
        let malformed = |error: csv::Error| self.unreadable(&error);
        let mut file = csv::Reader::from_path(path).map_err(malformed)?;
        let header = file.headers().map_err(malformed)?.clone();
        let chosen = self.chosen(&header.iter().collect::<Vec<_>>())?;
        let mut wanted = csv::Writer::from_writer(Vec::new());
        wanted.write_record(chosen.iter().map(|column| &header[*column])).map_err(malformed)?;
        let mut record = csv::ByteRecord::new();
        while file.read_byte_record(&mut record).map_err(malformed)? {
            wanted.write_record(chosen.iter().map(|column| &record[*column])).map_err(malformed)?;
        }
        let wanted = wanted.into_inner().map_err(|error| self.unreadable(&error))?;

        let failed = |error: ArrowError| self.unreadable(&error);
        let format = Format::default().with_header(true);
        let (schema, _) = format.infer_schema(wanted.as_slice(), None).map_err(failed)?;
        // Keys and labels are read as text, since `007` is not 7.
        let label = self.columns.get(batch::LABEL);
        let as_text = |field: &Arc<Field>| {
            if *field.name() == self.key || label == Some(field.name()) {
                Field::new(field.name(), DataType::Utf8, true)
            } else {
                field.as_ref().clone()
            }
        };
        let schema = Arc::new(Schema::new(schema.fields().iter().map(as_text).collect::<Vec<_>>()));
        let reader = ReaderBuilder::new(schema.clone()).with_format(format).build(wanted.as_slice());
        reader.and_then(|reader| concat(&schema, reader)).map_err(failed)
    }

    fn read_parquet(&self, path: &Path) -> Result<RecordBatch, Vec<Diagnostic>> {
        let (file, footer) = parquet_file::open(path).map_err(|error| Self::at_path(error.report()))?;
        let chosen =
            self.chosen(&footer.schema().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>())?;
        let projected = footer.schema().project(&chosen).map_err(|error| self.unreadable(&error))?;
        let mask = ProjectionMask::roots(footer.parquet_schema(), chosen);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer).with_projection(mask);
        let batches = parquet_file::Batches::of(path, builder).map_err(|error| Self::at_path(error.report()))?;
        let batches = batches.map(|rows| rows.map_err(|error| ArrowError::ExternalError(error.into())));
        concat(&Arc::new(projected), batches).map_err(|error| self.unreadable(&error))
    }

    fn unreadable(&self, reason: &dyn std::fmt::Display) -> Vec<Diagnostic> {
        Self::at_path(format!("cannot read catalogue `{}`: {reason}", self.path))
    }

    fn at_path(message: String) -> Vec<Diagnostic> {
        let help = "expected a CSV file with a header line, or a Parquet file";
        vec![Diagnostic::at("catalogue.path", Code::MissingFile, message).help(help)]
    }
}

fn concat(
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
) -> Result<RecordBatch, ArrowError> {
    let batches = batches.collect::<Result<Vec<_>, _>>()?;
    let schema = batches.first().map_or_else(|| schema.clone(), RecordBatch::schema);
    concat_batches(&schema, &batches)
}

impl LoadedCatalogue {
    /// The fields of the new columns.
    pub(super) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.columns.iter().map(|(field, _)| field)
    }

    /// The row of a key.
    pub(super) fn row(&self, key: &str) -> Option<u32> {
        self.rows.get(key.trim()).copied()
    }

    /// The values of a new column (by its index in [`Self::fields`]) for rows of the catalogue.
    pub(super) fn take(&self, column: usize, rows: &UInt32Array) -> Result<ArrayRef> {
        Ok(take(&self.columns[column].1, rows, None)?)
    }
}
