//! The segmentation map of the multimode, intensity and deviation statistics (Freeman et al. 2013), as a check of the Gini segmentation map:
//! where the two disagree, the measurement is suspect.

use super::{
    Quality, brent::find_root, filters::boxcar, petrosian::ETA, pixel_plane::PixelPlane, regions::region_of,
    stamp::Stamp,
};
use crate::stats::quantile::lower;

/// Minimum area of the intersection, relative to the larger map.
const MIN_OVERLAP: f64 = 0.25;

/// Compares the Gini segmentation map with the region around the brightest pixel whose faintest pixel is 0.2 of its mean.
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
