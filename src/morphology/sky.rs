//! The sky beside a source: from a box without sources, and by clipping.

use super::{Quality, plane::Plane, stamp::Stamp};

/// What is known of the sky of an image, whose mean has been subtracted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sky {
    /// Nothing: it is measured in a box without sources.
    Measured,
    /// Its standard deviation per pixel.
    Known(f64),
    /// There is none, and no noise: the image is what a galaxy gives.
    None,
}

/// Side of the box, pixels; halved until one fits.
const BOX: usize = 32;

/// Statistics of the sky in a box of the stamp that holds no source.
pub(super) struct SkyBox {
    /// Places of its pixels.
    places: Vec<usize>,
    /// The pixels.
    pub(super) plane: Plane,
    mean: f64,
    /// There is no sky.
    pub(super) absent: bool,
    /// Standard deviation of a pixel; `None` when it cannot be known.
    pub(super) sigma: Option<f64>,
    /// Mean difference of pixels and those opposite to them.
    pub(super) asymmetry: f64,
}

impl SkyBox {
    pub(super) fn of(stamp: &Stamp, sky: Sky, quality: &mut Quality) -> Self {
        let empty = Plane { height: 0, width: 0, values: Vec::new() };
        let absent = sky == Sky::None;
        let none = |sigma| Self { places: Vec::new(), plane: empty, mean: 0.0, absent, sigma, asymmetry: 0.0 };
        if absent {
            return none(Some(0.0));
        }
        let known = if let Sky::Known(sigma) = sky { Some(sigma) } else { None };
        let Some((places, side)) = find(&stamp.sky, stamp.image.width) else {
            quality.lower(Quality::Bad);
            return none(known);
        };
        let values: Vec<f64> = places.iter().map(|place| stamp.image.values[*place]).collect();
        let mean = mean(&values);
        let sigma = known.or_else(|| Some(deviation(&values)));
        let turned = values.iter().zip(values.iter().rev());
        let asymmetry = turned.map(|(a, b)| (a - b).abs()).sum::<f64>() / values.len() as f64;
        Self { places, plane: Plane { height: side, width: side, values }, mean, absent, sigma, asymmetry }
    }

    /// Whether more than one standard deviation of sky was left in the image.
    pub(super) fn is_left_over(&self) -> bool {
        !self.places.is_empty() && self.sigma.is_some_and(|sigma| self.mean.abs() > sigma)
    }

    /// The pixels of the stamp that the box covers.
    pub(super) fn places(&self) -> &[usize] {
        &self.places
    }
}

/// The places of the first box that is all sky, and its side.
fn find(sky: &[bool], width: usize) -> Option<(Vec<usize>, usize)> {
    let height = sky.len() / width;
    // How many pixels that are no sky lie above and to the left.
    let mut taken = vec![0_u32; (height + 1) * (width + 1)];
    for y in 0..height {
        for x in 0..width {
            let at = (y + 1) * (width + 1) + x + 1;
            taken[at] = u32::from(!sky[y * width + x]) + taken[at - 1] + taken[at - width - 1] - taken[at - width - 2];
        }
    }
    let mut side = BOX;
    while side >= 2 {
        for y in 0..height.saturating_sub(side) {
            for x in 0..width.saturating_sub(side) {
                let corner = |y: usize, x: usize| taken[y * (width + 1) + x];
                if corner(y + side, x + side) + corner(y, x) == corner(y + side, x) + corner(y, x + side) {
                    let places = (y..y + side).flat_map(|y| (x..x + side).map(move |x| y * width + x));
                    return Some((places.collect(), side));
                }
            }
        }
        side /= 2;
    }
    None
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation of all of them.
pub(super) fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// The middle one of sorted numbers, or the mean of the middle two.
pub(super) fn median(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { f64::midpoint(sorted[half - 1], sorted[half]) }
}

/// Leaves out what is more than 3 standard deviations from a centre, again and again. Takes and gives sorted numbers.
pub(super) fn clipped(sorted: &[f64], most_times: usize, centre: impl Fn(&[f64]) -> f64) -> &[f64] {
    let mut kept = sorted;
    for _ in 0..most_times {
        if kept.is_empty() {
            break;
        }
        let (centre, reach) = (centre(kept), 3.0 * deviation(kept));
        let start = kept.partition_point(|value| *value < centre - reach);
        let end = kept.partition_point(|value| *value <= centre + reach);
        if end - start == kept.len() || start >= end {
            break;
        }
        kept = &kept[start..end];
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_free_box_is_found_and_shrinks_where_there_is_no_room() {
        let mut sky = vec![true; 50 * 40];
        sky[3 * 40 + 3] = false;
        let (places, side) = find(&sky, 40).expect("a box");
        assert_eq!((places[0], places.len(), side), (4, 1024, 32));
        let narrow: Vec<bool> = (0..50 * 40).map(|i| i % 40 > 30).collect();
        assert_eq!(find(&narrow, 40).expect("a box").1, 8);
        assert!(find(&[false; 100], 10).is_none());
        assert!(find(&[true; 4], 2).is_none());
    }

    #[test]
    fn clipping_leaves_the_sky_and_drops_the_stars() {
        let mut values: Vec<f64> = (0..1001).map(|i| f64::from(i % 21) - 10.0).collect();
        values.extend([500.0, 700.0, 1e4]);
        values.sort_by(f64::total_cmp);
        let kept = clipped(&values, usize::MAX, median);
        assert_eq!(kept.len(), 1001);
        assert!((deviation(kept) - 6.055).abs() < 0.01, "{}", deviation(kept));
        assert_eq!(clipped(&[], 5, median), &[] as &[f64]);
        assert_eq!(clipped(&[2.0; 5], 5, median), [2.0; 5]);
    }
}
