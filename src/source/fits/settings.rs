//! The settings of `fits`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Axis, Bands, Catalogue, FitsSource, HeaderKey, MaskPlane, NumbersOrKey, check};
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
    #[schemars(extend("format" = "path"))]
    pub paths: Vec<String>,
    /// How objects are stored in a file.
    #[serde(default)]
    pub layout: Layout,
    /// The names of files for `layout: file_per_band`: `"{object}_{band}.fits"`, `"{band}/{object}.fits"`. Files of other names are left
    /// out.
    #[serde(default)]
    pub pattern: Option<String>,
    /// The HDUs that hold the images, by `EXTNAME` or by number (0 is the primary HDU), in the order of the objects or bands. By
    /// default only those that surely hold images: by `EXTTYPE`, `IMAGETYP` or a name such as `SCI`, `IMAGE`, `SCI_G` or that of a
    /// band, else the primary HDU and those without a name. What is left out is reported once.
    #[serde(default, deserialize_with = "numbers_as_text")]
    #[schemars(with = "Option<Vec<HduReference>>")]
    pub hdu: Option<Vec<String>>,
    /// The axes of the image HDUs, slowest first: `[y, x, band]`, `[band, single, y, x]`. By default `[y, x]`, `[band, y, x]` or
    /// `[object, band, y, x]`; a shape that can be read in two ways is refused.
    #[serde(default)]
    pub axes: Option<Vec<Axis>>,
    /// The bands to read, in this order: `[g, r]`, or with the names that files have for them, `{ g: HSC-G, r: [HSC-R, HSC-R2] }`.
    /// They are selected by name, in any case, where the header names its bands (`BANDS`, `BAND0`; `BAND`, `FILTER`, `PUPIL` or
    /// `EXTNAME` of an HDU per band); otherwise the file must have as many planes. By default the bands of the first file.
    #[serde(default)]
    pub bands: Option<Bands>,
    /// Side of the images, pixels. Larger images are cropped, smaller ones are padded as `pad` says; pixel n/2 stays pixel n/2. By
    /// default the size of the first image, which all images must then have.
    #[serde(default)]
    #[schemars(range(min = 1, max = 8192))]
    pub size: Option<usize>,
    /// What to do with an image that is smaller than `size`. By default `fill` if the first image is, which marks the padding in
    /// `image_mask`; otherwise `reject`.
    #[serde(default)]
    pub pad: Option<Policy>,
    /// What to do with an image that has pixels without data after cropping: NaN, infinite, `BLANK`, one of `blank`, or with a
    /// weight of 0. Filled pixels are marked in `image_mask`.
    #[serde(default)]
    pub nan: Policy,
    /// Finite numbers that stand for pixels without data, as they are in the file: `[0, -999]`. By default -9999, -99999 and whatever is
    /// beyond 1e18, which surveys write for no data; `[]` for none.
    #[serde(default)]
    pub blank: Option<Vec<f64>>,
    /// What to do with an image that has a band without information: all pixels equal, or none with data.
    #[serde(default)]
    pub empty_band: EmptyBand,
    /// What to do with an image that has masked pixels. By default the mask is ignored.
    #[serde(default)]
    pub masked: Option<Policy>,
    /// The planes of the mask whose pixels do not count, by name (`[BAD, SAT, CR, NO_DATA]`) or by the number of their bit. By
    /// default all but those that only inform, such as `DETECTED`.
    #[serde(default)]
    pub bad: Option<Vec<MaskPlane>>,
    /// The same as the sum of the bits, for masks whose planes have no names.
    #[serde(default)]
    pub mask_bits: Option<u64>,
    /// The value of filled and padded pixels.
    #[serde(default)]
    pub fill: f32,
    /// Planes to read beside the image: `image_variance` (squared unit of the image), `image_mask` (integers: 0 is a pixel that
    /// counts, others have the bits of their planes; padded and filled pixels have bit 0) and `image_psf`. A file in which one of
    /// them is missing is rejected. `image_mask` is made as well whenever pixels may not count.
    #[serde(default)]
    pub companions: Vec<Companion>,
    /// Whether to keep where the pixels lie on the sky, as the column `image_wcs`: right ascension and declination of the centre of
    /// the image, and the matrix `CD1_1`, `CD1_2`, `CD2_1`, `CD2_2`, in degrees. The sink `fits` writes them into its headers.
    #[serde(default)]
    pub wcs: bool,
    /// The unit of the pixels, instead of the header's `BUNIT`: a number times a unit, such as `nJy`, `10 nanoJansky`, `nanomaggy`,
    /// `MJy/sr`, `electron`, `adu`. Fluxes and surface brightnesses are converted to nJy; images in any other unit keep their values
    /// and count as of unknown unit. With a unit, zero points in the header do not count.
    #[serde(default)]
    pub unit: Option<String>,
    /// AB zero points of images in counts, one per band or one for all, or the header keys that hold them
    /// (`{ key: MAGZERO }`); the images are converted to nJy. By default the keys `MAGZERO`, `MAGZP`, `PHOTZP` and `FLUXMAG0` of
    /// images without a unit of flux.
    #[serde(default)]
    pub zero_point: Option<NumbersOrKey>,
    /// The same as the counts of AB magnitude 0: `{ key: FLUXMAG0 }`.
    #[serde(default)]
    pub flux_at_zero_magnitude: Option<NumbersOrKey>,
    /// Side of a pixel, arcsec, instead of the header's (world coordinates or `PIXSCALE`).
    #[serde(default)]
    #[schemars(range(min = 0.000001))]
    pub pixel_scale_arcsec: Option<f64>,
    /// The header key with the identity of an object, by default `OBJECT`. Of objects that share it (the name of a field) the first
    /// keeps it, and the others have the name of their file in it: `COSMOS@b`. Where the key is missing, the identity is the path of the file below the folder that `paths` names, without the
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
    /// One object in a file for each of `bands`, as HSC, DES, Pan-STARRS, Euclid and Rubin give cutouts. Files belong together by
    /// `pattern`, by the keys of the object (`id`) and its band, or, if neither is set, by their names without the band. An object
    /// that lacks the file of a band is rejected.
    FilePerBand,
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

