//! Reads rows from Parquet: what a `parquet` sink wrote, images included, or any file with images as lists of numbers.
//!
//! A split is a file, and a position a row of it. Columns come as they are, with their metadata; images without metadata of
//! ours are declared under `images`. Rows without an identity, and rows with a missing, misshapen or non-finite image, are
//! rejects. Two rows of one identity and one origin are an error when a run starts.

mod identity;
mod rows;

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::rows::FileReader;
use crate::{
    batch::{self, ImageLayout, OBJECT_ID, ORIGIN, ROW, Unit},
    error::{Code, Diagnostic, Error, Result},
    run,
    stage::{Reader, RunContext, Settings, Source, Split},
};

/// Reads Parquet files, or a table of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Parquet {
    /// Files, folders (their `*.parquet`, by name) or patterns (`data/*.parquet`), in this order.
    pub paths: Vec<String>,
    /// A run directory to read a table of, instead of `paths`.
    pub run: Option<String>,
    /// The table of `run`; `objects` when not set.
    pub table: Option<String>,
    /// The columns to read, besides identity and declared images; all when not set.
    pub columns: Option<Vec<String>>,
    /// The column that becomes `object_id`, where there is no column of that name.
    pub object_id: Option<String>,
    /// Image columns whose files do not say what they are.
    pub images: BTreeMap<String, Image>,
}

/// What an image column holds: lists of `[band, y, x]` numbers in C order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Bands, in the order of the planes.
    pub bands: Vec<String>,
    /// Rows and columns of a plane, pixels; needed where the column is no tensor.
    #[serde(default)]
    #[schemars(range(min = 1, max = 65536))]
    pub size: Option<usize>,
    /// What the numbers are.
    pub unit: Unit,
    /// Side of a pixel, arcsec.
    #[serde(default)]
    #[schemars(range(min = 1e-6))]
    pub pixel_scale_arcsec: Option<f64>,
}

impl Settings<dyn Source> for Parquet {
    const NAME: &'static str = "parquet";

    fn build(self, _label: &str) -> Result<Box<dyn Source>, Vec<Diagnostic>> {
        let mut mistakes = Vec::new();
        if self.paths.is_empty() == self.run.is_none() {
            mistakes.push(Diagnostic::at("", Code::Conflict, "needs either `paths` or `run`"));
        }
        if self.table.is_some() && self.run.is_none() {
            mistakes.push(Diagnostic::at("table", Code::Conflict, "`table` is a table of `run`, which is not set"));
        }
        if mistakes.is_empty() { Ok(Box::new(ParquetSource { settings: self, plan: None })) } else { Err(mistakes) }
    }
}

struct ParquetSource {
    settings: Parquet,
    plan: Option<Plan>,
}

/// What binding found out.
struct Plan {
    files: Vec<PathBuf>,
    columns: Arc<Columns>,
}

/// How the columns of a file become those of a batch.
struct Columns {
    schema: SchemaRef,
    /// The column of the file that becomes `object_id`.
    identity: String,
    /// The file has an `origin` of its own.
    has_origin: bool,
    /// Image columns and their layouts; values must be finite.
    images: Vec<(String, ImageLayout)>,
}

impl Source for ParquetSource {
    fn bind(&mut self) -> Result<SchemaRef, Vec<Diagnostic>> {
        let files = self.settings.files()?;
        let first = files.first().ok_or_else(|| vec![self.settings.nothing()])?;
        let footer = footer(first).map_err(|error| vec![self.settings.unreadable(&error)])?;
        let columns = self.settings.columns(footer.schema())?;
        let schema = columns.schema.clone();
        self.plan = Some(Plan { files, columns: Arc::new(columns) });
        Ok(schema)
    }

    fn start(&mut self, _run: &RunContext) -> Result<()> {
        let Plan { files, columns } = self.plan()?;
        identity::check(files, columns)
    }

    fn splits(&self) -> Result<Vec<Split>> {
        let split = |path: &PathBuf| {
            let rows = footer(path)?.metadata().file_metadata().num_rows();
            Ok(Split { id: path.display().to_string(), rows: Some(u64::try_from(rows).unwrap_or(0)) })
        };
        self.plan()?.files.iter().map(split).collect()
    }

    fn open(&self, split: &Split, position: u64) -> Result<Box<dyn Reader>> {
        let Plan { files, columns } = self.plan()?;
        let gone = || Error::bug(format!("no split `{}`", split.id));
        let path = files.iter().find(|path| path.display().to_string() == split.id).ok_or_else(gone)?;
        let footer = footer(path)?;
        columns.check(path, footer.schema())?;
        Ok(Box::new(FileReader {
            path: split.id.clone(),
            file: path.clone(),
            footer,
            columns: columns.clone(),
            position,
            batches: None,
            rest: None,
        }))
    }
}

