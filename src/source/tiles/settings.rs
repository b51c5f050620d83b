//! The settings of `tiles`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ImageList, PositionCatalogue, TilesSource, check, companion_files::CompanionKind};
use crate::{
    error::Diagnostic,
    source::fits::{
        Bands, Companion, EmptyBand, Fits, Layout, MaskPlane, NumbersOrKey, Policy,
        companions::VarianceForm,
        pixel_planes::PixelRules,
        settings::{HduReference, numbers_as_text},
    },
    stage::{Settings, Source},
};

/// The key with the exposure of a tile, unless `exposure_key` names another.
const EXPOSURE_KEY: &str = "EXPTIME";

/// Cutouts around the positions of a catalogue, from large images of a survey (tiles) in FITS, plain or tile-compressed, by their
/// world coordinates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tiles {
    /// The table with the positions. Each of its rows is an object.
    pub catalogue: PositionCatalogue,
    /// The bands of the cutouts, in this order: `[g, r]`, or with the names that files have for them, `{ g: HSC-G, r: [HSC-R, HSC-R2] }`.
    /// A tile whose header names another band is a mistake.
    pub bands: Bands,
    /// The tiles of each band: files, folders (their `.fits`, `.fit`, `.fts` and `.fz` files, with subfolders), patterns (`*`, `?`,
    /// `[..]`, `**`), or text files that list any of these, one per line (`@list.txt`). Each image of a file is a tile. A cube can be
    /// named for several bands if its header names its planes. Files that are compressed as a whole (gzip, bzip2, xz) are mistakes:
    /// their sections cannot be read.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub images: BTreeMap<String, Vec<String>>,
    /// A table with the tiles of all bands, and of their masks, variances and weights in files of their own, instead of `images`.
    #[serde(default)]
    pub image_list: Option<ImageList>,
    /// The HDUs that hold the images, by `EXTNAME` or by number (0 is the primary HDU). By default those that surely hold images, as
    /// in the source `fits`.
    #[serde(default, deserialize_with = "numbers_as_text")]
    #[schemars(with = "Option<Vec<HduReference>>")]
    pub hdu: Option<Vec<String>>,
    /// Side of the cutouts, pixels. They have whole pixels of the tile: along an axis the first one is the smallest at or above the
    /// position minus `size` / 2, as in `Cutout2D` of astropy.
    #[schemars(range(min = 1, max = 8192))]
    pub size: usize,
    /// What to do with a cutout that reaches beyond the edge of its tile. A position in no tile of a band is a reject in any case.
    #[serde(default)]
    pub edge: EdgeRule,
    /// The tile to cut from where several have the position. One that has the whole cutout comes before one that has a part of it.
    #[serde(default)]
    pub overlap: OverlapRule,
    /// The header key with the depth of a tile for `overlap: deepest`: an exposure time, a number of exposures, any number that grows
    /// with the depth. By default `EXPTIME`.
    #[serde(default)]
    pub exposure_key: Option<String>,
    /// What to do with a cutout that has pixels without data: NaN, infinite, `BLANK`, one of `blank`, or with a weight of 0. Filled
    /// pixels are marked in `image_mask`.
    #[serde(default)]
    pub nan: Policy,
    /// Finite numbers that stand for pixels without data, as they are in the file: `[0, -999]`. By default -9999, -99999 and whatever is
    /// beyond 1e18; `[]` for none.
    #[serde(default)]
    pub blank: Option<Vec<f64>>,
    /// What to do with a cutout that has a band without information: all pixels equal, or none with data.
    #[serde(default)]
    pub empty_band: EmptyBand,
    /// What to do with a cutout that has masked pixels. By default the mask is ignored.
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
    /// Planes to read beside the image, from HDUs of the same file unless `masks`, `variances`, `weights` or `psfs` name others:
    /// `image_variance` (squared unit of the image), `image_mask`
    /// (integers: 0 is a pixel that counts, others have the bits of their planes; padded and filled pixels have bit 0) and `image_psf`
    /// (the PSF of the tile in each band, in the pixels of the image: one for all positions of the tile, or by PSFEx that at the
    /// position of the object). A tile in which one of them is missing is a mistake. `image_mask` is made as well whenever pixels may not count.
    #[serde(default)]
    pub companions: Vec<Companion>,
    /// Whether to keep where the pixels lie on the sky, as the column `image_wcs`: right ascension and declination of the centre of
    /// the image, and the matrix `CD1_1`, `CD1_2`, `CD2_1`, `CD2_2`, in degrees. The sink `fits` writes them into its headers.
    #[serde(default)]
    pub wcs: bool,
    /// Files with the masks of the tiles of each band, as `images` names files, instead of HDUs of the same file: the first one
    /// belongs to the first file of `images`, and so on. An HDU belongs to the one of the same name, or at the same place. One with
    /// another shape, other world coordinates, or of another exposure (`EXPNUM`, `EXPID`, `OBSID`, `DATE-OBS`) is a mistake.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub masks: BTreeMap<String, Vec<String>>,
    /// The same with variances.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub variances: BTreeMap<String, Vec<String>>,
    /// The same with weights, the inverse of a variance.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub weights: BTreeMap<String, Vec<String>>,
    /// The same with PSFs: images of any one shape, or files of PSFEx (`["psf/*.psf"]`, with a table `PSF_DATA` for each image of
    /// a file, in their order), by which each cutout has the PSF at the position of its object, centred on the middle pixel, with the sum 1.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub psfs: BTreeMap<String, Vec<String>>,
    /// The unit of the pixels, instead of the header's `BUNIT`: a number times a unit, such as `nJy`, `10 nanoJansky`, `nanomaggy`,
    /// `MJy/sr`, `electron`, `adu`. Fluxes and surface brightnesses are converted to nJy; images in any other unit keep their values
    /// and count as of unknown unit. With a unit, zero points in the header do not count.
    #[serde(default)]
    pub unit: Option<String>,
    /// AB zero points of images in counts, one per band or one for all, or the header keys that hold them
    /// (`{ key: MAGZERO }`); the images are converted to nJy. By default the keys `MAGZERO`, `MAGZP`, `PHOTZP` and `FLUXMAG0` of
    /// each tile without a unit of flux.
    #[serde(default)]
    pub zero_point: Option<NumbersOrKey>,
    /// The same as the counts of AB magnitude 0: `{ key: FLUXMAG0 }`.
    #[serde(default)]
    pub flux_at_zero_magnitude: Option<NumbersOrKey>,
    /// Side of a pixel, arcsec, instead of the nominal one of the header. It may differ from that of the world coordinates by 3 %.
    #[serde(default)]
    #[schemars(range(min = 0.000001))]
    pub pixel_scale_arcsec: Option<f64>,
}

