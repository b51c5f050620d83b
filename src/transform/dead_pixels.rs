//! `dead_pixels`: pixels and columns of a detector that carry no signal.
//!
//! Every pixel is dead with a given probability, independently, and a given number of columns is dead from end to end; a dead pixel
//! holds a given value. Which pixels are dead depends on (run seed, object, label), and differs by band, because each band has its
//! own exposures. Bit 0 of the companion mask is set there: the pixel does not count.

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

/// Replaces pixels and columns of an image by those of a dead detector. Its mask marks them, its variance and PSF are kept.
///
/// A quantity is a number, `{ column: NAME }`, or one of these by band, where bands that are not named have no dead pixels.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadPixels {
    /// The image column, before any stretch.
    pub image: String,
    /// The probability that a pixel is dead: about 0.001 for a good detector.
    #[serde(default)]
    pub fraction: Option<Quantity>,
    /// The number of dead columns per image, rounded to an integer. At least one of `fraction` and `columns` must be set.
    #[serde(default)]
    pub columns: Option<Quantity>,
    /// The value of a dead pixel, in the unit of the image. Default: 0, no flux above the sky. A large value makes hot pixels.
    #[serde(default)]
    pub value: Option<Quantity>,
}

impl DeadPixels {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(image: impl Into<String>) -> Self {
        Self { image: image.into(), ..Self::default() }
    }
}

impl Settings<dyn Transform> for DeadPixels {
    const NAME: &'static str = "dead_pixels";

    fn examples() -> &'static [&'static str] {
        &["{ image: y10_sky, fraction: 0.01 }", "{ image: y1_sky, columns: { g: 1, i: 3 }, value: -7.5 }"]
    }

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        if self.fraction.is_none() && self.columns.is_none() {
            let mistake = Diagnostic::at("", Code::MissingKey, "neither `fraction` nor `columns` is set");
            return Err(vec![mistake.help("for example `fraction: 0.01`")]);
        }
        let image = self.image.clone();
        Ok(PixelTransform::boxed(label, &image, self))
    }
}

impl PixelOperation<3> for DeadPixels {
    fn quantities(&self) -> [(&'static str, Option<&Quantity>); 3] {
        [("fraction", self.fraction.as_ref()), ("columns", self.columns.as_ref()), ("value", self.value.as_ref())]
    }

    fn limits(&self, image: &ImageLayout) -> [QuantityLimits; 3] {
        [
            QuantityLimits { default: 0.0, range: 0.0..=1.0 },
            QuantityLimits { default: 0.0, range: 0.0..=image.width as f64 },
            QuantityLimits { default: 0.0, range: f64::from(f32::MIN)..=f64::from(f32::MAX) },
        ]
    }

    fn apply(
        &mut self,
        row: &mut PixelRow,
        [fraction, columns, value]: [&[f64]; 3],
        draws: &mut Stream,
    ) -> Result<(), String> {
        let (width, plane) = (row.layout.width, row.layout.plane());
        for (band, pixels) in row.image.chunks_exact_mut(plane).enumerate() {
            let (fraction, columns, value) = (fraction[band], columns[band], value[band] as f32);
            let mut mask = row.mask.as_deref_mut().map(|mask| &mut mask[band * plane..][..plane]);
            let mut kill = |pixel: usize| {
                pixels[pixel] = value;
                if let Some(mask) = &mut mask {
                    mask[pixel] |= 1;
                }
            };
            for column in distinct(columns.round() as usize, width, draws) {
                (column..plane).step_by(width).for_each(&mut kill);
            }
            if fraction > 0.0 {
                let below = (fraction * 4_294_967_296.0) as u64;
                (0..plane).filter(|_| u64::from(draws.next_u32()) < below).for_each(&mut kill);
            }
        }
        Ok(())
    }
}

/// Draws `count` distinct numbers below `n`.
fn distinct(count: usize, n: usize, draws: &mut Stream) -> Vec<usize> {
    if count == 0 {
        return Vec::new();
    }
    let mut all: Vec<usize> = (0..n).collect();
    for i in 0..count.min(n) {
        all.swap(i, i + draws.below((n - i) as u64) as usize);
    }
    all.truncate(count);
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        batch::mask_values,
        transform::fixtures::{apply_to_image, first_diagnostic, noise_images, test_rows},
    };

    #[test]
    fn the_given_fraction_is_dead_and_marked_in_the_mask() {
        let settings = json!({ "fraction": 0.03, "value": 99 });
        let (before, after, out) = apply_to_image("dead_pixels", settings, noise_images(40, 1.0));
        let mask = mask_values(&out, "made_mask").expect("a mask").0;
        let dead = after.iter().filter(|pixel| **pixel == 99.0).count() as f64;
        let n = before.len() as f64;
        // Four standard deviations of a share.
        assert!((dead / n - 0.03).abs() < 4.0 * (0.03 * 0.97 / n).sqrt(), "{dead} of {n}");
        let marked = after.iter().zip(&before).zip(mask);
        assert!(marked.clone().all(|((a, b), mask)| if *mask == 1 { *a == 99.0 } else { a == b }));
        assert_eq!(mask.iter().sum::<u64>(), dead as u64);
    }

    #[test]
    fn dead_columns_are_distinct_and_reach_from_end_to_end() {
        let settings = json!({ "columns": { "r": 5, "i": 20 } });
        let (before, after, _) = apply_to_image("dead_pixels", settings, noise_images(4, 1.0));
        for (before, after) in before.chunks_exact(1200).zip(after.chunks_exact(1200)) {
            let dead = |band: usize, x: usize| (0..20).all(|y| after[band * 400 + y * 20 + x] == 0.0);
            let count = |band| (0..20).filter(|x| dead(band, *x)).count();
            assert_eq!([count(0), count(1), count(2)], [0, 5, 20]);
            assert_eq!(before[..400], after[..400]);
            assert_eq!(after[400..800].iter().filter(|pixel| **pixel == 0.0).count(), 100);
        }
    }

    #[test]
    fn dead_pixels_differ_by_object() {
        let settings = json!({ "fraction": 0.1, "value": 99 });
        let (_, after, _) = apply_to_image("dead_pixels", settings, noise_images(2, 1.0));
        let dead = |row: usize| after[row * 1200..][..1200].iter().map(|pixel| *pixel == 99.0).collect::<Vec<_>>();
        assert_ne!(dead(0), dead(1));
    }

    #[test]
    fn requires_fraction_or_columns_within_the_image() {
        let schema = test_rows(1).schema();
        let code = |settings| first_diagnostic("dead_pixels", settings, &schema).code;
        assert_eq!(code(json!({ "image": "image" })), Code::MissingKey);
        assert_eq!(code(json!({ "image": "image", "fraction": 1.5 })), Code::OutOfRange);
        assert_eq!(code(json!({ "image": "image", "columns": 9 })), Code::OutOfRange);
    }
}
