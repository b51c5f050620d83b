//! The counts of one score.

use serde::{Deserialize, Serialize};

use crate::{monitor::kit::score::Truth, stats::classification::Confusion};

/// Counts of one score over rows of a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Rows by (true, predicted) class.
    counts: Vec<u64>,
    /// Rows whose truth or predicted class is missing: `morphology` does not classify every galaxy.
    pub(super) unlabelled: u64,
    /// Rows whose truth is not a class of the model.
    pub(super) unknown_truth: u64,
}

impl Tally {
    pub(super) fn new(classes: usize) -> Self {
        Self { counts: vec![0; classes * classes], unlabelled: 0, unknown_truth: 0 }
    }

    pub(super) const fn add(&mut self, truth: Truth, predicted: Option<usize>, classes: usize) {
        match (truth, predicted) {
            (Truth::UnknownClass, _) => self.unknown_truth += 1,
            (Truth::Missing, _) | (_, None) => self.unlabelled += 1,
            (Truth::Class(truth), Some(predicted)) => self.counts.as_mut_slice()[truth * classes + predicted] += 1,
        }
    }

    pub(super) fn confusion(&self, classes: usize) -> Confusion {
        Confusion::from_counts(classes, self.counts.clone()).unwrap_or_else(|| Confusion::new(classes))
    }

    pub(super) fn fits(&self, classes: usize) -> bool {
        self.counts.len() == classes * classes
    }
}
