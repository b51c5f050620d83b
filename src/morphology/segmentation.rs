//! Segmentation maps: connected pixels above a threshold in the smoothed image.

use super::{
    filters::gaussian,
    pixel_plane::PixelPlane,
    regions::regions,
    sky_statistics::{sigma_clip, standard_deviation},
};
use crate::stats::quantile::median;

/// Full width at half maximum of the smoothing Gaussian for an image with an unknown point spread function, pixels.
pub const FWHM_PIXELS: f64 = 3.0;
/// Minimum number of pixels of a source.
const MIN_AREA: usize = 5;
/// Maximum iterations of sigma clipping.
const MAX_CLIPS: usize = 5;

/// The threshold between sky and sources.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// A multiple of the standard deviation of the sky.
    Sigma(f64),
    /// The level above which this share of the light is, for images without noise.
    LightShare(f64),
}

/// The sky of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Background {
    /// Median of the pixels that remain after clipping.
    pub median: f64,
    /// Their standard deviation.
    pub sigma: f64,
}

/// The sky of an image: median and standard deviation of its finite pixels, sigma-clipped at 3 standard deviations from
/// the median, at most five times. Zeros when no pixel is finite.
pub fn background(image: &[f32]) -> Background {
    let mut sorted: Vec<f64> = image.iter().filter(|value| value.is_finite()).map(|value| f64::from(*value)).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let kept = sigma_clip(&sorted, MAX_CLIPS, median);
    match median(kept) {
        Some(median) => Background { median, sigma: standard_deviation(kept) },
        None => Background { median: 0.0, sigma: 0.0 },
    }
}

/// The segmentation map of an image: sources are numbered from 1, the sky is 0. A source is a connected region of at
/// least 5 pixels that are above the threshold in the image smoothed by a Gaussian.
pub fn segments(image: &[f32], width: usize, sky: Background, threshold: Threshold, fwhm_pixels: f64) -> Vec<u32> {
    if image.is_empty() || width == 0 {
        return Vec::new();
    }
    let above_sky = |value: &f32| if value.is_finite() { f64::from(*value) - sky.median } else { 0.0 };
    let plane = PixelPlane { height: image.len() / width, width, values: image.iter().map(above_sky).collect() };
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
        if areas[*label as usize] < MIN_AREA {
            *label = 0;
        }
    }
    labels
}

/// The level above which a share of the light is. Negative pixels are ignored.
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

/// The source at the centre of an image, else the one with the pixel nearest to it; `None` without sources.
pub fn central(segments: &[u32], width: usize) -> Option<u32> {
    let height = segments.len().checked_div(width)?;
    let distance = |index: &usize| {
        let (y, x) = (index / width, index % width);
        y.abs_diff(height / 2).pow(2) + x.abs_diff(width / 2).pow(2)
    };
    (0..segments.len()).filter(|index| segments[*index] != 0).min_by_key(distance).map(|index| segments[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A blob in the middle and a fainter one elsewhere, on a sky that varies by 1.
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
    fn two_blobs_are_two_sources_and_one_is_central() {
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
    fn a_share_of_the_light_finds_sources_without_noise() {
        let clean: Vec<f32> =
            image().iter().map(|value| value - 6.0).map(|value| if value < 3.0 { 0.0 } else { value }).collect();
        let labels = segments(&clean, 50, Background { median: 0.0, sigma: 0.0 }, Threshold::LightShare(0.9), 3.0);
        let own = labels[31 * 50 + 24];
        let inside: f32 = clean.iter().zip(&labels).filter(|(_, label)| **label != 0).map(|(value, _)| value).sum();
        assert!(own != 0 && inside > 0.85 * clean.iter().sum::<f32>());
    }

    #[test]
    fn flat_images_have_no_sources() {
        for value in [0.0, -3.0, 1e9, f32::NAN] {
            let flat = vec![value; 30 * 20];
            let sky = background(&flat);
            for threshold in [Threshold::Sigma(1.5), Threshold::LightShare(0.9)] {
                let labels = segments(&flat, 20, sky, threshold, 3.0);
                assert!(labels.iter().all(|label| *label == 0), "{value} {threshold:?}");
            }
        }
        assert_eq!(background(&[f32::NAN, f32::INFINITY]), Background { median: 0.0, sigma: 0.0 });
        assert_eq!(background(&[f32::NAN, 2.0, 4.0]), Background { median: 3.0, sigma: 1.0 });
        assert!(segments(&[], 0, background(&[]), Threshold::Sigma(1.0), 3.0).is_empty());
    }

    #[test]
    fn a_source_has_five_pixels_or_more() {
        // Smoothing by a Gaussian of 0.2 pixels changes nothing.
        let mut image = vec![0.0; 20 * 10];
        [22, 23, 42, 43].iter().for_each(|index| image[*index] = 9.0);
        [107, 108, 127, 128, 147].iter().for_each(|index| image[*index] = 9.0);
        let labels = segments(&image, 20, Background { median: 0.0, sigma: 1.0 }, Threshold::Sigma(3.0), 0.2);
        assert_eq!((0..200).filter(|i| labels[*i] != 0).collect::<Vec<_>>(), [107, 108, 127, 128, 147]);
    }

    #[test]
    fn the_level_of_a_share_is_the_pixel_that_completes_it() {
        let values = [-9.0, 4.0, 1.0, 2.0, 3.0, 0.0];
        assert_eq!(
            [0.0, 0.4, 0.5, 0.7, 0.95, 1.0].map(|share| level_of(&values, share)),
            [4.0, 4.0, 3.0, 3.0, 1.0, 1.0]
        );
        assert_eq!(level_of(&[0.4, 0.1, 0.2, 0.3], 0.45), 0.3);
        assert_eq!(level_of(&[-1.0], 0.5), 0.0);
    }

    #[test]
    fn the_nearest_source_is_central() {
        // The centre of 4 x 5 pixels is row 2, column 2.
        let mut map = [0; 20];
        (map[2 * 5], map[2 * 5 + 3], map[4]) = (1, 2, 3);
        assert_eq!(central(&map, 5), Some(2));
        map[5 + 2] = 4;
        assert_eq!(central(&map, 5), Some(4), "of equal distances the first");
        assert_eq!(central(&[], 0), None);
    }
}
