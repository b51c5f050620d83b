//! The settings of `fits`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Catalogue, FitsSource, HeaderKey, check};
use crate::{
    error::Diagnostic,
    fits::Limits,
    stage::{Settings, Source},
};

/// Cutouts from FITS files: plain, compressed as a whole (gzip, bzip2, xz) or tile-compressed; cubes, an HDU per band, or an HDU per object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fits {
    /// Files, folders (their `.fits`, `.fit`, `.fts` and `.fz` files, also compressed, with subfolders and linked folders), patterns (`*`, `?`,
    /// `[..]`, `**`), or text files that list any of these, one per line (`@list.txt`). A name that exists is taken literally,
    /// whatever characters it has.
    pub paths: Vec<String>,
    /// How objects are stored in a file.
    #[serde(default)]
    pub layout: Layout,
    /// The HDUs that hold the images, by `EXTNAME` or by number in quotes (`"0"` is the primary HDU). By default all HDUs with
    /// pixels whose `EXTTYPE` or `EXTNAME` does not mark them as variance, mask or PSF.
    #[serde(default)]
    pub hdu: Option<Vec<String>>,
    /// The bands to read, in this order. They are selected by name where the header names its bands (`BANDS`; `FILTER`, `BAND`
    /// or `EXTNAME` of an HDU per band); otherwise the file must have as many planes. By default the bands of the first file.
    #[serde(default)]
    pub bands: Option<Vec<String>>,
    /// Side of the images, pixels. Larger images are cropped and smaller ones padded with `fill`; pixel n/2 stays pixel n/2. By
    /// default the size of the first image, which all images must then have.
    #[serde(default)]
    #[schemars(range(min = 1, max = 8192))]
    pub size: Option<usize>,
    /// What to do with an image that has non-finite pixels (NaN, infinite, or `BLANK`) after cropping.
    #[serde(default)]
    pub nan: Policy,
    /// What to do with an image that has masked pixels. By default the mask is ignored.
    #[serde(default)]
    pub masked: Option<Policy>,
    /// The bits of the mask that count for `masked`; all by default.
    #[serde(default)]
    pub mask_bits: Option<u32>,
    /// The value of filled and padded pixels.
    #[serde(default)]
    pub fill: f32,
    /// Planes to read beside the image: `image_variance` (squared unit of the image), `image_mask` (0 is good, padded pixels are
    /// 1) and `image_psf`. A file in which one of them is missing is rejected.
    #[serde(default)]
    pub companions: Vec<Companion>,
    /// The unit of the pixels, instead of the header's `BUNIT`: `nJy`, `uJy`, `mJy`, `Jy`, `maggy`, `nanomaggy`. Images in these
    /// units are converted to nJy; images in any other unit keep their values and count as of unknown unit.
    #[serde(default)]
    pub unit: Option<String>,
    /// AB zero points of images in counts, one per band or one for all; the images are converted to nJy.
    #[serde(default)]
    pub zero_point: Option<Vec<f64>>,
    /// Side of a pixel, arcsec, instead of the header's (`PIXSCALE`, `CD` matrix or `CDELT`).
    #[serde(default)]
    #[schemars(range(min = 0.000001))]
    pub pixel_scale_arcsec: Option<f64>,
    /// The header key with the identity of an object. By default `OBJECT`, unless two of the first objects share it (the name of a
    /// field). Where the key is missing, the identity is the path of the file below the folder that `paths` names, without the
    /// ending, and the HDU if the file holds several objects.
    #[serde(default)]
    pub id: Option<String>,
    /// The header key with the class.
    #[serde(default)]
    pub label: Option<String>,
    /// The header key with the right ascension: degrees, or hours as in `10:00:28.6`.
    #[serde(default)]
    pub ra: Option<String>,
    /// The header key with the declination: degrees, also as in `+02:12:21.0`.
    #[serde(default)]
    pub dec: Option<String>,
    /// Further columns from header keys: `{visit: VISIT}`, or with a type `{visit: {key: VISIT, type: integer}}`. By default the
    /// values in the first files decide between numbers (float64), `T`/`F`, and text. Blank, `NaN`, `N/A` and the like are nulls.
    #[serde(default)]
    pub columns: BTreeMap<String, HeaderKey>,
    /// Further columns from a table.
    #[serde(default)]
    pub catalogue: Option<Catalogue>,
    /// The most pixels of an HDU, in units of 2^20; a larger HDU is rejected.
    #[serde(default = "max_megapixels")]
    #[schemars(range(min = 1, max = 16384))]
    pub max_megapixels: u64,
    /// The most that a compressed file may decompress to, MiB; a larger file is rejected.
    #[serde(default = "max_gunzipped_mib")]
    #[schemars(range(min = 1))]
    pub max_gunzipped_mib: u64,
}

