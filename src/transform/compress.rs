//! `compress`: what is lost when an image is stored as tile-compressed FITS.
//!
//! cfitsio compresses every band into a file in memory, which is read back. In each tile (a row; for HCOMPRESS the complete band)
//! pixels become `round((x - zero) / step)` with `step = noise / quantize_level`, so each is wrong by up to half a step. If nothing
//! else is lost, the noise grows by the factor `sqrt(1 + 1 / (12 quantize_level^2))`: 0.26 % at 4 and 4 % at 1. HCOMPRESS with an
//! `hcompress_scale` also rounds the coefficients of its transform, to that multiple of the noise. With a dither the rounding is
//! cfitsio's `SUBTRACTIVE_DITHER`, with a seed drawn from (run seed, object, label) for each band.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    pixel_transform::{PixelOperation, PixelRow, PixelTransform, QuantityLimits},
    quantity::Quantity,
};
use crate::{
    batch::ImageLayout,
    error::{Code, Diagnostic},
    fits::compress::{self, Compression},
    random::Stream,
    stage::{Settings, Transform},
};

/// Replaces an image by what is left of it after storage as tile-compressed FITS. Its variance, mask and PSF are kept.
///
/// `quantize_level` and `hcompress_scale` are numbers, `{ column: NAME }`, or one of these by band.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compress {
    /// The image column, before any stretch. A row with a pixel that is not finite is rejected.
    pub image: String,
    /// The algorithm that packs the quantised pixels.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// q of cfitsio: quantisation steps per standard deviation of the noise that cfitsio finds in a tile; the smaller, the more is
    /// lost. If negative, its absolute value is the step itself, in the unit of the image. Default: 4, as in cfitsio; `off` loses
    /// nothing.
    #[serde(default)]
    pub quantize_level: Option<Quantity>,
    /// `hcompress` only: what the coefficients of its transform are rounded to, in units of the noise; if negative, in units of a
    /// step. Default: 0, lossless.
    #[serde(default)]
    pub hcompress_scale: Option<Quantity>,
    /// Noise that is added before the rounding and subtracted when the file is read.
    #[serde(default)]
    pub dither: Dither,
}

impl Compress {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(image: impl Into<String>) -> Self {
        Self { image: image.into(), ..Self::default() }
    }
}

/// The algorithm that packs quantised pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Rice coding of the differences of neighbours: lossless, apart from the rounding.
    #[default]
    Rice,
    /// HCOMPRESS: wavelets in two dimensions.
    Hcompress,
}

/// Noise that is added before the rounding and subtracted when the file is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Dither {
    /// No dither: a faint gradient becomes a staircase.
    #[serde(rename = "none")]
    None,
    /// The default of cfitsio.
    #[default]
    #[serde(rename = "subtractive_dither_1")]
    SubtractiveDither1,
    /// The same, but pixels that are exactly 0 stay 0.
    #[serde(rename = "subtractive_dither_2")]
    SubtractiveDither2,
}

impl Settings<dyn Transform> for Compress {
    const NAME: &'static str = "compress";

    fn examples() -> &'static [&'static str] {
        &[
            "{ image: y10_sky, quantize_level: 4 }",
            "{ image: y10_sky, algorithm: hcompress, quantize_level: { g: 2, r: 4 }, hcompress_scale: 1.5, dither: subtractive_dither_2 }",
            "{ image: image, quantize_level: -0.5, dither: none }",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        if self.algorithm == Algorithm::Rice && self.hcompress_scale.is_some() {
            let message = "`hcompress_scale` has no effect with `algorithm: rice`";
            let mistake = Diagnostic::at("hcompress_scale", Code::Conflict, message);
            return Err(vec![mistake.help("set `algorithm: hcompress`, or remove `hcompress_scale`")]);
        }
        let image = self.image.clone();
        Ok(PixelTransform::boxed(label, &image, self))
    }
}

