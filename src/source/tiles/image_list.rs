//! The tiles of all bands by a table, instead of by patterns.

use std::{collections::BTreeMap, path::Path};

use arrow::{
    array::{Array, AsArray, StringArray},
    datatypes::DataType,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Tiles, companion_files::CompanionKind};
use crate::{
    batch,
    error::{Code, Diagnostic, quoted_list},
    source::fits::{
        Bands,
        catalogue::{Catalogue, KeyedRows},
        companions::VarianceForm,
    },
};

/// The columns of a list, in the order in which a row of it has them.
const COMPANIONS: [&str; 4] = ["mask", "variance", "weight", "psf"];

/// A table with a row for each file of tiles: CSV, ECSV, a binary table of FITS, VOTable or Parquet. Relative paths in it begin at its
/// folder. Rows of other bands are left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageList {
    /// The file.
    #[schemars(extend("format" = "path"))]
    pub path: String,
    /// Its column with the paths of the images.
    #[serde(default = "image")]
    pub image: String,
    /// Its column with their bands: names of `bands`, or those that files have for them, in upper or lower case.
    #[serde(default = "band")]
    pub band: String,
    /// Its column with the paths of the masks, in files of their own.
    #[serde(default)]
    pub mask: Option<String>,
    /// The same of the variances.
    #[serde(default)]
    pub variance: Option<String>,
    /// The same of the weights, the inverse of a variance.
    #[serde(default)]
    pub weight: Option<String>,
    /// The same of the PSFs, images or files of PSFEx.
    #[serde(default)]
    pub psf: Option<String>,
}

fn image() -> String {
    "path".into()
}

fn band() -> String {
    "band".into()
}

/// Files by band.
type FilesOfBands = BTreeMap<String, Vec<String>>;

/// The files that a list names: images, masks, variances, weights, PSFs.
#[derive(Debug, Default)]
struct ListedFiles([FilesOfBands; 5]);

