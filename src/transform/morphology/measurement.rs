//! The measurement of a batch, once the columns are known.

use arrow::{array::RecordBatch, datatypes::Schema};

use super::{Morphology, Segmentation};
use crate::{
    batch::{ImageLayout, Images, Masks, Unit},
    error::{Code, Diagnostic, Result, quoted_list},
    morphology::{
        self, SegmentedSource, Sky,
        segmentation::{self, Background, FWHM_PIXELS, Threshold},
    },
    transform::{
        diagnostics::{check_variance, image_layout, unknown_pixel_scale},
        image_planes::ImagePlaneRole,
        quantity::{BoundQuantity, Quantity, QuantityRules, QuantityValues},
    },
};

/// The default threshold, in standard deviations of the sky.
const SIGMA: f64 = 1.5;
/// The default threshold of images without noise: about as far out as ten years of LSST detect.
const LIGHT_SHARE: f64 = 0.8;
/// The flag of statmorph when nothing could be measured.
const FLAG_CATASTROPHIC: u8 = 4;

/// For each row its measurements, band after band.
type MeasuredRows = Vec<Vec<morphology::Morphology>>;
/// Rows that cannot be measured, and why.
type UnmeasuredRows = Vec<(usize, String)>;

/// The columns that are read, and the quantities.
#[derive(Clone)]
pub(super) struct MorphologyBound {
    image: String,
    layout: ImageLayout,
    /// The indices of the bands to measure.
    bands: Vec<usize>,
    mask: Option<String>,
    variance: Option<String>,
    segmentation: Option<Segmentation>,
    /// Whether the segmentation maps have one plane for all bands.
    one_map: bool,
    sky_sigma: Option<BoundQuantity>,
    gain: BoundQuantity,
    psf_fwhm_arcsec: Option<BoundQuantity>,
    subtract_background: bool,
}

