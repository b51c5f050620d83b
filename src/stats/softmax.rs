//! Logits to probabilities and to a class.
//!
//! softmax(l)_k = exp(l_k - max l) / sum_j exp(l_j - max l), in double precision.

/// The probabilities `[class]` of one row of logits.
pub fn softmax(logits: &[f32]) -> impl Iterator<Item = f64> + Clone {
    let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let exp = move |logit: &f32| (f64::from(*logit) - max).exp();
    let sum: f64 = logits.iter().map(exp).sum();
    logits.iter().map(move |logit| exp(logit) / sum)
}

/// The probability of one logit, 1 / (1 + exp(-l)), in double precision.
pub fn sigmoid(logit: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(logit)).exp())
}

/// The index of the greatest value; of equal ones the first.
pub fn argmax<T: PartialOrd>(values: &[T]) -> usize {
    (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_gives_known_odds_for_logits_of_any_size() {
        let odds = [0.0, 2f32.ln(), 3f32.ln()];
        for shift in [0.0, 80.0, -3000.0] {
            let shifted: Vec<f32> = odds.iter().map(|logit| logit + shift).collect();
            assert_eq!(softmax(&shifted).count(), 3);
            for (found, expected) in softmax(&shifted).zip([1.0 / 6.0, 2.0 / 6.0, 3.0 / 6.0]) {
                assert!((found - expected).abs() < 2e-4 * expected, "{found} {expected} at {shift}");
            }
        }
    }

    #[test]
    fn a_logit_is_the_logarithm_of_the_odds() {
        assert_eq!((sigmoid(0.0), sigmoid(1000.0), sigmoid(-1000.0)), (0.5, 1.0, 0.0));
        for odds in [1.0 / 7.0, 3.0_f64, 255.0] {
            let expected = odds / (1.0 + odds);
            assert!((sigmoid(odds.ln() as f32) - expected).abs() < 1e-7, "{odds}");
        }
    }

    #[test]
    fn argmax_takes_the_first_of_equal_values() {
        assert_eq!((argmax(&[1.0, 3.0, 3.0]), argmax(&[2.0, 1.0]), argmax(&[5.0])), (1, 0, 0));
    }
}
