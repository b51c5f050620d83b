//! Columns from a table beside the files, joined by a key.
//!
//! A catalogue is CSV, ECSV, a binary table of FITS, VOTable or Parquet; its first bytes decide. Only the columns that are used are kept.

mod csv_table;
mod ecsv;
mod fits_rows;
mod fits_table;
mod input;
mod keyed_rows;
mod loaded;
mod parquet_rows;
mod parquet_table;
mod values;
mod votable;
mod votable_binary;

use std::collections::BTreeMap;

use arrow::{
    array::{Array, ArrayRef, AsArray, StringArray},
    datatypes::Field,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(in crate::source) use self::{
    fits_rows::FitsRows,
    keyed_rows::{KeyedRows, Pieces},
    loaded::LoadedCatalogue,
    parquet_rows::{FileRows, ParquetRows},
};
use self::{
    input::{Format, Input},
    keyed_rows::KeyHashes,
    loaded::rows_by_key,
    values::RawColumn,
};
use super::{angle::Coordinate, lookup::Lookup};
use crate::{
    batch::{self, is_null_word},
    error::{Code, Diagnostic},
};

/// A table with more columns for the objects: CSV or TSV (with a header line, also with `#` comments or gzipped), ECSV, a binary
/// table of FITS, VOTable or Parquet. The columns that are used are held in memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// The file.
    #[schemars(extend("format" = "path"))]
    pub path: String,
    /// Its column with the keys, one per object: text or whole numbers.
    pub key: String,
    /// The header key whose value is looked up in that column; by default the identity of the object is looked up. Where that comes
    /// from the path of its file, or `id` is not set and none of the first objects is found by their headers, these are looked up:
    /// the path below the folder that was named, the name of the file alone if no other file has it, and paths as `images/x.fits`.
    #[serde(default)]
    pub header_key: Option<String>,
    /// New columns, and the columns of the catalogue that fill them: `{label: morphology, magnitude: mag_r}`. `label`, `ra` and
    /// `dec` may be among them. `label` is text as it is written; whole numbers that count classes keep their type under another
    /// name, which `truth` of a monitor can name. An object that is not in the catalogue gets nulls.
    pub columns: BTreeMap<String, String>,
    /// The words that stand for a missing value. By default an empty field, `nan`, `NaN`, `NAN`, `null`, `NULL`, `Null`, `None`,
    /// `--`, `N/A`, `n/a`, `NA` and `<NA>`.
    #[serde(default)]
    pub nulls: Option<Vec<String>>,
}

/// A format with places from which rows can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) enum PieceFormat {
    Parquet,
    Fits,
}

/// The columns of a catalogue that are used, by name.
type Columns = BTreeMap<String, RawColumn>;

impl Catalogue {
    /// A catalogue by its path, key and columns, with defaults for all else.
    pub fn new<N: Into<String>>(path: &str, key: &str, columns: impl IntoIterator<Item = (N, N)>) -> Self {
        let columns = columns.into_iter().map(|(name, from)| (name.into(), from.into())).collect();
        Self { path: path.to_owned(), key: key.to_owned(), header_key: None, columns, nulls: None }
    }

    /// The column that keys are looked up in, in words.
    pub(super) fn in_words(&self) -> String {
        format!("column `{}` of catalogue `{}`", self.key, self.path)
    }

    /// The mistake that none of the first objects is in the catalogue, given what is looked up for each.
    pub(super) fn no_match(&self, loaded: &LoadedCatalogue, lookups: &[Lookup]) -> Option<Diagnostic> {
        const SHOWN: usize = 3;
        if lookups.is_empty() || lookups.iter().flatten().any(|name| loaded.row(name).is_some()) {
            return None;
        }
        let quoted = |names: &[&str]| {
            let names = names.iter().take(SHOWN).map(|name| format!("`{}`", name.escape_debug()));
            names.collect::<Vec<_>>().join(", ")
        };
        let names: Vec<&str> = lookups.iter().filter_map(|names| names.first()).map(String::as_str).collect();
        let (keys, what) = (loaded.first_keys(SHOWN), self.in_words());
        let has = if keys.is_empty() { "which has no key".into() } else { format!("which has {}", quoted(&keys)) };
        let message = match (&self.header_key, lookups.len(), names.is_empty()) {
            (Some(key), _, true) => format!("no object has the key `{key}` that is looked up in {what}"),
            (_, 1, _) => format!("the object {} is not in {what}, {has}", quoted(&names)),
            (_, count, _) => {
                let more = if count > SHOWN { ", ..." } else { "" };
                format!("none of {count} objects ({}{more}) is in {what}, {has}", quoted(&names))
            }
        };
        let help = match &self.header_key {
            Some(key) => {
                format!("the header key `{key}` is looked up; name another with `header_key`, or another `key`")
            }
            None => "the ids of objects are looked up; name a header key with `header_key`, or another `key`".into(),
        };
        Some(Diagnostic::at("catalogue.key", Code::Conflict, message).help(help))
    }

    /// Reads the columns that are used.
    pub(in crate::source) fn load(&self) -> Result<LoadedCatalogue, Vec<Diagnostic>> {
        let KeyedRows { keys, columns } = self.rows()?;
        let rows = rows_by_key(&keys).map_err(|twice| vec![self.twice(&twice)])?;
        Ok(LoadedCatalogue::new(rows, columns))
    }

    /// The same in the order of the rows.
    pub(in crate::source) fn load_rows(&self) -> Result<KeyedRows, Vec<Diagnostic>> {
        let rows = self.rows()?;
        let mut hashes = KeyHashes::default();
        hashes.add(&rows.keys);
        match hashes.repeated().first_repeated(&rows.keys) {
            Some(twice) => Err(vec![self.twice(twice)]),
            None => Ok(rows),
        }
    }

