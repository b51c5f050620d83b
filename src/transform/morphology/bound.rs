//! What `morphology` does with a batch once it knows its columns.

use arrow::{array::RecordBatch, datatypes::Schema};

use super::{Morphology, Segmentation};
use crate::{
    batch::{ImageLayout, Images, Unit},
    error::{Code, Diagnostic, Result},
    morphology::{
        self, SegmentedSource, Sky,
        segmentation::{self, Background, FWHM_PIXELS, Threshold},
    },
    transform::{
        Part,
        quantity::{self, Numbers, Quantity, Rules},
    },
};

/// The threshold when nothing is said.
const SIGMA: f64 = 1.5;
/// The same of images without noise: about as far out as ten years of LSST see.
const LIGHT_SHARE: f64 = 0.8;

/// For each row what was measured, band after band.
type Measured = Vec<Vec<morphology::Morphology>>;
/// Rows that cannot be measured, and why.
type Rejected = Vec<(usize, String)>;

#[derive(Clone)]
pub(super) struct Bound {
    image: String,
    layout: ImageLayout,
    bands: Vec<usize>,
    mask: Option<String>,
    variance: Option<String>,
    segmentation: Option<Segmentation>,
    /// Whether the maps have one plane for all bands.
    one_map: bool,
    sky_sigma: Option<quantity::Bound>,
    gain: quantity::Bound,
    psf_fwhm_arcsec: Option<quantity::Bound>,
    subtract_background: bool,
}

