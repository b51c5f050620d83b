//! `morphology`: what kind of galaxy an image shows, by measuring it.
//!
//! Gini and M20 say how unequal the light is and how far out its brightest fifth; two lines part their plane:
//!
//! ```text
//! merger if G > -0.14 M20 + 0.33; else elliptical if G > 0.14 M20 + 0.80; else spiral
//! F = -0.693 M20 + 4.95 G - 3.96        bulge statistic
//! S =  0.139 M20 + 0.990 G - 0.327      merger statistic
//! ```
//!
//! Concentration, asymmetry, smoothness and the radii that they need are measured too; `morphology` has every
//! definition. They are those of statmorph (Rodriguez-Gomez et al. 2019), and so is the flag.

mod bound;
mod table;

use std::collections::BTreeSet;

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{bound::Bound, table::Table};
use crate::{
    batch::{ImageLayout, Unit, with_columns},
    error::{Code, Diagnostic, Error, Result},
    morphology::ELLIPTICAL_INTERCEPT,
    stage::{ColumnRef, Rejects, Settings, Transform},
    transform::quantity::Quantity,
};

/// Measures the morphology of the galaxy at the centre of an image, and tells its class by Gini and M20. Makes columns
/// `<label>_class` (spiral, elliptical, merger), `<label>_gini`, `<label>_m20`, `<label>_bulge`, `<label>_merger`,
/// `<label>_concentration`, `<label>_asymmetry`, `<label>_smoothness`, radii in pixels, `<label>_signal_to_noise` and
/// `<label>_flag`.
///
/// The image holds fluxes, its sky is subtracted. What cannot be measured is null. The flag is that of statmorph: 0 good,
/// 1 suspect, 2 bad, 4 nothing could be measured.
///
/// To label galaxies as they are, measure what the telescope would see without noise:
///
/// `clean: { observe: { image: image, survey: lsst, years: 10, noise: off } }`
///
/// `morphology: { morphology: { image: clean, sky_sigma: off } }`
///
/// `truth: morphology_class` is then the truth of a monitor `accuracy` or of a trainer; with `truth: label, score: morphology`
/// the monitor compares it with the simulator's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Morphology {
    /// The image column. Its mask, if there is one, is left out; its variance is the noise unless `gain` is set.
    pub image: String,
    /// The band, or `all`, or a list of bands. With one, `r` when not set and the image has it; with several, the band is
    /// part of the names: `<label>_g_gini`.
    pub band: Option<Bands>,
    /// Which pixels are the galaxy, and which are other sources.
    pub segmentation: Option<Segmentation>,
    /// Standard deviation of the sky per pixel, in the unit of the image. It is measured beside the galaxy when not set;
    /// `off` for an image without sky and noise.
    pub sky_sigma: Option<Quantity>,
    /// Electrons per unit of the image, for the signal to noise: 1 for images in electrons, `off` for noise of the sky alone.
    pub gain: Option<Quantity>,
    /// FWHM of the PSF, arcsec. It smooths the image in which sources are found (3 pixels when not set), and a galaxy of half
    /// that half-light radius is suspect.
    pub psf_fwhm_arcsec: Option<Quantity>,
    /// Subtracts the median of the sky (pixels clipped at 3 standard deviations) before anything else.
    pub subtract_background: bool,
    /// Where the line between ellipticals and spirals crosses M20 = 0; 0.778 is in use too.
    #[schemars(range(min = 0, max = 2))]
    pub elliptical_intercept: f64,
}

/// One band, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Bands {
    /// One, or `all`.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// How sources are told from the sky, and from each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Segmentation {
    /// Five pixels or more that touch, so many standard deviations of the sky above it: 1.5 when nothing is said.
    Sigma(f64),
    /// Five pixels or more that touch, above the level over which so much of the light is: 0.8 when nothing is said and
    /// `sky_sigma` is `off`.
    LightShare(f64),
    /// A column of maps: 0 for the sky, a number for each source.
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

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        let refused = match self.segmentation {
            Some(Segmentation::Sigma(times)) if times.is_nan() || times <= 0.0 => {
                Some(("segmentation.sigma", format!("`sigma` is {times}, expected more than 0")))
            }
            Some(Segmentation::LightShare(share)) if !(share > 0.0 && share < 1.0) => Some((
                "segmentation.light_share",
                format!("`light_share` is {share}, expected more than 0 and less than 1"),
            )),
            _ => None,
        };
        if let Some((key, message)) = refused {
            return Err(vec![Diagnostic::at(key, Code::OutOfRange, message)]);
        }
        Ok(Box::new(Measuring { label: label.to_owned(), settings: self, bound: None }))
    }
}