/// What to do with a cutout that reaches beyond the edge of its tile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EdgeRule {
    /// Reject the row.
    #[default]
    Reject,
    /// Set the pixels beyond the edge to `fill`, and mark them in `image_mask`.
    Pad,
}

/// The tile to cut from where several have a position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverlapRule {
    /// The one whose centre is nearest on the sky; of several at one distance the first one in `images`.
    #[default]
    NearestCentre,
    /// The one with the largest number under `exposure_key`; of several with one number that with the nearest centre.
    Deepest,
}

/// A setting that names files of companions.
pub(super) struct CompanionSetting<'a> {
    pub(super) kind: CompanionKind,
    pub(super) name: &'static str,
    /// By band.
    pub(super) files: &'a BTreeMap<String, Vec<String>>,
}

impl Tiles {
    /// Cutouts of some bands, with the tiles of each, and defaults for all else.
    pub fn new<B: Into<String>, P: Into<String>>(
        catalogue: PositionCatalogue,
        images: impl IntoIterator<Item = (B, Vec<P>)>,
        size: usize,
    ) -> Self {
        let named = images.into_iter().map(|(band, paths)| (band.into(), paths.into_iter().map(Into::into).collect()));
        let named: Vec<(String, Vec<String>)> = named.collect();
        Self {
            catalogue,
            bands: named.iter().map(|(band, _)| band.clone()).collect::<Vec<_>>().into(),
            images: named.into_iter().collect(),
            image_list: None,
            hdu: None,
            size,
            edge: EdgeRule::Reject,
            overlap: OverlapRule::NearestCentre,
            exposure_key: None,
            nan: Policy::Reject,
            blank: None,
            empty_band: EmptyBand::Reject,
            masked: None,
            bad: None,
            mask_bits: None,
            fill: 0.0,
            companions: Vec::new(),
            wcs: false,
            masks: BTreeMap::new(),
            variances: BTreeMap::new(),
            weights: BTreeMap::new(),
            psfs: BTreeMap::new(),
            unit: None,
            zero_point: None,
            flux_at_zero_magnitude: None,
            pixel_scale_arcsec: None,
        }
    }

