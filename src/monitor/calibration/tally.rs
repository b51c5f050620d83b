//! What is counted of one score.

use serde::{Deserialize, Serialize};

use crate::{monitor::kit::score::Truth, stats::reliability::Reliability};

/// Calibration of one score over some rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) reliability: Reliability,
    /// Rows without a truth, or whose class is null.
    pub(super) unlabelled: u64,
    /// Rows whose truth is no class of the model.
    pub(super) unknown_truth: u64,
}

impl Tally {
    pub(super) fn new(bins: usize) -> Self {
        Self { reliability: Reliability::new(bins), unlabelled: 0, unknown_truth: 0 }
    }

    pub(super) fn add(&mut self, truth: Truth, given: Option<usize>, probabilities: &[f32]) {
        match (truth, given) {
            (Truth::UnknownClass, _) => self.unknown_truth += 1,
            (Truth::Missing, _) | (_, None) => self.unlabelled += 1,
            (Truth::Class(truth), Some(given)) => self.reliability.add(probabilities, given, truth),
        }
    }
}
