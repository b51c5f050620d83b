//! Which pixels are sources: a threshold over the smoothed image, and regions of pixels that touch.

use super::{
    filters::gaussian,
    plane::Plane,
    regions::regions,
    sky::{clipped, deviation, median},
};

/// Width of the Gaussian that smooths an image whose point spread function is not known, pixels.
pub const FWHM_PIXELS: f64 = 3.0;
/// The least number of pixels of a source.
const LEAST_AREA: usize = 5;
/// How often the sky is clipped.
const CLIPS: usize = 5;

/// What is brighter than the sky.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// So many standard deviations of the sky.
    Sigma(f64),
    /// The level above which so much of the light is: for images without noise.
    LightShare(f64),
}

/// The sky of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Background {
    /// Median of the pixels that are not clipped.
    pub median: f64,
    /// Their standard deviation.
    pub sigma: f64,
}

/// The sky of an image: pixels within 3 standard deviations of the median, clipped five times. Zeros when no pixel is
/// finite.
pub fn background(image: &[f32]) -> Background {
    let mut sorted: Vec<f64> = image.iter().filter(|value| value.is_finite()).map(|value| f64::from(*value)).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let kept = clipped(&sorted, CLIPS, median);
    if kept.is_empty() {
        return Background { median: 0.0, sigma: 0.0 };
    }
    Background { median: median(kept), sigma: deviation(kept) }
}

/// Numbers the sources of an image from 1, 0 the sky: 5 pixels or more that touch, brighter than the threshold in the image
/// that a Gaussian has smoothed.
pub fn segments(image: &[f32], width: usize, sky: Background, threshold: Threshold, fwhm_pixels: f64) -> Vec<u32> {
    if image.is_empty() || width == 0 {
        return Vec::new();
    }
    let above_sky = |value: &f32| if value.is_finite() { f64::from(*value) - sky.median } else { 0.0 };
    let plane = Plane { height: image.len() / width, width, values: image.iter().map(above_sky).collect() };
    let smooth = gaussian(&plane, fwhm_pixels / (8.0 * 2f64.ln()).sqrt());
    let level = match threshold {
        Threshold::Sigma(times) => times * sky.sigma,
        Threshold::LightShare(share) => level_of(&smooth.values, share),
    };
    let above: Vec<bool> = smooth.values.iter().map(|value| *value > level).collect();
    let (mut labels, count) = regions(&above, width);
    let mut areas = vec![0; count as usize + 1];
    labels.iter().for_each(|label| areas[*label as usize] += 1);
    for label in &mut labels {
        if areas[*label as usize] < LEAST_AREA {
            *label = 0;
        }
    }
    labels
}

/// The level above which a share of the light is, pixels below 0 left out.
fn level_of(values: &[f64], share: f64) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| *value > 0.0).collect();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let total: f64 = sorted.iter().sum();
    let mut above = 0.0;
    let level = sorted.iter().find(|value| {
        above += **value;
        above >= share * total
    });
    level.copied().unwrap_or(0.0)
}

/// The source at the centre of an image, or the one with the pixel nearest to it; `None` when there is none.
pub fn central(segments: &[u32], width: usize) -> Option<u32> {
    let height = segments.len().checked_div(width)?;
    let distance = |place: &usize| {
        let (y, x) = (place / width, place % width);
        y.abs_diff(height / 2).pow(2) + x.abs_diff(width / 2).pow(2)
    };
    (0..segments.len()).filter(|place| segments[*place] != 0).min_by_key(distance).map(|place| segments[place])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A blob in the middle, a fainter one aside, over a sky that goes up and down by 1.
    fn image() -> Vec<f32> {
        let blob = |x: f32, y: f32, xc: f32, yc: f32| (-((x - xc).powi(2) + (y - yc).powi(2)) / 18.0).exp();
        (0..60 * 50)
            .map(|i| {
                let (x, y) = ((i % 50) as f32, (i / 50) as f32);
                let sky = if (i * 7919) % 13 < 6 { 5.0 } else { 7.0 };
                sky + 100.0 * blob(x, y, 24.0, 31.0) + 30.0 * blob(x, y, 42.0, 10.0)
            })
            .collect()
    }

    #[test]
    fn two_blobs_are_two_sources_and_the_central_one_is_taken() {
        let image = image();
        let sky = background(&image);
        assert!((sky.median - 7.0).abs() < 1e-9 && (sky.sigma - 1.0).abs() < 0.2, "{sky:?}");
        let labels = segments(&image, 50, sky, Threshold::Sigma(3.0), FWHM_PIXELS);
        assert_eq!(labels.iter().max(), Some(&2));
        assert_eq!(central(&labels, 50), Some(labels[30 * 50 + 25]));
        assert_ne!(labels[31 * 50 + 24], labels[10 * 50 + 42]);
        assert_eq!(labels[5 * 50 + 5], 0);
        assert_eq!(central(&[0; 12], 4), None);
        assert_eq!(central(&[0, 0, 0, 9, 0, 0], 3), Some(9));
    }

    #[test]
    fn a_share_of_the_light_needs_no_noise() {
        let clean: Vec<f32> =
            image().iter().map(|value| value - 6.0).map(|value| if value < 3.0 { 0.0 } else { value }).collect();
        let labels = segments(&clean, 50, Background { median: 0.0, sigma: 0.0 }, Threshold::LightShare(0.9), 3.0);
        let own = labels[31 * 50 + 24];
        let inside: f32 = clean.iter().zip(&labels).filter(|(_, label)| **label != 0).map(|(value, _)| value).sum();
        assert!(own != 0 && inside > 0.85 * clean.iter().sum::<f32>());
    }

    #[test]
    fn nothing_is_found_where_there_is_nothing() {
        for value in [0.0, -3.0, 1e9, f32::NAN] {
            let flat = vec![value; 30 * 20];
            let sky = background(&flat);
            for threshold in [Threshold::Sigma(1.5), Threshold::LightShare(0.9)] {
                let labels = segments(&flat, 20, sky, threshold, 3.0);
                assert!(labels.iter().all(|label| *label == 0), "{value} {threshold:?}");
            }
        }
        assert!(segments(&[], 0, background(&[]), Threshold::Sigma(1.0), 3.0).is_empty());
    }
}
