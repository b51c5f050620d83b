//! Mean, standard error and quantiles.

use serde::{Deserialize, Serialize};

/// Mean and variance of a stream of numbers (Welford 1962): m += (x - m)/n, s += (x - m before)(x - m after).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Takes a number.
    pub fn add(&mut self, number: f64) {
        self.count += 1;
        let before = number - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (number - self.mean);
    }

    /// How many there were.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The mean; `None` of no number.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// The standard error of the mean, s / sqrt n with s^2 = sum (x - m)^2 / (n - 1); `None` of less than two numbers.
    pub fn standard_error(&self) -> Option<f64> {
        let n = self.count as f64;
        (self.count > 1).then(|| (self.squares / (n - 1.0) / n).sqrt())
    }
}

/// The quantile (0 to 1) of sorted numbers, linear between ranks as `numpy.quantile`; `None` of no number.
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = last as f64 * q.clamp(0.0, 1.0);
    let rank = place as usize;
    let (low, high) = (sorted[rank], sorted[(rank + 1).min(last)]);
    Some(low + (high - low) * (place - rank as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        summaries: Vec<Summary>,
    }

    #[derive(Deserialize)]
    struct Summary {
        values: Vec<f64>,
        mean: f64,
        standard_error: Option<f64>,
        quantiles: Vec<(f64, f64)>,
    }

    #[test]
    fn mean_standard_error_and_quantiles_are_those_of_numpy_and_scipy() {
        let golden: Golden =
            serde_json::from_str(include_str!("../../tests/golden/latents/golden.json")).expect("golden numbers");
        assert!(golden.summaries.len() >= 4);
        for summary in golden.summaries {
            let close = |found: f64, expected: f64| (found - expected).abs() <= 1e-12 * expected.abs().max(1e-3);
            let mut moments = Moments::default();
            summary.values.iter().for_each(|x| moments.add(*x));
            assert!(close(moments.mean().expect("a mean"), summary.mean), "{moments:?} {}", summary.mean);
            match (moments.standard_error(), summary.standard_error) {
                (Some(found), Some(expected)) => assert!(close(found, expected), "{found} {expected}"),
                (found, expected) => assert_eq!(found, expected),
            }
            let mut sorted = summary.values;
            sorted.sort_by(f64::total_cmp);
            for (q, expected) in summary.quantiles {
                let found = quantile(&sorted, q).expect("a quantile");
                assert!(close(found, expected), "{q}: {found} {expected}");
            }
        }
    }

    #[test]
    fn of_nothing_there_is_nothing() {
        assert_eq!((quantile(&[], 0.5), Moments::default().mean()), (None, None));
    }
}
