//! ROC and precision-recall curves from scores that are counted in bins.
//!
//! A threshold t splits the rows into those with a score of at least t and the others: tp and fp are the positive and the negative
//! rows above it. Recall (true positive rate) = tp / positives, false positive rate = fp / negatives, precision = tp / (tp + fp),
//! F1 = 2 tp / (2 tp + fp + fn). The area under the ROC curve (AUC) is the probability that a positive row has a higher score than a
//! negative one; rows of one bin count as ties, one half each. Bounds of the exact area count all ties for or against. The average
//! precision is the sum of precision over the increases of recall, as in scikit-learn.

use serde::{Deserialize, Serialize};

/// Scores of the positive and of the negative class, counted in bins of equal width from 0 to 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinnedScores {
    positives: Vec<u64>,
    negatives: Vec<u64>,
}

/// The rows above a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RocPoint {
    /// Positive rows above it.
    pub true_positives: u64,
    /// Negative rows above it.
    pub false_positives: u64,
    /// All positive rows.
    pub positives: u64,
    /// All negative rows.
    pub negatives: u64,
}

impl BinnedScores {
    /// No scores yet.
    pub fn new(bins: usize) -> Self {
        Self { positives: vec![0; bins], negatives: vec![0; bins] }
    }

    /// How many bins there are.
    pub fn bins(&self) -> usize {
        self.positives.len()
    }

    /// Whether it has `bins` bins; a snapshot may hold anything.
    pub fn has_bins(&self, bins: usize) -> bool {
        (self.positives.len(), self.negatives.len()) == (bins, bins)
    }

    /// Counts a score from 0 to 1. A score on an edge belongs to the bin above.
    pub fn add(&mut self, score: f32, is_positive: bool) {
        let bins = self.bins();
        let bin = ((f64::from(score) * bins as f64) as usize).min(bins.saturating_sub(1));
        let counts = if is_positive { &mut self.positives } else { &mut self.negatives };
        if let Some(count) = counts.get_mut(bin) {
            *count += 1;
        }
    }

    /// The lower edge of a bin.
    pub fn edge(&self, bin: usize) -> f64 {
        bin as f64 / self.bins() as f64
    }

    /// Whether a bin holds a row.
    pub fn is_filled(&self, bin: usize) -> bool {
        self.positives[bin] + self.negatives[bin] > 0
    }

    /// The rows with a score of at least the lower edge of a bin.
    pub fn above(&self, bin: usize) -> RocPoint {
        RocPoint {
            true_positives: self.positives[bin..].iter().sum(),
            false_positives: self.negatives[bin..].iter().sum(),
            positives: self.positives.iter().sum(),
            negatives: self.negatives.iter().sum(),
        }
    }

    /// The area under the ROC curve, and its bounds for the scores before they were binned; `None` unless both classes have rows.
    pub fn auc(&self) -> Option<(f64, f64, f64)> {
        let RocPoint { positives, negatives, .. } = self.above(0);
        if positives == 0 || negatives == 0 {
            return None;
        }
        let (mut below, mut wins, mut ties) = (0.0, 0.0, 0.0);
        for (p, n) in self.positives.iter().zip(&self.negatives) {
            let (p, n) = (*p as f64, *n as f64);
            wins += p * below;
            ties += p * n;
            below += n;
        }
        let pairs = positives as f64 * negatives as f64;
        Some(((wins + ties / 2.0) / pairs, wins / pairs, (wins + ties) / pairs))
    }

    /// The average precision; `None` without a positive row.
    pub fn average_precision(&self) -> Option<f64> {
        let all = self.above(0).positives as f64;
        if all == 0.0 {
            return None;
        }
        let (mut tp, mut fp, mut sum) = (0.0, 0.0, 0.0);
        for (p, n) in self.positives.iter().zip(&self.negatives).rev() {
            let (p, n) = (*p as f64, *n as f64);
            (tp, fp) = (tp + p, fp + n);
            if p > 0.0 {
                sum += p / all * tp / (tp + fp);
            }
        }
        Some(sum)
    }
}

impl RocPoint {
    /// The fraction of the positive rows that is above the threshold.
    pub fn recall(self) -> Option<f64> {
        fraction(self.true_positives, self.positives)
    }