impl MorphologyBound {
    pub(super) fn new(
        settings: &Morphology,
        input: &Schema,
        layout: ImageLayout,
        bands: Vec<usize>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut mistakes = Vec::new();
        let mut one_map = false;
        if let Some(Segmentation::Column(column)) = &settings.segmentation {
            match has_one_plane(input, column, &layout, &settings.image) {
                Ok(one) => one_map = one,
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if settings.psf_fwhm_arcsec.is_some() && layout.pixel_scale_arcsec.is_none_or(|scale| scale <= 0.0) {
            let mistake = unknown_pixel_scale("psf_fwhm_arcsec", &settings.image);
            mistakes.push(mistake.help("set `pixel_scale_arcsec` in the source"));
        }
        let mut bind = |quantity: Option<&Quantity>, key, default: f64, off, range| {
            let default = vec![default; layout.bands.len()];
            let rules = QuantityRules { key, bands: &layout.bands, default, off: Some(off), range };
            rules.bind(quantity, input).map_err(|found| mistakes.extend(found)).ok()
        };
        let electrons = if layout.unit == Unit::Electron { 1.0 } else { f64::INFINITY };
        let gain = bind(settings.gain.as_ref(), "gain", electrons, f64::INFINITY, f64::MIN_POSITIVE..=f64::MAX);
        let sky = settings.sky_sigma.as_ref();
        let sky_sigma = sky.and_then(|sky| bind(Some(sky), "sky_sigma", f64::NAN, 0.0, 0.0..=f64::MAX));
        let psf = settings.psf_fwhm_arcsec.as_ref();
        let psf_fwhm_arcsec = psf.and_then(|psf| bind(Some(psf), "psf_fwhm_arcsec", 0.0, 0.0, 0.0..=1000.0));
        let Some(gain) = gain.filter(|_| mistakes.is_empty()) else { return Err(mistakes) };
        let companion = |role: ImagePlaneRole| {
            let found = role.find(input, &settings.image)?;
            let shape = |layout: &ImageLayout| (layout.bands.len(), layout.height, layout.width);
            (shape(&found) == shape(&layout)).then(|| (role.column(&settings.image), found))
        };
        let variance = companion(ImagePlaneRole::Variance).filter(|_| settings.gain.is_none());
        if let Some((name, found)) = &variance {
            check_variance("image", name, found, &layout).map_err(|mistake| vec![mistake])?;
        }
        Ok(Self {
            image: settings.image.clone(),
            mask: companion(ImagePlaneRole::Mask).map(|(name, _)| name),
            variance: variance.map(|(name, _)| name),
            segmentation: settings.segmentation.clone(),
            one_map,
            sky_sigma,
            gain,
            psf_fwhm_arcsec,
            subtract_background: settings.subtract_background,
            layout,
            bands,
        })
    }

    /// The companions of the image that are read.
    pub(super) fn companions(&self) -> impl Iterator<Item = &String> {
        self.mask.iter().chain(&self.variance)
    }

    /// Measures every row, and returns those whose columns are null or out of range separately.
    pub(super) fn measure(&self, batch: &RecordBatch) -> Result<(MeasuredRows, UnmeasuredRows)> {
        let inputs = self.read(batch)?;
        let (mut rows, mut bad) = (Vec::with_capacity(batch.num_rows()), Vec::new());
        for row in 0..batch.num_rows() {
            let measure = |band: &usize| self.measure_band(&inputs, row, *band);
            match self.bands.iter().map(measure).collect::<Result<Vec<_>, String>>() {
                Ok(measured) => rows.push(measured),
                Err(reason) => {
                    bad.push((row, reason));
                    rows.push(vec![morphology::Morphology::default(); self.bands.len()]);
                }
            }
        }
        Ok((rows, bad))
    }

    fn read<'a>(&'a self, batch: &'a RecordBatch) -> Result<MorphologyInputs<'a>> {
        Ok(MorphologyInputs {
            image: Images::of(batch, &self.image)?,
            mask: self.mask.as_ref().map(|column| Masks::of(batch, column)).transpose()?,
            variance: self.variance.as_ref().map(|column| Images::of(batch, column)).transpose()?,
            map: match &self.segmentation {
                Some(Segmentation::Column(column)) => Some(SegmentMaps::of(batch, column)?),
                _ => None,
            },
            sky_sigma: self.sky_sigma.as_ref().map(|sky| sky.read(batch)).transpose()?,
            gain: self.gain.read(batch)?,
            psf_fwhm_arcsec: self.psf_fwhm_arcsec.as_ref().map(|psf| psf.read(batch)).transpose()?,
        })
    }

    fn measure_band(
        &self,
        inputs: &MorphologyInputs,
        row: usize,
        band: usize,
    ) -> Result<morphology::Morphology, String> {
        let (height, width) = (self.layout.height, self.layout.width);
        let subtracted: Vec<f32>;
        let mut image = inputs.image.plane(row, band);
        if self.subtract_background {
            let median = segmentation::background(image).median;
            subtracted = image.iter().map(|value| (f64::from(*value) - median) as f32).collect();
            image = &subtracted;
        }
        let sky = match &inputs.sky_sigma {
            None => Sky::Measured,
            Some(sigma) => match sigma.get(row, band)? {
                0.0 => Sky::None,
                sigma => Sky::Known(sigma),
            },
        };
        let gain = inputs.gain.get(row, band)?;
        let psf_fwhm_pixels = match (&inputs.psf_fwhm_arcsec, self.layout.pixel_scale_arcsec) {
            (Some(fwhm), Some(scale)) => Some(fwhm.get(row, band)? / scale).filter(|fwhm| *fwhm > 0.0),
            _ => None,
        };
        let segments = match &inputs.map {
            Some(map) => map.plane(row, if self.one_map { 0 } else { band }),
            None => self.detect(image, sky, psf_fwhm_pixels),
        };
        let Some(label) = segmentation::central(&segments, width) else {
            return Ok(morphology::Morphology { flag: FLAG_CATASTROPHIC, ..morphology::Morphology::default() });
        };
        let bad = |bits: &u64| if *bits == 0 { 0.0 } else { 1.0 };
        let mask: Option<Vec<f32>> = inputs.mask.as_ref().map(|mask| mask.plane(row, band).iter().map(bad).collect());
        let variance = inputs.variance.as_ref().map(|variance| variance.plane(row, band).to_vec());
        Ok(morphology::measure(&SegmentedSource {
            image,
            height,
            width,
            segments: &segments,
            label,
            mask: mask.as_deref(),
            variance: variance.as_deref(),
            gain: Some(gain).filter(|gain| gain.is_finite()),
            sky,
            psf_fwhm_pixels,
        }))
    }

    /// The segmentation map of a plane: 0 for the sky, a number for each source.
    fn detect(&self, image: &[f32], sky: Sky, psf_fwhm_pixels: Option<f64>) -> Vec<u32> {
        let background = match sky {
            Sky::Measured => segmentation::background(image),
            Sky::Known(sigma) => Background { median: 0.0, sigma },
            Sky::None => Background { median: 0.0, sigma: 0.0 },
        };
        let threshold = match self.segmentation {
            Some(Segmentation::Sigma(sigma)) => Threshold::Sigma(sigma),
            Some(Segmentation::LightShare(share)) => Threshold::LightShare(share),
            _ if sky == Sky::None => Threshold::LightShare(LIGHT_SHARE),
            _ => Threshold::Sigma(SIGMA),
        };
        let fwhm_pixels = psf_fwhm_pixels.unwrap_or(FWHM_PIXELS);
        segmentation::segments(image, self.layout.width, background, threshold, fwhm_pixels)
    }
}

/// The columns of a batch that are read.
struct MorphologyInputs<'a> {
    image: Images<'a>,
    mask: Option<Masks<'a>>,
    variance: Option<Images<'a>>,
    map: Option<SegmentMaps<'a>>,
    sky_sigma: Option<QuantityValues<'a>>,
    gain: QuantityValues<'a>,
    psf_fwhm_arcsec: Option<QuantityValues<'a>>,
}

/// Segmentation maps: of numbers, or of the integers of a mask.
enum SegmentMaps<'a> {
    Numbers(Images<'a>),
    Integers(Masks<'a>),
}

impl<'a> SegmentMaps<'a> {
    fn of(batch: &'a RecordBatch, column: &str) -> Result<Self> {
        let is_mask =
            batch.schema_ref().field_with_name(column).is_ok_and(|field| ImageLayout::of_masks(field).is_some());
        if is_mask {
            Masks::of(batch, column).map(Self::Integers)
        } else {
            Images::of(batch, column).map(Self::Numbers)
        }
    }

    /// The label of every pixel of a plane: 0 for the sky.
    fn plane(&self, row: usize, band: usize) -> Vec<u32> {
        match self {
            Self::Numbers(maps) => maps.plane(row, band).iter().map(|label| label.round() as u32).collect(),
            Self::Integers(maps) => {
                maps.plane(row, band).iter().map(|label| u32::try_from(*label).unwrap_or(u32::MAX)).collect()
            }
        }
    }
}

/// Checks a column of segmentation maps. Returns whether the maps have one plane for all bands.
fn has_one_plane(input: &Schema, column: &str, image: &ImageLayout, name: &str) -> Result<bool, Diagnostic> {
    let key = "segmentation.column";
    let masks = input.field_with_name(column).ok().and_then(ImageLayout::of_masks);
    let found = masks.map_or_else(|| image_layout(input, key, column), Ok)?;
    let wrong = |message| Err(Diagnostic::at(key, Code::WrongColumn, message));
    let (h, w, height, width) = (found.height, found.width, image.height, image.width);
    if (h, w) != (height, width) {
        return wrong(format!("`{column}` is {h}x{w} pixels, expected {height}x{width} as in `{name}`"));
    }
    if found.bands.len() != 1 && found.bands != image.bands {
        let (found, expected) = (quoted_list(&found.bands), quoted_list(&image.bands));
        return wrong(format!("`{column}` has the bands {found}; expected {expected}, or one for all"));
    }
    Ok(found.bands.len() == 1)
}
