//! The settings of `observe`, and the numbers that they come to for a row and band.

use arrow::{array::RecordBatch, datatypes::Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Observing, optics::airmass_rules};
use crate::{
    batch::ImageLayout,
    error::{Code, Diagnostic, Error, Result},
    random::Stream,
    stage::{ColumnRef, Settings, Transform},
    survey::{
        exposure::Exposure,
        photometry::{electrons_per_nanojansky, sky_electrons},
        preset::{Band, NAMES, Survey},
    },
    transform::quantity::{self, Bound, Numbers, Quantity, Rules},
};

/// Shows an image as a survey would see it: exposure, PSF, sky and noise, in electrons with the sky subtracted.
///
/// A quantity is a number, `{ column: NAME }`, a map by band (`{ g: 0.8, r: { column: seeing_r } }`), or `off`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Observe {
    /// The image column, in nJy and without noise (or see `input_psf` and `input_variance`).
    pub image: String,
    /// The survey: `lsst`, or the path of a file like it.
    pub survey: String,
    /// Exposure in years of the survey. One of `years`, `visits` and `exposure_seconds` has to be set.
    pub years: Option<Quantity>,
    /// Exposure in visits.
    pub visits: Option<Quantity>,
    /// Exposure in seconds.
    pub exposure_seconds: Option<Quantity>,
    /// Airmass X; the survey's when not set. The seeing grows as X^0.6, and extinction counts from the survey's airmass on.
    pub airmass: Option<Quantity>,
    /// Shape of the PSF.
    pub psf: Psf,
    /// FWHM of the atmosphere's PSF at the zenith, arcsec; the survey's when not set.
    pub zenith_fwhm_arcsec: Option<Quantity>,
    /// FWHM of the atmosphere's PSF as it arrives, arcsec, whatever the airmass; instead of `zenith_fwhm_arcsec`.
    pub fwhm_arcsec: Option<Quantity>,
    /// Brightness of the sky, AB magnitudes per square arcsec; the survey's when not set. `off` for no sky.
    pub sky_mag_per_arcsec2: Option<Quantity>,
    /// Standard deviation of the relative error of the subtracted sky: one draw for each object and band.
    pub sky_subtraction_error: Option<Quantity>,
    /// Extinction of the atmosphere, magnitudes per airmass; the survey's when not set.
    pub extinction_mag_per_airmass: Option<Quantity>,
    /// `on` draws Poisson noise (and read noise), `off` gives expected electrons.
    pub noise: Switch,
    /// Read noise of one visit, electrons per pixel (LSST: 8.8); none when not set.
    pub read_noise_electrons: Option<Quantity>,
    /// The most electrons that a pixel holds in one visit, sky included; no limit when not set.
    pub saturation_electrons: Option<Quantity>,
    /// The PSF that the image has already. The ratio of the transforms is applied; an output sharper than the input is refused.
    pub input_psf: Option<InputPsf>,
    /// `on` gives calibrated fluxes in nJy, as survey pipelines do, instead of electrons: each row is divided by the electrons that 1
    /// nJy gives in its exposure.
    pub calibrated: Switch,
    /// The variance that the image has already. Only the missing part of the noise is added. It is taken for noise without
    /// correlation that changes slowly over the image.
    pub input_variance: Option<InputVariance>,
}

/// Shape of a PSF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Psf {
    /// The atmosphere over a long exposure, and the diffraction of the survey's mirror.
    #[default]
    KolmogorovAiry,
    /// The atmosphere alone.
    Kolmogorov,
    /// A Gaussian.
    Gaussian,
    /// No blur at all.
    Off,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Switch {
    /// With it.
    #[default]
    On,
    /// Without it.
    Off,
}

/// The PSF that an image has already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputPsf {
    /// FWHM in arcsec, of the shape of `psf` (without diffraction).
    FwhmArcsec(Quantity),
    /// A column of PSF images, centred, with the pixels of the image: as `image_psf` of the source `fits`.
    Column(String),
}

