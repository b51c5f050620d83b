//! Mean and standard error of a stream of numbers.

use serde::{Deserialize, Serialize};

/// Mean and variance of a stream of numbers (Welford 1962): m += (x - m)/n, s += (x - m before)(x - m after).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Adds a number.
    pub fn add(&mut self, number: f64) {
        self.count += 1;
        let before = number - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (number - self.mean);
    }

    /// How many numbers were added.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The mean; `None` without numbers.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// The standard error of the mean, s / sqrt n with s^2 = sum (x - m)^2 / (n - 1); `None` for fewer than two
    /// numbers.
    pub fn standard_error(&self) -> Option<f64> {
        let n = self.count as f64;
        (self.count > 1).then(|| (self.squares / (n - 1.0) / n).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::quantile::linear;

    #[derive(Deserialize)]
    struct NumpySummaries {
        summaries: Vec<NumpySummary>,
    }

    #[derive(Deserialize)]
    struct NumpySummary {
        values: Vec<f64>,
        mean: f64,
        standard_error: Option<f64>,
        quantiles: Vec<(f64, f64)>,
    }

    #[test]
    fn mean_standard_error_and_quantiles_are_those_of_numpy_and_scipy() {
        let golden: NumpySummaries =
            serde_json::from_str(include_str!("../../tests/golden/latents/golden.json")).expect("golden numbers");
        assert!(golden.summaries.len() >= 4);
        for summary in golden.summaries {
            let close = |found: f64, expected: f64| (found - expected).abs() <= 1e-12 * expected.abs().max(1e-3);
            let mut moments = Moments::default();
            summary.values.iter().for_each(|x| moments.add(*x));
            assert_eq!(moments.count(), summary.values.len() as u64);
            assert!(close(moments.mean().expect("a mean"), summary.mean), "{moments:?} {}", summary.mean);
            match (moments.standard_error(), summary.standard_error) {
                (Some(found), Some(expected)) => assert!(close(found, expected), "{found} {expected}"),
                (found, expected) => assert_eq!(found, expected),
            }
            let mut sorted = summary.values;
            sorted.sort_by(f64::total_cmp);
            for (q, expected) in summary.quantiles {
                let found = linear(&sorted, q).expect("a quantile");
                assert!(close(found, expected), "{q}: {found} {expected}");
            }
        }
    }

    #[test]
    fn an_empty_stream_has_no_mean() {
        let empty = Moments::default();
        assert_eq!((empty.count(), empty.mean(), empty.standard_error()), (0, None, None));
    }
}