    /// The format of the file, if pieces can be read of it.
    pub(in crate::source) fn piece_format(&self) -> Result<Option<PieceFormat>, Vec<Diagnostic>> {
        let input = Input::open(&self.path).map_err(|reason| self.unreadable(&reason))?;
        Ok(match input.format {
            Format::Parquet => Some(PieceFormat::Parquet),
            Format::Fits if !input.is_compressed => Some(PieceFormat::Fits),
            _ => None,
        })
    }

    /// The same; keys may come several times.
    pub(in crate::source) fn rows(&self) -> Result<KeyedRows, Vec<Diagnostic>> {
        let input = Input::open(&self.path).map_err(|reason| self.unreadable(&reason))?;
        let raw = match input.format {
            Format::Text => self.read_csv(input),
            Format::Ecsv => self.read_ecsv(input),
            Format::Fits => self.read_fits(input),
            Format::VoTable => self.read_votable(input),
            Format::Parquet => self.read_parquet(),
        }?;
        self.keyed(&raw)
    }

    /// The keys and the new columns of rows as they were read.
    fn keyed(&self, raw: &Columns) -> Result<KeyedRows, Vec<Diagnostic>> {
        let mut diagnostics = Vec::new();
        let mut columns = Vec::new();
        for (name, from) in &self.columns {
            match raw.get(from).ok_or_else(|| "is missing".to_owned()).and_then(|column| self.column(name, column)) {
                Ok(array) => columns.push((Field::new(name, array.data_type().clone(), true), array)),
                Err(reason) => {
                    let message = format!("column `{from}` of catalogue `{}` {reason}", self.path);
                    diagnostics.push(Diagnostic::at(&format!("catalogue.columns.{name}"), Code::WrongColumn, message));
                }
            }
        }
        let keys = raw.get(&self.key).map_or_else(|| Ok(StringArray::from(Vec::<&str>::new())), |keys| self.keys(keys));
        let keys = keys.map_err(|diagnostic| diagnostics.push(*diagnostic));
        match keys {
            Ok(keys) if diagnostics.is_empty() => Ok(KeyedRows { keys, columns }),
            _ => Err(diagnostics),
        }
    }

    /// A column as it is joined. The error is what is wrong with it.
    fn column(&self, name: &str, column: &RawColumn) -> Result<ArrayRef, String> {
        let is_null = |text: &str| self.is_null(text);
        match name {
            // `007` and `1.0` are classes as they are written.
            batch::LABEL => column.text(&is_null),
            batch::RA => column.degrees(Coordinate::RightAscension, &is_null),
            batch::DEC => column.degrees(Coordinate::Declination, &is_null),
            _ => column.typed(&is_null),
        }
    }

    fn is_null(&self, text: &str) -> bool {
        match &self.nulls {
            None => is_null_word(text),
            Some(words) => words.iter().any(|word| word == text.trim()),
        }
    }

    /// The keys, row by row.
    fn keys(&self, column: &RawColumn) -> Result<StringArray, Box<Diagnostic>> {
        let at_key = |message: String| Box::new(Diagnostic::at("catalogue.key", Code::WrongColumn, message));
        let (path, key) = (&self.path, &self.key);
        if let Some(float) = column.first_float(&|text| self.is_null(text)) {
            let message = format!(
                "column `{key}` of catalogue `{path}` holds floats (`{float}`), expected text or whole numbers: \
                 a float keeps 15 digits of an id"
            );
            let help = "write the ids as text or as integers; pandas makes floats of integers beside a missing value";
            return Err(Box::new(at_key(message).help(help)));
        }
        let keys = column.text(&|text| self.is_null(text));
        let keys = keys.map_err(|reason| at_key(format!("column `{key}` of catalogue `{path}` {reason}")))?;
        Ok(keys.as_string::<i32>().clone())
    }

    /// The mistake that a key comes twice.
    fn twice(&self, twice: &str) -> Diagnostic {
        let message =
            format!("catalogue `{}` has `{}` twice in column `{}`", self.path, twice.escape_debug(), self.key);
        Diagnostic::at("catalogue.key", Code::Conflict, message).help("name a column with one row per object")
    }

    /// The indices of the columns to read, or diagnostics with the nearest names.
    fn chosen(&self, names: &[&str]) -> Result<Vec<usize>, Vec<Diagnostic>> {
        let columns = self.columns.iter().map(|(name, from)| (format!("catalogue.columns.{name}"), from));
        let (mut found, mut diagnostics) = (Vec::new(), Vec::new());
        for (key, name) in columns.chain([("catalogue.key".to_owned(), &self.key)]) {
            if let Some(index) = names.iter().position(|found| found == name) {
                found.push(index);
            } else {
                let message = format!("catalogue `{}` has no column `{}`", self.path, name.escape_debug());
                let diagnostic = Diagnostic::at(&key, Code::UnknownColumn, message);
                diagnostics.push(diagnostic.suggest(name, names.iter().copied(), "columns"));
            }
        }
        found.sort_unstable();
        found.dedup();
        if diagnostics.is_empty() { Ok(found) } else { Err(diagnostics) }
    }

    fn unreadable(&self, reason: &dyn std::fmt::Display) -> Vec<Diagnostic> {
        Self::at_path(format!("cannot read catalogue `{}`: {reason}", self.path))
    }

    fn at_path(message: String) -> Vec<Diagnostic> {
        let help = "expected CSV with a header line, ECSV, a binary table of FITS, VOTable, or Parquet";
        vec![Diagnostic::at("catalogue.path", Code::MissingFile, message).help(help)]
    }
}