/// The variance that an image has already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputVariance {
    /// nJy^2 per pixel.
    Njy2(Quantity),
    /// A column of variance images, nJy^2: as `image_variance` of the source `fits`.
    Column(String),
}

impl Default for Observe {
    /// The column `image` by LSST; the exposure has to be set.
    fn default() -> Self {
        Self {
            image: "image".to_owned(),
            survey: "lsst".to_owned(),
            years: None,
            visits: None,
            exposure_seconds: None,
            airmass: None,
            psf: Psf::default(),
            zenith_fwhm_arcsec: None,
            fwhm_arcsec: None,
            sky_mag_per_arcsec2: None,
            sky_subtraction_error: None,
            extinction_mag_per_airmass: None,
            noise: Switch::On,
            read_noise_electrons: None,
            saturation_electrons: None,
            calibrated: Switch::Off,
            input_psf: None,
            input_variance: None,
        }
    }
}

impl Settings<dyn Transform> for Observe {
    const NAME: &'static str = "observe";

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        let survey = self.check()?;
        Ok(Box::new(Observing::new(label, self, survey)))
    }
}

impl Observe {
    /// What no schema can say; the survey.
    pub(super) fn check(&self) -> Result<Survey, Vec<Diagnostic>> {
        let mut mistakes = Vec::new();
        let exposures = [
            ("years", self.years.is_some()),
            ("visits", self.visits.is_some()),
            ("exposure_seconds", self.exposure_seconds.is_some()),
        ];
        let set: Vec<&str> = exposures.iter().filter(|(_, set)| *set).map(|(key, _)| *key).collect();
        if set.is_empty() {
            let message = "no exposure is set; expected one of `years`, `visits` and `exposure_seconds`";
            mistakes.push(Diagnostic::at("", Code::MissingKey, message).help("for example `years: 10`"));
        }
        for key in set.iter().skip(1) {
            mistakes.push(Diagnostic::at(key, Code::Conflict, format!("`{key}` and `{}` exclude each other", set[0])));
        }
        let mut conflict = |key: &str, reason: &str| mistakes.push(Diagnostic::at(key, Code::Conflict, reason));
        if self.zenith_fwhm_arcsec.is_some() && self.fwhm_arcsec.is_some() {
            conflict("fwhm_arcsec", "`fwhm_arcsec` and `zenith_fwhm_arcsec` exclude each other");
        }
        if self.psf == Psf::Off {
            for (key, set) in [
                ("zenith_fwhm_arcsec", self.zenith_fwhm_arcsec.is_some()),
                ("fwhm_arcsec", self.fwhm_arcsec.is_some()),
                ("input_psf", self.input_psf.is_some()),
            ] {
                if set {
                    conflict(key, &format!("`{key}` has no meaning with `psf: off`"));
                }
            }
        }
        match Survey::load(&self.survey) {
            Ok(survey) if mistakes.is_empty() => return Ok(survey),
            Ok(_) => {}
            Err(error @ Error::Environment { .. }) => mistakes.push(
                Diagnostic::at("survey", Code::MissingFile, error.report())
                    .help(format!("the presets are `{}`; anything else is the path of a file", NAMES.join("`, `"))),
            ),
            Err(error) => mistakes.push(Diagnostic::at("survey", Code::OutOfRange, error.report())),
        }
        Err(mistakes)
    }

    /// The columns that the exposure needs, besides the image.
    pub(super) fn required_columns(&self) -> Vec<ColumnRef> {
        let quantities = [
            ("years", &self.years),
            ("visits", &self.visits),
            ("exposure_seconds", &self.exposure_seconds),
            ("airmass", &self.airmass),
            ("sky_mag_per_arcsec2", &self.sky_mag_per_arcsec2),
            ("sky_subtraction_error", &self.sky_subtraction_error),
            ("extinction_mag_per_airmass", &self.extinction_mag_per_airmass),
            ("read_noise_electrons", &self.read_noise_electrons),
            ("saturation_electrons", &self.saturation_electrons),
        ];
        let of = |(key, quantity): (&str, &Option<Quantity>)| {
            quantity.iter().flat_map(|q| q.required_columns(key)).collect::<Vec<_>>()
        };
        let mut needs: Vec<ColumnRef> = quantities.into_iter().flat_map(of).collect();
        match &self.input_variance {
            Some(InputVariance::Njy2(quantity)) => needs.extend(quantity.required_columns("input_variance.njy2")),
            Some(InputVariance::Column(column)) => needs.push(ColumnRef::new("input_variance.column", column)),
            None => {}
        }
        needs
    }

