//! `compress`: what storing an image as tile-compressed FITS loses.
//!
//! cfitsio compresses every band into a file in memory and reads it back. In each tile (a row; for HCOMPRESS the whole band)
//! pixels become `round((x - zero) / step)` with `step = noise / quantize_level`, so each is wrong by up to half a step: without
//! other loss the noise grows by the factor `sqrt(1 + 1 / (12 quantize_level^2))`, 0.26 % at 4 and 4 % at 1. HCOMPRESS with a
//! `hcompress_scale` also rounds the coefficients of its transform to that many noises. With a dither the rounding is that of
//! cfitsio's `SUBTRACTIVE_DITHER`, whose seed is drawn from (run seed, object, label) for each band.

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
    fits::compress::{self, Compression},
    random::Stream,
    stage::{Settings, Transform},
};

/// Shows what is left of an image that was stored as tile-compressed FITS. Its variance, mask and PSF are kept.
///
/// `quantize_level` and `hcompress_scale` are numbers, `{ column: NAME }`, or one of these by band.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compress {
    /// The image column, before any stretch. A row with a pixel that is not finite is rejected.
    pub image: String,
    /// What packs the quantised pixels.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// q of cfitsio: steps of the quantisation in the noise that it finds in a tile; the smaller, the more is lost. Negative: the
    /// step itself, in the unit of the image. 4, as cfitsio has it, when not set; `off` loses nothing.
    #[serde(default)]
    pub quantize_level: Option<Quantity>,
    /// Of `hcompress`: what the coefficients of its transform are rounded to, in units of the noise. Negative: in units of a step.
    /// 0, lossless, when not set.
    #[serde(default)]
    pub hcompress_scale: Option<Quantity>,
    /// Noise that is added before the rounding and subtracted when read.
    #[serde(default)]
    pub dither: Dither,
}

/// What packs quantised pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Rice coding of the differences of neighbours. Rounding aside it loses nothing.
    #[default]
    Rice,
    /// HCOMPRESS: wavelets in two dimensions.
    Hcompress,
}

/// Noise that is added before the rounding and subtracted when read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Dither {
    /// None: a faint gradient becomes a staircase.
    #[serde(rename = "none")]
    None,
    /// As cfitsio does when nothing is said.
    #[default]
    #[serde(rename = "subtractive_dither_1")]
    SubtractiveDither1,
    /// The same, and pixels that are exactly 0 stay so.
    #[serde(rename = "subtractive_dither_2")]
    SubtractiveDither2,
}

impl Settings<dyn Transform> for Compress {
    const NAME: &'static str = "compress";

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        if self.algorithm == Algorithm::Rice && self.hcompress_scale.is_some() {
            let message = "`hcompress_scale` has no meaning with `algorithm: rice`";
            return Err(vec![Diagnostic::at("hcompress_scale", Code::Conflict, message)]);
        }
        let image = self.image.clone();
        Ok(Perturbed::boxed(label, &image, self))
    }
}

impl Perturbation for Compress {
    fn quantities(&self) -> Vec<(&'static str, &Quantity)> {
        let quantities = [("quantize_level", &self.quantize_level), ("hcompress_scale", &self.hcompress_scale)];
        quantities.into_iter().filter_map(|(key, quantity)| quantity.as_ref().map(|quantity| (key, quantity))).collect()
    }

    fn bind(&mut self, input: &Schema, image: &ImageLayout) -> Result<Vec<Bound>, Vec<Diagnostic>> {
        let (height, width) = (image.height, image.width);
        if self.algorithm == Algorithm::Hcompress && (height < 4 || width < 4) {
            let message = format!("`{}` has planes of {height}x{width}; HCOMPRESS takes 4x4 and more", self.image);
            return Err(vec![Diagnostic::at("image", Code::WrongColumn, message)]);
        }
        let rules = |key, default, range| {
            let (bands, default) = (image.bands.as_slice(), vec![default; image.bands.len()]);
            Rules { key, bands, default, off: Some(0.0), range }
        };
        let level = rules("quantize_level", 4.0, -1e30..=1e4);
        let scale = rules("hcompress_scale", 0.0, -1e6..=1e3);
        quantity::bind_all(&[(self.quantize_level.as_ref(), level), (self.hcompress_scale.as_ref(), scale)], input)
    }

