//! Surveys: telescope, bands and sky, read from YAML.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Cause, Error, Result, nearest},
    io::text::{self, NotText},
};

/// The built-in presets: names and files. Each file names the published source of each number.
///
/// Missing: KiDS (no published zero points of OmegaCAM in electrons per second were found), DECaLS (with published numbers only `g` comes within
/// 0.15 mag of the published depth), and Euclid NISP (`euclid_vis.yaml` gives the reason).
const PRESETS: &[(&str, &str)] = &[
    ("lsst", include_str!("lsst.yaml")),
    ("des", include_str!("des.yaml")),
    ("euclid_vis", include_str!("euclid_vis.yaml")),
    ("hsc_ssp", include_str!("hsc_ssp.yaml")),
    ("roman_wfi", include_str!("roman_wfi.yaml")),
    ("sdss", include_str!("sdss.yaml")),
    ("ztf", include_str!("ztf.yaml")),
];

/// The names of the built-in presets.
pub fn names() -> Vec<&'static str> {
    PRESETS.iter().map(|(name, _)| *name).collect()
}

/// The preset that a misspelt name probably means: one that begins with it (`euclid`), or one that is spelt nearly like it. Paths of files
/// mean none.
pub fn nearest_preset(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase().replace(['-', ' '], "_");
    if name.contains(['/', '\\', '.']) {
        return None;
    }
    let begins = |preset: &&'static str| !name.is_empty() && preset.starts_with(&name);
    names().into_iter().find(begins).or_else(|| nearest(&name, names()))
}

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
    /// Airmass of the exposures; the zero points include the extinction at this airmass. Missing for a telescope in space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub airmass: Option<f64>,
    /// Length of a visit, seconds.
    pub seconds_per_visit: f64,
    /// Read noise of one visit, electrons per pixel of the camera. Missing: exposures have none unless it is set there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_noise_electrons: Option<f64>,
    /// The bands by name.
    pub bands: BTreeMap<String, Band>,
}

/// A band of a survey.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// Exposure time per year, seconds. Of a survey that is not described by years it is that of the unit that `description` names.
    pub seconds_per_year: f64,
    /// Electrons per second of a source of AB magnitude 24, at the survey's airmass.
    pub zero_point_electrons_per_second: f64,
    /// Surface brightness of the sky, AB magnitudes per square arcsec.
    pub sky_mag_per_arcsec2: f64,
    /// Full width at half maximum of the atmospheric PSF at the zenith, arcsec. Missing in space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zenith_fwhm_arcsec: Option<f64>,
    /// Full width at half maximum of a Gaussian that widens the diffraction of a telescope in space, arcsec: aberrations, jitter and
    /// diffusion of charge. Missing: diffraction alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blur_fwhm_arcsec: Option<f64>,
    /// Extinction of the atmosphere, magnitudes per airmass. Missing in space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extinction_mag_per_airmass: Option<f64>,
    /// Effective wavelength, angstrom.
    pub wavelength_angstrom: f64,
}

impl Band {
    /// Full width at half maximum of what widens the diffraction, arcsec: the atmosphere at the zenith, or the blur in space.
    pub fn width_beside_diffraction(&self) -> f64 {
        self.zenith_fwhm_arcsec.or(self.blur_fwhm_arcsec).unwrap_or(0.0)
    }
}

impl Survey {
    /// The file that [`load`](Self::load) reads; `None` for the name of a preset.
    pub fn file(name_or_path: &str) -> Option<&Path> {
        preset(name_or_path).is_none().then(|| Path::new(name_or_path))
    }

    /// Whether the telescope is above the atmosphere.
    pub fn in_space(&self) -> bool {
        self.airmass.is_none()
    }

    /// The airmass that zero points refer to; 1 in space, where nothing depends on it.
    pub fn reference_airmass(&self) -> f64 {
        self.airmass.unwrap_or(1.0)
    }

