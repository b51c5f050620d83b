//! The settings of `observe`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ObserveTransform;
use crate::{
    error::{Code, Diagnostic},
    stage::{ColumnRef, Settings, Transform},
    survey::preset::Survey,
    transform::{diagnostics::load_survey, quantity::Quantity},
};

/// Simulates how a survey observes an image: exposure, PSF, sky and noise, in electrons with the sky subtracted.
///
/// A quantity is a number, `{ column: NAME }`, a map by band (`{ g: 0.8, r: { column: seeing_r } }`), or `off`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Observe {
    /// The image column, in nJy, without PSF and noise unless `input_psf` and `input_variance` are set.
    pub image: String,
    /// The survey: `lsst`, `des`, `euclid_vis`, `hsc_ssp`, `roman_wfi`, `sdss`, `ztf`, or the path of a survey file.
    #[schemars(extend("format" = "path"))]
    pub survey: String,
    /// Exposure in years of the survey. Exactly one of `years`, `visits` and `exposure_seconds` must be set. Of presets other than `lsst`
    /// one year is the whole survey (`des`, `euclid_vis`, `hsc_ssp`, `sdss`) or one exposure (`roman_wfi`, `ztf`).
    pub years: Option<Quantity>,
    /// Exposure in visits.
    pub visits: Option<Quantity>,
    /// Exposure in seconds.
    pub exposure_seconds: Option<Quantity>,
    /// Airmass X; default: that of the survey. Not for a survey in space. The seeing grows as X^0.6, and extinction is relative to the survey's airmass.
    pub airmass: Option<Quantity>,
    /// Shape of the PSF.
    pub psf: Psf,
    /// FWHM of the atmosphere's PSF at the zenith, arcsec; default: that of the survey.
    pub zenith_fwhm_arcsec: Option<Quantity>,
    /// FWHM of the atmosphere's PSF at the telescope, arcsec, at any airmass; instead of `zenith_fwhm_arcsec`. For a survey in space only
    /// with `psf: gaussian`, which requires it there.
    pub fwhm_arcsec: Option<Quantity>,
    /// Brightness of the sky, AB magnitudes per square arcsec; default: that of the survey. `off` for no sky.
    pub sky_mag_per_arcsec2: Option<Quantity>,
    /// Standard deviation of the relative error of the subtracted sky: one draw for each object and band.
    pub sky_subtraction_error: Option<Quantity>,
    /// Extinction of the atmosphere, magnitudes per airmass; default: that of the survey.
    pub extinction_mag_per_airmass: Option<Quantity>,
    /// `on` draws Poisson noise (and read noise), `off` gives expected electrons.
    pub noise: Switch,
    /// Read noise of one visit, electrons per pixel (LSST: 8.8). Default: that of the survey, of which `lsst`, `hsc_ssp` and `sdss` have none;
    /// in pixels of another scale than the camera's it has the same variance per area.
    pub read_noise_electrons: Option<Quantity>,
    /// The largest number of electrons in a pixel in one visit, sky included. Default: no limit.
    pub saturation_electrons: Option<Quantity>,
    /// The PSF that the image has already. The ratio of the transfer functions is applied; an output sharper than the input is an
    /// error.
    pub input_psf: Option<InputPsf>,
    /// `on` yields calibrated fluxes in nJy, as survey pipelines do, instead of electrons: each row is divided by the electrons per nJy
    /// of its exposure.
    pub calibrated: Switch,
    /// The variance of the noise that the image has already; only the missing part of the noise is added. The noise is assumed to be
    /// uncorrelated, and its variance to change slowly over the image.
    pub input_variance: Option<InputVariance>,
}

impl Observe {
    /// Settings for an image column; all others have their defaults.
    pub fn new(image: impl Into<String>) -> Self {
        Self { image: image.into(), ..Self::default() }
    }
}

/// Shape of a PSF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Psf {
    /// The atmosphere over a long exposure, and the diffraction of the survey's mirror; in space that diffraction and the survey's blur.
    #[default]
    KolmogorovAiry,
    /// The atmosphere alone.
    Kolmogorov,
    /// A Gaussian.
    Gaussian,
    /// No blur.
    Off,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Switch {
    /// On.
    #[default]
    On,
    /// Off.
    Off,
}

/// The PSF that an image has already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputPsf {
    /// FWHM in arcsec, with the shape of `psf` (without diffraction).
    FwhmArcsec(Quantity),
    /// A column of centred PSF images at the pixel scale of the image, such as `image_psf` of the source `fits`.
    Column(String),
}

/// The variance of the noise that an image has already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputVariance {
    /// nJy^2 per pixel.
    Njy2(Quantity),
    /// A column of variance images, nJy^2, such as `image_variance` of the source `fits`.
    Column(String),
}

impl Default for Observe {
    /// The column `image` as observed by LSST; the exposure must be set.
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

    fn examples() -> &'static [&'static str] {
        &[
            "{ image: image, survey: lsst, years: 10 }",
            "{ image: image, visits: 30, airmass: 1.4, fwhm_arcsec: { g: 0.9, r: 0.8, i: 0.75 }, sky_subtraction_error: 0.01, read_noise_electrons: 8.8, saturation_electrons: 100000, calibrated: on }",
            "{ image: image, exposure_seconds: 300, psf: gaussian, zenith_fwhm_arcsec: 1, input_psf: { fwhm_arcsec: 0.4 }, input_variance: { njy2: 0.02 }, noise: off }",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        let survey = self.check()?;
        Ok(Box::new(ObserveTransform::new(label, self, survey)))
    }
}