impl ImageList {
    /// A list with the columns `path` and `band`.
    pub fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            image: image(),
            band: band(),
            mask: None,
            variance: None,
            weight: None,
            psf: None,
        }
    }

    /// The setting that names the column with companions of a kind, if it is set.
    pub(super) fn column_of(&self, kind: CompanionKind) -> Option<&'static str> {
        let wanted = match kind {
            CompanionKind::Mask => "mask",
            CompanionKind::Variance(VarianceForm::Inverse) => "weight",
            CompanionKind::Variance(_) => "variance",
            CompanionKind::Psf => "psf",
        };
        self.companions().map(|(name, _)| name).find(|name| *name == wanted)
    }

    /// The columns of companions, in the order of their names.
    fn columns(&self) -> impl Iterator<Item = &Option<String>> {
        [&self.mask, &self.variance, &self.weight, &self.psf].into_iter()
    }

    /// Those that are named.
    fn companions(&self) -> impl Iterator<Item = (&'static str, &String)> {
        COMPANIONS.into_iter().zip(self.columns()).filter_map(|(name, column)| Some((name, column.as_ref()?)))
    }

    /// The files of some bands.
    fn load(&self, bands: &Bands) -> Result<ListedFiles, Vec<Diagnostic>> {
        let mut columns: BTreeMap<String, String> =
            self.companions().map(|(name, column)| (name.to_owned(), column.clone())).collect();
        // A label is text as it is written, whatever it looks like.
        columns.insert(batch::LABEL.to_owned(), self.band.clone());
        let table =
            Catalogue { path: self.path.clone(), key: self.image.clone(), header_key: None, columns, nulls: None };
        let KeyedRows { keys, columns } = table.rows().map_err(|mut diagnostics| {
            diagnostics.iter_mut().for_each(rename);
            diagnostics
        })?;
        let column = |name: &str| -> Result<Option<StringArray>, Vec<Diagnostic>> {
            let Some((_, column)) = columns.iter().find(|(field, _)| field.name() == name) else { return Ok(None) };
            let is_text = *column.data_type() == DataType::Utf8;
            let path = &self.path;
            let wrong = || {
                let message =
                    format!("column `{name}` of image list `{path}` holds {}, expected paths", column.data_type());
                vec![Diagnostic::at(&format!("image_list.{name}"), Code::WrongColumn, message)]
            };
            if is_text { Ok(Some(column.as_string::<i32>().clone())) } else { Err(wrong()) }
        };
        let names = bands.names();
        let found = column(batch::LABEL)?.ok_or_else(Vec::new)?;
        let [masks, variances, weights, psfs] = COMPANIONS.map(column);
        let companions = [masks?, variances?, weights?, psfs?];
        let folder = Path::new(&self.path).parent().unwrap_or(Path::new(""));
        let mut files = ListedFiles::default();
        let mut others: BTreeMap<&str, usize> = BTreeMap::new();
        for row in 0..keys.len() {
            let missing = |what: &str| {
                let message = format!("row {row} of image list `{}` has no `{what}`", self.path);
                vec![Diagnostic::at("image_list.path", Code::WrongColumn, message).help("each row has all columns")]
            };
            if found.is_null(row) {
                return Err(missing(&self.band));
            }
            let Some(band) = bands.index_of(found.value(row)) else {
                *others.entry(found.value(row)).or_default() += 1;
                continue;
            };
            let of_row = [Some(&keys)].into_iter().chain(companions.iter().map(Option::as_ref));
            let names_of_row = [Some(&self.image)].into_iter().chain(self.columns().map(Option::as_ref));
            for ((files, column), name) in files.0.iter_mut().zip(of_row).zip(names_of_row) {
                let (Some(column), Some(name)) = (column, name) else { continue };
                if column.is_null(row) {
                    return Err(missing(name));
                }
                let path = folder.join(column.value(row)).display().to_string();
                files.entry(names[band].clone()).or_default().push(path);
            }
        }
        let [images, ..] = &files.0;
        let lacking: Vec<String> = names.iter().filter(|name| !images.contains_key(*name)).cloned().collect();
        if !lacking.is_empty() {
            let mut others: Vec<&str> = found.iter().flatten().collect();
            others.sort_unstable();
            others.dedup();
            let message = format!("image list `{}` has no row of the bands {}", self.path, quoted_list(&lacking));
            let help = format!("its column `{}` has {}", self.band, quoted_list(&others));
            return Err(vec![Diagnostic::at("image_list.band", Code::MissingFile, message).help(help)]);
        }
        if !others.is_empty() {
            let (rows, path) = (others.values().sum::<usize>(), &self.path);
            let bands = quoted_list(&others.into_keys().collect::<Vec<_>>());
            tracing::warn!("source `tiles`: left out of the image list `{path}`: {rows} rows of the bands {bands}");
        }
        Ok(files)
    }
}

/// Names the settings of the list instead of those of the table that is read.
fn rename(diagnostic: &mut Diagnostic) {
    let parts: Vec<&str> = diagnostic.path.iter().map(String::as_str).collect();
    let renamed = match parts[..] {
        ["catalogue", "key"] => "image",
        ["catalogue", "columns", batch::LABEL] => "band",
        ["catalogue", "columns", name] => name,
        _ => "path",
    };
    diagnostic.path = vec!["image_list".into(), renamed.to_owned()];
}

/// Names the list instead of the settings that name files without one.
pub(super) fn of_listed_file(mut diagnostic: Diagnostic) -> Diagnostic {
    let setting = diagnostic.path.first().map(String::as_str);
    let column = match setting {
        Some("images") => "image",
        Some("masks") => "mask",
        Some("variances") => "variance",
        Some("weights") => "weight",
        Some("psfs") => "psf",
        _ => return diagnostic,
    };
    diagnostic.path = vec!["image_list".into(), column.into()];
    diagnostic
}

impl Tiles {
    /// The settings with the files of the image list, if there is one, as if they were named.
    pub(super) fn with_listed_images(&self) -> Result<Self, Vec<Diagnostic>> {
        let Some(list) = &self.image_list else { return Ok(self.clone()) };
        let ListedFiles([images, masks, variances, weights, psfs]) = list.load(&self.bands)?;
        Ok(Self { image_list: None, images, masks, variances, weights, psfs, ..self.clone() })
    }
}
