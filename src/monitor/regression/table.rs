//! The table of the monitor: a row per score and scope.

use super::tally::RegressionTally;
use crate::{
    monitor::kit::{table::TableSpec, windowed::Scope},
    stats::{interval::wilson, residuals::Residuals},
};

/// A row: one score in one scope.
pub(super) struct RegressionRow<'a> {
    pub(super) score: &'a str,
    /// The name of the value.
    pub(super) value: &'a str,
    pub(super) scope: &'a Scope,
    pub(super) tally: &'a RegressionTally,
    /// The confidence of intervals.
    pub(super) confidence: f64,
}

impl RegressionRow<'_> {
    fn residuals(&self) -> &Residuals {
        &self.tally.residuals
    }

    fn outlier_fraction(&self) -> Option<f64> {
        let (outliers, count) = (self.residuals().outliers, self.residuals().count());
        (count > 0).then(|| outliers as f64 / count as f64)
    }

    /// The Wilson interval of the fraction of outliers.
    fn outlier_interval(&self) -> Option<(f64, f64)> {
        wilson(self.residuals().outliers, self.residuals().count(), self.confidence)
    }

    /// The fraction of residuals within their standard error.
    fn covered(&self) -> Option<f64> {
        let (within, count) = (self.tally.within_error, self.tally.with_error);
        (count > 0).then(|| within as f64 / count as f64)
    }
}

pub(super) fn table<'a>() -> TableSpec<RegressionRow<'a>> {
    TableSpec::<RegressionRow<'a>>::new()
        .text("score", |row| row.score)
        .text("value", |row| row.value)
        .text("scope", |row| row.scope.name())
        .optional_count("window", |row| row.scope.window)
        .count("first_row", |row| row.scope.first)
        .optional_count("last_row", |row| row.scope.last)
        .count("n", |row| row.residuals().count())
        .optional_number("bias", |row| row.residuals().median())
        .optional_number("nmad", |row| row.residuals().nmad())
        .optional_number("mean", |row| row.residuals().mean())
        .optional_number("rms", |row| row.residuals().rms())
        .count("outliers", |row| row.residuals().outliers)
        .optional_number("outlier_fraction", RegressionRow::outlier_fraction)
        .optional_number("outlier_fraction_low", |row| row.outlier_interval().map(|(low, _)| low))
        .optional_number("outlier_fraction_high", |row| row.outlier_interval().map(|(_, high)| high))
        .optional_number("within_error", RegressionRow::covered)
        .count("unlabelled", |row| row.tally.unlabelled)
}
