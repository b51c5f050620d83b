//! The counts of one score.

use serde::{Deserialize, Serialize};

use crate::{monitor::kit::score::Truth, stats::reliability::Reliability};

/// Calibration of one score over rows of a scope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) reliability: Reliability,
    /// Rows whose truth or predicted class is missing.
    pub(super) unlabelled: u64,
    /// Rows whose truth is not a class of the model.
    pub(super) unknown_truth: u64,
}

impl Tally {
    pub(super) fn new(bins: usize) -> Self {
        Self { reliability: Reliability::new(bins), unlabelled: 0, unknown_truth: 0 }
    }

    pub(super) fn add(&mut self, truth: Truth, predicted: Option<usize>, probabilities: &[f32]) {
        match (truth, predicted) {
            (Truth::UnknownClass, _) => self.unknown_truth += 1,
            (Truth::Missing, _) | (_, None) => self.unlabelled += 1,
            (Truth::Class(truth), Some(predicted)) => self.reliability.add(probabilities, predicted, truth),
        }
    }
}
