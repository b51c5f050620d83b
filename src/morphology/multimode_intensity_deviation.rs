//! The segmentation map of the multimode, intensity and deviation statistics (Freeman et al. 2013), as a check of the
//! Gini segmentation map: where the two disagree, the measurement is suspect.

use super::{
    Quality, brent::find_root, filters::boxcar, petrosian::ETA, pixel_plane::PixelPlane, regions::region_of,
    stamp::Stamp,
};
use crate::stats::quantile::lower;

/// Minimum area of the intersection, relative to the larger map.
const MIN_OVERLAP: f64 = 0.25;

/// Compares the Gini segmentation map with the region around the brightest pixel whose faintest pixel is 0.2 of its
/// mean.
pub(super) fn compare(stamp: &Stamp, gini_pixels: &[bool], quality: &mut Quality) {
    let own = region(stamp, quality);
    let own = own.as_deref().unwrap_or(gini_pixels);
    let count = |pixels: &[bool]| pixels.iter().filter(|own| **own).count();
    let larger = count(own).max(count(gini_pixels));
    let both = own.iter().zip(gini_pixels).filter(|(a, b)| **a && **b).count();
    if larger == 0 {
        quality.lower(Quality::Bad);
    } else if (both as f64) < MIN_OVERLAP * larger as f64 {
        quality.lower(Quality::Suspect);
    }
}

/// The region; `None` when even that of all pixels has no pixel as faint as that.
fn region(stamp: &Stamp, quality: &mut Quality) -> Option<Vec<bool>> {
    let values = stamp.alone.values.iter().map(|value| value.max(0.0)).collect();
    let image = PixelPlane { values, ..stamp.alone };
    let (width, brightest) = (image.width, stamp.alone.brightest());
    let mut sorted: Vec<f64> =
        image.values.iter().zip(&stamp.source).filter(|(_, own)| **own).map(|(value, _)| *value).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    // The source has light, so it has pixels.
    let threshold = |share: f64| lower(&sorted, share).unwrap_or(0.0);
    let region_above = |share: f64| {
        let threshold = threshold(share);
        let above: Vec<bool> = image.values.iter().map(|value| *value >= threshold).collect();
        region_of(&above, width, brightest)
    };
    let mut above_eta = |share: f64| {
        let region = region_above(share);
        let inside = image.values.iter().zip(&region).filter(|(_, own)| **own).map(|(value, _)| *value);
        let (sum, count) = inside.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
        if sum == 0.0 {
            quality.lower(Quality::Bad);
            return 1.0 - ETA;
        }
        threshold(share) / (sum / f64::from(count)) - ETA
    };
    if above_eta(0.0) > 0.0 {
        return None;
    }
    let share = find_root(&mut above_eta, 0.0, 1.0, 1.0 / sorted.len() as f64);
    let own = region_above(share).into_iter().map(|own| f64::from(u8::from(own))).collect();
    let smooth = boxcar(&PixelPlane { values: own, ..image }, 3);
    let mut own: Vec<bool> = smooth.values.iter().map(|value| *value > 0.5).collect();
    if !own[brightest] {
        own[brightest] = true;
        quality.lower(Quality::Bad);
    }
    Some(region_of(&own, width, brightest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphology::test_sources::{gaussian, image, source, stamp};

    const WIDTH: usize = 60;

    fn blob() -> Stamp {
        let image = image(WIDTH, WIDTH, |x, y| 100.0 * gaussian(x, y, [30.0, 28.0], 6.0));
        stamp(&source(&image, WIDTH, &[1; WIDTH * WIDTH]))
    }

    #[test]
    fn the_faintest_pixel_of_the_region_is_a_fifth_of_its_mean() {
        // For a Gaussian with x = r^2 / 2 sigma^2 at the rim: e^-x = 0.2 (1 - e^-x) / x, x = 2.6604.
        let (stamp, mut quality) = (blob(), Quality::Good);
        let region = region(&stamp, &mut quality).expect("a region");
        let area = region.iter().filter(|own| **own).count() as f64;
        let expected = std::f64::consts::PI * 2.0 * 36.0 * 2.6604;
        assert!((area / expected - 1.0).abs() < 0.02, "{area} {expected}");
        assert!(region[28 * WIDTH + 30] && !region[0]);
        assert_eq!(quality, Quality::Good);
    }

    #[test]
    fn a_flat_source_has_no_region() {
        let image = image(WIDTH, WIDTH, |x, _| 5.0 + x / 60.0);
        let stamp = stamp(&source(&image, WIDTH, &[1; WIDTH * WIDTH]));
        assert_eq!(region(&stamp, &mut Quality::Good), None);
        // Without a region the Gini map is compared with itself: it is good unless it is empty.
        for (map, expected) in [([true; WIDTH * WIDTH], Quality::Good), ([false; WIDTH * WIDTH], Quality::Bad)] {
            let mut quality = Quality::Good;
            compare(&stamp, &map, &mut quality);
            assert_eq!(quality, expected);
        }
    }

    #[test]
    fn maps_that_overlap_by_less_than_a_quarter_are_suspect() {
        let stamp = blob();
        let own = region(&stamp, &mut Quality::Good).expect("a region");
        let area = own.iter().filter(|own| **own).count();
        let part = |count: usize| {
            let last = (0..own.len()).filter(|index| own[*index]).nth(count - 1).expect("a pixel");
            own.iter().enumerate().map(|(index, own)| *own && index <= last).collect::<Vec<_>>()
        };
        let quality = |map: &[bool]| {
            let mut quality = Quality::Good;
            compare(&stamp, map, &mut quality);
            quality
        };
        assert_eq!((quality(&own), quality(&part(area.div_ceil(4)))), (Quality::Good, Quality::Good));
        assert_eq!(
            (quality(&part(area.div_ceil(4) - 1)), quality(&[false; WIDTH * WIDTH])),
            (Quality::Suspect, Quality::Suspect)
        );
    }

    #[test]
    fn a_single_bright_pixel_is_its_own_region_and_bad() {
        // The boxcar removes a region of one pixel.
        let image = image(WIDTH, WIDTH, |x, y| 5.0 + 0.1 * ((3.0 * x + 7.0 * y) % 5.0));
        let mut stamp = stamp(&source(&image, WIDTH, &[1; WIDTH * WIDTH]));
        stamp.alone.values.iter_mut().for_each(|value| *value *= 0.01);
        stamp.alone.values[1830] = 900.0;
        let mut quality = Quality::Good;
        let found = region(&stamp, &mut quality).expect("a region");
        assert_eq!((0..found.len()).filter(|index| found[*index]).collect::<Vec<_>>(), [1830]);
        assert_eq!(quality, Quality::Bad);
    }
}