impl PixelOperation<2> for Compress {
    fn quantities(&self) -> [(&'static str, Option<&Quantity>); 2] {
        [("quantize_level", self.quantize_level.as_ref()), ("hcompress_scale", self.hcompress_scale.as_ref())]
    }

    fn limits(&self, _: &ImageLayout) -> [QuantityLimits; 2] {
        [QuantityLimits { default: 4.0, range: -1e30..=1e4 }, QuantityLimits { default: 0.0, range: -1e6..=1e3 }]
    }

    fn bind(&mut self, image: &ImageLayout) -> Result<(), Vec<Diagnostic>> {
        let (height, width) = (image.height, image.width);
        if self.algorithm == Algorithm::Hcompress && (height < 4 || width < 4) {
            let message = format!("`{}` has planes of {height}x{width}; HCOMPRESS needs at least 4x4", self.image);
            return Err(vec![Diagnostic::at("image", Code::WrongColumn, message)]);
        }
        Ok(())
    }

    fn apply(
        &mut self,
        row: &mut PixelRow,
        [quantize_level, hcompress_scale]: [&[f64]; 2],
        draws: &mut Stream,
    ) -> Result<(), String> {
        let shape = [row.layout.height, row.layout.width];
        for (band, plane) in row.image.chunks_exact_mut(row.layout.plane()).enumerate() {
            let seed = draws.below(10_000) as u16 + 1;
            let compression = Compression {
                algorithm: match self.algorithm {
                    Algorithm::Rice => compress::Algorithm::Rice,
                    Algorithm::Hcompress => compress::Algorithm::Hcompress { scale: hcompress_scale[band] as f32 },
                },
                quantize_level: quantize_level[band] as f32,
                dither: match self.dither {
                    Dither::None => compress::Dither::None,
                    Dither::SubtractiveDither1 => compress::Dither::Subtractive1 { seed },
                    Dither::SubtractiveDither2 => compress::Dither::Subtractive2 { seed },
                },
            };
            if compression.quantize_level != 0.0 {
                compress::round_trip(plane, &shape, &compression)
                    .map_err(|reason| format!("band `{}` {reason}", row.layout.bands[band]))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::transform::{
        conformance::keeps_its_promises,
        fixtures::{apply_to_image, first_diagnostic, noise_images, square_images, test_rows},
    };

    #[test]
    fn a_fixed_step_moves_no_pixel_by_more_than_half_of_it() {
        let settings = json!({ "quantize_level": -0.5, "dither": "none" });
        let (before, after, _) = apply_to_image("compress", settings, noise_images(6, 1.0));
        let worst = before.iter().zip(&after).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst > 0.24 && worst <= 0.2501, "{worst}");
    }

    #[test]
    fn the_noise_grows_by_the_variance_of_the_rounding() {
        // Uniform over a step of sigma / q: the variance is sigma^2 / (12 q^2). cfitsio's noise is the least of three estimates:
        // low by a few percent, and more so in rows of few pixels.
        let plane = |row: usize| {
            let mut draws = Stream::new(4, &row.to_string(), "plane");
            (0..10_000).map(|_| draws.normal() as f32).collect()
        };
        let planes: Vec<Vec<f32>> = (0..6).map(plane).collect();
        for level in [0.5, 1.0, 2.0] {
            let settings = json!({ "quantize_level": level, "algorithm": "hcompress" });
            let (before, after, _) = apply_to_image("compress", settings, square_images(&planes, 100));
            let pairs = before.iter().zip(&after).map(|(a, b)| f64::from(a - b).powi(2));
            let variance = pairs.sum::<f64>() / before.len() as f64;
            let expected = 1.0 / (12.0 * level * level);
            assert!((0.85..1.02).contains(&(variance / expected)), "{level}: {variance}, {expected}");
        }
    }

    #[test]
    fn hcompress_loses_more_with_a_larger_scale() {
        let lost = |scale: f64| {
            let settings = json!({ "algorithm": "hcompress", "hcompress_scale": scale, "dither": "none" });
            let (before, after, _) = apply_to_image("compress", settings, noise_images(6, 1.0));
            before.iter().zip(&after).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / before.len() as f64
        };
        let (none, some, more) = (lost(0.0), lost(1.0), lost(4.0));
        assert!(none < 0.01 && some > 3.0 * none && more > 3.0 * some, "{none} {some} {more}");
    }

    #[test]
    fn off_changes_nothing_and_a_dither_does() {
        let (before, after, _) = apply_to_image("compress", json!({ "quantize_level": "off" }), noise_images(3, 1.0));
        assert_eq!(before, after);
        let (_, dithered, _) = apply_to_image("compress", json!({ "quantize_level": 1 }), noise_images(3, 1.0));
        let plain = json!({ "quantize_level": 1, "dither": "none" });
        let (_, plain, _) = apply_to_image("compress", plain, noise_images(3, 1.0));
        assert_ne!(dithered, plain);
    }

    #[test]
    fn rejects_a_scale_without_hcompress_and_a_level_out_of_range() {
        let schema = test_rows(1).schema();
        let code = |settings| first_diagnostic("compress", settings, &schema).code;
        assert_eq!(code(json!({ "image": "image", "hcompress_scale": 1 })), Code::Conflict);
        assert_eq!(code(json!({ "image": "image", "quantize_level": 1e5 })), Code::OutOfRange);
    }

    #[test]
    fn keeps_its_promises_when_the_level_comes_from_a_column() {
        keeps_its_promises("compress", &json!({ "image": "image", "quantize_level": { "column": "gain" } }));
    }
}