    /// The fraction of the negative rows that is above the threshold.
    pub fn false_positive_rate(self) -> Option<f64> {
        fraction(self.false_positives, self.negatives)
    }

    /// The fraction of the rows above the threshold that is positive.
    pub fn precision(self) -> Option<f64> {
        fraction(self.true_positives, self.true_positives + self.false_positives)
    }

    /// The harmonic mean of precision and recall.
    pub fn f1(self) -> Option<f64> {
        fraction(2 * self.true_positives, self.true_positives + self.false_positives + self.positives)
    }
}

fn fraction(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of scikit-learn, written by `tests/golden/roc/make.py`.
    #[derive(Deserialize)]
    struct GoldenCurve {
        scores: Vec<f32>,
        truth: Vec<bool>,
        auc: f64,
        average_precision: f64,
        /// Threshold, recall, false positive rate, precision, F1.
        points: Vec<[f64; 5]>,
    }

    #[test]
    fn curves_are_those_of_scikit_learn() {
        let golden = std::fs::read_to_string("tests/golden/roc/golden.json").expect("the file exists");
        let golden: Vec<GoldenCurve> = serde_json::from_str(&golden).expect("JSON");
        assert_eq!(golden.len(), 3);
        for curve in golden {
            // The scores are multiples of 1/100 plus one half of it, so that binning keeps ties and order.
            let mut counts = BinnedScores::new(100);
            curve.scores.iter().zip(&curve.truth).for_each(|(score, truth)| counts.add(*score, *truth));
            let (auc, low, high) = counts.auc().expect("both classes");
            assert!((auc - curve.auc).abs() < 1e-12 && low <= auc && auc <= high);
            assert!((counts.average_precision().expect("positives") - curve.average_precision).abs() < 1e-12);
            for [threshold, recall, false_positive_rate, precision, f1] in curve.points {
                let point = counts.above((threshold * 100.0).round() as usize);
                let found = [point.recall(), point.false_positive_rate(), point.precision(), point.f1()];
                for (found, expected) in found.iter().zip([recall, false_positive_rate, precision, f1]) {
                    assert!((found.expect("rows") - expected).abs() < 1e-12, "at {threshold}");
                }
            }
        }
    }

    #[test]
    fn bins_have_lower_edges_and_both_classes_have_as_many() {
        let counts = BinnedScores::new(4);
        assert_eq!([0, 1, 3, 4].map(|bin| counts.edge(bin)), [0.0, 0.25, 0.75, 1.0]);
        assert!(counts.has_bins(4) && !counts.has_bins(3) && !counts.has_bins(5));
        for (positives, negatives) in [(4, 3), (3, 4)] {
            let odd = BinnedScores { positives: vec![0; positives], negatives: vec![0; negatives] };
            assert!(!odd.has_bins(4) && !odd.has_bins(3));
        }
    }

    #[test]
    fn bounds_of_the_area_count_ties_for_and_against() {
        // Of 12 pairs 6 have the positive row in the higher bin, and 5 are ties.
        let counts = BinnedScores { positives: vec![1, 2, 0], negatives: vec![3, 1, 0] };
        assert_eq!(counts.auc(), Some((8.5 / 12.0, 6.0 / 12.0, 11.0 / 12.0)));
        assert_eq!([0, 1, 2].map(|bin| counts.is_filled(bin)), [true, true, false]);
        let one_class = BinnedScores { positives: vec![0, 2], negatives: vec![3, 0] };
        assert!(one_class.is_filled(0) && one_class.is_filled(1));
    }

    #[test]
    fn a_rate_of_no_rows_is_missing() {
        let point = BinnedScores::new(2).above(0);
        let rates = [point.recall(), point.false_positive_rate(), point.precision(), point.f1()];
        assert_eq!(rates, [None; 4]);
    }

    #[test]
    fn without_one_of_the_classes_there_is_no_area() {
        let mut counts = BinnedScores::new(10);
        assert_eq!((counts.auc(), counts.average_precision()), (None, None));
        counts.add(1.0, true);
        assert_eq!((counts.auc(), counts.average_precision()), (None, Some(1.0)));
        counts.add(0.95, false);
        let (auc, low, high) = counts.auc().expect("both classes");
        assert_eq!((auc, low, high), (0.5, 0.0, 1.0), "one bin: they may lie either way");
    }
}
