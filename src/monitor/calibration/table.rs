//! The table of the monitor: one row for every score, scope and bin, and one for all bins.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array},
    datatypes::{DataType, Field, Schema, SchemaRef},
};

use super::{super::windowed::Scope, tally::Tally};
use crate::{
    error::Result,
    stats::{
        interval::wilson,
        reliability::{AbstentionPoint, Reliability, ReliabilityBin},
    },
};

pub(super) fn schema() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, false);
    let count = |name| Field::new(name, DataType::UInt64, false);
    let number = |name| Field::new(name, DataType::UInt64, true);
    let rate = |name| Field::new(name, DataType::Float64, true);
    Arc::new(Schema::new(vec![
        text("score"),
        text("scope"),
        number("window"),
        count("first_row"),
        number("last_row"),
        number("bin"),
        Field::new("low", DataType::Float64, false),
        Field::new("high", DataType::Float64, false),
        count("n"),
        count("correct"),
        rate("accuracy"),
        rate("accuracy_low"),
        rate("accuracy_high"),
        rate("mean_confidence"),
        rate("gap"),
        count("kept"),
        rate("coverage"),
        rate("kept_accuracy"),
        rate("ece"),
        rate("mce"),
        rate("brier"),
        rate("nll"),
        count("unlabelled"),
        count("unknown_truth"),
    ]))
}

/// A bin of a tally, or all of them.
struct Line<'a> {
    score: &'a str,
    tally: &'a Tally,
    bin: Option<usize>,
    rows: ReliabilityBin,
}

impl<'a> Line<'a> {
    fn all_of(score: &'a str, tally: &'a Tally) -> impl Iterator<Item = Self> {
        let line = move |bin, rows| Self { score, tally, bin, rows };
        let bins = tally.reliability.bins().iter().enumerate();
        std::iter::once(line(None, tally.reliability.all())).chain(bins.map(move |(bin, rows)| line(Some(bin), *rows)))
    }

    fn edges(&self) -> (f64, f64) {
        let edge = |bin| self.tally.reliability.edge(bin);
        self.bin.map_or((0.0, 1.0), |bin| (edge(bin), edge(bin + 1)))
    }

    fn kept(&self) -> AbstentionPoint {
        self.tally.reliability.kept(self.bin.unwrap_or(0))
    }

    /// What is said of all bins together, in their row.
    fn whole(&self, value: fn(&Reliability) -> Option<f64>) -> Option<f64> {
        self.bin.map_or_else(|| value(&self.tally.reliability), |_| None)
    }
}

/// The rows of one scope, score by score: first all bins, then each.
pub(super) fn rows(
    schema: &SchemaRef,
    scope: &Scope,
    scores: &[String],
    tallies: &[Tally],
    confidence: f64,
) -> Result<RecordBatch> {
    let lines: Vec<Line> = scores.iter().zip(tallies).flat_map(|(score, tally)| Line::all_of(score, tally)).collect();
    let text = |value: &dyn Fn(&Line) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(lines.iter().map(value)))
    };
    let count = |value: &dyn Fn(&Line) -> Option<u64>| -> ArrayRef {
        Arc::new(lines.iter().map(value).collect::<UInt64Array>())
    };
    let rate = |value: &dyn Fn(&Line) -> Option<f64>| -> ArrayRef {
        Arc::new(lines.iter().map(value).collect::<Float64Array>())
    };
    let interval = |line: &Line| wilson(line.rows.correct, line.rows.n, confidence);
    let columns: Vec<ArrayRef> = vec![
        text(&|line| line.score.to_owned()),
        text(&|_| scope.name().to_owned()),
        count(&|_| scope.window),
        count(&|_| Some(scope.first)),
        count(&|_| scope.last),
        count(&|line| line.bin.map(|bin| bin as u64)),
        rate(&|line| Some(line.edges().0)),
        rate(&|line| Some(line.edges().1)),
        count(&|line| Some(line.rows.n)),
        count(&|line| Some(line.rows.correct)),
        rate(&|line| line.rows.accuracy()),
        rate(&|line| interval(line).map(|(low, _)| low)),
        rate(&|line| interval(line).map(|(_, high)| high)),
        rate(&|line| line.rows.confidence()),
        rate(&|line| line.rows.gap()),
        count(&|line| Some(line.kept().n)),
        rate(&|line| line.kept().coverage),
        rate(&|line| line.kept().accuracy),
        rate(&|line| line.whole(Reliability::ece)),
        rate(&|line| line.whole(Reliability::mce)),
        rate(&|line| line.whole(Reliability::brier)),
        rate(&|line| line.whole(Reliability::nll)),
        count(&|line| Some(line.tally.unlabelled)),
        count(&|line| Some(line.tally.unknown_truth)),
    ];
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}