    /// Read noise of one visit in a pixel of an image, electrons; 0 if the survey has none. The variance of an area of the sky is that of the
    /// camera, whatever the pixels of the image. An image of unknown scale is taken to have the pixels of the camera.
    pub fn read_noise_in_pixel(&self, pixel_scale_arcsec: Option<f64>) -> f64 {
        let noise = self.read_noise_electrons.unwrap_or(0.0);
        pixel_scale_arcsec.map_or(noise, |scale| noise * scale / self.pixel_scale_arcsec)
    }

    /// A preset by its name, or a file like `src/survey/lsst.yaml` by its path.
    ///
    /// # Errors
    /// [`Error::Environment`] when the file cannot be read, [`Error::Data`] when it is not a survey.
    pub fn load(name_or_path: &str) -> Result<Self> {
        if let Some(yaml) = preset(name_or_path) {
            let bug = |cause| Error::bug(format!("the preset `{name_or_path}` is invalid")).caused_by(cause);
            return Self::parse(yaml).map_err(bug);
        }
        let path = Path::new(name_or_path);
        let bytes = std::fs::read(path).map_err(|error| Error::io("read survey", path, error))?;
        let not_text = |error: NotText| Error::data(format!("survey `{name_or_path}` {}", error.message));
        let text = text::decode(bytes).map_err(not_text)?;
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
        self.airmass.map_or(Ok(()), |airmass| positive("airmass", airmass))?;
        positive("seconds_per_visit", self.seconds_per_visit)?;
        self.read_noise_electrons.map_or(Ok(()), |noise| positive("read_noise_electrons", noise))?;
        if !(0.0..1.0).contains(&self.obscuration) {
            return Err(format!("`obscuration` is {}, expected 0 to 1 (diameter over diameter)", self.obscuration));
        }
        if self.bands.is_empty() {
            return Err("`bands` is empty, expected at least one band".into());
        }
        for (name, band) in &self.bands {
            positive(&format!("bands.{name}.seconds_per_year"), band.seconds_per_year)?;
            positive(&format!("bands.{name}.zero_point_electrons_per_second"), band.zero_point_electrons_per_second)?;
            for (key, width) in
                [("zenith_fwhm_arcsec", band.zenith_fwhm_arcsec), ("blur_fwhm_arcsec", band.blur_fwhm_arcsec)]
            {
                width.map_or(Ok(()), |width| positive(&format!("bands.{name}.{key}"), width))?;
            }
            positive(&format!("bands.{name}.wavelength_angstrom"), band.wavelength_angstrom)?;
            let extinction = band.extinction_mag_per_airmass.unwrap_or(0.0);
            if !band.sky_mag_per_arcsec2.is_finite() || !extinction.is_finite() {
                return Err(format!("`bands.{name}` has a number that is not finite"));
            }
            self.check_atmosphere(name, band)?;
        }
        Ok(())
    }

    /// Checks that a band has the keys of the ground or those of space, as `airmass` says.
    fn check_atmosphere(&self, name: &str, band: &Band) -> Result<(), String> {
        let atmosphere = [
            ("zenith_fwhm_arcsec", band.zenith_fwhm_arcsec.is_some()),
            ("extinction_mag_per_airmass", band.extinction_mag_per_airmass.is_some()),
        ];
        let blur = ("blur_fwhm_arcsec", band.blur_fwhm_arcsec.is_some());
        if self.in_space() {
            let unexpected = atmosphere.into_iter().find(|(_, set)| *set);
            return unexpected.map_or(Ok(()), |(key, _)| {
                Err(format!("`bands.{name}.{key}` is set, but the survey is in space: it has no `airmass`"))
            });
        }
        if let Some((key, _)) = atmosphere.into_iter().find(|(_, set)| !*set) {
            return Err(format!(
                "`bands.{name}.{key}` is missing; only a survey in space, without `airmass`, has none"
            ));
        }
        if blur.1 {
            return Err(format!("`bands.{name}.{}` is for a survey in space, without `airmass`", blur.0));
        }
        Ok(())
    }
}

