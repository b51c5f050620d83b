//! How far apart two distributions are, by their histograms.
//!
//! The Jensen-Shannon distance is sqrt(KL(P|M)/2 + KL(Q|M)/2) with M = (P + Q)/2 and KL(P|M) = sum P ln(P/M): 0 for equal
//! histograms, sqrt(ln 2) (1 in base 2) for disjoint ones. It depends on the bins, and of two small samples of one distribution
//! it is far from 0: so it is read beside its permutation null ([`Pairs::swapped`]).

use std::f64::consts::LN_2;

/// The Jensen-Shannon distance of two histograms of one length, natural logarithm. `None` when one is empty.
pub fn distance(p: &[u64], q: &[u64]) -> Option<f64> {
    let numbers = |counts: &[u64]| counts.iter().map(|count| *count as f64).collect::<Vec<_>>();
    distance_of_weights(&numbers(p), &numbers(q))
}

/// The same of distributions that are given by weights, which need not add up to one. `None` when all of one are zero.
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

/// A distance of natural logarithms in base 2.
pub fn in_base_2(distance: f64) -> f64 {
    distance / LN_2.sqrt()
}

/// Equal bins over a range; the last one is closed, as those of `numpy.histogram`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bins {
    low: f64,
    high: f64,
    count: usize,
}

