//! The counts of one score.

use serde::{Deserialize, Serialize};

use crate::stats::residuals::Residuals;

/// Residuals of one score over rows of a scope.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct RegressionTally {
    pub(super) residuals: Residuals,
    /// Rows with an error, and those of them whose value is within it.
    pub(super) with_error: u64,
    pub(super) within_error: u64,
    /// Rows whose truth is missing.
    pub(super) unlabelled: u64,
}

impl RegressionTally {
    /// Counts a row. `scale` divides the residual, not the error that it is compared with.
    pub(super) fn add(
        &mut self,
        truth: Option<f64>,
        value: f32,
        error: Option<f32>,
        scale: impl Fn(f64) -> f64,
        limit: f64,
    ) {
        let Some(truth) = truth else {
            self.unlabelled += 1;
            return;
        };
        let residual = f64::from(value) - truth;
        let scaled = residual / scale(truth);
        if !scaled.is_finite() {
            self.unlabelled += 1;
            return;
        }
        self.residuals.add(scaled, limit);
        if let Some(error) = error {
            self.with_error += 1;
            self.within_error += u64::from(residual.abs() <= f64::from(error));
        }
    }
}
