//! The Jensen-Shannon distance of two distributions, by their histograms.
//!
//! It is sqrt(KL(P|M)/2 + KL(Q|M)/2) with M = (P + Q)/2 and KL(P|M) = sum P ln(P/M): 0 for equal histograms, sqrt(ln 2)
//! (1 in base 2) for disjoint ones. It depends on the bins, and for two small samples of one distribution it is far
//! from 0, so it has to be compared with its permutation null ([`Pairs::swapped`]).

use std::f64::consts::LN_2;

/// The Jensen-Shannon distance of two histograms of equal length, natural logarithm. `None` when one is empty.
pub fn distance(p: &[u64], q: &[u64]) -> Option<f64> {
    let numbers = |counts: &[u64]| counts.iter().map(|count| *count as f64).collect::<Vec<_>>();
    distance_of_weights(&numbers(p), &numbers(q))
}

/// The Jensen-Shannon distance of two distributions given by weights, which need not add up to one. `None` when one has
/// no weight.
pub fn distance_of_weights(p: &[f64], q: &[f64]) -> Option<f64> {
    let (total_p, total_q) = (p.iter().sum::<f64>(), q.iter().sum::<f64>());
    if total_p <= 0.0 || total_q <= 0.0 {
        return None;
    }
    let part = |p: f64, m: f64| if p > 0.0 { p * (p / m).ln() } else { 0.0 };
    let divergence = |(p, q): (&f64, &f64)| {
        let (p, q) = (p / total_p, q / total_q);
        let m = f64::midpoint(p, q);
        part(p, m) + part(q, m)
    };
    let sum: f64 = p.iter().zip(q).map(divergence).sum();
    Some((sum / 2.0).max(0.0).sqrt())
}

/// Converts a distance from natural logarithms to base 2.
pub fn in_base_2(distance: f64) -> f64 {
    distance / LN_2.sqrt()
}

/// Bins of equal width over a range. The last one includes its upper edge, as in `numpy.histogram`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bins {
    low: f64,
    high: f64,
    count: usize,
}

impl Bins {
    /// Bins over the range of all numbers; `None` without numbers or for 0 bins.
    pub fn over(numbers: impl IntoIterator<Item = f64>, count: usize) -> Option<Self> {
        let (low, high) = numbers
            .into_iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (f64::min(low, x), f64::max(high, x)));
        (low <= high && count > 0).then_some(Self { low, high, count })
    }

    /// The lower edge of a bin; that of `count` is the upper end.
    fn edge(&self, bin: usize) -> f64 {
        if bin == self.count { self.high } else { self.low + bin as f64 * ((self.high - self.low) / self.count as f64) }
    }

    /// The bin of a number; outside of the range the nearest one. When the range is a point, its number is in one of
    /// the first two.
    pub fn of(&self, number: f64) -> usize {
        let last = self.count - 1;
        let place = (number - self.low) / (self.high - self.low) * self.count as f64;
        // The division may be rounded over an edge: the edges decide.
        let bin = (place as usize).min(last);
        if number < self.edge(bin) {
            bin.saturating_sub(1)
        } else if number >= self.edge(bin + 1) {
            (bin + 1).min(last)
        } else {
            bin
        }
    }
}

/// Pairs of numbers, counted by the bins of both: two distributions over the same objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs {
    bins: usize,
    /// `[bin of the first][bin of the second]`.
    counts: Vec<u64>,
}

impl Pairs {
    /// The pairs in bins of equal width over the range of all numbers; `None` without pairs or for 0 bins.
    pub fn new(pairs: &[(f64, f64)], bins: usize) -> Option<Self> {
        let over = Bins::over(pairs.iter().flat_map(|(a, b)| [*a, *b]), bins)?;
        let mut counts = vec![0; bins * bins];
        for (a, b) in pairs {
            counts[over.of(*a) * bins + over.of(*b)] += 1;
        }
        Some(Self { bins, counts })
    }

    /// The histograms of the first and of the second numbers.
    pub fn histograms(&self) -> (Vec<u64>, Vec<u64>) {
        let (mut first, mut second) = (vec![0; self.bins], vec![0; self.bins]);
        for (i, count) in self.counts.iter().enumerate() {
            first[i / self.bins] += count;
            second[i % self.bins] += count;
        }
        (first, second)
    }

    /// The Jensen-Shannon distance of the two histograms.
    pub fn distance(&self) -> Option<f64> {
        let (first, second) = self.histograms();
        distance(&first, &second)
    }

