//! Calibration of predicted probabilities: the reliability curve, calibration errors, proper scores and the abstention
//! curve.
//!
//! The confidence c of a row is the probability of its predicted class. Bin m of M holds the rows with m/M <= c <
//! (m+1)/M, the last one also those with c = 1. With n_m rows, accuracy a_m and mean confidence c_m in a bin, the
//! expected calibration error is ECE = sum n_m/n |a_m - c_m| and the maximum one MCE = max |a_m - c_m| (Naeini et al.
//! 2015; Guo et al. 2017). Over rows, Brier = mean sum_k (p_k - y_k)^2 with y_k = 1 for the true class, 0 to 2, and NLL
//! = mean -ln p_true. The abstention curve is the fraction of rows with c >= m/M and their accuracy: what remains of a
//! model that abstains below m/M.

use serde::{Deserialize, Serialize};

/// Sums over rows, of fixed size for any number of rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    bins: Vec<ReliabilityBin>,
    brier: f64,
    nll: f64,
}

/// The rows of a bin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// The number of rows.
    pub n: u64,
    /// The number of right predictions.
    pub correct: u64,
    /// The sum of their confidences.
    sum: f64,
}

/// A point of the abstention curve: the rows at or above a confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AbstentionPoint {
    /// The number of rows.
    pub n: u64,
    /// Their fraction of all rows; `None` if there are no rows at all.
    pub coverage: Option<f64>,
    /// The fraction of right predictions among them; `None` when there are none at or above the confidence.
    pub accuracy: Option<f64>,
}

/// Probabilities are raised to the smallest normal float32: a single one of 0 would make the NLL infinite.
const LEAST: f64 = f32::MIN_POSITIVE as f64;

impl ReliabilityBin {
    /// The fraction of right predictions; `None` without rows.
    pub fn accuracy(&self) -> Option<f64> {
        (self.n > 0).then(|| self.correct as f64 / self.n as f64)
    }

    /// The mean confidence; `None` without rows.
    pub fn confidence(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / self.n as f64)
    }

    /// Accuracy minus confidence: negative where the model is overconfident.
    pub fn gap(&self) -> Option<f64> {
        Some(self.accuracy()? - self.confidence()?)
    }
}

impl Reliability {
    /// Empty sums, in `bins` bins.
    ///
    /// # Panics
    /// For 0 bins.
    pub fn new(bins: usize) -> Self {
        assert!(bins > 0, "there is at least one bin");
        Self { bins: vec![ReliabilityBin::default(); bins], brier: 0.0, nll: 0.0 }
    }

    /// Adds a row: the probabilities of the classes, the predicted class and the true one.
    ///
    /// # Panics
    /// When a class is out of range.
    pub fn add(&mut self, probabilities: &[f32], predicted: usize, truth: usize) {
        let confidence = f64::from(probabilities[predicted]);
        let at = self.bin_of(confidence);
        let bin = &mut self.bins[at];
        bin.n += 1;
        bin.correct += u64::from(predicted == truth);
        bin.sum += confidence;
        let of_class = |(class, p): (usize, &f32)| (f64::from(*p) - f64::from(u8::from(class == truth))).powi(2);
        self.brier += probabilities.iter().enumerate().map(of_class).sum::<f64>();
        self.nll -= f64::from(probabilities[truth]).max(LEAST).ln();
    }

    fn bin_of(&self, confidence: f64) -> usize {
        let last = self.bins.len() - 1;
        let near = ((confidence * self.bins.len() as f64) as usize).min(last);
        // The product may be rounded over an edge: the edges decide.
        match near {
            near if confidence < self.edge(near) => near - 1,
            near if near < last && confidence >= self.edge(near + 1) => near + 1,
            near => near,
        }
    }

    /// The lower edge of a bin; that of the number of bins is 1.
    pub fn edge(&self, bin: usize) -> f64 {
        bin as f64 / self.bins.len() as f64
    }

    /// The bins, in order.
    pub fn bins(&self) -> &[ReliabilityBin] {
        &self.bins
    }

    /// All rows as one bin.
    pub fn all(&self) -> ReliabilityBin {
        self.above(0)
    }

    /// The rows of a bin and of all bins above it, as one bin.
    fn above(&self, bin: usize) -> ReliabilityBin {
        self.bins[bin..].iter().fold(ReliabilityBin::default(), |all, bin| ReliabilityBin {
            n: all.n + bin.n,
            correct: all.correct + bin.correct,
            sum: all.sum + bin.sum,
        })
    }

    /// The point of the abstention curve at the lower edge of a bin.
    pub fn kept(&self, bin: usize) -> AbstentionPoint {
        let (kept, all) = (self.above(bin), self.all());
        let coverage = (all.n > 0).then(|| kept.n as f64 / all.n as f64);
        AbstentionPoint { n: kept.n, coverage, accuracy: kept.accuracy() }
    }

    /// The expected calibration error; `None` without rows.
    pub fn ece(&self) -> Option<f64> {
        let each = self.bins.iter().filter_map(|bin| Some(bin.n as f64 * bin.gap()?.abs()));
        self.mean(each.sum())
    }

    /// The maximum calibration error; `None` without rows.
    pub fn mce(&self) -> Option<f64> {
        self.bins.iter().filter_map(|bin| Some(bin.gap()?.abs())).reduce(f64::max)
    }

