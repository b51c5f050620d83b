//! `dead_pixels`: pixels and columns of a detector that tell nothing.
//!
//! Every pixel is dead with a probability, independently, and so many columns of it are dead from end to end; a dead pixel holds
//! a given value. Which ones they are depends on (run seed, object, label), and differs by band, as each band has exposures of
//! its own. The companion mask is set to 1, bad, there.

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

/// Kills pixels and columns of an image. Its mask marks them, its variance and PSF are kept.
///
/// A quantity is a number, `{ column: NAME }`, or one of these by band, where bands that are not named keep all their pixels.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadPixels {
    /// The image column, before any stretch.
    pub image: String,
    /// The probability of each pixel to be dead: 0.001 of the pixels of a good detector are.
    #[serde(default)]
    pub fraction: Option<Quantity>,
    /// Dead columns of an image, rounded to whole ones. One of `fraction` and `columns` has to be set.
    #[serde(default)]
    pub columns: Option<Quantity>,
    /// What a dead pixel holds, in the unit of the image: 0, no flux above the sky, when not set. A hot pixel holds much.
    #[serde(default)]
    pub value: Option<Quantity>,
}

impl Settings<dyn Transform> for DeadPixels {
    const NAME: &'static str = "dead_pixels";

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        if self.fraction.is_none() && self.columns.is_none() {
            let mistake =
                Diagnostic::at("", Code::MissingKey, "nothing is dead: neither `fraction` nor `columns` is set");
            return Err(vec![mistake.help("for example `fraction: 0.01`")]);
        }
        let image = self.image.clone();
        Ok(Perturbed::boxed(label, &image, self))
    }
}

impl Perturbation for DeadPixels {
    fn quantities(&self) -> Vec<(&'static str, &Quantity)> {
        let all = [("fraction", &self.fraction), ("columns", &self.columns), ("value", &self.value)];
        all.into_iter().filter_map(|(key, quantity)| quantity.as_ref().map(|quantity| (key, quantity))).collect()
    }

    fn bind(&mut self, input: &Schema, image: &ImageLayout) -> Result<Vec<Bound>, Vec<Diagnostic>> {
        let rules = |key, range| {
            let (bands, default) = (image.bands.as_slice(), vec![0.0; image.bands.len()]);
            Rules { key, bands, default, off: Some(0.0), range }
        };
        let each = [
            (self.fraction.as_ref(), rules("fraction", 0.0..=1.0)),
            (self.columns.as_ref(), rules("columns", 0.0..=image.width as f64)),
            (self.value.as_ref(), rules("value", f64::from(f32::MIN)..=f64::from(f32::MAX))),
        ];
        quantity::bind_all(&each, input)
    }

    fn perturb(&mut self, row: &mut Row, numbers: &[Vec<f64>], draws: &mut Stream) -> Result<(), String> {
        let (width, plane) = (row.layout.width, row.layout.plane());
        for (band, pixels) in row.image.chunks_exact_mut(plane).enumerate() {
            let (fraction, columns, value) = (numbers[0][band], numbers[1][band], numbers[2][band] as f32);
            let mut mask = row.mask.as_deref_mut().map(|mask| &mut mask[band * plane..][..plane]);
            let mut kill = |pixel: usize| {
                pixels[pixel] = value;
                if let Some(mask) = &mut mask {
                    mask[pixel] = 1.0;
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

/// So many different numbers below `n`.
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
        batch::list_values,
        transform::contract::{batch, bound, changed, noise},
    };

    #[test]
    fn the_fraction_asked_for_is_dead_and_the_mask_says_where() {
        let (before, after, out) = changed("dead_pixels", json!({ "fraction": 0.03, "value": 99 }), noise(40, 1.0));
        let mask = list_values(&out, "made_mask").expect("a mask").0;
        let dead = after.iter().filter(|pixel| **pixel == 99.0).count() as f64;
        let n = before.len() as f64;
        // Four standard deviations of a share.
        assert!((dead / n - 0.03).abs() < 4.0 * (0.03 * 0.97 / n).sqrt(), "{dead} of {n}");
        let marked = after.iter().zip(&before).zip(mask);
        assert!(marked.clone().all(|((a, b), mask)| if *mask == 1.0 { *a == 99.0 } else { a == b }));
        assert_eq!(mask.iter().sum::<f32>(), dead as f32);
    }

    #[test]
    fn columns_are_dead_from_end_to_end_and_all_different() {
        let settings = json!({ "columns": { "r": 5, "i": 20 } });
        let (before, after, _) = changed("dead_pixels", settings, noise(4, 1.0));
        for (before, after) in before.chunks_exact(1200).zip(after.chunks_exact(1200)) {
            let dead = |band: usize, x: usize| (0..20).all(|y| after[band * 400 + y * 20 + x] == 0.0);
            let count = |band| (0..20).filter(|x| dead(band, *x)).count();
            assert_eq!([count(0), count(1), count(2)], [0, 5, 20]);
            assert_eq!(before[..400], after[..400]);
            assert_eq!(after[400..800].iter().filter(|pixel| **pixel == 0.0).count(), 100);
        }
    }

    #[test]
    fn other_objects_have_other_dead_pixels() {
        let (_, after, _) = changed("dead_pixels", json!({ "fraction": 0.1, "value": 99 }), noise(2, 1.0));
        let dead = |row: usize| after[row * 1200..][..1200].iter().map(|pixel| *pixel == 99.0).collect::<Vec<_>>();
        assert_ne!(dead(0), dead(1));
    }

    #[test]
    fn one_of_fraction_and_columns_has_to_be_set_and_within_the_image() {
        let schema = batch(1).schema();
        let told = |settings| bound("dead_pixels", settings, &schema).err().expect("a mistake").remove(0).code;
        assert_eq!(told(json!({ "image": "image" })), Code::MissingKey);
        assert_eq!(told(json!({ "image": "image", "fraction": 1.5 })), Code::OutOfRange);
        assert_eq!(told(json!({ "image": "image", "columns": 9 })), Code::OutOfRange);
    }
}
