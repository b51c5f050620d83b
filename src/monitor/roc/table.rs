//! The table of the monitor: a row per score and scope, and one for every threshold.

use super::tally::RocTally;
use crate::{
    monitor::kit::{table::TableSpec, windowed::Scope},
    stats::{interval::wilson, roc::RocPoint},
};

/// A row: the areas of a score, or one threshold.
pub(super) struct RocRow<'a> {
    score: &'a str,
    positive: &'a str,
    scope: &'a Scope,
    tally: &'a RocTally,
    /// The bin that begins at the threshold; `None` for the areas.
    bin: Option<usize>,
    /// The confidence of intervals.
    confidence: f64,
}

impl<'a> RocRow<'a> {
    /// The rows about one score in one scope: first the areas, then every threshold at which a count changes.
    pub(super) fn all_of(
        score: &'a str,
        positive: &'a str,
        scope: &'a Scope,
        tally: &'a RocTally,
        confidence: f64,
    ) -> impl Iterator<Item = Self> {
        let row = move |bin| Self { score, positive, scope, tally, bin, confidence };
        let filled = (0..tally.scores.bins()).filter(|bin| tally.scores.is_filled(*bin));
        std::iter::once(row(None)).chain(filled.map(move |bin| row(Some(bin))))
    }

    fn all(&self) -> RocPoint {
        self.tally.scores.above(0)
    }

    /// A number at the threshold; `None` in the row of the areas.
    fn at<T>(&self, value: fn(RocPoint) -> Option<T>) -> Option<T> {
        value(self.tally.scores.above(self.bin?))
    }

    /// An area and its bounds; `None` in the row of a threshold.
    fn auc(&self) -> Option<(f64, f64, f64)> {
        if self.bin.is_none() { self.tally.scores.auc() } else { None }
    }

    /// The Wilson interval of the recall.
    fn recall_interval(&self) -> Option<(f64, f64)> {
        let point = self.tally.scores.above(self.bin?);
        wilson(point.true_positives, point.positives, self.confidence)
    }
}

pub(super) fn table<'a>() -> TableSpec<RocRow<'a>> {
    TableSpec::<RocRow<'a>>::new()
        .text("score", |row| row.score)
        .text("positive", |row| row.positive)
        .text("scope", |row| row.scope.name())
        .optional_count("window", |row| row.scope.window)
        .count("first_row", |row| row.scope.first)
        .optional_count("last_row", |row| row.scope.last)
        .optional_number("threshold", |row| row.bin.map(|bin| row.tally.scores.edge(bin)))
        .count("positives", |row| row.all().positives)
        .count("negatives", |row| row.all().negatives)
        .optional_count("true_positives", |row| row.at(|point| Some(point.true_positives)))
        .optional_count("false_positives", |row| row.at(|point| Some(point.false_positives)))
        .optional_number("recall", |row| row.at(RocPoint::recall))
        .optional_number("recall_low", |row| row.recall_interval().map(|(low, _)| low))
        .optional_number("recall_high", |row| row.recall_interval().map(|(_, high)| high))
        .optional_number("false_positive_rate", |row| row.at(RocPoint::false_positive_rate))
        .optional_number("precision", |row| row.at(RocPoint::precision))
        .optional_number("f1", |row| row.at(RocPoint::f1))
        .optional_number("auc", |row| row.auc().map(|(auc, _, _)| auc))
        .optional_number("auc_low", |row| row.auc().map(|(_, low, _)| low))
        .optional_number("auc_high", |row| row.auc().map(|(_, _, high)| high))
        .optional_number("average_precision", |row| match row.bin {
            None => row.tally.scores.average_precision(),
            Some(_) => None,
        })
        .count("unlabelled", |row| row.tally.unlabelled)
        .count("unknown_truth", |row| row.tally.unknown_truth)
}
