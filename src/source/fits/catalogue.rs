//! Columns from a table beside the files, joined by a key.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::Seek,
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array},
    compute::{cast, concat_batches, take},
    csv::reader::{Format, ReaderBuilder},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    batch,
    error::{Code, Diagnostic, Result},
};

/// A CSV file (with a line of names) or Parquet file with more about the objects. Its columns that are asked for are
/// held in memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// The file: `.csv` or `.parquet`.
    pub path: String,
    /// Its column that tells the objects apart.
    pub key: String,
    /// The header key that holds what stands in that column; without it that is the object's identity.
    #[serde(default)]
    pub header_key: Option<String>,
    /// New columns, and those of the catalogue that fill them: `{label: morphology, magnitude: mag_r}`. `label`, `ra`
    /// and `dec` may be among them. An object that the catalogue does not have gets nulls.
    pub columns: BTreeMap<String, String>,
}

/// A catalogue in memory.
pub(super) struct Loaded {
    rows: HashMap<String, u32>,
    columns: Vec<(Field, ArrayRef)>,
}

impl Catalogue {
    pub(super) fn load(&self) -> Result<Loaded, Vec<Diagnostic>> {
        let unreadable = |reason: String| {
            let message = format!("catalogue `{}` cannot be read: {reason}", self.path);
            vec![
                Diagnostic::at("catalogue.path", Code::MissingFile, message)
                    .help("a CSV file with a line of names, or a Parquet file"),
            ]
        };
        let ending = Path::new(&self.path).extension().map(std::ffi::OsStr::to_ascii_lowercase);
        let parquet = ending.is_some_and(|ending| ending == "parquet" || ending == "pq");
        let file = File::open(&self.path).map_err(|error| unreadable(error.to_string()))?;
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(unreadable("it is no ordinary file".into()));
        }
        let table =
            if parquet { self.read_parquet(file) } else { self.read_csv(file) }.map_err(|error| match error {
                Unreadable::Reason(reason) => unreadable(reason),
                Unreadable::Mistakes(mistakes) => mistakes,
            })?;
        let mut columns = Vec::new();
        for (name, from) in &self.columns {
            let array = table.column_by_name(from).ok_or_else(|| unreadable(format!("it has no column `{from}`")))?;
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
        let keys =
            table.column_by_name(&self.key).ok_or_else(|| unreadable(format!("it has no column `{}`", self.key)))?;
        let keys = cast(keys, &DataType::Utf8).map_err(|error| unreadable(error.to_string()))?;
        let keys = keys.as_string::<i32>();
        let mut rows = HashMap::with_capacity(keys.len());
        for (row, key) in (0..).zip(keys).filter_map(|(row, key)| Some((row, key?))) {
            if rows.insert(key.trim().to_owned(), row).is_some() {
                let message = format!("catalogue `{}` has `{key}` twice in its column `{}`", self.path, self.key);
                return Err(vec![
                    Diagnostic::at("catalogue.key", Code::Conflict, message).help("a key tells the objects apart"),
                ]);
            }
        }
        Ok(Loaded { rows, columns })
    }

    /// The columns to read, or mistakes with the nearest names.
    fn wanted(&self, schema: &Schema) -> Result<Vec<usize>, Unreadable> {
        let wanted = self.columns.iter().map(|(name, from)| (format!("catalogue.columns.{name}"), from));
        let wanted = wanted.chain([("catalogue.key".to_owned(), &self.key)]);
        let (mut found, mut mistakes) = (Vec::new(), Vec::new());
        for (key, name) in wanted {
            match schema.index_of(name) {
                Ok(index) => found.push(index),
                Err(_) => {
                    let names = schema.fields().iter().map(|field| field.name().as_str());
                    let message = format!("catalogue `{}` has no column `{name}`", self.path);
                    mistakes.push(Diagnostic::at(&key, Code::UnknownColumn, message).suggest(name, names, "columns"));
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        if mistakes.is_empty() { Ok(found) } else { Err(Unreadable::Mistakes(mistakes)) }
    }

    fn read_csv(&self, mut file: File) -> Result<RecordBatch, Unreadable> {
        let format = Format::default().with_header(true);
        let (schema, _) = format.infer_schema(&file, None)?;
        file.rewind().map_err(|error| Unreadable::Reason(error.to_string()))?;
        let wanted = self.wanted(&schema)?;
        // Identities stay as they are written: `007` is not 7.
        let as_text = |field: &Arc<Field>| {
            if *field.name() == self.key {
                Field::new(field.name(), DataType::Utf8, true)
            } else {
                field.as_ref().clone()
            }
        };
        let schema = Arc::new(Schema::new(schema.fields().iter().map(as_text).collect::<Vec<_>>()));
        let reader =
            ReaderBuilder::new(schema.clone()).with_format(format).with_projection(wanted.clone()).build(file)?;
        collect(&Arc::new(schema.project(&wanted)?), reader)
    }

    fn read_parquet(&self, file: File) -> Result<RecordBatch, Unreadable> {
        let said = |error: parquet::errors::ParquetError| Unreadable::Reason(error.to_string());
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(said)?;
        let wanted = self.wanted(builder.schema())?;
        let schema = Arc::new(builder.schema().project(&wanted)?);
        let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
        collect(&schema, builder.with_projection(mask).build().map_err(said)?)
    }
}

fn collect(
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch, arrow::error::ArrowError>>,
) -> Result<RecordBatch, Unreadable> {
    let batches = batches.collect::<Result<Vec<_>, _>>()?;
    let schema = batches.first().map_or_else(|| schema.clone(), RecordBatch::schema);
    Ok(concat_batches(&schema, &batches)?)
}

enum Unreadable {
    Reason(String),
    Mistakes(Vec<Diagnostic>),
}

impl From<arrow::error::ArrowError> for Unreadable {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Reason(error.to_string())
    }
}

impl Loaded {
    pub(super) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.columns.iter().map(|(field, _)| field)
    }

    /// The row of a key.
    pub(super) fn row(&self, key: &str) -> Option<u32> {
        self.rows.get(key.trim()).copied()
    }

    /// The column at a place of [`Self::fields`] for rows of a batch.
    pub(super) fn take(&self, column: usize, rows: &UInt32Array) -> Result<ArrayRef> {
        Ok(take(&self.columns[column].1, rows, None)?)
    }
}
