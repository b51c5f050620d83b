//! `gain_error`: a wrong calibration of the flux: the image times `1 + e`.
//!
//! e is given, or drawn from a normal distribution for each object and band (the error of a zero point), or once for all bands of an
//! object (clouds). An error of e is one of -1.086 e magnitudes; what would be below no flux at all is none. The companion
//! variance is multiplied by the square. What the image says of its electrons per nJy is left: nobody knows of the error.

use arrow::datatypes::Schema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    perturbation::{Perturbation, Perturbed, Row},
    quantity::{self, Bound, Quantity, Rules},
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
    /// Standard deviation of the relative error, drawn for each object and band. One of `sigma` and `error` has to be set.
    #[serde(default)]
    pub sigma: Option<Quantity>,
    /// The relative error itself: 0.01 is one percent too bright.
    #[serde(default)]
    pub error: Option<Quantity>,
    /// Draws one number for all bands of an object, as clouds do.
    #[serde(default)]
    pub same_in_all_bands: bool,
}

impl Settings<dyn Transform> for GainError {
    const NAME: &'static str = "gain_error";

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        match (&self.sigma, &self.error) {
            (None, None) => {
                let mistake = Diagnostic::at("", Code::MissingKey, "no error is set: neither `sigma` nor `error`");
                return Err(vec![mistake.help("for example `sigma: 0.01`")]);
            }
            (Some(_), Some(_)) => {
                return Err(vec![Diagnostic::at("error", Code::Conflict, "`error` and `sigma` exclude each other")]);
            }
            _ => {}
        }
        let image = self.image.clone();
        Ok(Perturbed::boxed(label, &image, self))
    }
}

impl Perturbation for GainError {
    fn quantities(&self) -> Vec<(&'static str, &Quantity)> {
        let all = [("sigma", &self.sigma), ("error", &self.error)];
        all.into_iter().filter_map(|(key, quantity)| quantity.as_ref().map(|quantity| (key, quantity))).collect()
    }

    fn bind(&mut self, input: &Schema, image: &ImageLayout) -> Result<Vec<Bound>, Vec<Diagnostic>> {
        let rules = |key, range| {
            let (bands, default) = (image.bands.as_slice(), vec![0.0; image.bands.len()]);
            Rules { key, bands, default, off: Some(0.0), range }
        };
        let each =
            [(self.sigma.as_ref(), rules("sigma", 0.0..=100.0)), (self.error.as_ref(), rules("error", -1.0..=100.0))];
        quantity::bind_all(&each, input)
    }

    fn perturb(&mut self, row: &mut Row, numbers: &[Vec<f64>], draws: &mut Stream) -> Result<(), String> {
        let plane = row.layout.plane();
        let common = draws.normal();
        for (band, pixels) in row.image.chunks_exact_mut(plane).enumerate() {
            let normal = if self.same_in_all_bands { common } else { draws.normal() };
            let gain = (1.0 + numbers[0][band] * normal + numbers[1][band]).max(0.0);
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
        transform::contract::{batch, bound, changed, noise},
    };

    #[test]
    fn a_given_error_is_applied_to_the_bands_that_are_named() {
        let (before, after, out) = changed("gain_error", json!({ "error": { "g": 0.25, "i": -1.0 } }), noise(2, 2.0));
        let variance = list_values(&out, "made_variance").expect("a variance").0;
        for (band, gain) in [(0, 1.25), (1, 1.0), (2, 0.0)] {
            for i in (0..2).flat_map(|row| row * 1200 + band * 400..row * 1200 + band * 400 + 400) {
                assert_eq!((after[i], variance[i]), (gain * before[i], gain * gain * 4.0));
            }
        }
    }

    #[test]
    fn drawn_errors_have_their_spread_and_differ_by_band_unless_told() {
        for same in [false, true] {
            let settings = json!({ "sigma": 0.1, "same_in_all_bands": same });
            let (before, after, _) = changed("gain_error", settings, noise(600, 1.0));
            let gains = |band: usize| -> Vec<f64> {
                (0..600).map(|row| row * 1200 + band * 400).map(|i| f64::from(after[i] / before[i])).collect()
            };
            let (g, r) = (gains(0), gains(1));
            let mean = g.iter().sum::<f64>() / 600.0;
            let sigma = (g.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / 600.0).sqrt();
            assert!((mean - 1.0).abs() < 0.017 && (sigma - 0.1).abs() < 0.012, "{mean} {sigma}");
            let apart = g.iter().zip(&r).map(|(g, r)| (g - r).abs()).fold(0.0, f64::max);
            assert_eq!(apart < 1e-5, same, "{apart}");
        }
    }

    #[test]
    fn no_error_changes_nothing_and_one_of_two_has_to_be_set() {
        let (before, after, _) = changed("gain_error", json!({ "sigma": 0 }), noise(3, 1.0));
        assert_eq!(before, after);
        let schema = batch(1).schema();
        let told = |settings| bound("gain_error", settings, &schema).err().expect("a mistake").remove(0).code;
        assert_eq!(told(json!({ "image": "image" })), Code::MissingKey);
        assert_eq!(told(json!({ "image": "image", "sigma": 1, "error": 1 })), Code::Conflict);
        assert_eq!(told(json!({ "image": "image", "error": -2 })), Code::OutOfRange);
    }
}
