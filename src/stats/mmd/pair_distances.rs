//! The scale of a sample, and whether kernels can see it.
//!
//! A Gaussian kernel distinguishes points only where squared distances are near its variance s: far below, every value is
//! 1, far above, every value is 0, and the discrepancy of any two samples is 0. A kernel *sees* a pair of points if its
//! value is between 0.001 and 0.999: the squared distance is between 0.002 s and 13.8 s. Kernels are *blind* to a sample
//! if fewer than 1 in 100 of its pairs is seen by any of them. A fraction, because a few near-duplicates say nothing about
//! the scale of the others; pairs of equal points do not count.

use super::GaussianKernelSum;
use crate::stats::{
    points::{Points, WIDE, stride},
    quantile::nearest_rank_median,
};

/// Points whose pairs are looked at. Of more points, evenly spaced ones: they suffice for a median.
const MAX_POINTS: usize = 2048;
/// A kernel sees the pairs at which its value is between these.
const SEEN: (f64, f64) = (0.001, 0.999);
/// Kernels are blind to points of which they see a smaller fraction of pairs.
const MIN_SEEN: f64 = 0.01;

/// The squared distances of pairs of different points.
#[derive(Debug, Clone, PartialEq)]
pub struct PairDistances {
    /// All are above 0.
    squared: Vec<f64>,
    median: f64,
}

impl PairDistances {
    /// Those of the pairs of at most 2,048 evenly spaced points. `None` if all points are equal.
    pub fn of(points: &Points) -> Option<Self> {
        let selected = points.select((0..points.len()).step_by(points.len().div_ceil(MAX_POINTS).max(1)));
        let (mut squared, mut block) = (Vec::new(), Vec::new());
        for first in (0..selected.len()).step_by(WIDE) {
            let rows = first..(first + WIDE).min(selected.len());
            selected.squared_distances(rows.clone(), &selected, rows.end, &mut block);
            rows.clone().for_each(|i| squared.extend_from_slice(&block[(i - first) * stride(rows.end)..][..i]));
        }
        squared.retain(|distance| *distance > 0.0);
        if squared.is_empty() && !points.is_empty() {
            // The selected points are equal, but others may not be.
            points.squared_distances(0..1, points, points.len(), &mut block);
            squared.extend(block[..points.len()].iter().filter(|distance| **distance > 0.0));
        }
        let median = nearest_rank_median(&mut squared)?;
        Some(Self { squared, median })
    }

    /// The median of the squared distances, the lower one of an even count: the variance of the kernel by the median
    /// heuristic (Gretton et al. 2012, "A kernel two-sample test", section 8).
    pub const fn median(&self) -> f64 {
        self.median
    }

    /// Whether a kernel sees at least 1 in 100 pairs.
    pub fn are_seen_by(&self, kernel: &GaussianKernelSum) -> bool {
        let (least, greatest) = (-2.0 * SEEN.1.ln(), -2.0 * SEEN.0.ln());
        let seen =
            |distance: &&f64| kernel.variances().iter().any(|s| **distance > least * s && **distance < greatest * s);
        let needed = ((self.squared.len() as f64 * MIN_SEEN).ceil() as usize).max(1);
        self.squared.iter().filter(seen).take(needed).count() == needed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::test_random::normal;

    fn sample(n: usize, scale: f64) -> Vec<f32> {
        let mut normal = normal(8);
        (0..n * 9).map(|_| (scale * normal()) as f32).collect()
    }

    fn distances(numbers: &[f32]) -> PairDistances {
        PairDistances::of(&Points::new(numbers, 9)).expect("different points")
    }

    #[test]
    fn the_kernels_of_the_paper_see_scales_of_1e_minus_4_to_1e3_and_the_median_kernel_all() {
        for (scale, by_paper) in [
            (1e-42, false),
            (1e-20, false),
            (1e-6, false),
            (1e-4, true),
            (1.0, true),
            (1e3, true),
            (1e4, false),
            (1e15, false),
            (1e37, false),
        ] {
            let distances = distances(&sample(100, scale));
            assert_eq!(distances.are_seen_by(&GaussianKernelSum::paper()), by_paper, "{scale}");
            let median = GaussianKernelSum::new(&[distances.median()]).expect("a kernel");
            assert!(distances.are_seen_by(&median), "{scale}");
        }
    }

    #[test]
    fn a_few_near_duplicates_do_not_make_kernels_see() {
        let mut numbers = sample(100, 1e6);
        for i in 0..20 {
            numbers.extend_from_within(9 * i..9 * (i + 1));
            let last = numbers.len() - 1;
            numbers[last] += 1.0;
        }
        let distances = distances(&numbers);
        assert!(!distances.are_seen_by(&GaussianKernelSum::paper()));
        assert!(distances.are_seen_by(&GaussianKernelSum::new(&[1e13]).expect("a kernel")));
    }

    #[test]
    fn the_median_is_the_lower_one_of_distances_above_zero() {
        let of = |numbers: &[f32]| PairDistances::of(&Points::new(numbers, 1));
        let three = of(&[0.0, 1.0, 3.0]).expect("different points");
        assert_eq!(three.median(), 4.0);
        // Six of the ten pairs are of equal points.
        let equal = of(&[0.0, 0.0, 0.0, 0.0, 5.0]).expect("different points");
        assert_eq!(equal.median(), 25.0);
        assert_eq!((of(&[]), of(&[7.0]), of(&[7.0; 40])), (None, None, None));
    }

    #[test]
    fn one_different_point_among_many_is_found() {
        let mut numbers = vec![2.0; 5000];
        numbers[4999] = 5.0;
        assert_eq!(PairDistances::of(&Points::new(&numbers, 1)).expect("different points").median(), 9.0);
    }
}