impl Observe {
    /// Checks what a JSON Schema cannot express, and loads the survey.
    fn check(&self) -> Result<Survey, Vec<Diagnostic>> {
        let mut mistakes = Vec::new();
        let exposures = [
            ("years", self.years.is_some()),
            ("visits", self.visits.is_some()),
            ("exposure_seconds", self.exposure_seconds.is_some()),
        ];
        let set: Vec<&str> = exposures.iter().filter(|(_, set)| *set).map(|(key, _)| *key).collect();
        if set.is_empty() {
            let message = "the exposure is not set; expected one of `years`, `visits` and `exposure_seconds`";
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
                    conflict(key, &format!("`{key}` has no effect with `psf: off`"));
                }
            }
        }
        match load_survey(&self.survey) {
            Ok(survey) => {
                if survey.in_space() {
                    mistakes.extend(self.mistakes_in_space());
                }
                if mistakes.is_empty() {
                    return Ok(survey);
                }
            }
            Err(mistake) => mistakes.push(mistake),
        }
        Err(mistakes)
    }

    /// Settings of an atmosphere, for a survey that has none.
    fn mistakes_in_space(&self) -> Vec<Diagnostic> {
        let survey = &self.survey;
        let conflict = |key: &str, reason: &str| {
            Diagnostic::at(key, Code::Conflict, format!("{reason}, and the survey `{survey}` is in space"))
        };
        let mut mistakes: Vec<Diagnostic> = [
            ("airmass", self.airmass.is_some()),
            ("extinction_mag_per_airmass", self.extinction_mag_per_airmass.is_some()),
            ("zenith_fwhm_arcsec", self.zenith_fwhm_arcsec.is_some()),
        ]
        .into_iter()
        .filter(|(_, set)| *set)
        .map(|(key, _)| conflict(key, &format!("`{key}` describes an atmosphere")))
        .collect();
        match (self.psf, &self.fwhm_arcsec) {
            (Psf::Kolmogorov, _) => {
                let mistake = conflict("psf", "`psf: kolmogorov` is an atmosphere");
                mistakes.push(mistake.help("`kolmogorov_airy` is the diffraction of the mirror there"));
            }
            (Psf::KolmogorovAiry, Some(_)) => {
                let mistake = conflict("fwhm_arcsec", "`fwhm_arcsec` describes an atmosphere");
                mistakes.push(mistake.help("only `psf: gaussian` takes a width there"));
            }
            (Psf::Gaussian, None) => {
                let message = format!("`psf: gaussian` requires `fwhm_arcsec`: the survey `{survey}` is in space");
                mistakes.push(Diagnostic::at("", Code::MissingKey, message));
            }
            _ => {}
        }
        mistakes
    }

    /// The columns that the exposure reads, besides the image.
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
        let mut columns = Vec::new();
        for (key, quantity) in quantities {
            columns.extend(quantity.iter().flat_map(|quantity| quantity.required_columns(key)));
        }
        match &self.input_variance {
            Some(InputVariance::Njy2(quantity)) => columns.extend(quantity.required_columns("input_variance.njy2")),
            Some(InputVariance::Column(column)) => columns.push(ColumnRef::new("input_variance.column", column)),
            None => {}
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::transform::fixtures::{first_diagnostic, test_rows};

    #[test]
    fn a_survey_in_space_takes_no_settings_of_an_atmosphere() {
        let schema = test_rows(1).schema();
        let first = |settings: serde_json::Value| {
            let mut all = json!({ "image": "image", "survey": "euclid_vis", "years": 1 });
            all.as_object_mut().expect("a map").extend(settings.as_object().expect("a map").clone());
            let mistake = first_diagnostic("observe", all, &schema);
            (mistake.path.join("."), mistake.code)
        };
        for key in ["airmass", "extinction_mag_per_airmass", "zenith_fwhm_arcsec", "fwhm_arcsec"] {
            assert_eq!(first(json!({ key: 1.2 })), (key.to_owned(), Code::Conflict));
        }
        assert_eq!(first(json!({ "psf": "kolmogorov" })), ("psf".to_owned(), Code::Conflict));
        assert_eq!(first(json!({ "psf": "gaussian" })), (String::new(), Code::MissingKey));
        // The images here have the bands g, r and i.
        for settings in [json!({}), json!({ "psf": "off" }), json!({ "psf": "gaussian", "fwhm_arcsec": 0.2 })] {
            assert_eq!(first(settings), ("survey".to_owned(), Code::OutOfRange));
        }
    }

    #[test]
    fn a_misspelt_survey_is_suggested() {
        let schema = test_rows(1).schema();
        let mistake = first_diagnostic("observe", json!({ "image": "image", "survey": "euclid", "years": 1 }), &schema);
        let help = mistake.help.expect("help");
        assert_eq!(mistake.code, Code::MissingFile);
        assert!(help.starts_with("did you mean `euclid_vis`? the presets are `lsst`, `des`"), "{help}");
    }
}
