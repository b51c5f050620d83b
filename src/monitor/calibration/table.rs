//! The table of the monitor: a row per score, scope and bin of confidence, and one over all bins.

use super::tally::Tally;
use crate::{
    monitor::kit::{table::TableSpec, windowed::Scope},
    stats::{
        interval::wilson,
        reliability::{AbstentionPoint, Reliability, ReliabilityBin},
    },
};

/// A row: one bin of a tally, or all bins.
pub(super) struct CalibrationRow<'a> {
    score: &'a str,
    scope: &'a Scope,
    tally: &'a Tally,
    /// The number of the bin; `None` for all bins.
    bin: Option<usize>,
    rows: ReliabilityBin,
    /// The confidence of intervals.
    confidence: f64,
}

impl<'a> CalibrationRow<'a> {
    /// The rows about one score in one scope: first all bins, then each.
    pub(super) fn all_of(
        score: &'a str,
        scope: &'a Scope,
        tally: &'a Tally,
        confidence: f64,
    ) -> impl Iterator<Item = Self> {
        let row = move |bin, rows| Self { score, scope, tally, bin, rows, confidence };
        let bins = tally.reliability.bins().iter().enumerate();
        std::iter::once(row(None, tally.reliability.all())).chain(bins.map(move |(bin, rows)| row(Some(bin), *rows)))
    }

    fn edges(&self) -> (f64, f64) {
        let edge = |bin| self.tally.reliability.edge(bin);
        self.bin.map_or((0.0, 1.0), |bin| (edge(bin), edge(bin + 1)))
    }

    /// The rows with a confidence of at least that of the bin.
    fn kept(&self) -> AbstentionPoint {
        self.tally.reliability.kept(self.bin.unwrap_or(0))
    }

    /// The Wilson interval of the accuracy.
    fn interval(&self) -> Option<(f64, f64)> {
        wilson(self.rows.correct, self.rows.n, self.confidence)
    }

    /// A number of all bins together; `None` in the row of one bin.
    fn of_all(&self, value: fn(&Reliability) -> Option<f64>) -> Option<f64> {
        self.bin.map_or_else(|| value(&self.tally.reliability), |_| None)
    }
}

pub(super) fn table<'a>() -> TableSpec<CalibrationRow<'a>> {
    TableSpec::<CalibrationRow<'a>>::new()
        .text("score", |row| row.score)
        .text("scope", |row| row.scope.name())
        .optional_count("window", |row| row.scope.window)
        .count("first_row", |row| row.scope.first)
        .optional_count("last_row", |row| row.scope.last)
        .optional_count("bin", |row| row.bin.map(|bin| bin as u64))
        .number("low", |row| row.edges().0)
        .number("high", |row| row.edges().1)
        .count("n", |row| row.rows.n)
        .count("correct", |row| row.rows.correct)
        .optional_number("accuracy", |row| row.rows.accuracy())
        .optional_number("accuracy_low", |row| row.interval().map(|(low, _)| low))
        .optional_number("accuracy_high", |row| row.interval().map(|(_, high)| high))
        .optional_number("mean_confidence", |row| row.rows.confidence())
        .optional_number("gap", |row| row.rows.gap())
        .count("kept", |row| row.kept().n)
        .optional_number("coverage", |row| row.kept().coverage)
        .optional_number("kept_accuracy", |row| row.kept().accuracy)
        .optional_number("ece", |row| row.of_all(Reliability::ece))
        .optional_number("mce", |row| row.of_all(Reliability::mce))
        .optional_number("brier", |row| row.of_all(Reliability::brier))
        .optional_number("nll", |row| row.of_all(Reliability::nll))
        .count("unlabelled", |row| row.tally.unlabelled)
        .count("unknown_truth", |row| row.tally.unknown_truth)
}
