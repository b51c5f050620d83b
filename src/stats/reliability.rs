//! Whether probabilities mean what they say: the reliability curve, what is summed over it, and proper scores.
//!
//! The confidence c of a row is the probability of the class given. Bin m of M has the rows with m/M <= c < (m+1)/M, the last
//! those with c = 1 too. With n_m rows, accuracy a_m and mean confidence c_m there, the expected calibration error is ECE = sum
//! n_m/n |a_m - c_m| and the maximum MCE = max |a_m - c_m| (Naeini et al. 2015; Guo et al. 2017). Over rows, Brier = mean sum_k
//! (p_k - y_k)^2 with y_k = 1 of the true class, 0 to 2, and NLL = mean -ln p_true. When rows with c < m/M are refused, the
//! abstention curve is the fraction that is left and its accuracy.

use serde::{Deserialize, Serialize};

/// Calibration of some rows. A few numbers for each bin, however many rows there were.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    bins: Vec<Bin>,
    brier: f64,
    nll: f64,
}

/// The rows with a confidence between two edges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// How many there are.
    pub n: u64,
    /// How many of them were right.
    pub correct: u64,
    /// The sum of their confidences.
    sum: f64,
}

/// What is left when the rows below a confidence are refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kept {
    /// Rows left.
    pub n: u64,
    /// The fraction of all rows; `None` of no rows at all.
    pub coverage: Option<f64>,
    /// Of the rows left, the fraction that is right; `None` when none is.
    pub accuracy: Option<f64>,
}

/// A probability below the smallest normal float32 counts as that one: a float32 of 0 would cost infinitely much.
const LEAST: f64 = f32::MIN_POSITIVE as f64;

impl Bin {
    /// The fraction that was right; `None` without rows.
    pub fn accuracy(&self) -> Option<f64> {
        (self.n > 0).then(|| self.correct as f64 / self.n as f64)
    }

    /// The mean confidence; `None` without rows.
    pub fn confidence(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / self.n as f64)
    }

    /// Accuracy less confidence: negative where the model is too sure of itself.
    pub fn gap(&self) -> Option<f64> {
        Some(self.accuracy()? - self.confidence()?)
    }
}

impl Reliability {
    /// Of no rows yet, in so many bins.
    ///
    /// # Panics
    /// When there are no bins.
    pub fn new(bins: usize) -> Self {
        assert!(bins > 0, "there is a bin at least");
        Self { bins: vec![Bin::default(); bins], brier: 0.0, nll: 0.0 }
    }

    /// Takes a row: the probabilities of the classes, the class given, the true one.
    ///
    /// # Panics
    /// When a class is out of range.
    pub fn add(&mut self, probabilities: &[f32], given: usize, truth: usize) {
        let confidence = f64::from(probabilities[given]);
        let at = self.bin_of(confidence);
        let bin = &mut self.bins[at];
        bin.n += 1;
        bin.correct += u64::from(given == truth);
        bin.sum += confidence;
        let of_class = |(class, p): (usize, &f32)| (f64::from(*p) - f64::from(u8::from(class == truth))).powi(2);
        self.brier += probabilities.iter().enumerate().map(of_class).sum::<f64>();
        self.nll -= f64::from(probabilities[truth]).max(LEAST).ln();
    }

    fn bin_of(&self, confidence: f64) -> usize {
        let last = self.bins.len() - 1;
        let near = ((confidence * self.bins.len() as f64) as usize).min(last);
        // The product may be rounded over an edge.
        match near {
            near if confidence < self.edge(near) => near - 1,
            near if near < last && confidence >= self.edge(near + 1) => near + 1,
            near => near,
        }
    }

    /// The lower edge of a bin; of the number of bins 1.
    pub fn edge(&self, bin: usize) -> f64 {
        bin as f64 / self.bins.len() as f64
    }

    /// The bins, in order.
    pub fn bins(&self) -> &[Bin] {
        &self.bins
    }

    /// All rows as one bin.
    pub fn all(&self) -> Bin {
        self.above(0)
    }

    /// The rows of a bin and those above as one.
    fn above(&self, bin: usize) -> Bin {
        self.bins[bin..].iter().fold(Bin::default(), |all, bin| Bin {
            n: all.n + bin.n,
            correct: all.correct + bin.correct,
            sum: all.sum + bin.sum,
        })
    }

    /// What is left of the rows when those below the lower edge of a bin are refused.
    pub fn kept(&self, bin: usize) -> Kept {
        let (kept, all) = (self.above(bin), self.all());
        let coverage = (all.n > 0).then(|| kept.n as f64 / all.n as f64);
        Kept { n: kept.n, coverage, accuracy: kept.accuracy() }
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
    struct Golden {
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
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
        let golden: Golden =
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
    fn scores_worked_out_by_hand() {
        let mut found = Reliability::new(4);
        found.add(&[0.75, 0.25], 0, 0);
        found.add(&[0.75, 0.25], 0, 1);
        found.add(&[0.5, 0.5], 0, 0);
        // Bins of 0.5: one, right; of 0.75: two, half of them right.
        assert_eq!(
            found.bins().iter().map(|bin| (bin.n, bin.correct)).collect::<Vec<_>>(),
            [(0, 0), (0, 0), (1, 1), (2, 1)]
        );
        assert_eq!(found.bins()[3].gap(), Some(-0.25));
        assert!(near(found.ece(), (0.5 + 2.0 * 0.25) / 3.0) && near(found.mce(), 0.5));
        assert!(near(found.brier(), (2.0 / 16.0 + 2.0 * 9.0 / 16.0 + 0.5) / 3.0));
        assert!(near(found.nll(), -(0.75_f64 * 0.25 * 0.5).ln() / 3.0));
        assert_eq!(found.kept(3), Kept { n: 2, coverage: Some(2.0 / 3.0), accuracy: Some(0.5) });
    }

    #[test]
    fn a_confidence_on_an_edge_is_in_the_bin_above_whatever_rounding_does() {
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
    fn nothing_is_known_of_no_rows() {
        let none = Reliability::new(15);
        assert_eq!((none.ece(), none.mce(), none.brier(), none.nll()), (None, None, None, None));
        assert_eq!(none.kept(0), Kept { n: 0, coverage: None, accuracy: None });
    }
}
