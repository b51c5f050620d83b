//! Cutouts from FITS files.
//!
//! A file gives one object or many: a cube `[band, y, x]` in one unit, one two-dimensional unit per band, or one object
//! per unit; a cube of four axes `[object, band, y, x]` gives an object for each of its slowest. The schema comes from
//! the settings and the first file whose headers fit them, never from pixels. Whatever then differs (no image where one
//! is expected, another shape, a missing band, another pixel scale) is a rejected row: a file that cannot be read at all
//! is one row.
//!
//! Flux in nJy is value * 10^(0.4 * (31.4 - zero point)) for images in counts, or follows from `BUNIT`.

mod catalogue;
mod cutout;
mod objects;
mod paths;
mod plan;
mod reader;
mod rows;
mod units;

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::SchemaRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::catalogue::Catalogue;
use self::{plan::Plan, reader::FileReader};
use crate::{
    error::{Code, Diagnostic, Error, Result},
    fits::Limits,
    stage::{Reader, Settings, Source, Split},
};

/// Cutouts from FITS files: plain, gzipped or tile-compressed; cubes, a unit per band, or a unit per object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fits {
    /// Files, folders (their `.fits`, `.fit`, `.fts` and `.fz` files, also gzipped, those of subfolders too), patterns
    /// (`*`, `?`, `[..]`, `**`), or lists of any of these, one a line (`@list.txt`). A name that exists means that file,
    /// whatever letters it has.
    pub paths: Vec<String>,
    /// How the objects lie in a file.
    #[serde(default)]
    pub layout: Layout,
    /// The units that hold the images, by `EXTNAME` or by number in quotes (`"0"` is the primary one). Without it all
    /// units with pixels that are not variance, mask or PSF by their `EXTTYPE` or `EXTNAME`.
    #[serde(default)]
    pub hdu: Option<Vec<String>>,
    /// The bands to read, in this order. Headers that name their bands (`BANDS`; `FILTER`, `BAND` or `EXTNAME` of a
    /// unit per band) are picked from, others must have as many planes. Without it the bands of the first file.
    #[serde(default)]
    pub bands: Option<Vec<String>>,
    /// Side of the images, pixels: larger ones are cropped, smaller ones padded with `fill`, about the pixel n/2.
    /// Without it the size of the first image, which all have to have.
    #[serde(default)]
    #[schemars(range(min = 1, max = 8192))]
    pub size: Option<usize>,
    /// What to do with an image that has pixels which are no finite number (NaN, or `BLANK`) after the cropping.
    #[serde(default)]
    pub nan: Policy,
    /// What to do with an image that has masked pixels. Without it the mask is not looked at.
    #[serde(default)]
    pub masked: Option<Policy>,
    /// The bits of a mask that count for `masked`; all by default.
    #[serde(default)]
    pub mask_bits: Option<u32>,
    /// The value of filled and padded pixels.
    #[serde(default)]
    pub fill: f32,
    /// Planes of a file to read beside the image, into `image_variance` (squared unit of the image), `image_mask` (0 is
    /// good, padded pixels are 1) and `image_psf`. A file without one is rejected.
    #[serde(default)]
    pub companions: Vec<Companion>,
    /// The unit of the pixels, instead of the header's `BUNIT`: `nJy`, `uJy`, `mJy`, `Jy`, `maggy`, `nanomaggy`. All
    /// of these become nJy; any other is kept as it is, as a unit unknown.
    #[serde(default)]
    pub unit: Option<String>,
    /// AB zero points of images in counts, one for each band or one for all; they become nJy.
    #[serde(default)]
    pub zero_point: Option<Vec<f64>>,
    /// Side of a pixel, arcsec, instead of the header's (`PIXSCALE`, or its `CD` matrix or `CDELT`).
    #[serde(default)]
    #[schemars(range(min = 0.000001))]
    pub pixel_scale_arcsec: Option<f64>,
    /// The header key with the identity of an object. Without its value: the name of the file, and the unit if a file
    /// holds several objects.
    #[serde(default = "object")]
    pub id: String,
    /// The header key with the class.
    #[serde(default)]
    pub label: Option<String>,
    /// The header key with the right ascension, degrees.
    #[serde(default)]
    pub ra: Option<String>,
    /// The header key with the declination, degrees.
    #[serde(default)]
    pub dec: Option<String>,
    /// Further columns from header keys: `{visit: VISIT}`. Their types are those of the first header that has the key.
    #[serde(default)]
    pub columns: BTreeMap<String, String>,
    /// Further columns from a table.
    #[serde(default)]
    pub catalogue: Option<Catalogue>,
    /// The most pixels of a unit, in millions; a larger one is rejected.
    #[serde(default = "max_megapixels")]
    #[schemars(range(min = 1, max = 16384))]
    pub max_megapixels: u64,
    /// The most that a gzipped file may become, MiB; a larger one is rejected.
    #[serde(default = "max_gunzipped_mib")]
    #[schemars(range(min = 1))]
    pub max_gunzipped_mib: u64,
}

