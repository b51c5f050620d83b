//! The discrepancy in linear time by random features, from sums that merge exactly.
//!
//! A Gaussian kernel is an average over random frequencies (Rahimi and Recht 2007, "Random features for large-scale
//! kernel machines"): exp(-|x - y|^2 / 2s) = E cos(w.(x - y)), w normal with variance 1/s. So a sum of K kernels is
//! approximately K/F sum_f (cos w_f.x cos w_f.y + sin w_f.x sin w_f.y), where the F frequencies are assigned to the
//! kernels in turn. For MMD^2 only the sums of these 2F features over each sample are needed.
//!
//! The sums are integers, in units of 2^-32, so they do not depend on the order of the points, and sums of several
//! processes merge to those of one.
//!
//! **The test.** Each point has B coins. The points whose b-th coin shows heads are the b-th random group, in the
//! window and in the reference, so a group of the pooled sample is the sum of the two. The statistic is
//! n_A n_B / (n_A + n_B) |mean_A - mean_B|^2: for random groups its mean does not depend on their size.

use super::{Discrepancy, GaussianKernelSum, Points, p_value, stride};

/// 1 in the fixed-point format of the sums.
const ONE: f64 = 4_294_967_296.0;
/// The mean squared features of equal points differ from 1 by less: cosine and sine are each rounded by at most half a unit, so the sum of
/// their squares by at most 2 sqrt(2) times that, 3.3e-10.
const ROUNDING: f64 = 4e-10;

/// Frequencies are held in units of a power of two if their scale is outside of this range: float32 would hold them as 0
/// or infinity, or with fewer bits.
const HELD_AS_THEY_ARE: std::ops::RangeInclusive<f64> = 1e-30..=1e30;

/// Random frequencies for a kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// In `units`.
    frequencies: Points,
    /// The unit of every frequency: 1, or a power of two.
    units: Vec<f64>,
    /// K, the number of kernels.
    kernels: f64,
}

impl Features {
    /// Draws frequencies for a kernel over points of a dimension, given standard normal draws.
    pub fn draw(
        kernel: &GaussianKernelSum,
        frequencies: usize,
        dimension: usize,
        normal: &mut dyn FnMut() -> f64,
    ) -> Self {
        let scales: Vec<f64> = kernel.variances().iter().map(|s| s.sqrt().recip()).cycle().take(frequencies).collect();
        let unit = |scale: &f64| if HELD_AS_THEY_ARE.contains(scale) { 1.0 } else { scale.log2().round().exp2() };
        let units: Vec<f64> = scales.iter().map(unit).collect();
        let in_units = scales.iter().zip(&units).map(|(scale, unit)| scale / unit);
        let numbers = in_units.flat_map(|scale| std::iter::repeat_n(scale, dimension));
        let numbers: Vec<f32> = numbers.map(|scale| (scale * normal()) as f32).collect();
        Self { frequencies: Points::new(&numbers, dimension), units, kernels: kernel.at_zero() }
    }

    /// The number of features of a point: a sine and a cosine per frequency.
    pub const fn len(&self) -> usize {
        2 * self.frequencies.len()
    }

    /// Whether there are no frequencies.
    pub const fn is_empty(&self) -> bool {
        self.frequencies.is_empty()
    }

    /// The features of points in fixed point, `[point][2F]`.
    fn of(&self, points: &Points) -> Vec<i64> {
        let (count, mut products) = (self.frequencies.len(), Vec::new());
        points.products(0..points.len(), &self.frequencies, count, &mut products);
        let mut numbers = Vec::with_capacity(points.len() * self.len());
        for row in products.chunks_exact(stride(count).max(1)) {
            for (phase, unit) in row[..count].iter().zip(&self.units) {
                let (sine, cosine) = (phase * unit).sin_cos();
                numbers.extend([(cosine * ONE).round() as i64, (sine * ONE).round() as i64]);
            }
        }
        numbers
    }
}

/// Sums of the features over the points of a sample and over its random groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums {
    /// B, the number of random groups.
    tosses: usize,
    /// The number of points of each group; at the end that of all points.
    counts: Vec<u64>,
    /// The sums of each group, `[group][2F]`; at the end those of all points.
    numbers: Vec<i64>,
}

impl Sums {
    /// Empty sums with `tosses` groups.
    pub fn new(features: &Features, tosses: usize) -> Self {
        Self { tosses, counts: vec![0; tosses + 1], numbers: vec![0; (tosses + 1) * features.len()] }
    }

    /// The number of points.
    pub fn count(&self) -> u64 {
        self.counts[self.tosses]
    }

