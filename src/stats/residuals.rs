//! Bias, scatter and outliers of residuals, from counts in bins that follow the float32 format.
//!
//! The bias is the median of the residuals; the normalised median absolute deviation is
//! NMAD = 1.4826 median |r - median r|, the standard deviation of normal residuals (Hoaglin, Mosteller and Tukey 1983). Both come from
//! bins whose width is 2^-10 of the numbers in them, so a residual is known to one part in 2048; counts do not depend on the order of
//! rows. Mean and standard deviation are those of the residuals themselves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Bits of a float32 that a bin ignores.
const DROPPED: u32 = 13;
/// Residuals that are smaller count as 0, larger ones as this large.
const SMALLEST: f64 = 1e-12;
const LARGEST: f64 = 1e12;
/// The most bins: 80 powers of two of either sign, each of 1024 bins, and 0.
pub const MAX_BINS: usize = 2 * 80 * 1024 + 1;
/// The standard deviation of a normal distribution over its median absolute deviation.
const NORMAL: f64 = 1.482_602_218_505_602;

/// Counts of residuals.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Residuals {
    /// Counts by bin.
    bins: BTreeMap<u32, u64>,
    count: u64,
    sum: f64,
    sum_of_squares: f64,
    /// Residuals beyond the limit.
    pub outliers: u64,
}

impl Residuals {
    /// Counts a finite residual; it is an outlier if its size is above `limit`.
    pub fn add(&mut self, residual: f64, limit: f64) {
        *self.bins.entry(bin_of(residual)).or_insert(0) += 1;
        self.count += 1;
        self.sum += residual;
        self.sum_of_squares += residual * residual;
        self.outliers += u64::from(residual.abs() > limit);
    }

    /// How many residuals were counted.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The mean.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }

    /// The root of the mean square.
    pub fn rms(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.sum_of_squares / self.count as f64).sqrt())
    }

    /// The median.
    pub fn median(&self) -> Option<f64> {
        weighted_median(self.bins.iter().map(|(bin, count)| (middle(*bin), *count)).collect())
    }

    /// The normalised median absolute deviation.
    pub fn nmad(&self) -> Option<f64> {
        let median = self.median()?;
        let deviations = self.bins.iter().map(|(bin, count)| ((middle(*bin) - median).abs(), *count));
        Some(NORMAL * weighted_median(deviations.collect())?)
    }
}

/// The median of numbers with counts: of an even count the mean of the middle two, as in numpy.
fn weighted_median(mut numbers: Vec<(f64, u64)>) -> Option<f64> {
    numbers.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: u64 = numbers.iter().map(|(_, count)| count).sum();
    let at = |rank: u64| {
        let mut below = 0;
        numbers.iter().find(|(_, count)| {
            below += count;
            below > rank
        })
    };
    Some(f64::midpoint(at(total.checked_sub(1)? / 2)?.0, at(total / 2)?.0))
}

/// The bin of a residual: the bits of its float32, rearranged so that they sort as the numbers do.
fn bin_of(residual: f64) -> u32 {
    let size = if residual.abs() < SMALLEST { 0.0 } else { residual.abs().min(LARGEST) };
    let bits = ((size as f32).to_bits() >> DROPPED) + 1;
    let zero = 1 << (31 - DROPPED);
    match size == 0.0 {
        true => zero,
        false if residual < 0.0 => zero - bits,
        false => zero + bits,
    }
}

