//! `gain_error`: a wrong calibration of the flux: the image times `1 + e`.
//!
//! e is given, or drawn from a normal distribution: for each object and band (the error of a zero point), or once for all bands of
//! an object (clouds). An error of e is an error of -1.086 e magnitudes; a factor `1 + e` below 0 becomes 0. The companion variance
//! is multiplied by the square of the factor. The electrons per nJy in the metadata of the image stay as they are, because the error
//! is unknown to the pipeline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    pixel_transform::{PixelOperation, PixelRow, PixelTransform, QuantityLimits},
    quantity::Quantity,
};
use crate::{
    batch::ImageLayout,
    error::{Code, Diagnostic},
    random::Stream,
    stage::{Settings, Transform},
};

/// Multiplies an image by one plus an error. Its variance follows, its mask and PSF are kept.
///
/// A quantity is a number, `{ column: NAME }`, or one of these by band, where bands that are not named have no error.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GainError {
    /// The image column, before any stretch.
    pub image: String,
    /// Standard deviation of the relative error, drawn for each object and band. Exactly one of `sigma` and `error` must be set.
    #[serde(default)]
    pub sigma: Option<Quantity>,
    /// The relative error itself: 0.01 is one percent too bright.
    #[serde(default)]
    pub error: Option<Quantity>,
    /// Draws one error for all bands of an object, as clouds do.
    #[serde(default)]
    pub same_in_all_bands: bool,
}

impl GainError {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(image: impl Into<String>) -> Self {
        Self { image: image.into(), ..Self::default() }
    }
}

impl Settings<dyn Transform> for GainError {
    const NAME: &'static str = "gain_error";

    fn examples() -> &'static [&'static str] {
        &[
            "{ image: y10_sky, sigma: 0.01 }",
            "{ image: y1_sky, sigma: { g: 0.05, r: 0.02 }, same_in_all_bands: true }",
            "{ image: image, error: { g: -0.1, i: 0.02 } }",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        match (&self.sigma, &self.error) {
            (None, None) => {
                let mistake = Diagnostic::at("", Code::MissingKey, "neither `sigma` nor `error` is set");
                return Err(vec![mistake.help("for example `sigma: 0.01`")]);
            }
            (Some(_), Some(_)) => {
                return Err(vec![Diagnostic::at("error", Code::Conflict, "`error` and `sigma` exclude each other")]);
            }
            _ => {}
        }
        let image = self.image.clone();
        Ok(PixelTransform::boxed(label, &image, self))
    }
}

impl PixelOperation<2> for GainError {
    fn quantities(&self) -> [(&'static str, Option<&Quantity>); 2] {
        [("sigma", self.sigma.as_ref()), ("error", self.error.as_ref())]
    }

    fn limits(&self, _: &ImageLayout) -> [QuantityLimits; 2] {
        [QuantityLimits { default: 0.0, range: 0.0..=100.0 }, QuantityLimits { default: 0.0, range: -1.0..=100.0 }]
    }

    fn apply(&mut self, row: &mut PixelRow, [sigma, error]: [&[f64]; 2], draws: &mut Stream) -> Result<(), String> {
        let plane = row.layout.plane();
        let common = draws.normal();
        for (band, pixels) in row.image.chunks_exact_mut(plane).enumerate() {
            let normal = if self.same_in_all_bands { common } else { draws.normal() };
            let gain = (1.0 + sigma[band] * normal + error[band]).max(0.0);
            if gain == 1.0 {
                continue;
            }
            pixels.iter_mut().for_each(|pixel| *pixel = (f64::from(*pixel) * gain) as f32);
            if let Some(variance) = row.variance.as_deref_mut() {
                let variance = &mut variance[band * plane..][..plane];
                variance.iter_mut().for_each(|variance| *variance = (f64::from(*variance) * gain * gain) as f32);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        batch::list_values,
        transform::{
            conformance::keeps_its_promises,
            fixtures::{apply_to_image, first_diagnostic, noise_images, test_rows},
        },
    };

    #[test]
    fn a_given_error_changes_the_named_bands_and_their_variance() {
        let settings = json!({ "error": { "g": 0.25, "i": -1.0 } });
        let (before, after, out) = apply_to_image("gain_error", settings, noise_images(2, 2.0));
        let variance = list_values(&out, "made_variance").expect("a variance").0;
        for (band, gain) in [(0, 1.25), (1, 1.0), (2, 0.0)] {
            for i in (0..2).flat_map(|row| row * 1200 + band * 400..row * 1200 + band * 400 + 400) {
                assert_eq!((after[i], variance[i]), (gain * before[i], gain * gain * 4.0));
            }
        }
    }

    #[test]
    fn drawn_errors_have_the_given_spread_and_differ_by_band_unless_shared() {
        for same in [false, true] {
            let settings = json!({ "sigma": 0.1, "same_in_all_bands": same });
            let (before, after, _) = apply_to_image("gain_error", settings, noise_images(600, 1.0));
            let gains = |band: usize| -> Vec<f64> {
                (0..600).map(|row| row * 1200 + band * 400).map(|i| f64::from(after[i] / before[i])).collect()
            };
            let (g, r) = (gains(0), gains(1));
            let mean = g.iter().sum::<f64>() / 600.0;
            let sigma = (g.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / 600.0).sqrt();
            assert!((mean - 1.0).abs() < 0.017 && (sigma - 0.1).abs() < 0.012, "{mean} {sigma}");
            let largest_difference = g.iter().zip(&r).map(|(g, r)| (g - r).abs()).fold(0.0, f64::max);
            assert_eq!(largest_difference < 1e-5, same, "{largest_difference}");
        }
    }

    #[test]
    fn a_sigma_of_zero_changes_nothing() {
        let (before, after, _) = apply_to_image("gain_error", json!({ "sigma": 0 }), noise_images(3, 1.0));
        assert_eq!(before, after);
    }

    #[test]
    fn requires_exactly_one_of_sigma_and_error_in_range() {
        let schema = test_rows(1).schema();
        let code = |settings| first_diagnostic("gain_error", settings, &schema).code;
        assert_eq!(code(json!({ "image": "image" })), Code::MissingKey);
        assert_eq!(code(json!({ "image": "image", "sigma": 1, "error": 1 })), Code::Conflict);
        assert_eq!(code(json!({ "image": "image", "error": -2 })), Code::OutOfRange);
    }

    #[test]
    fn keeps_its_promises_when_the_error_of_a_band_comes_from_a_column() {
        let settings = json!({ "image": "image", "error": { "g": -0.1, "r": { "column": "gain" } } });
        keeps_its_promises("gain_error", &settings);
    }
}