fn max_megapixels() -> u64 {
    64
}

fn max_gunzipped_mib() -> u64 {
    1024
}

/// How objects are stored in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Decided by the headers of each file. One image HDU is a `cube`. Several two-dimensional ones are `hdu_per_band` when there
    /// are as many as `bands`, or when their headers name different bands; otherwise they are `hdu_per_object`.
    #[default]
    Auto,
    /// One object per file, in one HDU: `[band, y, x]`, or `[y, x]` for one band.
    Cube,
    /// One object per file, one HDU per band.
    HduPerBand,
    /// One object per image HDU: `[band, y, x]`, or `[y, x]` for one band.
    HduPerObject,
}

/// What to do with an image that has unusable pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Reject the row.
    #[default]
    Reject,
    /// Set the pixels to `fill`.
    Fill,
}

/// A plane that accompanies the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Companion {
    /// HDUs named `VARIANCE`, `VAR` or `UNCERT`; `ERR`, `SIGMA` or `RMS` are squared, `WEIGHT`, `WHT` and `IVAR` inverted.
    Variance,
    /// HDUs named `MASK`, `DQ` or `FLAGS`.
    Mask,
    /// HDUs named `PSF` or `PSFIMAGE`.
    Psf,
}

impl Fits {
    /// Files by their paths, with defaults for all else.
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
            id: None,
            label: None,
            ra: None,
            dec: None,
            columns: BTreeMap::new(),
            catalogue: None,
            max_megapixels: max_megapixels(),
            max_gunzipped_mib: max_gunzipped_mib(),
        }
    }

    pub(super) fn limits(&self) -> Limits {
        Limits { pixels: self.max_megapixels << 20, gunzipped_bytes: self.max_gunzipped_mib << 20 }
    }

    /// Whether a companion is a column.
    pub(super) fn wants(&self, companion: Companion) -> bool {
        self.companions.contains(&companion)
    }
}

impl Settings<dyn Source> for Fits {
    const NAME: &'static str = "fits";

    fn examples() -> &'static [&'static str] {
        &[
            r#"paths: ["${data}/cutouts"]
bands: [g, r, i]
size: 100
label: MORPH
"#,
            r#"paths: ["${data}/visits/*.fits.gz"]
layout: hdu_per_band
bands: [g, r, i]
size: 100
zero_point: [27.0, 27.1, 26.9]
pixel_scale_arcsec: 0.2
companions: [variance, mask, psf]
masked: fill
columns: { visit: { key: VISIT, type: integer } }
catalogue:
  path: "${data}/catalogue.csv"
  key: name
  columns: { label: morphology, magnitude_r: mag_r }
"#,
            r#"paths: ["@${data}/stamps.txt"]
layout: hdu_per_object
bands: [g, r, i]
size: 100
nan: fill
unit: nJy
pixel_scale_arcsec: 0.2
id: NAME
ra: RA
dec: DEC
label: CLASS
"#,
        ]
    }

    fn build(self, _label: &str) -> Result<Box<dyn Source>, Vec<Diagnostic>> {
        let diagnostics = check::check(&self);
        if diagnostics.is_empty() { Ok(Box::new(FitsSource::new(self))) } else { Err(diagnostics) }
    }
}
