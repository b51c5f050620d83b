//! The counts of one score.

use serde::{Deserialize, Serialize};

use crate::{monitor::kit::score::Truth, stats::roc::BinnedScores};

/// Probabilities of the positive class over rows of a scope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RocTally {
    pub(super) scores: BinnedScores,
    /// Rows whose truth is missing.
    pub(super) unlabelled: u64,
    /// Rows whose truth is not a class of the model.
    pub(super) unknown_truth: u64,
}

impl RocTally {
    pub(super) fn new(bins: usize) -> Self {
        Self { scores: BinnedScores::new(bins), unlabelled: 0, unknown_truth: 0 }
    }

    pub(super) fn add(&mut self, truth: Truth, positive: usize, probability: f32) {
        match truth {
            Truth::UnknownClass => self.unknown_truth += 1,
            Truth::Missing => self.unlabelled += 1,
            Truth::Class(truth) => self.scores.add(probability, truth == positive),
        }
    }
}