    /// The exposures of images of a layout, whose bands the survey has.
    pub(super) fn bind(
        &self,
        survey: &Survey,
        input: &Schema,
        layout: &ImageLayout,
    ) -> Result<Exposures, Vec<Diagnostic>> {
        let names = &layout.bands;
        let bands: Vec<Band> = names.iter().filter_map(|name| survey.bands.get(name).copied()).collect();
        let of = |number: fn(&Band) -> f64| bands.iter().map(number).collect::<Vec<_>>();
        let same = |value: f64| vec![value; names.len()];
        let mut mistakes = Vec::new();
        let mut bind = |quantity: &Option<Quantity>, rules: Rules| {
            quantity::bind(quantity.as_ref(), &rules, input).map_err(|wrong| mistakes.extend(wrong)).ok()
        };
        let rules = |key, default, off, range| Rules { key, bands: names, default, off, range };
        let (key, time, seconds) = match (&self.years, &self.visits) {
            (Some(_), _) => ("years", &self.years, of(|band| band.seconds_per_year)),
            (None, Some(_)) => ("visits", &self.visits, same(survey.seconds_per_visit)),
            (None, None) => ("exposure_seconds", &self.exposure_seconds, same(1.0)),
        };
        let time = bind(time, rules(key, same(f64::NAN), None, f64::MIN_POSITIVE..=1e9));
        let airmass = bind(&self.airmass, airmass_rules(survey, names));
        let extinction = bind(
            &self.extinction_mag_per_airmass,
            rules("extinction_mag_per_airmass", of(|band| band.extinction_mag_per_airmass), Some(0.0), 0.0..=10.0),
        );
        let sky = bind(
            &self.sky_mag_per_arcsec2,
            rules("sky_mag_per_arcsec2", of(|band| band.sky_mag_per_arcsec2), Some(f64::INFINITY), 0.0..=60.0),
        );
        let sky_error =
            bind(&self.sky_subtraction_error, rules("sky_subtraction_error", same(0.0), Some(0.0), 0.0..=1.0));
        let read_noise =
            bind(&self.read_noise_electrons, rules("read_noise_electrons", same(0.0), Some(0.0), 0.0..=1e6));
        let saturation = bind(
            &self.saturation_electrons,
            rules("saturation_electrons", same(f64::INFINITY), Some(f64::INFINITY), 1.0..=f64::MAX),
        );
        let variance = match &self.input_variance {
            Some(InputVariance::Njy2(quantity)) => {
                let rules = rules("input_variance.njy2", same(0.0), Some(0.0), 0.0..=f64::MAX);
                bind(&Some(quantity.clone()), rules).map(Variance::Number)
            }
            Some(InputVariance::Column(column)) => {
                let of_image = input.field_with_name(column).ok().and_then(ImageLayout::of);
                let fits = of_image.is_some_and(|found| {
                    (&found.bands, found.height, found.width) == (names, layout.height, layout.width)
                });
                if !fits {
                    let message =
                        format!("column `{column}` is no variance image with the bands and size of the image");
                    mistakes.push(Diagnostic::at("input_variance.column", Code::WrongColumn, message));
                }
                Some(Variance::Column(column.clone()))
            }
            None => Some(Variance::None),
        };
        let dark = sky.as_ref().and_then(Bound::constant).is_some_and(|sky| sky.iter().all(|mag| mag.is_infinite()));
        if layout.pixel_scale_arcsec.is_none() && !dark {
            let message = "the pixel scale of the image is not known, so how much sky a pixel gets is not";
            mistakes.push(
                Diagnostic::at("image", Code::WrongColumn, message)
                    .help("set `pixel_scale_arcsec` in the source, or `sky_mag_per_arcsec2: off`"),
            );
        }
        match (time, airmass, extinction, sky, sky_error, read_noise, saturation, variance) {
            (
                Some(time),
                Some(airmass),
                Some(extinction),
                Some(sky),
                Some(sky_error),
                Some(read_noise),
                Some(saturation),
                Some(variance),
            ) if mistakes.is_empty() => Ok(Exposures {
                bands,
                seconds,
                seconds_per_visit: survey.seconds_per_visit,
                survey_airmass: survey.airmass,
                scale: layout.pixel_scale_arcsec.unwrap_or(0.0),
                quantities: [time, airmass, extinction, sky, sky_error, read_noise, saturation],
                variance,
            }),
            _ => Err(mistakes),
        }
    }
}