/// What to do with an image that has a band without information.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmptyBand {
    /// Reject the row.
    #[default]
    Reject,
    /// Keep it.
    Keep,
}

/// An HDU, for the schema of `hdu`.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "a type for its schema")]
pub(in crate::source) enum HduReference {
    /// Its number.
    Number(usize),
    /// Its `EXTNAME`.
    Name(String),
}

/// Names, or numbers that are kept as text.
pub(in crate::source) fn numbers_as_text<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum NumberOrName {
        Number(usize),
        Name(String),
    }
    let references = Option::<Vec<NumberOrName>>::deserialize(from)?;
    let text = |reference| match reference {
        NumberOrName::Number(number) => number.to_string(),
        NumberOrName::Name(name) => name,
    };
    Ok(references.map(|references| references.into_iter().map(text).collect()))
}

/// A plane that accompanies the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Companion {
    /// HDUs named `VARIANCE` or `VAR`; `ERR`, `SIGMA` or `RMS` are squared, `WEIGHT`, `WHT` and `IVAR` inverted; `UNCERT` as its
    /// `UTYPE` says. They belong to the image with the same band or number in its name, or the same `EXTVER`.
    Variance,
    /// HDUs named `MASK`, `MSK`, `DQ` or `FLAGS`; two for one image are joined, the second with bits 32 to 63.
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
            pattern: None,
            hdu: None,
            axes: None,
            bands: None,
            size: None,
            pad: None,
            nan: Policy::Reject,
            blank: None,
            empty_band: EmptyBand::Reject,
            masked: None,
            bad: None,
            mask_bits: None,
            fill: 0.0,
            companions: Vec::new(),
            wcs: false,
            unit: None,
            zero_point: None,
            flux_at_zero_magnitude: None,
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

    pub(in crate::source) fn limits(&self) -> Limits {
        Limits { pixels: self.max_megapixels << 20, gunzipped_bytes: self.max_gunzipped_mib << 20 }
    }

    /// Whether a companion of the file is a column.
    pub(super) fn wants(&self, companion: Companion) -> bool {
        self.companions.contains(&companion)
    }

    /// Whether the mask of the file is read.
    pub(in crate::source) fn reads_mask(&self) -> bool {
        self.wants(Companion::Mask) || self.masked.is_some() || self.bad.is_some()
    }

    /// Whether the settings let pixels be filled, or read a mask, so that there is a column of masks.
    pub(super) fn marks_pixels(&self) -> bool {
        self.wants(Companion::Mask)
            || self.bad.is_some()
            || [Some(self.nan), self.masked, self.pad].contains(&Some(Policy::Fill))
    }

    /// The settings that say what a count is, with their names; at most one is given.
    pub(super) fn photometry(&self) -> impl Iterator<Item = (&'static str, &NumbersOrKey)> {
        let settings = [("zero_point", &self.zero_point), ("flux_at_zero_magnitude", &self.flux_at_zero_magnitude)];
        settings.into_iter().filter_map(|(name, setting)| Some((name, setting.as_ref()?)))
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
bad: [BAD, SAT, CR]
columns: { visit: { key: VISIT, type: integer } }
catalogue:
  path: "${data}/catalogue.csv"
  key: name
  columns: { label: morphology, magnitude_r: mag_r }
"#,
            r#"paths: ["${data}/coadds"]
hdu: [SCI_G, SCI_R]
bands: { g: HSC-G, r: [HSC-R, HSC-R2] }
flux_at_zero_magnitude: { key: FLUXMAG0 }
blank: [-999, -9999]
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
