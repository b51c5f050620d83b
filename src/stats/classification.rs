//! The confusion matrix of a classification, and precision, recall and F1 from it.

/// A confusion matrix: counts of (true, predicted) classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    counts: Vec<u64>,
}

/// Rates of one class, or their mean weighted by support. `None` where the denominator is zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// The fraction of the predictions that is right: tp / (tp + fp).
    pub precision: Option<f64>,
    /// The fraction of the members that is found: tp / (tp + fn).
    pub recall: Option<f64>,
    /// The harmonic mean of precision and recall: 2 tp / (2 tp + fp + fn).
    pub f1: Option<f64>,
    /// The number of members: tp + fn.
    pub support: u64,
}

impl Confusion {
    /// An empty matrix.
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// The matrix of counts `[true, predicted]`; `None` unless there are `classes` squared of them.
    pub fn from_counts(classes: usize, counts: Vec<u64>) -> Option<Self> {
        (counts.len() == classes * classes).then_some(Self { classes, counts })
    }

    /// Counts a prediction.
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

    /// The members of a class by predicted class.
    pub fn row(&self, class: usize) -> &[u64] {
        &self.counts[class * self.classes..][..self.classes]
    }

    /// How often each class was predicted.
    pub fn predicted(&self) -> Vec<u64> {
        (0..self.classes).map(|class| self.counts.iter().skip(class).step_by(self.classes).sum()).collect()
    }

    /// The number of predictions.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The number of right predictions.
    pub fn correct(&self) -> u64 {
        self.counts.iter().step_by(self.classes + 1).sum()
    }

    /// The fraction of right predictions; `None` for an empty matrix.
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

    /// The mean rates of all classes, weighted by support. As in scikit-learn, a class that was never predicted counts
    /// with precision 0.
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

fn ratio(numerator: u64, denominator: u64) -> Option<f64> {
    (denominator > 0).then(|| numerator as f64 / denominator as f64)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct SklearnReports {
        cases: Vec<SklearnReport>,
    }

    #[derive(Deserialize)]
    struct SklearnReport {
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

    fn near(found: Option<f64>, expected: f64) -> bool {
        (found.unwrap_or(0.0) - expected).abs() < 1e-14
    }

    #[test]
    fn all_rates_are_those_of_scikit_learn() {
        let golden: SklearnReports =
            serde_json::from_str(include_str!("../../tests/golden/classification/golden.json"))
                .expect("golden numbers");
        assert!(golden.cases.len() >= 3);
        for case in golden.cases {
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
    fn a_rate_with_denominator_zero_is_missing() {
        let mut confusion = Confusion::new(2);
        assert_eq!((confusion.accuracy(), confusion.weighted().recall), (None, None));
        confusion.add(0, 0);
        assert_eq!(confusion.rates(1), Rates { precision: None, recall: None, f1: None, support: 0 });
        assert_eq!(confusion.predicted(), [1, 0]);
    }

    #[test]
    fn a_class_out_of_range_is_not_counted_as_another() {
        for (truth, predicted) in [(0, 2), (2, 0), (1, 2)] {
            let counted = std::panic::catch_unwind(|| Confusion::new(2).add(truth, predicted));
            assert!(counted.is_err(), "{truth} {predicted}");
        }
    }

    #[test]
    fn counts_come_back_by_row_and_column() {
        let confusion = Confusion::from_counts(2, vec![5, 1, 2, 4]).expect("a square");
        assert_eq!((confusion.row(1), confusion.predicted()), (&[2, 4][..], vec![7, 5]));
        assert_eq!((confusion.total(), confusion.correct()), (12, 9));
        for (classes, length) in [(2, 3), (3, 6), (3, 8)] {
            assert_eq!(Confusion::from_counts(classes, vec![0; length]), None);
        }
        assert!(Confusion::from_counts(3, vec![0; 9]).is_some());
    }
}
