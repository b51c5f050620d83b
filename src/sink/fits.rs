//! Cutouts out again, as FITS files.
//!
//! Every image column that is asked for becomes a unit of float32: the primary one for a single column, else an
//! extension each, after the name of the column. The header carries what a reader needs to have the row back: `OBJECT`,
//! `BANDS`, `BUNIT`, `PIXSCALE`, and every column of text or numbers.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, Schema},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    batch::{self, ImageLayout, Images, Unit},
    error::{Code, Diagnostic, Error, Result},
    fits::{CardValue as Value, Writer},
    stage::{ColumnRef, RunContext, Settings, Sink, TablePart},
};

/// Writes image columns as FITS files: one for each object, or many objects in one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fits {
    /// The image columns, in the order of the units.
    pub images: Vec<String>,
    /// Header keys for columns of text or numbers: `{MORPH: label, VISIT: visit}`. Without it every such column goes
    /// under its own name (`HIERARCH` where that is longer than eight letters), and `label` under `LABEL`.
    #[serde(default)]
    pub keys: Option<std::collections::BTreeMap<String, String>>,
    /// How many objects a file holds, each in units of its own. A file of several begins with an empty primary unit.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
    pub objects_per_file: usize,
}

fn one() -> usize {
    1
}

impl Settings<dyn Sink> for Fits {
    const NAME: &'static str = "fits";

