//! The monitor kind `regression`: bias, scatter and outliers of a value that scores predict, such as a redshift.
//!
//! The residual of a row is the predicted value minus the true one, divided by 1 + truth if `one_plus_truth` is set. All numbers are
//! those of [`stats::residuals`](crate::stats::residuals): `bias` is the median, `nmad` the scatter without outliers, `outliers` the
//! rows with a residual above `outlier_above` in size. `within_error` is the fraction of rows whose value is within the standard error
//! that the model gives, 0.683 for normal errors of the right size. `unlabelled` counts the rows whose truth is missing or not finite.

mod table;
mod tally;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Schema, SchemaRef},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{
    table::{RegressionRow, table},
    tally::RegressionTally,
};
use super::kit::{
    score::{Labels, list_length},
    windowed::{Scope, TalliedScores, Windowed},
};
use crate::{
    batch::{column_of, list_values, metadata_names},
    error::{Code, Diagnostic, Result},
    stage::{ColumnRef, Finding, Monitor, MonitorOutput, Settings, UpstreamSchemas},
    stats::residuals::MAX_BINS,
};

/// Compares values that scores predict with the truth, over the complete run and over windows of rows.
///
/// Its table has a row for every score and scope (`total`, and `window` if the setting is given).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Regression {
    /// The column with the true value, numbers. Rows where it is null or not finite count as unlabelled.
    pub truth: String,
    /// The label of a score with a `regression` head, or a list of them.
    pub score: Labels,
    /// The name of the value in the model's card; needed if a model predicts several.
    #[serde(default)]
    pub value: Option<String>,
    /// Divides residuals by 1 + truth, as is usual for redshifts.
    #[serde(default)]
    pub one_plus_truth: bool,
    /// A residual above this in size is an outlier.
    #[serde(default = "outlier_above")]
    #[schemars(range(min = 0))]
    pub outlier_above: f64,
    /// Rows of a window: also reports every window of the stream.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub window: Option<u64>,
    /// The confidence level of the intervals of the fraction of outliers.
    #[serde(default = "confidence")]
    #[schemars(range(min = 0.5, max = 0.999_999))]
    pub confidence: f64,
    /// Reports a finding (exit code 1) if the fraction of outliers is above this: in total, and at the first of consecutive windows
    /// above it.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub maximum_outlier_fraction: Option<f64>,
}

impl Regression {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(truth: impl Into<String>, score: impl Into<Labels>) -> Self {
        Self {
            truth: truth.into(),
            score: score.into(),
            value: None,
            one_plus_truth: false,
            outlier_above: outlier_above(),
            window: None,
            confidence: confidence(),
            maximum_outlier_fraction: None,
        }
    }
}

const fn outlier_above() -> f64 {
    0.15
}

const fn confidence() -> f64 {
    0.95
}

impl Settings<dyn Monitor> for Regression {
    const NAME: &'static str = "regression";

    fn examples() -> &'static [&'static str] {
        &[
            "{ truth: redshift, score: photoz, one_plus_truth: true }",
            "{ truth: redshift, score: [a, b], value: z, outlier_above: 0.1, window: 500, maximum_outlier_fraction: 0.05 }",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Monitor>, Vec<Diagnostic>> {
        let scores = self.score.scores()?;
        let counts = Windowed::new(self.window, RegressionTally::default(), scores.len());
        let label = label.to_owned();
        Ok(Box::new(RegressionMonitor { label, settings: self, scores, bound: Vec::new(), counts }))
    }
}

/// The monitor of the kind `regression`. The size of its state is bounded by the number of bins.
struct RegressionMonitor {
    label: String,
    settings: Regression,
    scores: Vec<String>,
    bound: Vec<BoundScore>,
    counts: Windowed<RegressionTally>,
}

/// What is known of a score once the stream's schema is known.
struct BoundScore {
    /// The name of the value, and its place among those of the model.
    value: String,
    index: usize,
    /// How many values the model predicts.
    count: usize,
    has_errors: bool,
}

fn value_column(score: &str) -> String {
    format!("{score}_value")
}

fn error_column(score: &str) -> String {
    format!("{score}_error")
}

impl RegressionMonitor {
    fn tallied(&self) -> TalliedScores<'_> {
        TalliedScores { kind: Regression::NAME, label: &self.label, scores: &self.scores, classes: &[] }
    }

    fn bind_score(&self, input: &Schema, score: &str) -> Result<BoundScore, Diagnostic> {
        let column = value_column(score);
        let names = input.field_with_name(&column).ok().and_then(|field| field.metadata().get("names"));
        let (Some(names), Some(count)) = (names, list_length(input, &column)) else {
            let message = format!("`{column}` does not hold the values of a `regression` head");
            return Err(Diagnostic::at("score", Code::WrongColumn, message));
        };
        let names = metadata_names(names);
        let index = match &self.settings.value {
            Some(name) => names.iter().position(|known| known == name).ok_or_else(|| {
                let message = format!("the model of `{score}` predicts no `{name}`");
                Diagnostic::at("value", Code::OutOfRange, message).suggest(
                    name,
                    names.iter().map(String::as_str),
                    "values",
                )
            })?,
            None if names.len() == 1 => 0,
            None => {
                let known = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                let message = format!("the model of `{score}` predicts several values, and `value` names none");
                return Err(Diagnostic::at("value", Code::MissingKey, message).help(format!("name one of {known}")));
            }
        };
        let has_errors = list_length(input, &error_column(score)) == Some(count);
        Ok(BoundScore { value: names[index].clone(), index, count, has_errors })
    }

    fn emit(&mut self, counted: Vec<(Scope, Vec<RegressionTally>)>) -> Result<MonitorOutput> {
        let mut out = MonitorOutput::default();
        let confidence = self.settings.confidence;
        for (scope, tallies) in counted {
            let scored = self.scores.iter().zip(&self.bound).zip(&tallies);
            let rows: Vec<RegressionRow<'_>> = scored
                .map(|((score, bound), tally)| RegressionRow {
                    score,
                    value: &bound.value,
                    scope: &scope,
                    tally,
                    confidence,
                })
                .collect();
            out.rows.push(table().batch(&rows)?.into());
            for (i, tally) in tallies.iter().enumerate() {
                let (outliers, count) = (tally.residuals.outliers, tally.residuals.count());
                let fraction = outliers as f64 / count.max(1) as f64;
                let above = self.settings.maximum_outlier_fraction.filter(|maximum| fraction > *maximum);
                if self.counts.is_found(&scope, i, above.is_some())
                    && let Some(maximum) = above
                {
                    let (score, value) = (&self.scores[i], &self.bound[i].value);
                    let message = format!(
                        "{fraction:.4} of the residuals of `{value}` by `{score}` in {scope} are outliers ({outliers} of {count}), \
                         above {maximum}"
                    );
                    out.findings.push(Finding { monitor: self.label.clone(), message });
                }
            }
        }
        Ok(out)
    }
}

