//! The discrepancy in linear time, from sums that merge exactly.
//!
//! A Gaussian kernel is an average over random frequencies (Rahimi and Recht 2007, "Random features for large-scale kernel machines"):
//! exp(-|x - y|^2 / 2s) = E cos(w.(x - y)), w normal with variance 1/s. So a sum of K kernels is about
//! K/F sum_f (cos w_f.x cos w_f.y + sin w_f.x sin w_f.y), the frequencies f shared out among the kernels in turn, and MMD^2 needs of a
//! sample nothing but the sum of these 2F numbers.
//!
//! The sums are integers, in units of 2^-32: so they are the same in any order, and those of several processes add up to those of one.
//!
//! **The test.** Each point carries B coins. Those that show heads in the b-th toss make the b-th random group, of the window and of the
//! reference alike, so a group of the pooled sample is the sum of two. The statistic is n_A n_B / (n_A + n_B) |mean_A - mean_B|^2, the
//! mean of which does not depend on how many are in the group, where its members are random.

use super::{Discrepancy, Kernel, Points, p_value, stride};

/// 1 in the fixed point of sums.
const ONE: f64 = 4_294_967_296.0;

/// Random frequencies of a kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    frequencies: Points,
    /// K.
    kernels: f64,
}

impl Features {
    /// So many frequencies for a kernel over points of a dimension, drawn from normal numbers.
    pub fn draw(kernel: &Kernel, frequencies: usize, dimension: usize, normal: &mut dyn FnMut() -> f64) -> Self {
        let scales = kernel.variances().iter().map(|s| s.sqrt().recip()).cycle();
        let numbers = scales.take(frequencies).flat_map(|scale| std::iter::repeat_n(scale, dimension));
        let numbers: Vec<f32> = numbers.map(|scale| (scale * normal()) as f32).collect();
        Self { frequencies: Points::new(&numbers, dimension), kernels: kernel.at_zero() }
    }

    /// Numbers of a point: a cosine and a sine of every frequency.
    pub const fn len(&self) -> usize {
        2 * self.frequencies.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.frequencies.is_empty()
    }

    /// The numbers of points, in units of 2^-32: `[point][2F]`.
    fn of(&self, points: &Points) -> Vec<i64> {
        let (count, mut products) = (self.frequencies.len(), Vec::new());
        points.products(0..points.len(), &self.frequencies, count, &mut products);
        let mut numbers = Vec::with_capacity(points.len() * self.len());
        for row in products.chunks_exact(stride(count).max(1)) {
            for phase in &row[..count] {
                let (sine, cosine) = phase.sin_cos();
                numbers.extend([(cosine * ONE).round() as i64, (sine * ONE).round() as i64]);
            }
        }
        numbers
    }
}

/// Sums over the points of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums {
    /// Groups.
    tosses: usize,
    /// Points of each group, and of all at the end.
    counts: Vec<u64>,
    /// `[group][2F]`, those of all at the end.
    numbers: Vec<i64>,
}

impl Sums {
    /// Of no point, with so many groups.
    pub fn new(features: &Features, tosses: usize) -> Self {
        Self { tosses, counts: vec![0; tosses + 1], numbers: vec![0; (tosses + 1) * features.len()] }
    }

    /// How many points there were.
    pub fn count(&self) -> u64 {
        self.counts[self.tosses]
    }

    /// Adds points. `coins` gives the tosses of each, 64 at a time: `[point][tosses / 64, rounded up]`.
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

    /// All that is remembered: counts and sums.
    pub fn to_bytes(&self) -> Vec<u8> {
        let counts = self.counts.iter().flat_map(|count| count.to_le_bytes());
        counts.chain(self.numbers.iter().flat_map(|number| number.to_le_bytes())).collect()
    }

    /// Sums of the same features and as many groups, from bytes; `None` when they are of others.
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

    /// The sums of a group: of its heads, or of all when it is the last.
    fn group(&self, group: usize) -> (f64, &[i64]) {
        let length = self.numbers.len() / (self.tosses + 1);
        (self.counts[group] as f64, &self.numbers[group * length..][..length])
    }
}

/// The discrepancy of a window from a reference, and the p-value of its test; `None` unless both have two points and as many groups.
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
            let apart = |((first, second), (x, y)): ((&i64, &i64), (&i64, &i64))| {
                (value(first + second) / inside - value(x + y - first - second) / outside).powi(2)
            };
            let sum: f64 = first.iter().zip(second).zip(of_reference.iter().zip(of_window)).map(apart).sum();
            (inside > 0.0 && outside > 0.0).then_some(unit * sum * inside * outside / (m + n))
        })
        .collect();
    Some((discrepancy, p_value(discrepancy.biased * m * n / (m + n), &null)))
}