    /// The mean Brier score of all classes, 0 to 2; `None` without rows.
    pub fn brier(&self) -> Option<f64> {
        self.mean(self.brier)
    }

    /// The mean negative log likelihood, nats; `None` without rows.
    pub fn nll(&self) -> Option<f64> {
        self.mean(self.nll)
    }

    fn mean(&self, sum: f64) -> Option<f64> {
        let n = self.all().n;
        (n > 0).then(|| sum / n as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::softmax::argmax;

    #[derive(Deserialize)]
    struct CalibrationCases {
        cases: Vec<CalibrationCase>,
    }

    #[derive(Deserialize)]
    struct CalibrationCase {
        classes: usize,
        bins: usize,
        probabilities: Vec<f32>,
        truth: Vec<usize>,
        n: Vec<u64>,
        correct: Vec<u64>,
        confidence: Vec<Option<f64>>,
        coverage: Vec<f64>,
        kept_accuracy: Vec<Option<f64>>,
        ece: f64,
        mce: f64,
        brier: f64,
        nll: f64,
    }

    fn near(found: Option<f64>, expected: f64) -> bool {
        found.is_some_and(|found| (found - expected).abs() <= 1e-12 * expected.abs().max(1.0))
    }

    #[test]
    fn curves_and_scores_are_those_of_numpy_and_scikit_learn() {
        let golden: CalibrationCases =
            serde_json::from_str(include_str!("../../tests/golden/reliability/golden.json")).expect("numbers");
        assert!(golden.cases.len() >= 6);
        for case in golden.cases {
            let mut found = Reliability::new(case.bins);
            for (probabilities, truth) in case.probabilities.chunks_exact(case.classes).zip(&case.truth) {
                found.add(probabilities, argmax(probabilities), *truth);
            }
            let name = format!("{} rows in {} bins", case.truth.len(), case.bins);
            assert_eq!(found.bins().iter().map(|bin| bin.n).collect::<Vec<_>>(), case.n, "{name}");
            assert_eq!(found.bins().iter().map(|bin| bin.correct).collect::<Vec<_>>(), case.correct, "{name}");
            for (m, bin) in found.bins().iter().enumerate() {
                let same = |found: Option<f64>, expected: Option<f64>| {
                    expected.map_or(found.is_none(), |expected| near(found, expected))
                };
                assert!(same(bin.confidence(), case.confidence[m]), "{name}: {m}");
                assert!(near(found.kept(m).coverage, case.coverage[m]), "{name}: {m}");
                assert!(same(found.kept(m).accuracy, case.kept_accuracy[m]), "{name}: {m}");
            }
            assert!(near(found.ece(), case.ece) && near(found.mce(), case.mce), "{name}: {found:?}");
            assert!(near(found.brier(), case.brier) && near(found.nll(), case.nll), "{name}: {found:?}");
        }
    }

    #[test]
    fn scores_computed_by_hand() {
        let mut found = Reliability::new(4);
        found.add(&[0.75, 0.25], 0, 0);
        found.add(&[0.75, 0.25], 0, 1);
        found.add(&[0.5, 0.5], 0, 0);
        // The bin of 0.5 holds one right row, that of 0.75 two, one of them right.
        assert_eq!(
            found.bins().iter().map(|bin| (bin.n, bin.correct)).collect::<Vec<_>>(),
            [(0, 0), (0, 0), (1, 1), (2, 1)]
        );
        assert_eq!(found.bins()[3].gap(), Some(-0.25));
        assert!(near(found.ece(), (0.5 + 2.0 * 0.25) / 3.0) && near(found.mce(), 0.5));
        assert!(near(found.brier(), (2.0 / 16.0 + 2.0 * 9.0 / 16.0 + 0.5) / 3.0));
        assert!(near(found.nll(), -(0.75_f64 * 0.25 * 0.5).ln() / 3.0));
        assert_eq!((found.all().n, found.all().confidence()), (3, Some(2.0 / 3.0)));
        assert_eq!(found.kept(3), AbstentionPoint { n: 2, coverage: Some(2.0 / 3.0), accuracy: Some(0.5) });
    }

    #[test]
    fn a_confidence_on_an_edge_is_in_the_bin_above_despite_rounding() {
        for bins in 1..200 {
            let reliability = Reliability::new(bins);
            for m in 0..bins {
                let edge = reliability.edge(m);
                assert_eq!(reliability.bin_of(edge), m, "{m} of {bins}");
                assert_eq!(reliability.bin_of(edge.next_down().max(0.0)), m.saturating_sub(1), "{m} of {bins}");
            }
            assert_eq!(reliability.bin_of(1.0), bins - 1);
        }
    }

    #[test]
    fn empty_sums_have_no_scores() {
        let none = Reliability::new(15);
        assert_eq!((none.ece(), none.mce(), none.brier(), none.nll()), (None, None, None, None));
        assert_eq!(none.kept(0), AbstentionPoint { n: 0, coverage: None, accuracy: None });
    }

    #[test]
    fn a_probability_of_zero_costs_as_much_as_the_smallest_float32() {
        let mut found = Reliability::new(1);
        found.add(&[1.0, 0.0], 0, 1);
        assert!(near(found.nll(), -f64::from(f32::MIN_POSITIVE).ln()) && near(found.brier(), 2.0));
    }
}