    /// The permutation null: `times` distances, for each of which the two numbers of every pair are swapped with
    /// probability 1/2. If first and second numbers are exchangeable, the observed distance is a draw from this
    /// distribution.
    ///
    /// Only the bins matter, so for all pairs in the bins i and j together the number that has i first is drawn:
    /// binomial with 1/2.
    pub fn swapped(&self, times: usize, bits: &mut dyn FnMut() -> u64) -> Vec<f64> {
        let (mut same_bin, mut two_bins) = (vec![0; self.bins], Vec::new());
        for (i, same_bin) in same_bin.iter_mut().enumerate() {
            *same_bin = self.counts[i * self.bins + i];
            for j in 0..i {
                let count = self.counts[i * self.bins + j] + self.counts[j * self.bins + i];
                if count > 0 {
                    two_bins.push((i, j, count));
                }
            }
        }
        let mut draw = || {
            let (mut first, mut second) = (same_bin.clone(), same_bin.clone());
            for &(i, j, count) in &two_bins {
                let kept = heads(count, bits);
                first[i] += kept;
                second[j] += kept;
                first[j] += count - kept;
                second[i] += count - kept;
            }
            distance(&first, &second)
        };
        (0..times).filter_map(|_| draw()).collect()
    }
}

/// A draw from the binomial distribution with 1/2: how many of these coins show heads.
fn heads(coins: u64, bits: &mut dyn FnMut() -> u64) -> u64 {
    let full: u64 = (0..coins / 64).map(|_| u64::from(bits().count_ones())).sum();
    match coins % 64 {
        0 => full,
        rest => full + u64::from((bits() >> (64 - rest)).count_ones()),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::stats::{
        permutation::p_value,
        quantile::linear,
        test_random::{splitmix64, uniform},
    };

    #[derive(Deserialize)]
    struct ScipyJensenShannon {
        /// P, Q, the distance with natural logarithms and in base 2.
        histograms: Vec<(Vec<u64>, Vec<u64>, f64, f64)>,
        samples: Vec<BinnedSamples>,
        permutations: NumpyNull,
    }

    #[derive(Deserialize)]
    struct BinnedSamples {
        a: Vec<f64>,
        b: Vec<f64>,
        bins: usize,
        count_a: Vec<u64>,
        count_b: Vec<u64>,
        distance: f64,
    }

    #[derive(Deserialize)]
    struct NumpyNull {
        a: Vec<f64>,
        b: Vec<f64>,
        bins: usize,
        distance: f64,
        median: f64,
        p95: f64,
        p_value: f64,
    }

    fn scipy() -> ScipyJensenShannon {
        serde_json::from_str(include_str!("../../tests/golden/latents/golden.json")).expect("golden numbers")
    }

    fn pairs(a: &[f64], b: &[f64]) -> Vec<(f64, f64)> {
        a.iter().copied().zip(b.iter().copied()).collect()
    }

    #[test]
    fn distances_of_histograms_are_those_of_scipy_in_both_bases() {
        let histograms = scipy().histograms;
        assert!(histograms.len() >= 5);
        for (p, q, natural, base_2) in histograms {
            let found = distance(&p, &q).expect("a distance");
            assert!((found - natural).abs() < 1e-14, "{found} {natural}");
            assert!((in_base_2(found) - base_2).abs() < 1e-14, "{found} {base_2}");
        }
    }

    #[test]
    fn samples_fall_into_the_bins_of_numpy() {
        let samples = scipy().samples;
        assert!(samples.len() >= 5);
        for sample in samples {
            let counted = Pairs::new(&pairs(&sample.a, &sample.b), sample.bins).expect("pairs");
            assert_eq!(counted.histograms(), (sample.count_a, sample.count_b), "{} bins", sample.bins);
            assert!((counted.distance().expect("a distance") - sample.distance).abs() < 1e-14);
        }
    }

    #[test]
    fn the_null_distribution_is_that_of_swapping_within_pairs_in_numpy() {
        let NumpyNull { a, b, bins, distance, median, p95, p_value: expected } = scipy().permutations;
        let counted = Pairs::new(&pairs(&a, &b), bins).expect("pairs");
        assert!((counted.distance().expect("a distance") - distance).abs() < 1e-14);
        let mut null = counted.swapped(20_000, &mut splitmix64(3));
        null.sort_by(f64::total_cmp);
        let quantile = |q| linear(&null, q).expect("a null");
        // Both nulls are drawn 20,000 times: four standard errors of their quantiles are about 0.002.
        assert!((quantile(0.5) - median).abs() < 0.002, "{} {median}", quantile(0.5));
        assert!((quantile(0.95) - p95).abs() < 0.002, "{} {p95}", quantile(0.95));
        assert!((p_value(distance, &null) - expected).abs() < 0.01, "{} {expected}", p_value(distance, &null));
    }

    #[test]
    fn equal_samples_and_their_null_are_at_zero_and_disjoint_ones_at_one_in_base_2() {
        let same = Pairs::new(&[(1.0, 1.0), (2.0, 2.0)], 20).expect("pairs");
        assert_eq!((same.distance(), same.swapped(3, &mut splitmix64(1))), (Some(0.0), vec![0.0; 3]));
        assert_eq!(p_value(0.0, &[0.0; 3]), 1.0);
        let apart = Pairs::new(&[(1.0, 2.0), (1.0, 2.0)], 20).expect("pairs");
        assert_eq!(in_base_2(apart.distance().expect("a distance")), 1.0);
    }

    #[test]
    fn equal_values_fall_into_one_bin_and_no_values_have_no_distance() {
        let one = Pairs::new(&[(3.0, 3.0)], 20).expect("a pair");
        assert_eq!((one.distance(), one.histograms().0.iter().sum::<u64>()), (Some(0.0), 1));
        assert_eq!(Pairs::new(&[], 20), None);
        assert_eq!(distance(&[0, 0], &[1, 0]), None);
    }

    #[test]
    fn equal_distributions_are_at_zero_exactly_and_never_nan() {
        // Sums of shares that are rounded may fall below 0, the square root of which is NaN.
        let mut uniform = uniform(5);
        for bins in 1..60 {
            let weights: Vec<f64> = (0..bins).map(|_| uniform()).collect();
            assert_eq!(distance_of_weights(&weights, &weights), Some(0.0), "{weights:?}");
            let counts: Vec<u64> = weights.iter().map(|weight| (1e3 * weight) as u64 + 1).collect();
            let tripled: Vec<u64> = counts.iter().map(|count| 3 * count).collect();
            assert_eq!(distance(&counts, &counts), Some(0.0), "{counts:?}");
            assert!(distance(&counts, &tripled).is_some_and(|distance| distance < 1e-7), "{counts:?}");
        }
    }

    #[test]
    fn numbers_outside_of_the_range_fall_into_the_nearest_bin() {
        let bins = Bins::over([0.0, 1.0], 4).expect("bins");
        assert_eq!([-9.0, 0.0, 0.25, 0.75, 1.0, 9.0].map(|x| bins.of(x)), [0, 0, 1, 3, 3, 3]);
        assert_eq!((Bins::over([1.0], 0), Bins::over([], 4)), (None, None));
        assert!(Bins::over([2.0], 4).expect("bins").of(2.0) < 2);
    }

    #[test]
    fn a_number_on_an_edge_is_in_the_bin_above_despite_rounding() {
        for (low, high) in [(0.0, 1.0), (-0.3, 2.1), (1e-3, 7e4)] {
            for count in 1..200 {
                let bins = Bins::over([high, low], count).expect("bins");
                for bin in 1..count {
                    // Of `numpy.linspace`.
                    let edge = low + bin as f64 * ((high - low) / count as f64);
                    assert_eq!(bins.of(edge), bin, "{low} to {high}: {bin} of {count}");
                    assert_eq!(bins.of(edge.next_down()), bin - 1, "{low} to {high}: below {bin} of {count}");
                }
                assert_eq!((bins.of(low), bins.of(high)), (0, count - 1));
            }
        }
    }

    #[test]
    fn coins_are_the_highest_bits_of_a_word() {
        assert_eq!([1, 3, 64].map(|coins| heads(coins, &mut || 1 << 63)), [1; 3]);
        assert_eq!([1, 63, 64].map(|coins| heads(coins, &mut || 1)), [0, 0, 1]);
        let mut words = [u64::MAX, 0b101 << 61].into_iter();
        assert_eq!(heads(67, &mut || words.next().expect("a word")), 66);
        assert_eq!(heads(0, &mut || unreachable!("no coins")), 0);
    }

    #[test]
    fn half_of_the_coins_show_heads() {
        let mut bits = splitmix64(9);
        for coins in [1, 63, 64, 65, 1000] {
            let sum: u64 = (0..2000).map(|_| heads(coins, &mut bits)).sum();
            let (mean, sigma) = (coins as f64 * 1000.0, (coins as f64 * 500.0).sqrt());
            assert!((sum as f64 - mean).abs() < 4.0 * sigma, "{coins}: {sum}");
        }
    }
}