impl Bound {
    pub(super) fn new(
        settings: &Morphology,
        input: &Schema,
        layout: ImageLayout,
        bands: Vec<usize>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut mistakes = Vec::new();
        let mut one_map = false;
        if let Some(Segmentation::Column(column)) = &settings.segmentation {
            match map(input, column, &layout, &settings.image) {
                Ok(one) => one_map = one,
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if settings.psf_fwhm_arcsec.is_some() && layout.pixel_scale_arcsec.is_none_or(|scale| scale <= 0.0) {
            let message = format!("the pixel scale of image `{}` is not known", settings.image);
            let mistake = Diagnostic::at("psf_fwhm_arcsec", Code::WrongColumn, message);
            mistakes.push(mistake.help("set `pixel_scale_arcsec` in the source"));
        }
        let mut bind = |quantity: Option<&Quantity>, key, default: f64, off, range| {
            let default = vec![default; layout.bands.len()];
            let rules = Rules { key, bands: &layout.bands, default, off: Some(off), range };
            quantity::bind(quantity, &rules, input).map_err(|wrong| mistakes.extend(wrong)).ok()
        };
        let electrons = if layout.unit == Unit::Electron { 1.0 } else { f64::INFINITY };
        let gain = bind(settings.gain.as_ref(), "gain", electrons, f64::INFINITY, f64::MIN_POSITIVE..=f64::MAX);
        let sky = settings.sky_sigma.as_ref();
        let sky_sigma = sky.and_then(|sky| bind(Some(sky), "sky_sigma", f64::NAN, 0.0, 0.0..=f64::MAX));
        let psf = settings.psf_fwhm_arcsec.as_ref();
        let psf_fwhm_arcsec = psf.and_then(|psf| bind(Some(psf), "psf_fwhm_arcsec", 0.0, 0.0, 0.0..=1000.0));
        let Some(gain) = gain.filter(|_| mistakes.is_empty()) else { return Err(mistakes) };
        let companion = |part: Part, bands: usize| {
            let name = part.column(&settings.image);
            let found = ImageLayout::of(input.field_with_name(&name).ok()?)?;
            let fits = (found.bands.len(), found.height, found.width) == (bands, layout.height, layout.width);
            fits.then_some(name)
        };
        let variance = companion(Part::Variance, layout.bands.len()).filter(|_| settings.gain.is_none());
        Ok(Self {
            image: settings.image.clone(),
            mask: companion(Part::Mask, layout.bands.len()),
            variance,
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

    /// The columns found beside the image.
    pub(super) fn companions(&self) -> impl Iterator<Item = &String> {
        self.mask.iter().chain(&self.variance)
    }

    /// For each row what was measured, band after band; and the rows that a column has no number for.
    pub(super) fn measure(&self, batch: &RecordBatch) -> Result<(Measured, Rejected)> {
        let columns = Columns {
            image: Images::of(batch, &self.image)?,
            mask: self.mask.as_ref().map(|column| Images::of(batch, column)).transpose()?,
            variance: self.variance.as_ref().map(|column| Images::of(batch, column)).transpose()?,
            map: match &self.segmentation {
                Some(Segmentation::Column(column)) => Some(Images::of(batch, column)?),
                _ => None,
            },
            sky_sigma: self.sky_sigma.as_ref().map(|sky| sky.read(batch)).transpose()?,
            gain: self.gain.read(batch)?,
            psf: self.psf_fwhm_arcsec.as_ref().map(|psf| psf.read(batch)).transpose()?,
        };
        let (mut rows, mut bad) = (Vec::with_capacity(batch.num_rows()), Vec::new());
        for row in 0..batch.num_rows() {
            let of_band = |band: &usize| self.of_band(&columns, row, *band);
            match self.bands.iter().map(of_band).collect::<Result<Vec<_>, String>>() {
                Ok(measured) => rows.push(measured),
                Err(reason) => {
                    bad.push((row, reason));
                    rows.push(vec![morphology::Morphology::default(); self.bands.len()]);
                }
            }
        }
        Ok((rows, bad))
    }

    fn of_band(&self, columns: &Columns, row: usize, band: usize) -> Result<morphology::Morphology, String> {
        let (height, width) = (self.layout.height, self.layout.width);
        let mut own: Vec<f32>;
        let mut image = columns.image.plane(row, band);
        if self.subtract_background {
            let median = segmentation::background(image).median;
            own = image.to_vec();
            own.iter_mut().for_each(|value| *value = (f64::from(*value) - median) as f32);
            image = &own;
        }
        let sky = match &columns.sky_sigma {
            None => Sky::Measured,
            Some(numbers) => match numbers.get(row, band)? {
                0.0 => Sky::None,
                sigma => Sky::Known(sigma),
            },
        };
        let gain = columns.gain.get(row, band)?;
        let psf_fwhm_pixels = match (&columns.psf, self.layout.pixel_scale_arcsec) {
            (Some(numbers), Some(scale)) => Some(numbers.get(row, band)? / scale).filter(|fwhm| *fwhm > 0.0),
            _ => None,
        };
        let segments = match (&columns.map, &self.segmentation) {
            (Some(map), _) => {
                let plane = map.plane(row, if self.one_map { 0 } else { band });
                plane.iter().map(|label| label.round() as u32).collect()
            }
            (None, segmentation) => {
                let background = match sky {
                    Sky::Measured => segmentation::background(image),
                    Sky::Known(sigma) => Background { median: 0.0, sigma },
                    Sky::None => Background { median: 0.0, sigma: 0.0 },
                };
                let threshold = match segmentation {
                    Some(Segmentation::Sigma(times)) => Threshold::Sigma(*times),
                    Some(Segmentation::LightShare(share)) => Threshold::LightShare(*share),
                    _ if sky == Sky::None => Threshold::LightShare(LIGHT_SHARE),
                    _ => Threshold::Sigma(SIGMA),
                };
                segmentation::segments(image, width, background, threshold, psf_fwhm_pixels.unwrap_or(FWHM_PIXELS))
            }
        };
        let Some(label) = segmentation::central(&segments, width) else {
            return Ok(morphology::Morphology { flag: 4, ..morphology::Morphology::default() });
        };
        let plane = |images: &Option<Images<'_>>| images.as_ref().map(|images| images.plane(row, band).to_vec());
        let (mask, variance) = (plane(&columns.mask), plane(&columns.variance));
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
}

struct Columns<'a> {
    image: Images<'a>,
    mask: Option<Images<'a>>,
    variance: Option<Images<'a>>,
    map: Option<Images<'a>>,
    sky_sigma: Option<Numbers<'a>>,
    gain: Numbers<'a>,
    psf: Option<Numbers<'a>>,
}

/// Checks a column of segmentation maps: whether it has one plane for all bands.
fn map(input: &Schema, column: &str, image: &ImageLayout, name: &str) -> Result<bool, Diagnostic> {
    let key = "segmentation.column";
    let found = super::super::image(input, key, column)?;
    let wrong = |message| Err(Diagnostic::at(key, Code::WrongColumn, message));
    let (h, w, height, width) = (found.height, found.width, image.height, image.width);
    if (h, w) != (height, width) {
        return wrong(format!("`{column}` is {h}x{w} pixels, expected {height}x{width} as in `{name}`"));
    }
    if found.bands.len() != 1 && found.bands != image.bands {
        let (found, expected) = (found.bands.join("`, `"), image.bands.join("`, `"));
        return wrong(format!("`{column}` has the bands `{found}`; expected `{expected}`, or one for all"));
    }
    Ok(found.bands.len() == 1)
}
