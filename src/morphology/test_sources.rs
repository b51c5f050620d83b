//! Sources and stamps for tests.

use super::{SegmentedSource, Sky, stamp::Stamp};

/// An image of `height` rows, of a function of x and y.
pub(super) fn image(height: usize, width: usize, light: impl Fn(f64, f64) -> f64) -> Vec<f32> {
    (0..height * width).map(|i| light((i % width) as f64, (i / width) as f64) as f32).collect()
}

/// The source with label 1 in an image without sky, mask, variance, gain and point spread function.
pub(super) fn source<'a>(image: &'a [f32], width: usize, segments: &'a [u32]) -> SegmentedSource<'a> {
    SegmentedSource {
        image,
        height: image.len() / width,
        width,
        segments,
        label: 1,
        mask: None,
        variance: None,
        gain: None,
        sky: Sky::None,
        psf_fwhm_pixels: None,
    }
}

/// The stamp of a source.
pub(super) fn stamp(source: &SegmentedSource) -> Stamp {
    Stamp::cut(source).expect("a source")
}

/// A segmentation map: 1 where the image is above a threshold.
pub(super) fn above(image: &[f32], threshold: f32) -> Vec<u32> {
    image.iter().map(|value| u32::from(*value > threshold)).collect()
}

/// A Gaussian of peak 1.
pub(super) fn gaussian(x: f64, y: f64, [xc, yc]: [f64; 2], sigma: f64) -> f64 {
    (-((x - xc).powi(2) + (y - yc).powi(2)) / (2.0 * sigma * sigma)).exp()
}
