//! Surveys: telescope, bands and sky, read from YAML.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use crate::error::{Cause, Error, Result};

const LSST: &str = include_str!("lsst.yaml");

/// The names of the built-in presets.
pub const NAMES: &[&str] = &["lsst"];

/// A telescope and its programme.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Survey {
    /// What it is and where its numbers come from.
    #[serde(default)]
    pub description: String,
    /// Diameter of the primary mirror, metres.
    pub mirror_diameter_m: f64,
    /// Diameter of the central obscuration, as a fraction of the mirror's.
    #[serde(default)]
    pub obscuration: f64,
    /// Side of a pixel of the camera, arcsec.
    pub pixel_scale_arcsec: f64,
    /// Airmass of the exposures; the zero points include the extinction at this airmass.
    pub airmass: f64,
    /// Length of a visit, seconds.
    pub seconds_per_visit: f64,
    /// The bands by name.
    pub bands: BTreeMap<String, Band>,
}

/// A band of a survey.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// Exposure time per year, seconds.
    pub seconds_per_year: f64,
    /// Electrons per second of a source of AB magnitude 24, at the survey's airmass.
    pub zero_point_electrons_per_second: f64,
    /// Surface brightness of the sky, AB magnitudes per square arcsec.
    pub sky_mag_per_arcsec2: f64,
    /// Full width at half maximum of the atmospheric PSF at the zenith, arcsec.
    pub zenith_fwhm_arcsec: f64,
    /// Extinction of the atmosphere, magnitudes per airmass.
    pub extinction_mag_per_airmass: f64,
    /// Effective wavelength, angstrom.
    pub wavelength_angstrom: f64,
}

impl Survey {
    /// The file that [`load`](Self::load) reads; `None` for the name of a preset.
    pub fn file(name_or_path: &str) -> Option<&Path> {
        (name_or_path != "lsst").then(|| Path::new(name_or_path))
    }

    /// A preset by its name, or a file like `src/survey/lsst.yaml` by its path.
    ///
    /// # Errors
    /// [`Error::Environment`] when the file cannot be read, [`Error::Data`] when it is not a survey.
    pub fn load(name_or_path: &str) -> Result<Self> {
        let Some(path) = Self::file(name_or_path) else {
            return Self::parse(LSST).map_err(|cause| Error::bug("the preset `lsst` is invalid").caused_by(cause));
        };
        let text = std::fs::read_to_string(path).map_err(|error| Error::io("read survey", path, error))?;
        Self::parse(&text).map_err(|cause| Error::data(format!("survey `{name_or_path}` is invalid")).caused_by(cause))
    }

    fn parse(yaml: &str) -> Result<Self, Cause> {
        let survey: Self = serde_saphyr::from_str(yaml)?;
        survey.check()?;
        Ok(survey)
    }

    fn check(&self) -> Result<(), String> {
        let positive = |name: &str, value: f64| match value.is_finite() && value > 0.0 {
            true => Ok(()),
            false => Err(format!("`{name}` is {value}, expected a number above 0")),
        };
        positive("mirror_diameter_m", self.mirror_diameter_m)?;
        positive("pixel_scale_arcsec", self.pixel_scale_arcsec)?;
        positive("airmass", self.airmass)?;
        positive("seconds_per_visit", self.seconds_per_visit)?;
        if !(0.0..1.0).contains(&self.obscuration) {
            return Err(format!("`obscuration` is {}, expected 0 to 1 (diameter over diameter)", self.obscuration));
        }
        if self.bands.is_empty() {
            return Err("`bands` is empty, expected at least one band".into());
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
    fn invalid_numbers_are_rejected_by_name() {
        let message = |key: &str, value: &str, changed: &str| {
            let text = LSST.replacen(&format!("{key}: {value}"), &format!("{key}: {changed}"), 1);
            assert_ne!(text, LSST, "{key}");
            Survey::parse(&text).expect_err("rejected").to_string()
        };
        for (key, value, name) in [
            ("mirror_diameter_m", "8.36", "mirror_diameter_m"),
            ("pixel_scale_arcsec", "0.2", "pixel_scale_arcsec"),
            ("airmass", "1.2", "airmass"),
            ("seconds_per_visit", "30", "seconds_per_visit"),
            ("seconds_per_year", "168", "bands.u.seconds_per_year"),
            ("zero_point_electrons_per_second", "9.16", "bands.u.zero_point_electrons_per_second"),
            ("zenith_fwhm_arcsec", "0.77", "bands.u.zenith_fwhm_arcsec"),
            ("wavelength_angstrom", "3592.13", "bands.u.wavelength_angstrom"),
        ] {
            for changed in ["0", "-1", ".nan", ".inf"] {
                let message = message(key, value, changed);
                assert!(message.contains(&format!("`{name}`")), "{key}: {changed}: {message}");
            }
        }
        for changed in ["-0.1", "1", ".nan"] {
            assert!(message("obscuration", "0.6401", changed).contains("`obscuration`"), "{changed}");
        }
        assert!(message("sky_mag_per_arcsec2", "22.9", ".inf").contains("`bands.u`"));
        assert!(message("extinction_mag_per_airmass", "0.451", ".nan").contains("`bands.u`"));
        let (head, _) = LSST.split_once("bands:").expect("bands");
        assert!(Survey::parse(&format!("{head}bands: {{}}")).expect_err("no bands").to_string().contains("`bands`"));
    }

    #[test]
    fn unknown_keys_and_missing_files_are_rejected() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("survey.yaml");
        std::fs::write(&path, LSST.replace("airmass", "air_mass")).expect("written");
        let error = Survey::load(&path.display().to_string()).expect_err("an unknown key");
        assert!(matches!(error, Error::Data { .. }) && error.report().contains("air_mass"), "{}", error.report());
        std::fs::write(&path, LSST).expect("written");
        assert_eq!(Survey::load(&path.display().to_string()).expect("a survey"), Survey::load("lsst").expect("lsst"));
        assert!(matches!(Survey::load("no/such/survey.yaml"), Err(Error::Environment { .. })));
    }
}