impl ParquetSource {
    fn plan(&self) -> Result<&Plan> {
        self.plan.as_ref().ok_or_else(|| Error::bug("a parquet source was read before it was bound"))
    }
}

fn footer(path: &Path) -> Result<ArrowReaderMetadata> {
    let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|error| broken(path, &error))
}

fn broken(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::data(format!("cannot read `{}` as Parquet: {error}", path.display()))
}

impl Parquet {
    fn key(&self) -> &'static str {
        if self.run.is_some() { "run" } else { "paths" }
    }

    fn nothing(&self) -> Diagnostic {
        let what = self.run.clone().unwrap_or_else(|| self.paths.join("`, `"));
        Diagnostic::at(self.key(), Code::MissingFile, format!("no Parquet file in `{what}`"))
    }

    fn unreadable(&self, error: &Error) -> Diagnostic {
        Diagnostic::at(self.key(), Code::MissingFile, error.to_string())
    }

    /// The files to read, in order.
    fn files(&self) -> Result<Vec<PathBuf>, Vec<Diagnostic>> {
        if let Some(run) = &self.run {
            let name = self.table.as_deref().unwrap_or("objects");
            let folder = Path::new(run);
            let parts = run::part_files(folder, name).map_err(|error| vec![self.unreadable(&error)])?;
            return parts.ok_or_else(|| {
                let tables: Vec<String> = run::tables(folder).unwrap_or_default().into_keys().collect();
                let mistake =
                    Diagnostic::at("run", Code::MissingFile, format!("`{run}` is no run with a table `{name}`"));
                vec![if tables.is_empty() {
                    mistake
                } else {
                    mistake.help(format!("it has `{}`", tables.join("`, `")))
                }]
            });
        }
        let mut files = Vec::new();
        let mut mistakes = Vec::new();
        for path in &self.paths {
            match listed(path) {
                Ok(found) if found.is_empty() => {
                    mistakes.push(Diagnostic::at("paths", Code::MissingFile, format!("no Parquet file at `{path}`")));
                }
                Ok(found) => files.extend(found),
                Err(error) => mistakes.push(Diagnostic::at("paths", Code::MissingFile, error)),
            }
        }
        let mut seen = HashSet::with_capacity(files.len());
        if let Some(file) =
            files.iter().find(|file| !seen.insert(file.canonicalize().unwrap_or_else(|_| (*file).clone())))
        {
            let message = format!("`{}` is named twice", file.display());
            mistakes.push(Diagnostic::at("paths", Code::Conflict, message).help("every file is read once"));
        }
        if mistakes.is_empty() { Ok(files) } else { Err(mistakes) }
    }

    /// The columns that the rows will have, given those of a file.
    fn columns(&self, file: &Schema) -> Result<Columns, Vec<Diagnostic>> {
        let mut mistakes = Vec::new();
        let mut look_up = |key: &str, name: &str| {
            let found = file.field_with_name(name).ok();
            if found.is_none() {
                let mistake = Diagnostic::at(key, Code::UnknownColumn, format!("the file has no column `{name}`"));
                mistakes.push(mistake.suggest(
                    name,
                    file.fields().iter().map(|field| field.name().as_str()),
                    "columns",
                ));
            }
            found
        };
        let key = if self.object_id.is_some() { "object_id" } else { "" };
        let identity = self.object_id.clone().unwrap_or_else(|| OBJECT_ID.into());
        look_up(key, &identity);
        for name in self.columns.iter().flatten() {
            look_up("columns", name);
        }
        let declared: Vec<(&String, &Image, Option<&Field>)> =
            self.images.iter().map(|(name, image)| (name, image, look_up("images", name))).collect();
        let mut images = Vec::new();
        for (name, image, field) in declared {
            match field.map(|field| image.layout(field)) {
                Some(Ok(layout)) => images.push((name.clone(), layout)),
                Some(Err(reason)) => mistakes.push(Diagnostic::at("images", Code::WrongColumn, reason)),
                None => {}
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let has_origin = file.field_with_name(ORIGIN).is_ok_and(|field| is_text(field.data_type()));
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let mut fields = vec![Field::new(ROW, DataType::UInt64, false), text(OBJECT_ID), text(ORIGIN)];
        for field in file.fields() {
            let name = field.name().as_str();
            let asked = self.columns.as_ref().is_none_or(|columns| columns.iter().any(|column| column == name));
            let declared = self.images.contains_key(name);
            if name.starts_with('_') || name == OBJECT_ID || name == ORIGIN || !(asked || declared) {
                continue;
            }
            let known = ImageLayout::of(field).filter(|_| !declared);
            images.extend(known.map(|layout| (name.to_owned(), layout)));
            let layout = images.iter().find(|(image, _)| image == name).map(|(_, layout)| layout);
            fields.push(match layout {
                Some(layout) => layout.field(name).with_metadata(merged(field, &layout.field(name))),
                None => plain(field),
            });
        }
        Ok(Columns { schema: Arc::new(Schema::new(fields)), identity, has_origin, images })
    }
}

/// The files of a path: itself, those of a folder, those that fit a pattern.
fn listed(path: &str) -> Result<Vec<PathBuf>, String> {
    let literal = Path::new(path);
    if literal.is_file() {
        return Ok(vec![literal.to_owned()]);
    }
    if literal.is_dir() {
        return folder(literal);
    }
    let matches = glob::glob(path).map_err(|error| format!("`{path}` is no pattern: {error}"))?;
    let mut files = Vec::new();
    for found in matches {
        let found = found.map_err(|error| error.to_string())?;
        if found.is_dir() { files.extend(folder(&found)?) } else { files.push(found) }
    }
    Ok(files)
}

/// The Parquet files of a folder. The folder of a run's table holds what the commit records say.
fn folder(path: &Path) -> Result<Vec<PathBuf>, String> {
    if let (Some(run), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
        && let Ok(Some(files)) = run::part_files(run, name)
    {
        return Ok(files);
    }
    let entries = fs::read_dir(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "parquet"));
    files.sort();
    Ok(files)
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Text is always plain utf8; a label is never a dictionary.
fn plain(field: &Field) -> Field {
    let is_label = field.name() == batch::LABEL && matches!(field.data_type(), DataType::Dictionary(..));
    if is_text(field.data_type()) || is_label { field.clone().with_data_type(DataType::Utf8) } else { field.clone() }
}

fn merged(file: &Field, ours: &Field) -> std::collections::HashMap<String, String> {
    let mut metadata = file.metadata().clone();
    metadata.extend(ours.metadata().clone());
    metadata
}

impl Image {
    fn layout(&self, field: &Field) -> Result<ImageLayout, String> {
        let name = field.name();
        let (item, length) = match field.data_type() {
            DataType::FixedSizeList(item, length) => (item, usize::try_from(*length).ok()),
            DataType::List(item) | DataType::LargeList(item) => (item, None),
            other => return Err(format!("column `{name}` is {other}, not lists of numbers")),
        };
        if !matches!(item.data_type(), DataType::Float32 | DataType::Float64 | DataType::Float16) {
            return Err(format!("column `{name}` has lists of {}, not of floats", item.data_type()));
        }
        let depth = self.bands.len();
        let (height, width) = match (self.size, batch::tensor_shape(field).as_deref()) {
            (None, Some(&[bands, height, width])) if bands == depth => (height, width),
            (None, Some(&[height, width])) if depth == 1 => (height, width),
            (None, Some(shape)) => {
                return Err(format!("column `{name}` has images of shape {shape:?}, and {depth} bands are named"));
            }
            (Some(size), _) => (size, size),
            (None, None) => return Err(format!("column `{name}` does not say the shape of its images: set `size`")),
        };
        let pixels = depth * height * width;
        if pixels == 0 || length.is_some_and(|length| length != pixels) {
            let found = length.unwrap_or(0);
            return Err(format!("column `{name}` has {found} numbers a row, not {depth} x {height} x {width}"));
        }
        Ok(ImageLayout {
            bands: self.bands.clone(),
            height,
            width,
            unit: self.unit,
            pixel_scale_arcsec: self.pixel_scale_arcsec,
            stretch: None,
            electrons_per_njy: None,
        })
    }
}

impl Columns {
    /// The columns of the file that are read.
    fn read<'a>(&'a self, field: &'a Field) -> Option<&'a str> {
        let name = self.source_name(field);
        (name != ROW && (name != ORIGIN || self.has_origin)).then_some(name)
    }

    /// The name in the file of a column of ours.
    fn source_name<'a>(&'a self, field: &'a Field) -> &'a str {
        if field.name() == OBJECT_ID { &self.identity } else { field.name() }
    }

    /// Whether another file has the columns of the first.
    fn check(&self, path: &Path, file: &Schema) -> Result<()> {
        let differs = |what: String| Error::data(format!("`{}` {what}, unlike the first file", path.display()));
        for field in self.schema.fields() {
            let Some(name) = self.read(field) else { continue };
            let found = file.field_with_name(name).map_err(|_| differs(format!("has no column `{name}`")))?;
            let declared = self.images.iter().find(|(image, _)| image == name);
            let layout = ImageLayout::of(found);
            match declared {
                Some((_, expected)) if layout.as_ref().is_some_and(|layout| layout != expected) => {
                    return Err(differs(format!("has other images in `{name}`")));
                }
                None if field.name() != OBJECT_ID && plain(found).data_type() != field.data_type() => {
                    return Err(differs(format!("has {} in `{name}`", found.data_type())));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