    fn build(self, label: &str) -> Result<Box<dyn Sink>, Vec<Diagnostic>> {
        let mut mistakes = Vec::new();
        if self.images.is_empty() {
            let message = "no image column is named";
            mistakes.push(Diagnostic::at("images", Code::MissingKey, message).help("`images: [image]`"));
        }
        if self.objects_per_file == 0 {
            let message = "a file holds at least one object";
            mistakes.push(Diagnostic::at("objects_per_file", Code::OutOfRange, message).help("1 or more"));
        }
        for key in self.keys.iter().flat_map(std::collections::BTreeMap::keys) {
            if STRUCTURE.contains(&key.to_ascii_uppercase().as_str()) || key.is_empty() || !key.is_ascii() {
                let message = format!("`{key}` cannot be a key of a column");
                let help = "the keys of the image itself are written anyway";
                mistakes.push(Diagnostic::at(&format!("keys.{key}"), Code::OutOfRange, message).help(help));
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Box::new(FitsSink { settings: self, label: label.to_owned(), keys: Vec::new(), out: None }))
    }
}

/// Keys that the image writes for itself.
const STRUCTURE: [&str; 18] = [
    "SIMPLE", "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "EXTEND", "PCOUNT", "GCOUNT", "END",
    "EXTNAME", "BSCALE", "BZERO", "OBJECT", "BANDS", "BUNIT", "PIXSCALE",
];

struct FitsSink {
    settings: Fits,
    label: String,
    /// Header keys and the columns that fill them.
    keys: Vec<(String, String)>,
    out: Option<Out>,
}

/// Files being written.
struct Out {
    staging: PathBuf,
    writer: Writer,
    /// Name and rows of the file being filled.
    name: String,
    rows: u64,
    done: Vec<TablePart>,
}

impl Sink for FitsSink {
    fn bind(&mut self, input: &Schema) -> Result<Vec<ColumnRef>, Vec<Diagnostic>> {
        let mut mistakes = Vec::new();
        for (index, image) in self.settings.images.iter().enumerate() {
            let path = format!("images.{index}");
            match input.field_with_name(image) {
                Ok(field) if ImageLayout::of(field).is_some() => {}
                Ok(_) => {
                    let message = format!("column `{image}` is no image");
                    mistakes.push(Diagnostic::at(&path, Code::WrongColumn, message).help("image columns only"));
                }
                Err(_) => mistakes.push(unknown(&path, image, input)),
            }
        }
        let writable = |kind: &DataType| {
            kind.is_numeric() || matches!(kind, DataType::Utf8 | DataType::Boolean | DataType::Dictionary(_, _))
        };
        match &self.settings.keys {
            Some(keys) => {
                for (key, column) in keys {
                    match input.field_with_name(column) {
                        Ok(field) if writable(field.data_type()) => self.keys.push((key.clone(), column.clone())),
                        Ok(field) => {
                            let message =
                                format!("column `{column}` is {}, which no header key holds", field.data_type());
                            let help = "columns of text and numbers only";
                            mistakes
                                .push(Diagnostic::at(&format!("keys.{key}"), Code::WrongColumn, message).help(help));
                        }
                        Err(_) => mistakes.push(unknown(&format!("keys.{key}"), column, input)),
                    }
                }
            }
            None => {
                let own = |name: &str| name != batch::OBJECT_ID && !name.starts_with('_');
                let fields = input.fields().iter().filter(|field| own(field.name()) && writable(field.data_type()));
                let free = |key: &String| !STRUCTURE.contains(&key.as_str());
                self.keys = fields
                    .map(|field| (field.name().to_ascii_uppercase(), field.name().clone()))
                    .filter(|(key, _)| free(key))
                    .collect();
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let columns = self.settings.images.iter().map(|image| ColumnRef::new("images", image));
        let keys = self.keys.iter().map(|(_, column)| ColumnRef::new("keys", column));
        let identity = [batch::OBJECT_ID, batch::ORIGIN].map(|column| ColumnRef::new("", column));
        let mut needs: Vec<ColumnRef> = columns.chain(keys).chain(identity).collect();
        let mut seen = std::collections::HashSet::new();
        needs.retain(|need| seen.insert(need.column.clone()));
        Ok(needs)
    }

    fn start(&mut self, _run: &RunContext, staging: &Path, _table: &Path) -> Result<()> {
        let (staging, name) = (staging.to_owned(), String::new());
        self.out = Some(Out { staging, writer: Writer::new(), name, rows: 0, done: Vec::new() });
        Ok(())
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let out = self.out.as_mut().ok_or_else(|| Error::bug("the sink `fits` is written before it starts"))?;
        let images: Vec<(&String, Images<'_>)> =
            self.settings.images.iter().map(|name| Ok((name, Images::of(rows, name)?))).collect::<Result<_>>()?;
        let several = self.settings.objects_per_file > 1;
        for row in 0..rows.num_rows() {
            let (id, origin) = (batch::object_id(rows, row)?, batch::origin(rows, row)?);
            let keys = keys(rows, row, &self.keys)?;
            if out.rows == 0 {
                out.name = file_name(&self.label, id, origin, several);
                if several || images.len() > 1 {
                    out.writer.image(&[], &[], &[]);
                }
            }
            for (name, images) in &images {
                let layout = &images.layout;
                let pixels = &images.pixels[row * layout.pixels()..][..layout.pixels()];
                let header = header(id, name, layout, &keys);
                out.writer.image(&[layout.bands.len(), layout.height, layout.width], pixels, &header);
            }
            out.rows += 1;
            if out.rows == self.settings.objects_per_file as u64 {
                out.close()?;
            }
        }
        Ok(())
    }

    fn prepare(&mut self) -> Result<Vec<TablePart>> {
        let out = self.out.as_mut().ok_or_else(|| Error::bug("the sink `fits` is prepared before it starts"))?;
        out.close()?;
        if !out.done.is_empty() {
            // The names themselves have to be durable, too.
            File::open(&out.staging)
                .and_then(|folder| folder.sync_all())
                .map_err(|error| Error::io("sync", &out.staging, error))?;
        }
        Ok(std::mem::take(&mut out.done))
    }
}

impl Out {
    fn close(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.writer).into_bytes();
        let path = self.staging.join(&self.name);
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()
        });
        written.map_err(|error| Error::io("write", &path, error))?;
        let file = std::mem::take(&mut self.name);
        self.done.push(TablePart { file, rows: std::mem::take(&mut self.rows), bytes: bytes.len() as u64 });
        Ok(())
    }
}

fn unknown(path: &str, column: &str, input: &Schema) -> Diagnostic {
    let names = input.fields().iter().map(|field| field.name().as_str()).filter(|name| !name.starts_with('_'));
    Diagnostic::at(path, Code::UnknownColumn, format!("no column `{column}`")).suggest(column, names, "columns")
}

/// A name that every file system takes, and that no other row has: what can be kept of the identity, and a digest of
/// identity and origin, which tell rows apart.
fn file_name(label: &str, id: &str, origin: &str, several: bool) -> String {
    let mut digest = Sha256::new();
    digest.update(id.as_bytes());
    digest.update([0]);
    digest.update(origin.as_bytes());
    let digest: String = digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || "-+_".contains(letter) { letter } else { '_' };
    let kept: String = (if several { label } else { id }).chars().take(80).map(plain).collect();
    format!("{kept}.{digest}.fits")
}

fn header(id: &str, column: &str, layout: &ImageLayout, keys: &[(String, Value)]) -> Vec<(String, Value)> {
    let text = |key: &str, value: &str| (key.to_owned(), Value::Text(value.to_owned()));
    let mut header = vec![text("EXTNAME", column), text("OBJECT", id), text("BANDS", &layout.bands.join(","))];
    if layout.unit != Unit::Unknown {
        header.push(text("BUNIT", layout.unit.name()));
    }
    if let Some(scale) = layout.pixel_scale_arcsec {
        header.push(("PIXSCALE".into(), Value::Real(scale)));
    }
    if let Some(stretch) = layout.stretch {
        header.push(("STRETCHL".into(), Value::Real(stretch.lo)));
        header.push(("STRETCHH".into(), Value::Real(stretch.hi)));
    }
    header.extend_from_slice(keys);
    header
}

/// The values of a row for its header; nulls are left out.
fn keys(rows: &RecordBatch, row: usize, keys: &[(String, String)]) -> Result<Vec<(String, Value)>> {
    let mut values = Vec::with_capacity(keys.len());
    for (key, column) in keys {
        let one = batch::column_of(rows, column)?.slice(row, 1);
        let one = match one.data_type() {
            DataType::Dictionary(_, kind) => cast(&one, kind)?,
            _ => one,
        };
        if one.is_null(0) {
            continue;
        }
        let value = match one.data_type() {
            DataType::Utf8 => Value::Text(one.as_string::<i32>().value(0).to_owned()),
            DataType::Boolean => Value::Logical(one.as_boolean().value(0)),
            DataType::Float32 | DataType::Float64 | DataType::Float16 => {
                Value::Real(cast(&one, &DataType::Float64)?.as_primitive::<Float64Type>().value(0))
            }
            kind if kind.is_integer() => {
                let wide = cast(&one, &DataType::Int64)?;
                if wide.is_null(0) { continue } else { Value::Integer(wide.as_primitive::<Int64Type>().value(0)) }
            }
            _ => Value::Text(cast(&one, &DataType::Utf8)?.as_string::<i32>().value(0).to_owned()),
        };
        values.push((key.clone(), value));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_safe_and_its_own() {
        let name = |id, origin| file_name("cutouts", id, origin, false);
        assert!(name("../../etc/passwd", "a").starts_with("______etc_passwd."));
        assert_ne!(name("a/b", "x"), name("a_b", "x"));
        assert_ne!(name("a", "x[0]"), name("a", "x[1]"));
        assert!(name(&"é".repeat(500), "x").len() < 128);
        assert!(file_name("cutouts", "a", "x", true).starts_with("cutouts."));
    }
}
