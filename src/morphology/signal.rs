//! Signal to noise of the pixels of a galaxy.

use super::{Quality, Source, sky::SkyBox, stamp::Stamp};

/// The mean over the pixels of x / sigma, with sigma^2 = |x| / gain + sky sigma^2, or the variance that is given. Pixels
/// below 0 do not count.
pub(super) fn signal_to_noise(
    stamp: &Stamp,
    pixels: &[bool],
    source: &Source,
    skybox: &SkyBox,
    quality: &mut Quality,
) -> Option<f64> {
    let width = stamp.image.width;
    let sigma = |place: usize| match source.variance {
        Some(variance) => {
            let (x, y) = (place % width + stamp.x0, place / width + stamp.y0);
            Some(f64::from(variance[y * source.width + x]).abs().sqrt())
        }
        None => {
            let photons = source.gain.map_or(0.0, |gain| stamp.image.values[place].abs() / gain);
            skybox.sigma.map(|sky| (photons + sky * sky).sqrt())
        }
    };
    let (mut sum, mut count) = (0.0, 0_u32);
    for place in (0..pixels.len()).filter(|place| pixels[*place] && !stamp.bad[*place]) {
        let value = stamp.image.values[place];
        if let Some(sigma) = sigma(place).filter(|sigma| *sigma > 0.0 && value >= 0.0) {
            sum += value / sigma;
            count += 1;
        }
    }
    // Without a gain, an image without noise has no ratio, and nothing is wrong with it.
    let no_noise = source.variance.is_none() && source.gain.is_none() && skybox.sigma == Some(0.0);
    if count == 0 && !no_noise {
        quality.lower(Quality::Bad);
    }
    (count > 0).then(|| sum / f64::from(count))
}
