//! The file of stretch constants that `lucarne calibrate` writes and `asinh_stretch` reads.
//!
//! JSON, which is YAML too: `{"domains": {"y10": {"lo": -1136.0, "hi": 23822.0, ...}}}`. Each domain records what it
//! was measured on. Unknown keys are ignored, so a file may be annotated by hand.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    io::text,
    stats::quantile_sketch::{QuantileSketch, RELATIVE_ERROR},
};

/// The percentile of the lower clip (Ćiprijanović et al. 2022).
pub const LOW_PERCENT: f64 = 0.1;
/// The percentile of the upper clip.
pub const HIGH_PERCENT: f64 = 99.9;

/// Stretch constants by domain.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StretchConstants {
    /// The domains by name.
    pub domains: BTreeMap<String, DomainConstants>,
}

/// The stretch constants of a domain, and what they were measured on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DomainConstants {
    /// Lower clip, in the unit of the images.
    pub lo: f64,
    /// Upper clip, in the unit of the images.
    pub hi: f64,
    /// The unit of the images: `nJy`, `electron`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Electrons per nJy of each band, where the images are in electrons and all have one exposure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub electrons_per_njy: Option<Vec<f64>>,
    /// The percentile of `lo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_percent: Option<f64>,
    /// The percentile of `hi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_percent: Option<f64>,
    /// The bound of the error of `lo` and `hi`, relative to their size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative_error: Option<f64>,
    /// The number of images measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<u64>,
    /// The number of finite pixels measured, in all bands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixels: Option<u64>,
    /// The bands measured, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bands: Option<Vec<String>>,
    /// What was measured, in words: a pipeline, a data set, a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_on: Option<String>,
}

impl DomainConstants {
    /// The constants of counted pixels, at two percentiles: [`LOW_PERCENT`] and [`HIGH_PERCENT`] are those of the
    /// paper. `None` when they are not usable: no pixels, equal pixels, or no flux above zero.
    pub fn of(pixels: &QuantileSketch, low_percent: f64, high_percent: f64) -> Option<Self> {
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

    /// Whether the constants define a stretch: finite, lo < hi, hi > 0.
    pub fn is_usable(&self) -> bool {
        self.lo.is_finite() && self.hi.is_finite() && self.lo < self.hi && self.hi > 0.0
    }
}

impl StretchConstants {
    /// Reads a file, JSON or YAML.
    ///
    /// # Errors
    /// [`Error::Environment`] when the file cannot be read; [`Error::Data`] when it does not hold stretch constants, or
    /// a domain is not usable.
    pub fn read(path: &Path) -> Result<Self> {
        let text = text::read(path)?;
        let constants: Self = serde_saphyr::from_str(&text).map_err(|error| {
            // The other lines show the source of the file.
            let cause = error.to_string().lines().next().unwrap_or_default().to_owned();
            Error::data(format!("`{}` is not a file of stretch constants", path.display())).caused_by(cause)
        })?;
        match constants.domains.iter().find(|(_, domain)| !domain.is_usable()) {
            Some((name, DomainConstants { lo, hi, .. })) => Err(Error::data(format!(
                "domain `{name}` of `{}` has lo = {lo} and hi = {hi}, expected lo < hi and hi > 0",
                path.display()
            ))),
            None => Ok(constants),
        }
    }

    /// The text of the file.
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("names and numbers always make JSON");
        text + "\n"
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn constants_survive_their_file() {
        let mut pixels = QuantileSketch::default();
        pixels.add(&(-500..=9_500).map(|i| i as f32).collect::<Vec<_>>());
        let domain = DomainConstants {
            unit: Some("electron".into()),
            ..DomainConstants::of(&pixels, LOW_PERCENT, HIGH_PERCENT).expect("constants")
        };
        assert!((domain.lo - -490.0).abs() < 0.01 && (domain.hi - 9_490.0).abs() < 0.15, "{domain:?}");
        let constants = StretchConstants { domains: BTreeMap::from([("y10".into(), domain)]) };
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stretch.json");
        fs::write(&path, constants.to_json()).expect("written");
        assert_eq!(StretchConstants::read(&path).expect("read"), constants);
    }

    #[test]
    fn reads_files_written_by_hand() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stretch.yaml");
        fs::write(&path, "note: by hand\ndomains:\n  y1: { lo: -367, hi: 2388 }\n").expect("written");
        let constants = StretchConstants::read(&path).expect("read");
        assert_eq!((constants.domains["y1"].lo, constants.domains["y1"].hi), (-367.0, 2388.0));
    }

    #[test]
    fn rejects_files_with_the_reason() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stretch.yaml");
        let error = || StretchConstants::read(&path).expect_err("rejected");
        assert!(matches!(error(), Error::Environment { .. }) && error().to_string().starts_with("cannot read `"));
        fs::write(&path, "domains: { y1: { lo: 3, hi: 2 } }").expect("written");
        assert!(matches!(error(), Error::Data { .. }));
        assert!(error().to_string().ends_with("has lo = 3 and hi = 2, expected lo < hi and hi > 0"), "{}", error());
        fs::write(&path, "domains: { y1: { lo: 3 } }").expect("written");
        let error = error();
        assert!(error.to_string().ends_with("is not a file of stretch constants") && error.report().contains("`hi`"));
        assert!(!error.report().contains('\n'), "{}", error.report());
    }

    #[test]
    fn dark_or_empty_images_have_no_constants() {
        let mut pixels = QuantileSketch::default();
        assert_eq!(DomainConstants::of(&pixels, LOW_PERCENT, HIGH_PERCENT), None);
        pixels.add(&[-3.0, -2.0, -1.0]);
        assert_eq!(DomainConstants::of(&pixels, LOW_PERCENT, HIGH_PERCENT), None);
        pixels.add(&[5.0]);
        assert!(DomainConstants::of(&pixels, 0.0, 100.0).is_some_and(|domain| domain.lo < -2.99 && domain.hi > 4.99));
    }

    #[test]
    fn usable_constants_are_finite_and_ordered_with_a_positive_top() {
        let is_usable = |lo, hi| DomainConstants { lo, hi, ..DomainConstants::default() }.is_usable();
        assert!(is_usable(-1.0, 1.0) && is_usable(0.5, 1.0));
        assert!(!is_usable(1.0, 1.0) && !is_usable(-1.0, 0.0) && !is_usable(f64::NEG_INFINITY, 1.0));
        assert!(!is_usable(0.0, f64::INFINITY) && !is_usable(f64::NAN, 1.0));
    }
}