    fn perturb(&mut self, row: &mut Row, numbers: &[Vec<f64>], draws: &mut Stream) -> Result<(), String> {
        let shape = [row.layout.height, row.layout.width];
        for (band, plane) in row.image.chunks_exact_mut(row.layout.plane()).enumerate() {
            let seed = draws.below(10_000) as u16 + 1;
            let how = Compression {
                algorithm: match self.algorithm {
                    Algorithm::Rice => compress::Algorithm::Rice,
                    Algorithm::Hcompress => compress::Algorithm::Hcompress { scale: numbers[1][band] as f32 },
                },
                quantize_level: numbers[0][band] as f32,
                dither: match self.dither {
                    Dither::None => compress::Dither::None,
                    Dither::SubtractiveDither1 => compress::Dither::Subtractive1 { seed },
                    Dither::SubtractiveDither2 => compress::Dither::Subtractive2 { seed },
                },
            };
            if how.quantize_level != 0.0 {
                let done = compress::round_trip(plane, &shape, &how);
                done.map_err(|reason| format!("band `{}` {reason}", row.layout.bands[band]))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::transform::contract::{batch, bound, changed, images, noise};

    #[test]
    fn a_fixed_step_moves_no_pixel_by_more_than_half_of_it() {
        let (before, after, _) =
            changed("compress", json!({ "quantize_level": -0.5, "dither": "none" }), noise(6, 1.0));
        let worst = before.iter().zip(&after).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst > 0.24 && worst <= 0.2501, "{worst}");
    }

    #[test]
    fn the_noise_grows_by_the_variance_of_the_rounding() {
        // Uniform over a step of sigma / q: the variance is sigma^2 / (12 q^2). cfitsio's noise is the least of three estimates:
        // low by some percent, and more so in rows of few pixels.
        let plane = |row: usize| {
            let mut draws = Stream::new(4, &row.to_string(), "plane");
            (0..10_000).map(|_| draws.normal() as f32).collect()
        };
        let planes: Vec<Vec<f32>> = (0..6).map(plane).collect();
        for level in [0.5, 1.0, 2.0] {
            let settings = json!({ "quantize_level": level, "algorithm": "hcompress" });
            let (before, after, _) = changed("compress", settings, images(&planes, 100));
            let pairs = before.iter().zip(&after).map(|(a, b)| f64::from(a - b).powi(2));
            let variance = pairs.sum::<f64>() / before.len() as f64;
            let expected = 1.0 / (12.0 * level * level);
            assert!((0.85..1.02).contains(&(variance / expected)), "{level}: {variance}, {expected}");
        }
    }

    #[test]
    fn hcompress_loses_more_with_a_scale() {
        let lost = |scale: f64| {
            let settings = json!({ "algorithm": "hcompress", "hcompress_scale": scale, "dither": "none" });
            let (before, after, _) = changed("compress", settings, noise(6, 1.0));
            before.iter().zip(&after).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / before.len() as f64
        };
        let (none, some, more) = (lost(0.0), lost(1.0), lost(4.0));
        assert!(none < 0.01 && some > 3.0 * none && more > 3.0 * some, "{none} {some} {more}");
    }

    #[test]
    fn switched_off_it_changes_nothing_and_the_seed_of_the_dither_is_that_of_object_and_label() {
        let (before, after, _) = changed("compress", json!({ "quantize_level": "off" }), noise(3, 1.0));
        assert_eq!(before, after);
        let (_, dithered, _) = changed("compress", json!({ "quantize_level": 1 }), noise(3, 1.0));
        let (_, plain, _) = changed("compress", json!({ "quantize_level": 1, "dither": "none" }), noise(3, 1.0));
        assert_ne!(dithered, plain);
    }

    #[test]
    fn a_scale_without_hcompress_and_a_level_that_cannot_be_are_mistakes() {
        let schema = batch(1).schema();
        let told = |settings| bound("compress", settings, &schema).err().expect("a mistake").remove(0);
        assert_eq!(told(json!({ "image": "image", "hcompress_scale": 1 })).code, Code::Conflict);
        assert_eq!(told(json!({ "image": "image", "quantize_level": 1e5 })).code, Code::OutOfRange);
    }
}
