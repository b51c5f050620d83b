//! `fits`: cutouts as FITS files.
//!
//! Every image column becomes an HDU of float32, a mask one of integers: the primary HDU for a single column of a single object,
//! otherwise an extension named after the column. The header carries what a reader needs to have the row back: `EXTTYPE`, `EXTVER`
//! (the number of the object in a file of several), `OBJECT`, `BANDS`, `BUNIT`, `PIXSCALE`, the columns of text and numbers, and world
//! coordinates where the source keeps them (`wcs: true`) and the pixels are still those that it has read.
//!
//! Files are filled in the order of the rows, whatever the batches and commits are: the objects of a file that is not full are held
//! back, in the snapshot of the sink.

mod header;

use std::{
    collections::{BTreeMap, HashSet},
    io::Write,
    path::{Path, PathBuf},
};

use arrow::{array::RecordBatch, datatypes::Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::header::{DescribedImage, IMAGE_KEYS, KeyColumn, file_name, fits_in_key, header, key_values};
use super::unknown_column;
use crate::{
    batch::{self, ImageLayout, Images, Masks, WorldCoordinates},
    error::{Code, Diagnostic, Error, Result},
    fits::Writer,
    io::{
        checked::BlockSums,
        disk::{self, NewFile},
    },
    run::snapshot,
    stage::{ColumnRef, RunContext, Settings, Sink, TablePart},
};

/// Writes image columns as FITS files: one per object, or several objects in one file. World coordinates are written where the
/// source keeps them (`wcs: true`) and no step between has cropped, turned or resampled the image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fits {
    /// The image columns, in the order of the HDUs.
    pub images: Vec<String>,
    /// Header keys for columns of text or numbers: `{MORPH: label, VISIT: visit}`. By default every such column is written under
    /// its own name in capitals (`HIERARCH` where it is longer than eight letters).
    #[serde(default)]
    pub keys: Option<BTreeMap<String, String>>,
    /// The most objects in a file, each in separate HDUs. If it is more than 1, the primary HDU is empty.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
    pub objects_per_file: usize,
}

impl Fits {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(images: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { images: images.into_iter().map(Into::into).collect(), keys: None, objects_per_file: one() }
    }
}

fn one() -> usize {
    1
}

impl Settings<dyn Sink> for Fits {
    const NAME: &'static str = "fits";

    fn examples() -> &'static [&'static str] {
        &[
            "images: [image]\n",
            "images: [y10_sky, y1_sky]
keys: { MORPH: label, MODEL: da_y10_class }
objects_per_file: 100
",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Sink>, Vec<Diagnostic>> {
        let diagnostics = self.check();
        if !diagnostics.is_empty() {
            return Err(diagnostics);
        }
        Ok(Box::new(FitsSink {
            settings: self,
            label: label.to_owned(),
            keys: Vec::new(),
            wcs: Vec::new(),
            output: None,
        }))
    }
}

impl Fits {
    /// Mistakes that the settings show by themselves.
    fn check(&self) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        if self.images.is_empty() {
            let message = "`images` names no column";
            diagnostics.push(Diagnostic::at("images", Code::MissingKey, message).help("`images: [image]`"));
        }
        if self.objects_per_file == 0 {
            let message = "`objects_per_file` is 0, expected 1 or more";
            diagnostics.push(Diagnostic::at("objects_per_file", Code::OutOfRange, message));
        }
        for key in self.keys.iter().flat_map(BTreeMap::keys) {
            if IMAGE_KEYS.contains(&key.to_ascii_uppercase().as_str()) || key.is_empty() || !key.is_ascii() {
                let message = format!("`{key}` cannot be the key of a column");
                let help = "use ASCII letters; the keys of the image itself are written anyway";
                diagnostics.push(Diagnostic::at(&format!("keys.{key}"), Code::OutOfRange, message).help(help));
            }
        }
        diagnostics
    }

    /// The mistakes in `images`.
    fn check_images(&self, input: &Schema) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        for (index, image) in self.images.iter().enumerate() {
            let path = format!("images.{index}");
            match input.field_with_name(image) {
                Ok(field) if ImageLayout::of(field).or_else(|| ImageLayout::of_masks(field)).is_some() => {}
                Ok(_) => {
                    let message = format!("column `{image}` is not an image");
                    diagnostics.push(Diagnostic::at(&path, Code::WrongColumn, message).help("name image columns only"));
                }
                Err(_) => diagnostics.push(unknown_column(&path, image, input)),
            }
        }
        diagnostics
    }

    /// The header keys and their columns, or the mistakes in `keys`.
    fn key_columns(&self, input: &Schema) -> Result<Vec<KeyColumn>, Vec<Diagnostic>> {
        let Some(keys) = &self.keys else { return Ok(default_keys(input)) };
        let (mut columns, mut diagnostics) = (Vec::new(), Vec::new());
        for (key, column) in keys {
            let path = format!("keys.{key}");
            match input.field_with_name(column) {
                Ok(field) if fits_in_key(field.data_type()) => {
                    columns.push(KeyColumn { key: key.clone(), column: column.clone() });
                }
                Ok(field) => {
                    let found = field.data_type();
                    let message = format!("column `{column}` is {found}, expected text or numbers");
                    diagnostics.push(Diagnostic::at(&path, Code::WrongColumn, message));
                }
                Err(_) => diagnostics.push(unknown_column(&path, column, input)),
            }
        }
        if diagnostics.is_empty() { Ok(columns) } else { Err(diagnostics) }
    }
}

