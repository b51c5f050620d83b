//! The signal-to-noise ratio of the pixels of a galaxy.

use super::{Quality, SegmentedSource, sky::SkyBox, stamp::Stamp};

/// The mean over the pixels of x / sigma, with sigma^2 the given variance, else |x| / gain + sky sigma^2. Negative
/// pixels are excluded.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphology::{
        Sky,
        test_sources::{image, source, stamp},
    };

    #[test]
    fn the_noise_is_the_variance_or_that_of_photons_and_sky() {
        let image = image(60, 70, |x, y| if x == 40.0 && y == 30.0 { -5.0 } else { 9.0 + (x + y) % 2.0 });
        let mut segments = vec![0; image.len()];
        (28..34).for_each(|y| segments[y * 70 + 36..][..6].fill(1));
        let plain = source(&image, 70, &segments);
        let stamp = stamp(&plain);
        let measure = |source: &SegmentedSource, sky: Sky| {
            let mut quality = Quality::Good;
            let skybox = SkyBox::of(&stamp, sky, &mut Quality::Good);
            (signal_to_noise(&stamp, &stamp.source, source, &skybox, &mut quality), quality)
        };
        // 17 pixels of 9 and 18 of 10; the negative one is excluded.
        let mean = |ratio: fn(f64) -> f64| (17.0 * ratio(9.0) + 18.0 * ratio(10.0)) / 35.0;
        let near = |(found, quality): (Option<f64>, Quality), expected: f64| {
            assert!(
                (found.expect("a ratio") - expected).abs() < 1e-12 && quality == Quality::Good,
                "{found:?} {expected}"
            );
        };
        // 4 or -4 on the source, 7 elsewhere.
        let variance = segments.iter().enumerate().map(|(i, label)| if *label == 0 { 7.0 } else { [4.0, -4.0][i % 2] });
        let variance: Vec<f32> = variance.collect();
        near(measure(&SegmentedSource { variance: Some(&variance), ..plain }, Sky::None), mean(|x| x / 2.0));
        near(measure(&SegmentedSource { gain: Some(2.0), ..plain }, Sky::None), mean(|x| x / (x / 2.0).sqrt()));
        near(
            measure(&SegmentedSource { gain: Some(2.0), ..plain }, Sky::Known(3.0)),
            mean(|x| x / (x / 2.0 + 9.0).sqrt()),
        );
        near(measure(&plain, Sky::Known(3.0)), mean(|x| x / 3.0));
    }

    #[test]
    fn only_an_image_without_noise_may_lack_a_ratio() {
        let image = image(60, 60, |_, _| 1.0);
        let mut segments = vec![0; image.len()];
        (28..34).for_each(|y| segments[y * 60 + 28..][..6].fill(1));
        let plain = source(&image, 60, &segments);
        let stamp = stamp(&plain);
        let zeros = vec![0.0; image.len()];
        let quality = |source: &SegmentedSource, sky: Sky| {
            let mut quality = Quality::Good;
            let skybox = SkyBox::of(&stamp, sky, &mut Quality::Good);
            assert_eq!(signal_to_noise(&stamp, &stamp.source, source, &skybox, &mut quality), None);
            quality
        };
        assert_eq!(quality(&plain, Sky::None), Quality::Good);
        assert_eq!(quality(&SegmentedSource { variance: Some(&zeros), ..plain }, Sky::None), Quality::Bad);
    }
}
