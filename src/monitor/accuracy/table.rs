//! The table of the monitor: one row for every score, scope and class.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, FixedSizeListArray, Float64Array, RecordBatch, StringArray, UInt64Array},
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef},
};

use super::{super::windowed::Scope, tally::Tally};
use crate::{
    error::Result,
    stats::{
        classification::{Confusion, Rates},
        interval::wilson,
    },
};

/// The class of the rows that are about all classes.
pub(super) const ALL: &str = "all";

/// The schema; `classes` are those of the list `confusion`, in order.
pub(super) fn schema(classes: &[String]) -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, false);
    let count = |name| Field::new(name, DataType::UInt64, false);
    let rate = |name| Field::new(name, DataType::Float64, true);
    let confusion = DataType::FixedSizeList(item(), length(classes));
    let confusion = Field::new("confusion", confusion, false);
    Arc::new(Schema::new(vec![
        text("score"),
        text("scope"),
        Field::new("window", DataType::UInt64, true),
        count("first_row"),
        Field::new("last_row", DataType::UInt64, true),
        text("class"),
        count("n"),
        count("correct"),
        rate("accuracy"),
        rate("accuracy_low"),
        rate("accuracy_high"),
        rate("precision"),
        rate("recall"),
        rate("f1"),
        count("predicted"),
        confusion.with_metadata([("classes".to_owned(), classes.join(","))].into()),
        count("unlabelled"),
        count("unknown_truth"),
    ]))
}

fn item() -> FieldRef {
    Arc::new(Field::new("item", DataType::UInt64, false))
}

fn length(classes: &[String]) -> i32 {
    i32::try_from(classes.len()).unwrap_or(i32::MAX)
}

/// What one row says, besides score and scope.
struct Line<'a> {
    class: &'a str,
    correct: u64,
    rates: Rates,
    predicted: u64,
    confusion: Vec<u64>,
}

fn lines<'a>(confusion: &Confusion, classes: &'a [String]) -> Vec<Line<'a>> {
    let predicted = confusion.predicted();
    let all = Line {
        class: ALL,
        correct: confusion.correct(),
        rates: confusion.weighted(),
        predicted: confusion.total(),
        confusion: predicted.clone(),
    };
    let each = classes.iter().enumerate().map(|(class, name)| Line {
        class: name,
        correct: confusion.row(class)[class],
        rates: confusion.rates(class),
        predicted: predicted[class],
        confusion: confusion.row(class).to_vec(),
    });
    std::iter::once(all).chain(each).collect()
}

/// The rows of one scope, score by score: first `all`, then each class.
pub(super) fn rows(
    schema: &SchemaRef,
    scope: &Scope,
    scores: &[(&str, &Tally)],
    classes: &[String],
    confidence: f64,
) -> Result<RecordBatch> {
    let lines: Vec<(&str, &Tally, Line<'_>)> = scores
        .iter()
        .flat_map(|&(score, tally)| {
            lines(&tally.confusion(classes.len()), classes).into_iter().map(move |line| (score, tally, line))
        })
        .collect();
    let text = |value: &dyn Fn(&Line<'_>) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(lines.iter().map(|(_, _, line)| value(line))))
    };
    let count = |value: &dyn Fn(&Tally, &Line<'_>) -> Option<u64>| -> ArrayRef {
        Arc::new(lines.iter().map(|(_, tally, line)| value(tally, line)).collect::<UInt64Array>())
    };
    let rate = |value: &dyn Fn(&Line<'_>) -> Option<f64>| -> ArrayRef {
        Arc::new(lines.iter().map(|(_, _, line)| value(line)).collect::<Float64Array>())
    };
    let interval = |line: &Line<'_>| wilson(line.correct, line.rates.support, confidence);
    let confusion: UInt64Array = lines.iter().flat_map(|(_, _, line)| line.confusion.iter().copied()).collect();
    let confusion = FixedSizeListArray::try_new(item(), length(classes), Arc::new(confusion), None)?;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(lines.iter().map(|(score, _, _)| *score))),
        text(&|_| scope.name().to_owned()),
        count(&|_, _| scope.window),
        count(&|_, _| Some(scope.first)),
        count(&|_, _| scope.last),
        text(&|line| line.class.to_owned()),
        count(&|_, line| Some(line.rates.support)),
        count(&|_, line| Some(line.correct)),
        rate(&|line| (line.rates.support > 0).then(|| line.correct as f64 / line.rates.support as f64)),
        rate(&|line| interval(line).map(|(low, _)| low)),
        rate(&|line| interval(line).map(|(_, high)| high)),
        rate(&|line| line.rates.precision),
        rate(&|line| line.rates.recall),
        rate(&|line| line.rates.f1),
        count(&|_, line| Some(line.predicted)),
        Arc::new(confusion),
        count(&|tally, _| Some(tally.unlabelled)),
        count(&|tally, _| Some(tally.unknown_truth)),
    ];
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}
