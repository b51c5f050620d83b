//! `morphology`: the class of a galaxy, measured from its image.
//!
//! Gini quantifies how unequally the light is distributed over the pixels, M20 how far from the centre the brightest fifth of it is.
//! Two lines divide their plane:
//!
//! ```text
//! merger if G > -0.14 M20 + 0.33; else elliptical if G > 0.14 M20 + 0.80; else spiral
//! F = -0.693 M20 + 4.95 G - 3.96        bulge statistic
//! S =  0.139 M20 + 0.990 G - 0.327      merger statistic
//! ```
//!
//! Concentration, asymmetry, smoothness and the radii that they are based on are measured too; the module `morphology` of the crate
//! has every definition. They are those of statmorph (Rodriguez-Gomez et al. 2019), and so is the flag.

mod columns;
mod measurement;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{columns::MorphologyColumns, measurement::MorphologyBound};
use super::{
    diagnostics::{band_not_in_image, image_layout, not_bound},
    quantity::Quantity,
};
use crate::{
    batch::{ImageLayout, Unit, with_columns},
    error::{Code, Diagnostic, Result, quoted_list},
    morphology::ELLIPTICAL_INTERCEPT,
    stage::{ColumnRef, Rejects, Settings, Transform},
};

/// Measures the morphology of the galaxy at the centre of an image, and classifies it by Gini and M20. Makes columns
/// `<label>_class` (spiral, elliptical, merger), `<label>_gini`, `<label>_m20`, `<label>_bulge`, `<label>_merger`,
/// `<label>_concentration`, `<label>_asymmetry`, `<label>_smoothness`, radii in pixels, `<label>_signal_to_noise` and
/// `<label>_flag`.
///
/// The image holds fluxes, its sky is subtracted. A statistic that cannot be measured is null. The flag is that of statmorph:
/// 0 good, 1 suspect, 2 bad, 4 nothing could be measured.
///
/// To label galaxies by their true morphology, measure what the telescope would see without noise:
///
/// `clean: { observe: { image: image, survey: lsst, years: 10, noise: off } }`
///
/// `morphology: { morphology: { image: clean, sky_sigma: off } }`
///
/// `truth: morphology_class` is then the truth for a monitor `accuracy` or for a trainer; with `truth: label, score: morphology`
/// the monitor compares it with the class of the simulator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Morphology {
    /// The image column. Pixels that its mask marks as bad are left out; its variance is the noise unless `gain` is set.
    pub image: String,
    /// The band, or `all`, or a list of bands. Default: `r`, or the only band of the image. With several bands, the names of the
    /// columns contain the band: `<label>_g_gini`.
    pub band: Option<Bands>,
    /// Which pixels are the galaxy, and which are other sources.
    pub segmentation: Option<Segmentation>,
    /// Standard deviation of the sky per pixel, in the unit of the image; `off` for an image without sky and noise. Default: measured
    /// beside the galaxy.
    pub sky_sigma: Option<Quantity>,
    /// Electrons per unit of the image, for the signal to noise; `off` for noise of the sky alone. Default: 1 for images in
    /// electrons, else `off`.
    pub gain: Option<Quantity>,
    /// FWHM of the PSF, arcsec. The image is smoothed with it before sources are detected (default: 3 pixels), and a galaxy whose
    /// half-light radius is less than half of it is flagged as suspect.
    pub psf_fwhm_arcsec: Option<Quantity>,
    /// Subtracts the median of the sky (pixels clipped at 3 standard deviations) first.
    pub subtract_background: bool,
    /// Where the line between ellipticals and spirals crosses M20 = 0; 0.778 is also in use.
    #[schemars(range(min = 0, max = 2))]
    pub elliptical_intercept: f64,
}

impl Morphology {
    /// Settings for an image column; all others have their defaults.
    pub fn new(image: impl Into<String>) -> Self {
        Self { image: image.into(), ..Self::default() }
    }
}

/// One band, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Bands {
    /// One band, or `all`.
    One(String),
    /// Several bands.
    Many(Vec<String>),
}

/// How sources are separated from the sky, and from each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Segmentation {
    /// Five or more connected pixels that exceed the sky by this number of its standard deviations. The default, with 1.5.
    Sigma(f64),
    /// Five or more connected pixels above the level that encloses this share of the light. The default if `sky_sigma` is `off`, with
    /// 0.8.
    LightShare(f64),
    /// A column of segmentation maps: 0 for the sky, a number for each source.
    Column(String),
}

impl Default for Morphology {
    /// The column `image`.
    fn default() -> Self {
        Self {
            image: "image".to_owned(),
            band: None,
            segmentation: None,
            sky_sigma: None,
            gain: None,
            psf_fwhm_arcsec: None,
            subtract_background: false,
            elliptical_intercept: ELLIPTICAL_INTERCEPT,
        }
    }
}

impl Settings<dyn Transform> for Morphology {
    const NAME: &'static str = "morphology";