/// The file of a preset.
fn preset(name: &str) -> Option<&'static str> {
    PRESETS.iter().find(|(known, _)| *known == name).map(|(_, yaml)| *yaml)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LSST: &str = include_str!("lsst.yaml");
    const VIS: &str = include_str!("euclid_vis.yaml");

    #[test]
    fn every_preset_is_valid_and_describes_its_unit_of_years() {
        for name in names() {
            let survey = Survey::load(name).unwrap_or_else(|error| panic!("{name}: {}", error.report()));
            assert!(name == "lsst" || survey.description.contains("one year is"), "{name}: {}", survey.description);
            assert_eq!(Survey::file(name), None, "{name}");
        }
        assert_eq!(Survey::file("surveys/des.yaml"), Some(Path::new("surveys/des.yaml")));
    }

    #[test]
    fn a_misspelt_preset_is_recognized() {
        for (name, expected) in [
            ("euclid", Some("euclid_vis")),
            ("Euclid-VIS", Some("euclid_vis")),
            ("HSC", Some("hsc_ssp")),
            ("roman", Some("roman_wfi")),
            ("lst", Some("lsst")),
            ("SDSS", Some("sdss")),
            ("gaia_all_sky", None),
            ("./lsst", None),
            ("sdss.yaml", None),
            ("", None),
        ] {
            assert_eq!(nearest_preset(name), expected, "{name}");
        }
    }

    #[test]
    fn the_serialized_lsst_has_the_keys_that_labels_of_blurred_images_are_made_of() {
        let json = serde_json::to_value(Survey::load("lsst").expect("the preset")).expect("JSON");
        let keys =
            |value: &serde_json::Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
        assert!(!keys(&json).contains(&"read_noise_electrons".to_owned()), "{json}");
        assert!(!keys(&json["bands"]["g"]).contains(&"blur_fwhm_arcsec".to_owned()), "{json}");
        assert_eq!((keys(&json).len(), keys(&json["bands"]["g"]).len()), (7, 6), "{json}");
    }

    #[test]
    fn bands_have_the_keys_of_the_ground_or_those_of_space() {
        let message = |text: &str| Survey::parse(text).expect_err("rejected").to_string();
        let in_space = message(&LSST.replace("airmass: 1.2", ""));
        assert!(in_space.contains("`bands.g.zenith_fwhm_arcsec`") && in_space.contains("in space"), "{in_space}");
        let without_seeing = message(&LSST.replacen("zenith_fwhm_arcsec: 0.77, ", "", 1));
        assert!(without_seeing.contains("`bands.u.zenith_fwhm_arcsec` is missing"), "{without_seeing}");
        let without_extinction = message(&LSST.replacen("extinction_mag_per_airmass: 0.451, ", "", 1));
        assert!(without_extinction.contains("`bands.u.extinction_mag_per_airmass` is missing"), "{without_extinction}");
        let with_blur =
            message(&LSST.replacen("zenith_fwhm_arcsec: 0.77", "zenith_fwhm_arcsec: 0.77, blur_fwhm_arcsec: 0.1", 1));
        assert!(with_blur.contains("`bands.u.blur_fwhm_arcsec`"), "{with_blur}");
        for (key, value) in [
            ("blur_fwhm_arcsec: 0.08", "bands.IE.blur_fwhm_arcsec"),
            ("read_noise_electrons: 4.4", "read_noise_electrons"),
        ] {
            let (name, _) = key.split_once(':').expect("a key");
            for changed in ["0", "-1", ".nan"] {
                let message = message(&VIS.replacen(key, &format!("{name}: {changed}"), 1));
                assert!(message.contains(&format!("`{value}`")), "{key}: {changed}: {message}");
            }
        }
        assert!(Survey::load("euclid_vis").expect("the preset").in_space());
        assert!(!Survey::load("lsst").expect("the preset").in_space());
    }

    #[test]
    fn read_noise_of_an_area_is_that_of_the_camera_whatever_the_pixels() {
        let vis = Survey::load("euclid_vis").expect("the preset");
        assert_eq!(vis.read_noise_in_pixel(Some(0.1)), 4.4);
        assert!((vis.read_noise_in_pixel(Some(0.2)) - 8.8).abs() < 1e-12);
        assert_eq!(vis.read_noise_in_pixel(None), 4.4);
        assert_eq!(Survey::load("lsst").expect("the preset").read_noise_in_pixel(Some(0.2)), 0.0);
    }

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
