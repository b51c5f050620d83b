//! Stretch constants measured on a data set: the file that `lucarne calibrate` writes and `asinh_stretch` reads.
//!
//! JSON, which is YAML too: `{"domains": {"y10": {"lo": -1136.0, "hi": 23822.0, ...}}}`. Each domain keeps what it was
//! measured on. Keys that are not known are left alone, so a file may be annotated by hand.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};

use super::quantile::{Quantiles, RELATIVE_ERROR};

/// The percentile of the lower clip (Ćiprijanović et al. 2022).
pub const LOW_PERCENT: f64 = 0.1;
/// The percentile of the upper clip.
pub const HIGH_PERCENT: f64 = 99.9;

/// Stretch constants by domain.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The domains, by name.
    pub domains: BTreeMap<String, Domain>,
}

/// The stretch constants of a domain and what they were measured on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Domain {
    /// Lower clip, in the unit of the images.
    pub lo: f64,
    /// Upper clip, in the unit of the images.
    pub hi: f64,
    /// The unit of the images: `nJy`, `electron`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The percentile that `lo` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_percent: Option<f64>,
    /// The percentile that `hi` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_percent: Option<f64>,
    /// The bound of the error of `lo` and `hi`, relative to their size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative_error: Option<f64>,
    /// Images measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<u64>,
    /// Finite pixels measured, all bands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixels: Option<u64>,
    /// Bands measured, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bands: Option<Vec<String>>,
    /// What was measured, in words: a pipeline, a data set, a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_on: Option<String>,
}

impl Domain {
    /// The constants of counted pixels, at two percentiles: [`LOW_PERCENT`] and [`HIGH_PERCENT`] are those of the paper.
    /// `None` when no stretch comes of them: no pixel, all the same, or no flux above zero.
    pub fn of(pixels: &Quantiles, low_percent: f64, high_percent: f64) -> Option<Self> {
        let (lo, hi) = (pixels.percentile(low_percent)?, pixels.percentile(high_percent)?);
        let domain = Self {
            lo,
            hi,
            low_percent: Some(low_percent),
            high_percent: Some(high_percent),
            relative_error: Some(RELATIVE_ERROR),
            pixels: Some(pixels.count()),
            ..Self::default()
        };
        domain.is_usable().then_some(domain)
    }

    /// Whether a stretch can be made of the constants: finite, lo < hi, hi > 0.
    pub fn is_usable(&self) -> bool {
        self.lo.is_finite() && self.hi.is_finite() && self.lo < self.hi && self.hi > 0.0
    }
}

/// A calibration that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// The file cannot be read.
    #[error("cannot read the calibration `{path}`: {error}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The file is no calibration.
    #[error("`{path}` is no calibration: {reason}")]
    Unusable {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Calibration {
    /// Reads a calibration, JSON or YAML.
    ///
    /// # Errors
    /// When the file cannot be read, is no calibration, or has a domain that makes no stretch.
    pub fn read(path: &Path) -> Result<Self, CalibrationError> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| CalibrationError::Read { path: name.clone(), error })?;
        let unusable = |reason: String| CalibrationError::Unusable { path: name.clone(), reason };
        let calibration: Self = serde_saphyr::from_str(&text).map_err(|error| unusable(first_line(&error)))?;
        match calibration.domains.iter().find(|(_, domain)| !domain.is_usable()) {
            Some((name, _)) => Err(unusable(format!("domain `{name}` needs lo < hi and hi > 0"))),
            None => Ok(calibration),
        }
    }

    /// The text of the file.
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("names and numbers always make JSON");
        text + "\n"
    }
}

fn first_line(error: &impl ToString) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calibration_survives_its_file() {
        let mut pixels = Quantiles::default();
        pixels.add(&(-500..=9_500).map(|i| i as f32).collect::<Vec<_>>());
        let domain = Domain {
            unit: Some("electron".into()),
            ..Domain::of(&pixels, LOW_PERCENT, HIGH_PERCENT).expect("constants")
        };
        assert!((domain.lo - -490.0).abs() < 0.01 && (domain.hi - 9_490.0).abs() < 0.15, "{domain:?}");
        let calibration = Calibration { domains: BTreeMap::from([("y10".into(), domain)]) };
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stretch.json");
        fs::write(&path, calibration.to_json()).expect("written");
        assert_eq!(Calibration::read(&path).expect("read"), calibration);
    }

    #[test]
    fn a_calibration_written_by_hand_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stretch.yaml");
        fs::write(&path, "note: by hand\ndomains:\n  y1: { lo: -367, hi: 2388 }\n").expect("written");
        let calibration = Calibration::read(&path).expect("read");
        assert_eq!((calibration.domains["y1"].lo, calibration.domains["y1"].hi), (-367.0, 2388.0));
    }

    #[test]
    fn a_broken_calibration_says_what_is_wrong() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stretch.yaml");
        let error = || Calibration::read(&path).expect_err("broken").to_string();
        assert!(error().starts_with("cannot read the calibration `"), "{}", error());
        fs::write(&path, "domains: { y1: { lo: 3, hi: 2 } }").expect("written");
        assert!(error().ends_with("domain `y1` needs lo < hi and hi > 0"), "{}", error());
        fs::write(&path, "domains: { y1: { lo: 3 } }").expect("written");
        assert!(error().contains("hi"), "{}", error());
    }

    #[test]
    fn dark_or_empty_images_make_no_constants() {
        let mut pixels = Quantiles::default();
        assert_eq!(Domain::of(&pixels, LOW_PERCENT, HIGH_PERCENT), None);
        pixels.add(&[-3.0, -2.0, -1.0]);
        assert_eq!(Domain::of(&pixels, LOW_PERCENT, HIGH_PERCENT), None);
    }
}