    /// Adds points. `coins` has the coins of each point, 64 per word: `[point][ceil(tosses / 64)]`.
    pub fn add(&mut self, features: &Features, points: &Points, coins: &[u64]) {
        let length = features.len();
        if length == 0 || points.is_empty() {
            return;
        }
        let numbers = features.of(points);
        let words = self.tosses.div_ceil(64);
        for (toss, sums) in self.numbers.chunks_exact_mut(length).enumerate() {
            for (point, numbers) in numbers.chunks_exact(length).enumerate() {
                if toss == self.tosses || coins[point * words + toss / 64] >> (toss % 64) & 1 == 1 {
                    sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
                    self.counts[toss] += 1;
                }
            }
        }
    }

    /// Adds the sums of other points.
    pub fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, other)| *own += other);
        self.numbers.iter_mut().zip(&other.numbers).for_each(|(own, other)| *own += other);
    }

    /// Counts and sums, little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let counts = self.counts.iter().flat_map(|count| count.to_le_bytes());
        counts.chain(self.numbers.iter().flat_map(|number| number.to_le_bytes())).collect()
    }

    /// Sums from bytes; `None` when the length is not that of these features and groups.
    pub fn from_bytes(features: &Features, tosses: usize, bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() || words.len() != (tosses + 1) * (features.len() + 1) {
            return None;
        }
        let (counts, numbers) = words.split_at(tosses + 1);
        Some(Self {
            tosses,
            counts: counts.iter().map(|word| u64::from_le_bytes(*word)).collect(),
            numbers: numbers.iter().map(|word| i64::from_le_bytes(*word)).collect(),
        })
    }

    /// The number of points of a group and their sums; the last group is that of all points.
    fn group(&self, group: usize) -> (f64, &[i64]) {
        let length = self.numbers.len() / (self.tosses + 1);
        (self.counts[group] as f64, &self.numbers[group * length..][..length])
    }
}

/// Whether all points of two samples have the same features but for rounding: then so have all groups, and the test says
/// nothing. That the kernels vanish between all points cannot be seen from sums, but from [`PairDistances`] of the
/// reference.
///
/// [`PairDistances`]: super::PairDistances
pub fn is_saturated(features: &Features, reference: &Sums, window: &Sums) -> bool {
    let (n, of_reference) = reference.group(reference.tosses);
    let (m, of_window) = window.group(window.tosses);
    let pooled = of_reference.iter().zip(of_window).map(|(a, b)| ((a + b) as f64 / ONE / (m + n)).powi(2));
    pooled.sum::<f64>() / features.frequencies.len() as f64 > 1.0 - ROUNDING
}

/// The discrepancy of a window from a reference, and its p-value; `None` unless both have at least two points and
/// equally many groups.
pub fn test(features: &Features, reference: &Sums, window: &Sums) -> Option<(Discrepancy, f64)> {
    if reference.count() < 2 || window.count() < 2 || reference.tosses != window.tosses {
        return None;
    }
    let all = reference.tosses;
    let ((n, of_reference), (m, of_window)) = (reference.group(all), window.group(all));
    let unit = features.kernels / features.frequencies.len() as f64;
    let value = |number: i64| number as f64 / ONE;
    let square = |of: &[i64]| unit * of.iter().map(|number| value(*number).powi(2)).sum::<f64>();
    let across =
        unit * of_reference.iter().zip(of_window).map(|(a, b)| value(*a) * value(*b)).sum::<f64>() * 2.0 / (m * n);
    let (own, other) = (square(of_window), square(of_reference));
    let unbiased = |sum: f64, n: f64| (sum - n * features.kernels) / (n * (n - 1.0));
    let discrepancy = Discrepancy {
        unbiased: unbiased(own, m) + unbiased(other, n) - across,
        biased: (own / (m * m) + other / (n * n) - across).max(0.0),
    };
    let null: Vec<f64> = (0..all)
        .filter_map(|toss| {
            let ((a, first), (b, second)) = (reference.group(toss), window.group(toss));
            let (inside, outside) = (a + b, m + n - a - b);
            let squared_difference = |((first, second), (x, y)): ((&i64, &i64), (&i64, &i64))| {
                (value(first + second) / inside - value(x + y - first - second) / outside).powi(2)
            };
            let sum: f64 =
                first.iter().zip(second).zip(of_reference.iter().zip(of_window)).map(squared_difference).sum();
            (inside > 0.0 && outside > 0.0).then_some(unit * sum * inside * outside / (m + n))
        })
        .collect();
    Some((discrepancy, p_value(discrepancy.biased * m * n / (m + n), &null)))
}