/// The middle of a bin.
fn middle(bin: u32) -> f64 {
    let zero = 1 << (31 - DROPPED);
    if bin == zero {
        return 0.0;
    }
    let least = (bin.abs_diff(zero) - 1) << DROPPED;
    let number = |bits: u32| f64::from(f32::from_bits(bits));
    let size = f64::midpoint(number(least), number(least | ((1 << DROPPED) - 1)));
    if bin < zero { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::{super::quantile::linear, *};

    fn exact_median(numbers: impl Iterator<Item = f64>) -> f64 {
        let mut sorted: Vec<f64> = numbers.collect();
        sorted.sort_by(f64::total_cmp);
        linear(&sorted, 0.5).expect("numbers")
    }

    #[test]
    fn bias_and_scatter_are_those_of_the_sorted_residuals() {
        for (count, bias, scale) in [(1, 0.3, 1.0), (2, -0.01, 0.02), (1001, 0.004, 0.02), (5000, -3.0, 1e6)] {
            let residuals: Vec<f64> =
                (0..count).map(|i| bias + scale * ((f64::from(i) * 0.754_877_666).fract() - 0.5).powi(3)).collect();
            let mut counts = Residuals::default();
            residuals.iter().for_each(|residual| counts.add(*residual, 0.1 * scale));
            let median = exact_median(residuals.iter().copied());
            let nmad = NORMAL * exact_median(residuals.iter().map(|residual| (residual - median).abs()));
            let tolerance = (median.abs() + nmad) / 1000.0;
            assert!((counts.median().expect("numbers") - median).abs() <= tolerance);
            assert!((counts.nmad().expect("numbers") - nmad).abs() <= 2.0 * tolerance);
            assert_eq!(counts.outliers, residuals.iter().filter(|r| r.abs() > 0.1 * scale).count() as u64);
            assert!(
                (counts.mean().expect("numbers") - residuals.iter().sum::<f64>() / f64::from(count)).abs()
                    < 1e-9 * scale
            );
        }
        assert_eq!(
            (Residuals::default().median(), Residuals::default().nmad(), Residuals::default().rms()),
            (None, None, None)
        );
    }

    #[test]
    fn count_mean_and_root_of_the_mean_square_are_exact_and_the_limit_is_no_outlier() {
        let mut counts = Residuals::default();
        assert_eq!((counts.count(), counts.mean(), counts.rms()), (0, None, None));
        [-3.0, 1.0, 0.5, -1.0, 5.0, 0.5].iter().for_each(|residual| counts.add(*residual, 1.0));
        assert_eq!((counts.count(), counts.mean(), counts.outliers), (6, Some(0.5), 2));
        // The sum of the squares is 9 + 1 + 1/4 + 1 + 25 + 1/4.
        assert_eq!(counts.rms(), Some((36.5_f64 / 6.0).sqrt()));
    }

    #[test]
    fn a_bin_is_2_to_the_minus_10_wide_and_known_by_its_middle() {
        // The float32 from 1 on that share 10 bits of the fraction: up to 1 + 2^-10 - 2^-23.
        let middle_of_one = 1.0 + (2f64.powi(-10) - 2f64.powi(-23)) / 2.0;
        for scale in [1.0, -1.0, 1024.0, -1.0 / 1024.0] {
            let inside = [1.0, 1.0 + 2f64.powi(-11), 1.0 + 2f64.powi(-10) - 2f64.powi(-23)];
            for number in inside {
                assert_eq!(middle(bin_of(scale * number)), scale * middle_of_one, "{scale} {number}");
            }
            assert_ne!(bin_of(scale * (1.0 + 2f64.powi(-10))), bin_of(scale), "{scale}");
        }
        assert!(middle(bin_of(1e-12)) > 0.0 && middle(bin_of(-1e-12)) < 0.0, "only what is smaller counts as 0");
        assert_eq!(bin_of(1e12), bin_of(f64::MAX));
        // Positive ones from 1e-12 to 1e12, as many negative ones, and 0.
        let all = 2 * (bin_of(1e12) - bin_of(1e-12) + 1) as usize + 1;
        assert!(all <= MAX_BINS && all > MAX_BINS - 1024, "{all}");
    }

    #[test]
    fn bins_sort_as_residuals_do_and_hold_them() {
        let residuals = [-2e12, -1.0, -0.5, -1e-11, -1e-13, 0.0, 1e-13, 1e-11, 0.5, 1.0, 2e12];
        let bins: Vec<u32> = residuals.iter().map(|residual| bin_of(*residual)).collect();
        assert!(bins.is_sorted());
        for residual in [-1.0, 0.5, 1e-11, -123.456] {
            assert!((middle(bin_of(residual)) - residual).abs() <= residual.abs() / 2000.0, "{residual}");
        }
        assert_eq!((middle(bin_of(0.0)), middle(bin_of(1e-13))), (0.0, 0.0));
    }
}
