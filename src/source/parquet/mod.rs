//! `parquet`: rows from Parquet files, either those that a `parquet` sink wrote or any with images as lists of numbers.
//!
//! A split is a file; its id is the path as displayed. Columns keep their types and metadata. Image columns whose metadata do not
//! describe them are declared under `images`. Rows without an identity, and rows with a missing, misshapen or non-finite image,
//! are rejected. Two rows with the same identity and the same origin are an error when a run starts.
//!
//! A resume refuses a file that was replaced, unless its length and its last 64 KiB are the same.

mod band_structs;
mod columns;
mod duplicates;
mod images;
mod reader;
mod stored_images;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::datatypes::SchemaRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{columns::ColumnMapping, reader::ParquetReader};
pub use super::axis::Axis;
use crate::{
    batch::Unit,
    error::{Code, Diagnostic, Error, Result, quoted_list},
    io::{
        parquet,
        paths::{self, PathRules, PatternRules},
    },
    run,
    stage::{Reader, RunContext, Settings, Source, Split},
};

/// Reads Parquet files, or a table of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Parquet {
    /// Files, folders (their `*.parquet`, sorted by name) or patterns (`data/*.parquet`), in this order.
    #[schemars(extend("format" = "path"))]
    pub paths: Vec<String>,
    /// A run directory whose table is read, instead of `paths`.
    #[schemars(extend("format" = "path"))]
    pub run: Option<String>,
    /// The table of `run`; `objects` by default.
    pub table: Option<String>,
    /// The columns to read, besides the identity and the declared images; all by default.
    pub columns: Option<Vec<String>>,
    /// The column that becomes `object_id`, if it has another name.
    pub object_id: Option<String>,
    /// Image columns that the metadata of the file do not describe.
    pub images: BTreeMap<String, ImageColumn>,
}

/// The content of an image column: lists of numbers, in one list or nested (`[[[...]]]`), tensors (`arrow.fixed_shape_tensor`), or
/// structs of a `band` and its `flux`, as the Multimodal Universe has them, of which `bands` are found by their names.
///
/// Images are `[band, y, x]` in C order, unless `axes` or the tensor say otherwise: names of its dimensions (`y`, `row`, `height`, `h`;
/// `x`, `column`, `width`, `w`; `band`, `channel`, `c`, `filter`, also in the plural) and its permutation are followed. A shape that
/// the column has itself must be that of the settings. Numbers become float32: doubles, and integers beyond 2^24, are rounded to the nearest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageColumn {
    /// Bands, in the order of the planes.
    pub bands: Vec<String>,
    /// Rows and columns of a plane, pixels; required unless the column has a shape: tensors, and nested lists of fixed lengths.
    #[serde(default)]
    #[schemars(range(min = 1, max = 65536))]
    pub size: Option<usize>,
    /// The axes of the images, slowest first: `[y, x, band]` as Keras, TensorFlow and matplotlib have them. By default those that a tensor
    /// names, else `[band, y, x]`, or `[y, x]` of one band.
    #[serde(default)]
    pub axes: Option<Vec<Axis>>,
    /// The unit of the pixels.
    pub unit: Unit,
    /// Side of a pixel, arcsec.
    #[serde(default)]
    #[schemars(range(min = 1e-6))]
    pub pixel_scale_arcsec: Option<f64>,
}

impl Settings<dyn Source> for Parquet {
    const NAME: &'static str = "parquet";

    fn examples() -> &'static [&'static str] {
        &[
            r#"paths: ["${data}/objects"]
columns: [label, ra, dec, image]
"#,
            r#"run: "${data}/run"
table: objects
"#,
            r#"paths: ["${data}/lists/*.parquet"]
object_id: id
columns: [label]
images:
  image: { bands: [g, r, i], size: 100, unit: nJy, pixel_scale_arcsec: 0.2 }
"#,
        ]
    }

    fn build(self, _label: &str) -> Result<Box<dyn Source>, Vec<Diagnostic>> {
        let mut diagnostics = Vec::new();
        if self.paths.is_empty() == self.run.is_none() {
            diagnostics.push(Diagnostic::at("", Code::Conflict, "expected either `paths` or `run`"));
        }
        if self.table.is_some() && self.run.is_none() {
            diagnostics.push(Diagnostic::at("table", Code::Conflict, "`table` is a table of `run`, which is not set"));
        }
        for (name, image) in &self.images {
            diagnostics.extend(
                image
                    .mistake()
                    .map(|(key, message)| Diagnostic::at(&format!("images.{name}.{key}"), Code::OutOfRange, message)),
            );
        }
        if diagnostics.is_empty() {
            Ok(Box::new(ParquetSource { settings: self, bound: None }))
        } else {
            Err(diagnostics)
        }
    }
}