/// Where the variance of the input comes from.
#[derive(Debug, Clone)]
pub(super) enum Variance {
    None,
    Number(Bound),
    Column(String),
}

/// What the exposures of a run depend on.
#[derive(Debug, Clone)]
pub(super) struct Exposures {
    bands: Vec<Band>,
    /// Seconds of one year, visit or second, by band.
    seconds: Vec<f64>,
    seconds_per_visit: f64,
    survey_airmass: f64,
    scale: f64,
    /// Time, airmass, extinction, sky, error of its subtraction, read noise, saturation.
    quantities: [Bound; 7],
    pub(super) variance: Variance,
}

impl Exposures {
    /// Electrons of 1 nJy by band, when all rows have the same.
    pub(super) fn constant_gain(&self) -> Option<Vec<f64>> {
        let [time, airmass, extinction, ..] = &self.quantities;
        let (time, airmass, extinction) = (time.constant()?, airmass.constant()?, extinction.constant()?);
        Some((0..self.bands.len()).map(|band| self.gain(band, time[band], airmass[band], extinction[band])).collect())
    }

    fn gain(&self, band: usize, time: f64, airmass: f64, extinction: f64) -> f64 {
        let zero_point = self.bands[band].zero_point_electrons_per_second;
        electrons_per_nanojansky(time * self.seconds[band], zero_point, extinction * (airmass - self.survey_airmass))
    }

    /// The numbers of a batch.
    pub(super) fn read(&self, batch: &RecordBatch) -> Result<ExposureRows<'_>> {
        let numbers = self.quantities.iter().map(|bound| bound.read(batch)).collect::<Result<Vec<_>>>()?;
        Ok(ExposureRows { exposures: self, numbers })
    }
}

/// The numbers that the exposures of a batch depend on.
pub(super) struct ExposureRows<'a> {
    exposures: &'a Exposures,
    numbers: Vec<Numbers<'a>>,
}

impl ExposureRows<'_> {
    /// The exposure of a row and band, or why the row has to be rejected. `sky_error` gives the error of the band.
    pub(super) fn get(&self, row: usize, band: usize, sky_error: &mut Stream) -> Result<Exposure, String> {
        let number = |which: usize| self.numbers[which].get(row, band);
        let (time, airmass, extinction, sky_mag) = (number(0)?, number(1)?, number(2)?, number(3)?);
        let (error, read_noise, saturation) = (number(4)?, number(5)?, number(6)?);
        let exposures = self.exposures;
        let seconds = time * exposures.seconds[band];
        let visits = seconds / exposures.seconds_per_visit;
        let zero_point = exposures.bands[band].zero_point_electrons_per_second;
        let sky = sky_electrons(seconds, zero_point, sky_mag, exposures.scale);
        Ok(Exposure {
            electrons_per_njy: exposures.gain(band, time, airmass, extinction),
            sky_electrons: sky,
            subtracted_electrons: if error > 0.0 { sky * (1.0 + error * sky_error.normal()) } else { sky },
            read_noise_electrons: read_noise * visits.sqrt(),
            saturation_electrons: saturation * visits,
        })
    }
}
