//! The signal-to-noise ratio of the pixels of a galaxy.

use super::{Quality, SegmentedSource, sky::SkyBox, stamp::Stamp};

/// The mean over the pixels of x / sigma, with sigma^2 the given variance, else |x| / gain + sky sigma^2. Negative pixels are excluded.
pub(super) fn signal_to_noise(
    stamp: &Stamp,
    pixels: &[bool],
    source: &SegmentedSource,
    skybox: &SkyBox,
    quality: &mut Quality,
) -> Option<f64> {
    let width = stamp.image.width;
    let sigma = |index: usize| match source.variance {
        Some(variance) => {
            let (x, y) = (index % width + stamp.x0, index / width + stamp.y0);
            Some(f64::from(variance[y * source.width + x]).abs().sqrt())
        }
        None => {
            let photons = source.gain.map_or(0.0, |gain| stamp.image.values[index].abs() / gain);
            skybox.sigma.map(|sky| (photons + sky * sky).sqrt())
        }
    };
    let (mut sum, mut count) = (0.0, 0_u32);
    for index in (0..pixels.len()).filter(|index| pixels[*index] && !stamp.bad[*index]) {
        let value = stamp.image.values[index];
        if let Some(sigma) = sigma(index).filter(|sigma| *sigma > 0.0 && value >= 0.0) {
            sum += value / sigma;
            count += 1;
        }
    }
    // An image without noise and without a gain has no ratio, which is not an error.
    let no_noise = source.variance.is_none() && source.gain.is_none() && skybox.sigma == Some(0.0);
    if count == 0 && !no_noise {
        quality.lower(Quality::Bad);
    }
    (count > 0).then(|| sum / f64::from(count))
}