/// The stage.
#[derive(Clone)]
struct Measuring {
    label: String,
    settings: Morphology,
    bound: Option<(Bound, Table)>,
}

impl Transform for Measuring {
    /// The image; once bound, its variance and mask too.
    fn required_columns(&self) -> Vec<ColumnRef> {
        let settings = &self.settings;
        let mut needs = vec![ColumnRef::new("image", &settings.image)];
        if let Some(Segmentation::Column(column)) = &settings.segmentation {
            needs.push(ColumnRef::new("segmentation.column", column));
        }
        for (key, quantity) in [
            ("sky_sigma", &settings.sky_sigma),
            ("gain", &settings.gain),
            ("psf_fwhm_arcsec", &settings.psf_fwhm_arcsec),
        ] {
            needs.extend(quantity.iter().flat_map(|quantity| quantity.required_columns(key)));
        }
        needs.extend(
            self.bound.iter().flat_map(|(bound, _)| bound.companions()).map(|column| ColumnRef::new("", column)),
        );
        needs
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        let settings = &self.settings;
        let layout = super::image(input, "image", &settings.image).map_err(|mistake| vec![mistake])?;
        if layout.unit == Unit::Stretched {
            let message = format!("image `{}` is stretched; expected fluxes", settings.image);
            let mistake = Diagnostic::at("image", Code::WrongColumn, message);
            return Err(vec![mistake.help("measure the image before it is stretched")]);
        }
        let (bands, named) = settings.bands(&layout)?;
        let table = Table::new(&self.label, settings, bands.iter().map(|band| layout.bands[*band].as_str()), named);
        let fields = table.fields();
        self.bound = Some((Bound::new(settings, input, layout, bands)?, table));
        Ok(fields)
    }

    fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let unbound = || Error::bug(format!("`{}` was applied before it was bound", self.label));
        let (bound, table) = self.bound.as_ref().ok_or_else(unbound)?;
        let (rows, bad) = bound.measure(&batch)?;
        let columns = table.columns(&rows)?;
        rejects.take(with_columns(&batch, columns)?, &self.label, &bad)
    }

    fn fork(&self) -> Box<dyn Transform> {
        Box::new(self.clone())
    }
}

impl Morphology {
    /// The bands to measure, by their places, and whether columns name them.
    fn bands(&self, layout: &ImageLayout) -> Result<(Vec<usize>, bool), Vec<Diagnostic>> {
        let known = &layout.bands;
        let place = |band: &str| known.iter().position(|name| name == band);
        let names = match &self.band {
            None => match place("r").or((known.len() == 1).then_some(0)) {
                Some(band) => return Ok((vec![band], false)),
                None => {
                    let message = format!("image `{}` has the bands `{}` and no `r`", self.image, known.join("`, `"));
                    return Err(vec![
                        Diagnostic::at("band", Code::MissingKey, message).help("say which `band` is meant"),
                    ]);
                }
            },
            Some(Bands::One(all)) if all == "all" => return Ok(((0..known.len()).collect(), true)),
            Some(Bands::One(band)) => std::slice::from_ref(band),
            Some(Bands::Many(bands)) => bands.as_slice(),
        };
        let mut mistakes = Vec::new();
        for band in names.iter().filter(|band| place(band).is_none()) {
            let message = format!("the image has no band `{band}`; its bands are `{}`", known.join("`, `"));
            let mistake = Diagnostic::at("band", Code::OutOfRange, message);
            mistakes.push(mistake.suggest(band, known.iter().map(String::as_str), "bands"));
        }
        if names.is_empty() || names.iter().collect::<BTreeSet<_>>().len() < names.len() {
            let message = "`band` must name one band or more, each once";
            mistakes.push(Diagnostic::at("band", Code::OutOfRange, message));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok((names.iter().filter_map(|band| place(band)).collect(), matches!(self.band, Some(Bands::Many(_)))))
    }
}

#[cfg(test)]
mod tests;