/// The column of the world coordinates of an image, where it has one and the stream has it.
fn wcs_column(input: &Schema, image: &str) -> Option<String> {
    let field = input.field_with_name(image).ok()?;
    let column = ImageLayout::of(field).or_else(|| ImageLayout::of_masks(field))?.wcs?;
    input.field_with_name(&column).is_ok_and(WorldCoordinates::are_in).then_some(column)
}

/// Every column of text or numbers under its name in capitals. The identity has the key `OBJECT`.
fn default_keys(input: &Schema) -> Vec<KeyColumn> {
    let is_kept = |name: &str| name != batch::OBJECT_ID && !name.starts_with('_');
    let fields = input.fields().iter().filter(|field| is_kept(field.name()) && fits_in_key(field.data_type()));
    fields
        .map(|field| KeyColumn { key: field.name().to_ascii_uppercase(), column: field.name().clone() })
        .filter(|column| !IMAGE_KEYS.contains(&column.key.as_str()))
        .collect()
}

struct FitsSink {
    settings: Fits,
    label: String,
    keys: Vec<KeyColumn>,
    /// The column of the world coordinates of each image, where they are known.
    wcs: Vec<Option<String>>,
    output: Option<FitsOutput>,
}

/// The files that are written.
struct FitsOutput {
    staging: PathBuf,
    /// Files that earlier commits published.
    table: PathBuf,
    /// The file being filled.
    writer: Writer,
    open: OpenFile,
    /// Closed files since the last commit.
    closed: Vec<TablePart>,
}

/// What a snapshot says of the file being filled, beside its bytes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct OpenFile {
    name: String,
    rows: u64,
}

impl Sink for FitsSink {
    fn bind(&mut self, input: &Schema) -> Result<Vec<ColumnRef>, Vec<Diagnostic>> {
        let mut diagnostics = self.settings.check_images(input);
        match self.settings.key_columns(input) {
            Ok(keys) => self.keys = keys,
            Err(more) => diagnostics.extend(more),
        }
        if !diagnostics.is_empty() {
            return Err(diagnostics);
        }
        let images = self.settings.images.iter().map(|image| ColumnRef::new("images", image));
        let keys = self.keys.iter().map(|key| ColumnRef::new("keys", &key.column));
        let identity = [batch::OBJECT_ID, batch::ORIGIN].map(|column| ColumnRef::new("", column));
        self.wcs = self.settings.images.iter().map(|image| wcs_column(input, image)).collect();
        let wcs = self.wcs.iter().flatten().map(|column| ColumnRef::new("images", column));
        let mut columns: Vec<ColumnRef> = images.chain(keys).chain(identity).chain(wcs).collect();
        let mut seen = HashSet::new();
        columns.retain(|column| seen.insert(column.column.clone()));
        Ok(columns)
    }