    fn examples() -> &'static [&'static str] {
        &[
            "{ image: image, sky_sigma: off }",
            "{ image: y10_sky, band: all, psf_fwhm_arcsec: 0.8 }",
            "{ image: y1_sky, band: [g, r], segmentation: { sigma: 2 }, gain: 1, subtract_background: true }",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        let (key, message) = match self.segmentation {
            Some(Segmentation::Sigma(sigma)) if sigma.is_nan() || sigma <= 0.0 => {
                ("segmentation.sigma", format!("`sigma` is {sigma}, expected more than 0"))
            }
            Some(Segmentation::LightShare(share)) if !(share > 0.0 && share < 1.0) => {
                ("segmentation.light_share", format!("`light_share` is {share}, expected more than 0 and less than 1"))
            }
            _ => return Ok(Box::new(MorphologyTransform { label: label.to_owned(), settings: self, bound: None })),
        };
        Err(vec![Diagnostic::at(key, Code::OutOfRange, message)])
    }
}

#[derive(Clone)]
struct MorphologyTransform {
    label: String,
    settings: Morphology,
    bound: Option<(MorphologyBound, MorphologyColumns)>,
}

impl Transform for MorphologyTransform {
    fn required_columns(&self) -> Vec<ColumnRef> {
        let settings = &self.settings;
        let mut columns = vec![ColumnRef::new("image", &settings.image)];
        if let Some(Segmentation::Column(column)) = &settings.segmentation {
            columns.push(ColumnRef::new("segmentation.column", column));
        }
        for (key, quantity) in [
            ("sky_sigma", &settings.sky_sigma),
            ("gain", &settings.gain),
            ("psf_fwhm_arcsec", &settings.psf_fwhm_arcsec),
        ] {
            columns.extend(quantity.iter().flat_map(|quantity| quantity.required_columns(key)));
        }
        let companions = self.bound.iter().flat_map(|(bound, _)| bound.companions());
        columns.extend(companions.map(|column| ColumnRef::new("", column)));
        columns
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        let settings = &self.settings;
        let layout = image_layout(input, "image", &settings.image).map_err(|mistake| vec![mistake])?;
        if layout.unit == Unit::Stretched {
            let message = format!("image `{}` is stretched; expected fluxes", settings.image);
            let mistake = Diagnostic::at("image", Code::WrongColumn, message);
            return Err(vec![mistake.help("measure the image before it is stretched")]);
        }
        let bands = settings.measured_bands(&layout)?;
        let prefix = |band: &usize| match settings.names_bands() {
            true => format!("{}_{}", self.label, layout.bands[*band]),
            false => self.label.clone(),
        };
        let prefixes = bands.iter().map(prefix).collect();
        let columns = MorphologyColumns::new(prefixes, &settings.image, settings.elliptical_intercept);
        let fields = columns.fields();
        self.bound = Some((MorphologyBound::new(settings, input, layout, bands)?, columns));
        Ok(fields)
    }

    fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let (bound, columns) = self.bound.as_ref().ok_or_else(|| not_bound(&self.label))?;
        let (rows, bad) = bound.measure(&batch)?;
        let columns = columns.columns(&rows)?;
        rejects.take(with_columns(&batch, columns)?, &self.label, &bad)
    }

    fn fork(&self) -> Box<dyn Transform> {
        Box::new(self.clone())
    }
}

impl Morphology {
    /// Whether the names of columns contain the band.
    fn names_bands(&self) -> bool {
        match &self.band {
            None => false,
            Some(Bands::One(band)) => band == "all",
            Some(Bands::Many(_)) => true,
        }
    }

    /// The indices of the bands to measure.
    fn measured_bands(&self, layout: &ImageLayout) -> Result<Vec<usize>, Vec<Diagnostic>> {
        let known = &layout.bands;
        let index = |band: &str| known.iter().position(|name| name == band);
        let names = match &self.band {
            None => {
                let default = index("r").or((known.len() == 1).then_some(0));
                return default.map(|band| vec![band]).ok_or_else(|| {
                    let message =
                        format!("image `{}` has no band `r`; its bands are {}", self.image, quoted_list(known));
                    vec![Diagnostic::at("band", Code::MissingKey, message).help("set `band`")]
                });
            }
            Some(Bands::One(all)) if all == "all" => return Ok((0..known.len()).collect()),
            Some(Bands::One(band)) => std::slice::from_ref(band),
            Some(Bands::Many(bands)) => bands.as_slice(),
        };
        let unknown = names.iter().filter(|band| index(band).is_none());
        let mut mistakes: Vec<Diagnostic> = unknown.map(|band| band_not_in_image("band", band, known)).collect();
        if names.is_empty() || names.iter().collect::<BTreeSet<_>>().len() < names.len() {
            let message = "`band` must name one or more bands, each once";
            mistakes.push(Diagnostic::at("band", Code::OutOfRange, message));
        }
        if mistakes.is_empty() { Ok(names.iter().filter_map(|band| index(band)).collect()) } else { Err(mistakes) }
    }
}
