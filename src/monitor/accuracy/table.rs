//! The table of the monitor: a row per score, scope and class.

use super::tally::Tally;
use crate::{
    batch::metadata_list,
    card::ALL_CLASSES,
    monitor::kit::{table::TableSpec, windowed::Scope},
    stats::{
        classification::{Confusion, Rates},
        interval::wilson,
    },
};

/// A row: the rows of one class in one scope, or those of all classes.
pub(super) struct AccuracyRow<'a> {
    score: &'a str,
    scope: &'a Scope,
    tally: &'a Tally,
    class: &'a str,
    correct: u64,
    rates: Rates,
    predicted: u64,
    /// How many of the rows were given each class.
    confusion: Vec<u64>,
    /// The confidence of intervals.
    confidence: f64,
}

/// The rows about one score in one scope: first all classes, then each.
pub(super) fn rows<'a>(
    score: &'a str,
    scope: &'a Scope,
    tally: &'a Tally,
    classes: &'a [String],
    confidence: f64,
) -> Vec<AccuracyRow<'a>> {
    let confusion: Confusion = tally.confusion(classes.len());
    let predicted = confusion.predicted();
    let all = AccuracyRow {
        score,
        scope,
        tally,
        class: ALL_CLASSES,
        correct: confusion.correct(),
        rates: confusion.weighted(),
        predicted: confusion.total(),
        confusion: predicted.clone(),
        confidence,
    };
    let each = classes.iter().enumerate().map(|(class, name)| AccuracyRow {
        score,
        scope,
        tally,
        class: name,
        correct: confusion.row(class)[class],
        rates: confusion.rates(class),
        predicted: predicted[class],
        confusion: confusion.row(class).to_vec(),
        confidence,
    });
    std::iter::once(all).chain(each).collect()
}

impl AccuracyRow<'_> {
    fn accuracy(&self) -> Option<f64> {
        let n = self.rates.support;
        (n > 0).then(|| self.correct as f64 / n as f64)
    }

    /// The Wilson interval of the accuracy.
    fn interval(&self) -> Option<(f64, f64)> {
        wilson(self.correct, self.rates.support, self.confidence)
    }
}

/// The table; `classes` are those of the list `confusion`, in order.
pub(super) fn table<'a>(classes: &[String]) -> TableSpec<AccuracyRow<'a>> {
    TableSpec::<AccuracyRow<'a>>::new()
        .text("score", |row| row.score)
        .text("scope", |row| row.scope.name())
        .optional_count("window", |row| row.scope.window)
        .count("first_row", |row| row.scope.first)
        .optional_count("last_row", |row| row.scope.last)
        .text("class", |row| row.class)
        .count("n", |row| row.rates.support)
        .count("correct", |row| row.correct)
        .optional_number("accuracy", AccuracyRow::accuracy)
        .optional_number("accuracy_low", |row| row.interval().map(|(low, _)| low))
        .optional_number("accuracy_high", |row| row.interval().map(|(_, high)| high))
        .optional_number("precision", |row| row.rates.precision)
        .optional_number("recall", |row| row.rates.recall)
        .optional_number("f1", |row| row.rates.f1)
        .count("predicted", |row| row.predicted)
        .counts("confusion", classes.len(), |row| &row.confusion)
        .with_metadata([("classes".to_owned(), metadata_list(classes))].into())
        .count("unlabelled", |row| row.tally.unlabelled)
        .count("unknown_truth", |row| row.tally.unknown_truth)
}
