//! Gini coefficient, and the pixels that it is about.

use super::{
    Point, Quality,
    filters::gaussian,
    petrosian::{Ellipse, RIM},
    regions::regions,
    stamp::Stamp,
};

/// Standard deviation of the smoothing that finds the pixels, in Petrosian semi-major axes.
const SMOOTHING: f64 = 0.2;

/// The pixels of the galaxy: in the smoothed image at least as bright as the rim of the Petrosian ellipse (about the
/// centroid) is on average, in one piece.
pub(super) fn pixels(
    stamp: &Stamp,
    ellipse: &Ellipse,
    centroid: Point,
    petrosian: f64,
    quality: &mut Quality,
) -> Vec<bool> {
    let smooth = gaussian(&stamp.image, SMOOTHING * petrosian);
    let about = Ellipse { centre: centroid, ..*ellipse };
    let (outer, inner) = (about.with(petrosian + RIM / 2.0), about.with(petrosian - RIM / 2.0));
    let threshold = (outer.sum(&smooth) - inner.sum(&smooth)) / (outer.area() - inner.area());
    let above: Vec<bool> = smooth.values.iter().map(|value| *value >= threshold).collect();
    let (labels, count) = regions(&above, smooth.width);
    if count == 0 || !above.contains(&false) {
        quality.lower(Quality::Bad);
        return above;
    }
    if count > 1 {
        quality.lower(Quality::Suspect);
    }
    let own = labels[smooth.brightest()];
    labels.into_iter().map(|label| label == own).collect()
}

/// G = sum over i of (2 i - n - 1) |x|_i / ((n - 1) sum |x|), the pixels in rising order (Lotz et al. 2004).
pub(super) fn gini(stamp: &Stamp, pixels: &[bool], quality: &mut Quality) -> Option<f64> {
    let values = stamp.image.values.iter().zip(pixels).filter(|(_, own)| **own).map(|(value, _)| value.abs());
    let found = of(values.collect());
    if found.is_none() {
        quality.lower(Quality::Bad);
    }
    found
}

fn of(mut values: Vec<f64>) -> Option<f64> {
    let n = values.len() as f64;
    values.sort_unstable_by(f64::total_cmp);
    let total: f64 = values.iter().sum();
    let weighted: f64 = values.iter().enumerate().map(|(i, value)| (2.0 * (i + 1) as f64 - n - 1.0) * value).sum();
    (n > 1.0 && total > 0.0).then(|| weighted / ((n - 1.0) * total))
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn equal_shares_give_zero_one_owner_gives_one() {
        assert_eq!(of(vec![2.0; 10]), Some(0.0));
        let mut one = vec![0.0; 10];
        one[4] = 7.0;
        assert_eq!(of(one), Some(1.0));
        // Shares 1, 2, 3: (-2 * 1 + 0 + 2 * 3) / (2 * 6).
        assert_eq!(of(vec![3.0, 1.0, 2.0]), Some(1.0 / 3.0));
        assert_eq!(of(vec![1.0]), None);
        assert_eq!(of(vec![0.0; 5]), None);
    }
}
