//! Surveys: their telescopes, bands and skies, from a data file.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

const LSST: &str = include_str!("lsst.yaml");

/// The names of the presets that come with the crate.
pub const NAMES: &[&str] = &["lsst"];

/// A telescope and what it does in a year.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Survey {
    /// What it is, and where its numbers come from.
    #[serde(default)]
    pub description: String,
    /// Diameter of the primary mirror, metres.
    pub mirror_diameter_m: f64,
    /// Diameter of the central obscuration, as a fraction of the mirror's.
    #[serde(default)]
    pub obscuration: f64,
    /// Side of a pixel of its camera, arcsec.
    pub pixel_scale_arcsec: f64,
    /// Airmass of its exposures, which the zero points include.
    pub airmass: f64,
    /// Length of a visit, seconds.
    pub seconds_per_visit: f64,
    /// Its bands by name.
    pub bands: BTreeMap<String, Band>,
}

/// A band of a survey.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// Exposure of one year, seconds.
    pub seconds_per_year: f64,
    /// Electrons per second of a source of AB magnitude 24, at the survey's airmass.
    pub zero_point_electrons_per_second: f64,
    /// Brightness of the sky, AB magnitudes per square arcsec.
    pub sky_mag_per_arcsec2: f64,
    /// Full width at half maximum of the atmosphere's PSF at the zenith, arcsec.
    pub zenith_fwhm_arcsec: f64,
    /// Extinction of the atmosphere, magnitudes per airmass.
    pub extinction_mag_per_airmass: f64,
    /// Effective wavelength, angstrom.
    pub wavelength_angstrom: f64,
}

impl Survey {
    /// A preset by its name, or a file like `src/survey/lsst.yaml` by its path.
    pub fn load(name_or_path: &str) -> Result<Self> {
        if name_or_path == "lsst" {
            return Self::parse(LSST).map_err(|error| Error::bug(format!("preset `lsst`: {error}")));
        }
        let path = Path::new(name_or_path);
        let text = std::fs::read_to_string(path).map_err(|error| Error::io("read survey", path, error))?;
        Self::parse(&text).map_err(|error| Error::data(format!("survey `{name_or_path}`: {error}")))
    }

    /// A survey from YAML; errors say what is wrong in it.
    pub fn parse(yaml: &str) -> Result<Self, String> {
        let survey: Self = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        survey.check()?;
        Ok(survey)
    }

    fn check(&self) -> Result<(), String> {
        let positive = |name: &str, value: f64| match value.is_finite() && value > 0.0 {
            true => Ok(()),
            false => Err(format!("`{name}` is {value}; expected a number above 0")),
        };
        positive("mirror_diameter_m", self.mirror_diameter_m)?;
        positive("pixel_scale_arcsec", self.pixel_scale_arcsec)?;
        positive("airmass", self.airmass)?;
        positive("seconds_per_visit", self.seconds_per_visit)?;
        if !(0.0..1.0).contains(&self.obscuration) {
            return Err(format!("`obscuration` is {}; expected 0 to 1, diameter over diameter", self.obscuration));
        }
        if self.bands.is_empty() {
            return Err("`bands` is empty".into());
        }
        for (name, band) in &self.bands {
            positive(&format!("bands.{name}.seconds_per_year"), band.seconds_per_year)?;
            positive(&format!("bands.{name}.zero_point_electrons_per_second"), band.zero_point_electrons_per_second)?;
            positive(&format!("bands.{name}.zenith_fwhm_arcsec"), band.zenith_fwhm_arcsec)?;
            positive(&format!("bands.{name}.wavelength_angstrom"), band.wavelength_angstrom)?;
            if !band.sky_mag_per_arcsec2.is_finite() || !band.extinction_mag_per_airmass.is_finite() {
                return Err(format!("`bands.{name}` has a number that is not finite"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lsst_has_six_bands_and_its_effective_area() {
        let lsst = Survey::load("lsst").expect("the preset");
        assert_eq!(lsst.bands.keys().map(String::as_str).collect::<String>(), "giruyz");
        let area = std::f64::consts::PI / 4.0 * lsst.mirror_diameter_m.powi(2) * (1.0 - lsst.obscuration.powi(2));
        assert!((area - 32.4).abs() < 0.01, "{area}");
    }

    #[test]
    fn a_survey_that_cannot_be_is_refused_by_the_name_of_its_number() {
        let text = LSST.replace("wavelength_angstrom: 3592.13", "wavelength_angstrom: -1");
        let message = Survey::parse(&text).expect_err("a negative wavelength");
        assert!(message.contains("bands.u.wavelength_angstrom"), "{message}");
        assert!(Survey::parse(&LSST.replace("airmass", "air_mass")).is_err());
        assert!(matches!(Survey::load("no/such/survey.yaml"), Err(Error::Environment { .. })));
    }
}