    /// The settings with which the files of a band are read as images of the source `fits`.
    pub(super) fn of_band(&self, band: usize) -> Fits {
        let of_band = |setting: &Option<NumbersOrKey>| setting.as_ref().map(|setting| setting.of_band(band));
        let (has_masks, all) = (!self.masks.is_empty(), self.as_fits());
        let in_same_file = |companion: &Companion| match companion {
            Companion::Mask => !has_masks,
            Companion::Variance => self.variances.is_empty() && self.weights.is_empty(),
            Companion::Psf => self.psfs.is_empty(),
        };
        Fits {
            companions: self.companions.iter().copied().filter(in_same_file).collect(),
            masked: all.masked.filter(|_| !has_masks),
            bad: all.bad.clone().filter(|_| !has_masks),
            mask_bits: all.mask_bits.filter(|_| !has_masks),
            bands: Some(self.bands.single(band)),
            zero_point: of_band(&self.zero_point),
            flux_at_zero_magnitude: of_band(&self.flux_at_zero_magnitude),
            ..all
        }
    }

    /// What these settings have in common with those of the source `fits`.
    pub(super) fn as_fits(&self) -> Fits {
        Fits {
            layout: Layout::HduPerObject,
            hdu: self.hdu.clone(),
            bands: Some(self.bands.clone()),
            nan: self.nan,
            blank: self.blank.clone(),
            empty_band: self.empty_band,
            masked: self.masked,
            bad: self.bad.clone(),
            mask_bits: self.mask_bits,
            fill: self.fill,
            companions: self.companions.clone(),
            unit: self.unit.clone(),
            zero_point: self.zero_point.clone(),
            flux_at_zero_magnitude: self.flux_at_zero_magnitude.clone(),
            pixel_scale_arcsec: self.pixel_scale_arcsec,
            ..Fits::new(Vec::<String>::new())
        }
    }

    /// What to do with pixels that do not count.
    pub(super) fn pixel_rules(&self) -> PixelRules<'_> {
        let Self { nan, blank, empty_band, masked, fill, .. } = self;
        PixelRules { nan: *nan, blank: blank.as_deref(), empty_band: *empty_band, masked: *masked, fill: *fill }
    }

    /// Whether a companion is a column.
    pub(super) fn wants(&self, companion: Companion) -> bool {
        self.companions.contains(&companion)
    }

    /// The settings that name files of companions.
    pub(super) fn companion_files(&self) -> [CompanionSetting<'_>; 4] {
        let setting = |kind, name, files| CompanionSetting { kind, name, files };
        [
            setting(CompanionKind::Mask, "masks", &self.masks),
            setting(CompanionKind::Variance(VarianceForm::Variance), "variances", &self.variances),
            setting(CompanionKind::Variance(VarianceForm::Inverse), "weights", &self.weights),
            setting(CompanionKind::Psf, "psfs", &self.psfs),
        ]
    }

    /// Whether there is a column of masks: pixels may not count.
    pub(super) fn marks_pixels(&self) -> bool {
        self.wants(Companion::Mask)
            || self.bad.is_some()
            || self.edge == EdgeRule::Pad
            || [Some(self.nan), self.masked].contains(&Some(Policy::Fill))
    }

    /// The header key with the depth, if tiles are chosen by it.
    pub(super) fn depth_key(&self) -> Option<&str> {
        let key = self.exposure_key.as_deref().unwrap_or(EXPOSURE_KEY);
        (self.overlap == OverlapRule::Deepest).then_some(key)
    }
}

impl Settings<dyn Source> for Tiles {
    const NAME: &'static str = "tiles";

    fn examples() -> &'static [&'static str] {
        &[
            r#"catalogue: { path: "${data}/positions.csv", id: name, ra: RA, dec: DEC, columns: { label: morphology } }
bands: [g, r]
images:
  g: ["${data}/tiles/*_g.fits"]
  r: ["${data}/tiles/*_r.fits"]
size: 12
"#,
            r#"catalogue: { path: "${data}/positions.csv", id: name, ra: RA, dec: DEC }
bands: { r: DES-R }
images: { r: ["${data}/tiles/*_r.fits"] }
size: 21
edge: pad
overlap: deepest
nan: fill
companions: [variance, mask]
bad: [0, 1]
zero_point: { key: ZP }
unit: adu
"#,
        ]
    }

    fn build(self, _label: &str) -> Result<Box<dyn Source>, Vec<Diagnostic>> {
        let diagnostics = check::check(&self);
        if diagnostics.is_empty() { Ok(Box::new(TilesSource::new(self))) } else { Err(diagnostics) }
    }
}