impl ImageColumn {
    /// A setting that no column can have, and why.
    fn mistake(&self) -> Option<(&'static str, String)> {
        let distinct: BTreeSet<&String> = self.bands.iter().collect();
        let is_named = |band: &String| !band.is_empty() && !band.contains(',');
        if self.bands.is_empty() || distinct.len() != self.bands.len() || !self.bands.iter().all(is_named) {
            let message = "`bands` must name one band or more, each once and without commas";
            return Some(("bands", message.into()));
        }
        let axes = self.axes.as_ref()?;
        if !stored_images::is_image(axes) {
            let message = "`axes` must have `y` and `x` once and `band` at most once; a row is one object";
            return Some(("axes", message.into()));
        }
        let depth = self.bands.len();
        let has_bands = axes.contains(&Axis::Band) || depth == 1;
        (!has_bands).then(|| ("axes", format!("`axes` has no `band`, and `bands` names {depth}")))
    }
}

struct ParquetSource {
    settings: Parquet,
    bound: Option<BoundFiles>,
}

/// The files to read, and how their columns become those of a batch.
struct BoundFiles {
    files: Vec<PathBuf>,
    columns: Arc<ColumnMapping>,
}

impl Source for ParquetSource {
    fn bind(&mut self) -> Result<SchemaRef, Vec<Diagnostic>> {
        let files = self.settings.files()?;
        let first = files.first().ok_or_else(|| vec![self.settings.no_files()])?;
        let (_, footer) = parquet::open(first).map_err(|error| vec![self.settings.unreadable(&error)])?;
        let columns = ColumnMapping::new(&self.settings, footer.schema())?;
        let schema = columns.schema.clone();
        self.bound = Some(BoundFiles { files, columns: Arc::new(columns) });
        Ok(schema)
    }

    fn start(&mut self, _run: &RunContext) -> Result<()> {
        let BoundFiles { files, columns } = self.bound()?;
        duplicates::check(files, columns)
    }

    fn splits(&self) -> Result<Vec<Split>> {
        let split = |path: &PathBuf| {
            let (_, footer) = parquet::open(path)?;
            let rows = footer.metadata().file_metadata().num_rows();
            Ok(Split::new(path.display().to_string(), u64::try_from(rows).unwrap_or(0)))
        };
        self.bound()?.files.iter().map(split).collect()
    }

    fn open(&self, split: &Split, offset: u64) -> Result<Box<dyn Reader>> {
        let BoundFiles { files, columns } = self.bound()?;
        let path = files.iter().find(|path| path.display().to_string() == split.id);
        let path = path.ok_or_else(|| Error::bug(format!("the source `parquet` has no split `{}`", split.id)))?;
        Ok(Box::new(ParquetReader::open(path, columns.clone(), offset)?))
    }
}

impl ParquetSource {
    fn bound(&self) -> Result<&BoundFiles> {
        self.bound.as_ref().ok_or_else(|| Error::bug("the source `parquet` is read before it is bound"))
    }
}

/// How `paths` are expanded.
const RULES: PathRules = PathRules {
    format: "Parquet",
    accepts: paths::is_parquet,
    accepted: "its `*.parquet`",
    recursive: false,
    indexed: table_of_run,
    lists: false,
    patterns: PatternRules::Glob,
    resolve_links: true,
};

/// The files of a folder that is a table of a run: those in the commit records, not those in the folder.
fn table_of_run(folder: &Path) -> Result<Option<Vec<PathBuf>>> {
    let name = folder.file_name().and_then(|name| name.to_str());
    folder.parent().zip(name).map_or(Ok(None), |(run_dir, table)| run::part_files(run_dir, table))
}

impl Parquet {
    /// The setting that names the files.
    fn key(&self) -> &'static str {
        if self.run.is_some() { "run" } else { "paths" }
    }

    fn no_files(&self) -> Diagnostic {
        let named = self.run.as_ref().map_or_else(|| quoted_list(&self.paths), |run| format!("`{run}`"));
        Diagnostic::at(self.key(), Code::MissingFile, format!("{named} has no Parquet file"))
    }

    fn unreadable(&self, error: &Error) -> Diagnostic {
        Diagnostic::at(self.key(), Code::MissingFile, error.report())
    }

    /// The files to read, in order.
    fn files(&self) -> Result<Vec<PathBuf>, Vec<Diagnostic>> {
        match &self.run {
            Some(run) => self.files_of_run(run),
            None => RULES.expand("paths", &self.paths),
        }
    }

    fn files_of_run(&self, run: &str) -> Result<Vec<PathBuf>, Vec<Diagnostic>> {
        let name = self.table.as_deref().unwrap_or("objects");
        let parts = run::part_files(Path::new(run), name).map_err(|error| vec![self.unreadable(&error)])?;
        parts.ok_or_else(|| {
            // They were read a moment ago.
            let tables = run::tables(Path::new(run)).unwrap_or_default();
            vec![if tables.is_empty() {
                let message = format!("`{run}` is not a run directory with a table `{name}`");
                Diagnostic::at("run", Code::MissingFile, message)
                    .help("name the `run` folder of a pipeline that was run")
            } else {
                let key = if self.table.is_some() { "table" } else { "run" };
                Diagnostic::at(key, Code::MissingFile, format!("run `{run}` has no table `{name}`")).suggest(
                    name,
                    tables.keys().map(String::as_str),
                    "tables",
                )
            }]
        })
    }
}
