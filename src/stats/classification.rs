//! How well classes are told apart: the confusion matrix and what follows from it.

/// Counts of (true, predicted) classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    counts: Vec<u64>,
}

/// Rates of one class, or their mean weighted by support. `None` where nothing was there to be counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Of what was predicted, the fraction that was right: tp / (tp + fp).
    pub precision: Option<f64>,
    /// Of what was there, the fraction that was found: tp / (tp + fn).
    pub recall: Option<f64>,
    /// Harmonic mean of both: 2 tp / (2 tp + fp + fn).
    pub f1: Option<f64>,
    /// How many there were: tp + fn.
    pub support: u64,
}

impl Confusion {
    /// An empty matrix of so many classes.
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// The matrix of counts `[true, predicted]`; `None` when they are not the square of `classes`.
    pub fn from_counts(classes: usize, counts: Vec<u64>) -> Option<Self> {
        (counts.len() == classes * classes).then_some(Self { classes, counts })
    }

    /// Counts one more.
    ///
    /// # Panics
    /// When a class is out of range.
    pub fn add(&mut self, truth: usize, predicted: usize) {
        assert!(truth < self.classes && predicted < self.classes, "class out of range");
        self.counts[truth * self.classes + predicted] += 1;
    }

    /// The counts, `[true, predicted]`.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The members of a class, by predicted class.
    pub fn row(&self, class: usize) -> &[u64] {
        &self.counts[class * self.classes..][..self.classes]
    }

    /// How often each class was predicted.
    pub fn predicted(&self) -> Vec<u64> {
        (0..self.classes).map(|class| self.counts.iter().skip(class).step_by(self.classes).sum()).collect()
    }

    /// All that was counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What was predicted right.
    pub fn correct(&self) -> u64 {
        self.counts.iter().step_by(self.classes + 1).sum()
    }

    /// The fraction that was predicted right; `None` of an empty matrix.
    pub fn accuracy(&self) -> Option<f64> {
        ratio(self.correct(), self.total())
    }

    /// The rates of a class.
    pub fn rates(&self, class: usize) -> Rates {
        let (right, support) = (self.row(class)[class], self.row(class).iter().sum());
        let predicted: u64 = self.counts.iter().skip(class).step_by(self.classes).sum();
        Rates {
            precision: ratio(right, predicted),
            recall: ratio(right, support),
            f1: ratio(2 * right, support + predicted),
            support,
        }
    }

    /// The rates of all classes, weighted by support. As in scikit-learn, a class that was never predicted has precision 0.
    pub fn weighted(&self) -> Rates {
        let support = self.total();
        let mean = |rate: fn(&Rates) -> Option<f64>| {
            let weighted = (0..self.classes).map(|class| self.rates(class));
            let sum: f64 = weighted.map(|rates| rates.support as f64 * rate(&rates).unwrap_or(0.0)).sum();
            (support > 0).then(|| sum / support as f64)
        };
        Rates {
            precision: mean(|rates| rates.precision),
            recall: mean(|rates| rates.recall),
            f1: mean(|rates| rates.f1),
            support,
        }
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::stats::interval::{normal_quantile, wilson};

    #[derive(Deserialize)]
    struct Golden {
        cases: Vec<Case>,
        wilson: Vec<(u64, u64, f64, f64, f64)>,
        quantile: Vec<(f64, f64)>,
    }

    #[derive(Deserialize)]
    struct Case {
        truth: Vec<usize>,
        predicted: Vec<usize>,
        confusion: Vec<Vec<u64>>,
        accuracy: f64,
        precision: Vec<f64>,
        recall: Vec<f64>,
        f1: Vec<f64>,
        support: Vec<u64>,
        weighted: [f64; 3],
    }

    fn golden() -> Golden {
        serde_json::from_str(include_str!("../../tests/golden/classification/golden.json")).expect("golden numbers")
    }

    fn near(found: Option<f64>, expected: f64) -> bool {
        (found.unwrap_or(0.0) - expected).abs() < 1e-14
    }

    #[test]
    fn all_rates_are_those_of_scikit_learn() {
        for case in golden().cases {
            let mut confusion = Confusion::new(3);
            case.truth.iter().zip(&case.predicted).for_each(|(&truth, &predicted)| confusion.add(truth, predicted));
            assert_eq!(confusion.counts(), case.confusion.concat());
            assert!(near(confusion.accuracy(), case.accuracy));
            for class in 0..3 {
                let rates = confusion.rates(class);
                let expected = (case.precision[class], case.recall[class], case.f1[class]);
                assert!(
                    near(rates.precision, expected.0) && near(rates.recall, expected.1) && near(rates.f1, expected.2)
                );
                assert_eq!(rates.support, case.support[class]);
            }
            let weighted = confusion.weighted();
            let found = [weighted.precision, weighted.recall, weighted.f1];
            assert!(found.iter().zip(case.weighted).all(|(found, expected)| near(*found, expected)), "{weighted:?}");
        }
    }

    #[test]
    fn a_rate_of_nothing_is_unknown_and_not_zero() {
        let mut confusion = Confusion::new(2);
        assert_eq!((confusion.accuracy(), confusion.weighted().recall), (None, None));
        confusion.add(0, 0);
        assert_eq!(confusion.rates(1), Rates { precision: None, recall: None, f1: None, support: 0 });
        assert_eq!(confusion.predicted(), [1, 0]);
    }

    #[test]
    fn intervals_are_those_of_scipy() {
        for (successes, trials, confidence, low, high) in golden().wilson {
            let found = wilson(successes, trials, confidence).expect("trials");
            assert!((found.0 - low).abs() < 1e-14 && (found.1 - high).abs() < 1e-14, "{found:?} {low} {high}");
        }
        assert_eq!(wilson(0, 0, 0.95), None);
    }

    #[test]
    fn normal_quantiles_are_those_of_scipy() {
        for (probability, expected) in golden().quantile {
            let found = normal_quantile(probability);
            assert!((found - expected).abs() <= 1e-14 * expected.abs().max(1.0), "{probability}: {found} {expected}");
        }
    }
}