impl Monitor for RegressionMonitor {
    fn required_columns(&self) -> Vec<ColumnRef> {
        let scores = self.scores.iter().map(|score| ColumnRef::new("score", value_column(score)));
        std::iter::once(ColumnRef::new("truth", &self.settings.truth)).chain(scores).collect()
    }

    fn bind(&mut self, input: &Schema, _upstream: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        let (mut bound, mut mistakes) = (Vec::new(), Vec::new());
        let truth = &self.settings.truth;
        if let Ok(field) = input.field_with_name(truth)
            && !field.data_type().is_numeric()
        {
            let message = format!("`truth` takes a column of numbers, `{truth}` is {}", field.data_type());
            mistakes.push(Diagnostic::at("truth", Code::WrongColumn, message));
        }
        for score in &self.scores {
            match self.bind_score(input, score) {
                Ok(score) => bound.push(score),
                Err(wrong) => mistakes.push(wrong),
            }
        }
        self.bound = bound;
        if mistakes.is_empty() { Ok(table().schema()) } else { Err(mistakes) }
    }

    fn observe(&mut self, batch: &RecordBatch) -> Result<MonitorOutput> {
        let truth = cast(column_of(batch, &self.settings.truth)?, &DataType::Float64)?;
        let truth = truth.as_primitive::<Float64Type>();
        let of_row = |row: usize| truth.is_valid(row).then(|| truth.value(row)).filter(|truth| truth.is_finite());
        let of_score = |(score, bound): (&String, &BoundScore)| {
            let values = list_values(batch, &value_column(score))?.0;
            let errors = if bound.has_errors { Some(list_values(batch, &error_column(score))?.0) } else { None };
            Ok((values, errors))
        };
        let numbers = self.scores.iter().zip(&self.bound).map(of_score).collect::<Result<Vec<_>>>()?;
        let (bound, limit) = (&self.bound, self.settings.outlier_above);
        let scale = |truth: f64| if self.settings.one_plus_truth { 1.0 + truth } else { 1.0 };
        let ended = self.counts.take(batch.num_rows(), |tally, score, row| {
            let (values, errors) = numbers[score];
            let place = row * bound[score].count + bound[score].index;
            tally.add(of_row(row), values[place], errors.map(|errors| errors[place]), scale, limit);
        });
        self.emit(ended)
    }

    fn finish(&mut self) -> Result<MonitorOutput> {
        let counted = self.counts.finish();
        self.emit(counted)
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        self.counts.snapshot(&self.tallied())
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<()> {
        let of = TalliedScores { kind: Regression::NAME, label: &self.label, scores: &self.scores, classes: &[] };
        self.counts.restore(&of, snapshot, |_| true)
    }

    fn state_bound_bytes(&self) -> usize {
        // In a snapshot, a bin is a number of six digits and one of up to 20, quotes, a colon and a comma.
        let tally = 30 * MAX_BINS + 512;
        2 * tally * self.scores.len() + self.tallied().snapshot_bytes() + 1024
    }
}

#[cfg(test)]
mod tests;