fn object() -> String {
    "OBJECT".into()
}

fn max_megapixels() -> u64 {
    64
}

fn max_gunzipped_mib() -> u64 {
    1024
}

/// How the objects lie in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// By the headers of each file: one image unit is a `cube`. Several flat ones are `hdu_per_band` when they are as
    /// many as `bands`, or when the headers name a different band each; else they are `hdu_per_object`.
    #[default]
    Auto,
    /// One object per file, in one unit: `[band, y, x]`, or `[y, x]` of one band.
    Cube,
    /// One object per file, each band in a unit of its own.
    HduPerBand,
    /// Every image unit is an object: `[band, y, x]`, or `[y, x]` of one band.
    HduPerObject,
}

/// What to do with an image that has unusable pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Reject the row.
    #[default]
    Reject,
    /// Set them to `fill`.
    Fill,
}

/// A plane beside the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Companion {
    /// Units called `VARIANCE`, `VAR` or `UNCERT`; `ERR`, `SIGMA` or `RMS` are squared, `WEIGHT`, `WHT` and `IVAR` inverted.
    Variance,
    /// Units called `MASK`, `DQ` or `FLAGS`.
    Mask,
    /// Units called `PSF` or `PSFIMAGE`.
    Psf,
}

impl Fits {
    /// Files by their paths, all else by default.
    pub fn new(paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            paths: paths.into_iter().map(Into::into).collect(),
            layout: Layout::Auto,
            hdu: None,
            bands: None,
            size: None,
            nan: Policy::Reject,
            masked: None,
            mask_bits: None,
            fill: 0.0,
            companions: Vec::new(),
            unit: None,
            zero_point: None,
            pixel_scale_arcsec: None,
            id: object(),
            label: None,
            ra: None,
            dec: None,
            columns: BTreeMap::new(),
            catalogue: None,
            max_megapixels: max_megapixels(),
            max_gunzipped_mib: max_gunzipped_mib(),
        }
    }

    fn limits(&self) -> Limits {
        Limits { pixels: self.max_megapixels << 20, gunzipped_bytes: self.max_gunzipped_mib << 20 }
    }

    fn wants(&self, companion: Companion) -> bool {
        self.companions.contains(&companion)
    }
}

impl Settings<dyn Source> for Fits {
    const NAME: &'static str = "fits";

    fn build(self, _label: &str) -> Result<Box<dyn Source>, Vec<Diagnostic>> {
        let mistakes = plan::mistakes(&self);
        if mistakes.is_empty() { Ok(Box::new(FitsSource { settings: self, plan: None })) } else { Err(mistakes) }
    }
}

/// Files of a split: enough to fill batches, few enough to share among readers.
const FILES_PER_SPLIT: usize = 64;

struct FitsSource {
    settings: Fits,
    plan: Option<Arc<Plan>>,
}

impl FitsSource {
    fn plan(&self) -> Result<&Arc<Plan>> {
        self.plan.as_ref().ok_or_else(|| Error::bug("the source `fits` is used before it is bound"))
    }
}

impl Source for FitsSource {
    fn bind(&mut self) -> Result<SchemaRef, Vec<Diagnostic>> {
        let files = paths::expand(&self.settings.paths)?;
        if files.is_empty() {
            return Err(vec![
                Diagnostic::at("paths", Code::MissingKey, "no files are named").help("name files, folders or patterns"),
            ]);
        }
        let plan = Plan::new(self.settings.clone(), files)?;
        let schema = plan.schema.clone();
        self.plan = Some(Arc::new(plan));
        Ok(schema)
    }

    fn splits(&self) -> Result<Vec<Split>> {
        let plan = self.plan()?;
        let one_row = matches!(self.settings.layout, Layout::Cube | Layout::HduPerBand);
        Ok(plan
            .files
            .chunks(FILES_PER_SPLIT)
            .enumerate()
            .map(|(index, files)| Split {
                id: paths::split_id(index, files),
                rows: one_row.then_some(files.len() as u64),
            })
            .collect())
    }

    fn open(&self, split: &Split, position: u64) -> Result<Box<dyn Reader>> {
        let plan = self.plan()?;
        let changed = || Error::data(format!("the files of `{}` are not those that the run began with", split.id));
        let index: usize = split.id.split(' ').next().and_then(|index| index.parse().ok()).ok_or_else(changed)?;
        let files = plan.files.chunks(FILES_PER_SPLIT).nth(index).ok_or_else(changed)?;
        if paths::split_id(index, files) != split.id {
            return Err(changed());
        }
        let start = index * FILES_PER_SPLIT;
        Ok(Box::new(FileReader::open(plan.clone(), start..start + files.len(), position)))
    }
}