impl Bins {
    /// Bins over the range of all numbers; `None` without numbers or bins.
    pub fn over(numbers: impl IntoIterator<Item = f64>, count: usize) -> Option<Self> {
        let (low, high) = numbers
            .into_iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (f64::min(low, x), f64::max(high, x)));
        (low <= high && count > 0).then_some(Self { low, high, count })
    }

    /// The lower edge of a bin.
    fn edge(&self, bin: usize) -> f64 {
        if bin == self.count { self.high } else { self.low + bin as f64 * ((self.high - self.low) / self.count as f64) }
    }

    /// The bin of a number. When all numbers are one, they are in one bin; what lies outside is in the nearest.
    pub fn of(&self, number: f64) -> usize {
        let last = self.count - 1;
        let place = (number - self.low) / (self.high - self.low) * self.count as f64;
        // The division may be off by a rounding: the edges decide.
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
    /// The pairs in `bins` equal bins over the range of all numbers; `None` without any.
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

    /// The Jensen-Shannon distance of the two.
    pub fn distance(&self) -> Option<f64> {
        let (first, second) = self.histograms();
        distance(&first, &second)
    }

    /// The permutation null: the distances when, `times` times over, the two numbers of every pair are swapped or not by the fall
    /// of a coin. If it does not matter which is which, the distance itself is one of these.
    ///
    /// Only the bins matter, so of all pairs in the bins i and j the number that has i first is drawn: binomial with 1/2.
    pub fn swapped(&self, times: usize, bits: &mut dyn FnMut() -> u64) -> Vec<f64> {
        let (mut settled, mut mixed) = (vec![0; self.bins], Vec::new());
        for (i, settled) in settled.iter_mut().enumerate() {
            *settled = self.counts[i * self.bins + i];
            for j in 0..i {
                let count = self.counts[i * self.bins + j] + self.counts[j * self.bins + i];
                if count > 0 {
                    mixed.push((i, j, count));
                }
            }
        }
        let mut draw = || {
            let (mut first, mut second) = (settled.clone(), settled.clone());
            for &(i, j, count) in &mixed {
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

/// How many of so many coins show heads.
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
    use crate::stats::permutation::p_value;

    #[derive(Deserialize)]
    struct Golden {
        histograms: Vec<(Vec<u64>, Vec<u64>, f64, f64)>,
        samples: Vec<Sample>,
        permutations: Permutations,
    }

    #[derive(Deserialize)]
    struct Sample {
        a: Vec<f64>,
        b: Vec<f64>,
        bins: usize,
        count_a: Vec<u64>,
        count_b: Vec<u64>,
        distance: f64,
    }

    #[derive(Deserialize)]
    struct Permutations {
        a: Vec<f64>,
        b: Vec<f64>,
        bins: usize,
        distance: f64,
        median: f64,
        p95: f64,
        p_value: f64,
    }

    fn golden() -> Golden {
        serde_json::from_str(include_str!("../../tests/golden/latents/golden.json")).expect("golden numbers")
    }

    /// SplitMix64.
    fn bits(mut state: u64) -> impl FnMut() -> u64 {
        move || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let x = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            x ^ (x >> 31)
        }
    }

    fn pairs(a: &[f64], b: &[f64]) -> Vec<(f64, f64)> {
        a.iter().copied().zip(b.iter().copied()).collect()
    }

    #[test]
    fn distances_of_histograms_are_those_of_scipy_in_both_bases() {
        let histograms = golden().histograms;
        assert!(histograms.len() >= 5);
        for (p, q, natural, base_2) in histograms {
            let found = distance(&p, &q).expect("a distance");
            assert!((found - natural).abs() < 1e-14, "{found} {natural}");
            assert!((in_base_2(found) - base_2).abs() < 1e-14, "{found} {base_2}");
        }
    }

    #[test]
    fn samples_fall_into_the_bins_of_numpy() {
        let samples = golden().samples;
        assert!(samples.len() >= 5);
        for sample in samples {
            let counted = Pairs::new(&pairs(&sample.a, &sample.b), sample.bins).expect("pairs");
            assert_eq!(counted.histograms(), (sample.count_a, sample.count_b), "{} bins", sample.bins);
            assert!((counted.distance().expect("a distance") - sample.distance).abs() < 1e-14);
        }
    }

    #[test]
    fn the_null_is_that_of_swapping_within_pairs_in_numpy() {
        let Permutations { a, b, bins, distance, median, p95, p_value: expected } = golden().permutations;
        let counted = Pairs::new(&pairs(&a, &b), bins).expect("pairs");
        assert!((counted.distance().expect("a distance") - distance).abs() < 1e-14);
        let mut null = counted.swapped(20_000, &mut bits(3));
        null.sort_by(f64::total_cmp);
        let quantile = |q| crate::stats::summary::quantile(&null, q).expect("a null");
        // Both nulls are drawn 20,000 times: four standard errors of their quantiles are about 0.002.
        assert!((quantile(0.5) - median).abs() < 0.002, "{} {median}", quantile(0.5));
        assert!((quantile(0.95) - p95).abs() < 0.002, "{} {p95}", quantile(0.95));
        assert!((p_value(distance, &null) - expected).abs() < 0.01, "{} {expected}", p_value(distance, &null));
    }

    #[test]
    fn equal_samples_are_at_zero_with_their_null_and_disjoint_ones_at_one_in_base_2() {
        let same = Pairs::new(&[(1.0, 1.0), (2.0, 2.0)], 20).expect("pairs");
        assert_eq!((same.distance(), same.swapped(3, &mut bits(1))), (Some(0.0), vec![0.0; 3]));
        assert_eq!(p_value(0.0, &[0.0; 3]), 1.0);
        let apart = Pairs::new(&[(1.0, 2.0), (1.0, 2.0)], 20).expect("pairs");
        assert_eq!(in_base_2(apart.distance().expect("a distance")), 1.0);
    }

    #[test]
    fn one_value_is_one_bin_and_no_value_has_no_distance() {
        let one = Pairs::new(&[(3.0, 3.0)], 20).expect("a pair");
        assert_eq!((one.distance(), one.histograms().0.iter().sum::<u64>()), (Some(0.0), 1));
        assert_eq!(Pairs::new(&[], 20), None);
        assert_eq!(distance(&[0, 0], &[1, 0]), None);
    }

    #[test]
    fn coins_fall_half_heads() {
        let mut bits = bits(9);
        for coins in [1, 63, 64, 65, 1000] {
            let sum: u64 = (0..2000).map(|_| heads(coins, &mut bits)).sum();
            let (mean, sigma) = (coins as f64 * 1000.0, (coins as f64 * 500.0).sqrt());
            assert!((sum as f64 - mean).abs() < 4.0 * sigma, "{coins}: {sum}");
        }
    }
}
