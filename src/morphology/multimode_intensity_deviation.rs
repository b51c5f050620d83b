//! A second idea of which pixels are the galaxy (Freeman et al. 2013): where the two disagree, neither is trusted.

use super::{Quality, brent::root, filters::boxcar, petrosian::ETA, plane::Plane, regions::region_of, stamp::Stamp};

/// The least area that both have in common, over that of the larger one.
const OVERLAP: f64 = 0.25;

/// Compares the pixels of the Gini statistic with the clump around the brightest pixel, down to where a pixel is 0.2 of
/// the mean of the clump.
pub(super) fn compare(stamp: &Stamp, gini_pixels: &[bool], quality: &mut Quality) {
    let own = clump(stamp, quality);
    let own = own.as_deref().unwrap_or(gini_pixels);
    let count = |pixels: &[bool]| pixels.iter().filter(|own| **own).count();
    let larger = count(own).max(count(gini_pixels));
    let both = own.iter().zip(gini_pixels).filter(|(a, b)| **a && **b).count();
    if larger == 0 {
        quality.lower(Quality::Bad);
    } else if (both as f64) < OVERLAP * larger as f64 {
        quality.lower(Quality::Suspect);
    }
}

/// The clump; `None` when its rim is never as faint as that.
fn clump(stamp: &Stamp, quality: &mut Quality) -> Option<Vec<bool>> {
    let values = stamp.alone.values.iter().map(|value| value.max(0.0)).collect();
    let image = Plane { values, ..stamp.alone };
    let (width, brightest) = (image.width, stamp.alone.brightest());
    let mut sorted: Vec<f64> =
        image.values.iter().zip(&stamp.source).filter(|(_, own)| **own).map(|(value, _)| *value).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let quantile = |share: f64| sorted[(share * (sorted.len() - 1) as f64) as usize];
    let region = |share: f64| {
        let threshold = quantile(share);
        let above: Vec<bool> = image.values.iter().map(|value| *value >= threshold).collect();
        region_of(&above, width, brightest)
    };
    let mut above_eta = |share: f64| {
        let region = region(share);
        let within = image.values.iter().zip(&region).filter(|(_, own)| **own).map(|(value, _)| *value);
        let (sum, count) = within.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
        if sum == 0.0 {
            quality.lower(Quality::Bad);
            return 1.0 - ETA;
        }
        quantile(share) / (sum / f64::from(count)) - ETA
    };
    if above_eta(0.0) > 0.0 {
        return None;
    }
    let share = root(&mut above_eta, 0.0, 1.0, 1.0 / sorted.len() as f64);
    let own = region(share).into_iter().map(|own| f64::from(u8::from(own))).collect();
    let regular = boxcar(&Plane { values: own, ..image }, 3);
    let mut own: Vec<bool> = regular.values.iter().map(|value| *value > 0.5).collect();
    if !own[brightest] {
        own[brightest] = true;
        quality.lower(Quality::Bad);
    }
    Some(region_of(&own, width, brightest))
}