    fn start(&mut self, _run: &RunContext, staging: &Path, table: &Path) -> Result<()> {
        self.output = Some(FitsOutput::new(staging, table));
        Ok(())
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let Self { settings, label, keys, wcs, output } = self;
        let output = output.as_mut().ok_or_else(not_started)?;
        let images: Vec<(&String, Planes<'_>)> =
            settings.images.iter().map(|name| Ok((name, Planes::of(rows, name)?))).collect::<Result<_>>()?;
        let several = settings.objects_per_file > 1;
        for row in 0..rows.num_rows() {
            let (id, origin) = (batch::object_id(rows, row)?, batch::origin(rows, row)?);
            let values = key_values(rows, row, keys)?;
            if output.open.rows == 0 {
                output.open.name = file_name(if several { label } else { id }, id, origin);
                if several || images.len() > 1 {
                    output.writer.image(&[], &[], &[]);
                }
            }
            let version = several.then_some(output.open.rows + 1);
            for (index, (column, planes)) in images.iter().enumerate() {
                let (layout, is_mask) = match planes {
                    Planes::Image(images) => (&images.layout, false),
                    Planes::Mask(masks) => (&masks.layout, true),
                };
                let wcs = wcs.get(index).and_then(Option::as_ref);
                let wcs = wcs.map(|wcs| WorldCoordinates::of_row(rows, wcs, row)).transpose()?;
                let header = header(&DescribedImage { id, column, layout, is_mask, version, wcs }, &values);
                let shape = [layout.bands.len(), layout.height, layout.width];
                let pixels = row * layout.pixels()..(row + 1) * layout.pixels();
                match planes {
                    Planes::Image(images) => output.writer.image(&shape, &images.pixels[pixels], &header),
                    Planes::Mask(masks) => output.writer.integers(&shape, &masks.pixels[pixels], &header),
                }
            }
            output.open.rows += 1;
            if output.open.rows == settings.objects_per_file as u64 {
                output.close()?;
            }
        }
        Ok(())
    }

    fn prepare(&mut self) -> Result<Vec<TablePart>> {
        let output = self.output.as_mut().ok_or_else(not_started)?;
        if !output.closed.is_empty() {
            disk::sync_folder(&output.staging)?;
        }
        Ok(std::mem::take(&mut output.closed))
    }

    fn finish(&mut self) -> Result<()> {
        self.output.as_mut().ok_or_else(not_started)?.close()
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        let FitsOutput { writer, open, .. } = self.output.as_ref().ok_or_else(not_started)?;
        if open.rows == 0 { Ok(Vec::new()) } else { snapshot::encode(Fits::NAME, open, writer.as_bytes()) }
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<()> {
        let output = self.output.as_mut().ok_or_else(not_started)?;
        let (open, bytes) = snapshot::decode(Fits::NAME, snapshot)?;
        (output.open, output.writer) = (open, Writer::continuing(bytes.to_owned()));
        Ok(())
    }
}

/// The planes of a column.
enum Planes<'a> {
    Image(Images<'a>),
    Mask(Masks<'a>),
}

impl<'a> Planes<'a> {
    fn of(rows: &'a RecordBatch, column: &str) -> Result<Self> {
        let is_mask =
            rows.schema_ref().field_with_name(column).is_ok_and(|field| ImageLayout::of_masks(field).is_some());
        if is_mask { Masks::of(rows, column).map(Self::Mask) } else { Images::of(rows, column).map(Self::Image) }
    }
}

fn not_started() -> Error {
    Error::bug("the sink `fits` is used before it has started")
}

impl FitsOutput {
    fn new(staging: &Path, table: &Path) -> Self {
        Self {
            staging: staging.to_owned(),
            table: table.to_owned(),
            writer: Writer::new(),
            open: OpenFile::default(),
            closed: Vec::new(),
        }
    }

    /// Writes the file being filled, and makes its content durable.
    fn close(&mut self) -> Result<()> {
        let OpenFile { name, rows } = std::mem::take(&mut self.open);
        if rows == 0 {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.writer).into_bytes();
        let (path, published) = (self.staging.join(&name), self.table.join(&name));
        if disk::size(&path)?.is_some() || disk::size(&published)?.is_some() {
            return Err(Error::data(format!(
                "`{}` would be written twice: two rows have one `object_id` and one `origin`",
                published.display()
            )));
        }
        let mut file = NewFile::create(&path)?;
        file.write_all(&bytes).map_err(|error| Error::io("write", &path, error))?;
        file.sync()?;
        self.closed.push(TablePart { file: name, rows, bytes: bytes.len() as u64, checksums: BlockSums::of(&bytes) });
        Ok(())
    }
}
