//! The monitor kind `calibration`: whether the probabilities of scores agree with how often they are right.
//!
//! The confidence of a row is the probability of its predicted class. All numbers are those of
//! [`stats::reliability`](crate::stats::reliability): the reliability curve in bins of equal width, its expected and maximum
//! calibration error (ECE, MCE), the Brier score over all classes, the negative log likelihood, and the abstention curve.
//!
//! A row of the table describes one score, one scope and one bin of confidence, from `low` up to `high`, or all bins (`bin` is
//! null). `accuracy` with its Wilson interval, `mean_confidence` and `gap`, accuracy minus mean confidence, describe the rows of
//! the bin. `kept`, `coverage` and `kept_accuracy` describe the rows with a confidence of at least `low`: what remains if less
//! confident rows are refused. `ece`, `mce`, `brier` and `nll` are given only in the row for all bins. `unlabelled` counts the
//! rows whose truth or predicted class is missing, `unknown_truth` those whose truth is not a class of the model.

mod table;
mod tally;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{table::CalibrationRow, tally::Tally};
use super::kit::{
    score::{Labels, TruthColumn, class_column, common_classes, no_probabilities, predictions, probability_column},
    windowed::{Scope, TalliedScores, Windowed},
};
use crate::{
    batch::{LABEL, list_values},
    error::{Code, Diagnostic, Result},
    stage::{ColumnRef, Finding, Monitor, MonitorOutput, Settings, UpstreamSchemas},
};

/// Compares probabilities with how often they are right, over the complete run and over windows of rows.
///
/// Its table has, for every score and scope (`total`, and `window` if the setting is given), a row for all bins of confidence,
/// where `bin` is null, and a row for every bin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The column with the true class: text, or integers that count the classes of the model from 0. Rows where
    /// it is null or empty count as unlabelled.
    #[serde(default = "label")]
    pub truth: String,
    /// The classes in the order of the integers of `truth`, where that is not the order of the model: all classes of the model, and
    /// others that the truth has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truth_classes: Option<Vec<String>>,
    /// The label of a score with probabilities, or a list of them. All must have the same classes.
    pub score: Labels,
    /// Number of bins of equal width over confidences from 0 to 1. A confidence on an edge belongs to the bin above.
    #[serde(default = "bins")]
    #[schemars(range(min = 1, max = 1000))]
    pub bins: usize,
    /// Rows of a window: also reports the calibration of every window of the stream.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub window: Option<u64>,
    /// The confidence level of the intervals of accuracies.
    #[serde(default = "confidence")]
    #[schemars(range(min = 0.5, max = 0.999_999))]
    pub confidence: f64,
    /// Reports a finding (exit code 1) if the expected calibration error is above this: in total, and at the first of consecutive
    /// windows above it. With few rows in many bins the error is large by chance: about 0.1 for 100 rows of a calibrated model,
    /// 0.06 for 300.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub maximum_ece: Option<f64>,
}

impl Calibration {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(score: impl Into<Labels>) -> Self {
        Self {
            truth: label(),
            truth_classes: None,
            score: score.into(),
            bins: bins(),
            window: None,
            confidence: confidence(),
            maximum_ece: None,
        }
    }
}

fn label() -> String {
    LABEL.into()
}

const fn bins() -> usize {
    15
}

const fn confidence() -> f64 {
    0.95
}

impl Settings<dyn Monitor> for Calibration {
    const NAME: &'static str = "calibration";

    fn examples() -> &'static [&'static str] {
        &[
            "{ score: da_y10 }",
            "{ truth: label, score: [da_y10, da_y1], bins: 10, window: 500, confidence: 0.9, maximum_ece: 0.1 }",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Monitor>, Vec<Diagnostic>> {
        if self.bins == 0 {
            return Err(vec![Diagnostic::at("bins", Code::OutOfRange, "`bins` must be at least 1")]);
        }
        let scores = self.score.scores()?;
        let counts = Windowed::new(self.window, Tally::new(self.bins), scores.len());
        let truth = TruthColumn::new(&self.truth, self.truth_classes.as_deref());
        let label = label.to_owned();
        Ok(Box::new(CalibrationMonitor { label, settings: self, truth, scores, classes: Vec::new(), counts }))
    }
}

/// The monitor of the kind `calibration`. The size of its state depends only on the numbers of scores and bins.
struct CalibrationMonitor {
    label: String,
    settings: Calibration,
    truth: TruthColumn,
    scores: Vec<String>,
    classes: Vec<String>,
    counts: Windowed<Tally>,
}

impl CalibrationMonitor {
    fn tallied(&self) -> TalliedScores<'_> {
        TalliedScores { kind: Calibration::NAME, label: &self.label, scores: &self.scores, classes: &self.classes }
    }

    fn emit(&mut self, counted: Vec<(Scope, Vec<Tally>)>) -> Result<MonitorOutput> {
        let mut out = MonitorOutput::default();
        for (scope, tallies) in counted {
            let rows: Vec<CalibrationRow<'_>> = self
                .scores
                .iter()
                .zip(&tallies)
                .flat_map(|(score, tally)| CalibrationRow::all_of(score, &scope, tally, self.settings.confidence))
                .collect();
            out.rows.push(table::table().batch(&rows)?.into());
            for (i, tally) in tallies.iter().enumerate() {
                let (ece, maximum) = (tally.reliability.ece(), self.settings.maximum_ece);
                let above = ece.zip(maximum).filter(|(ece, maximum)| ece > maximum);
                if self.counts.is_found(&scope, i, above.is_some())
                    && let Some((ece, maximum)) = above
                {
                    let (score, rows) = (&self.scores[i], tally.reliability.all().n);
                    let message = format!(
                        "the expected calibration error of `{score}` in {scope} is {ece:.4} ({rows} rows), above {maximum}"
                    );
                    out.findings.push(Finding { monitor: self.label.clone(), message });
                }
            }
        }
        Ok(out)
    }
}

impl Monitor for CalibrationMonitor {
    fn required_columns(&self) -> Vec<ColumnRef> {
        let columns = |score: &String| [class_column(score), probability_column(score)];
        let scores = self.scores.iter().flat_map(columns).map(|column| ColumnRef::new("score", column));
        std::iter::once(ColumnRef::new("truth", self.truth.name())).chain(scores).collect()
    }

    fn bind(&mut self, input: &Schema, _upstream: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        let classes = common_classes(input, &self.scores, Calibration::NAME);
        let mut mistakes = self.truth.bind(input, classes.as_deref().ok());
        match classes {
            Ok(classes) => self.classes = classes,
            Err(wrong) => mistakes.extend(wrong),
        }
        if mistakes.is_empty() {
            let lacking = |score: &String| no_probabilities(input, score, self.classes.len());
            mistakes.extend(self.scores.iter().filter_map(lacking));
        }
        if mistakes.is_empty() { Ok(table::table().schema()) } else { Err(mistakes) }
    }

    fn observe(&mut self, batch: &RecordBatch) -> Result<MonitorOutput> {
        let (truths, unknown_class) = self.truth.truths(batch)?;
        self.counts.note_unknown_class(unknown_class);
        let of_score = |score: &String| {
            let (probabilities, _) = list_values(batch, &probability_column(score))?;
            Ok((predictions(batch, score, &self.classes)?, probabilities))
        };
        let scores = self.scores.iter().map(of_score).collect::<Result<Vec<_>>>()?;
        let classes = self.classes.len();
        let ended = self.counts.take(batch.num_rows(), |tally, score, row| {
            let (predicted, probabilities) = &scores[score];
            tally.add(truths[row], predicted[row], &probabilities[row * classes..][..classes]);
        });
        self.emit(ended)
    }

    fn finish(&mut self) -> Result<MonitorOutput> {
        let counted = self.counts.finish();
        let unknown_rows = self.counts.total().first().map_or(0, |tally| tally.unknown_truth);
        self.truth.warn_unknown_classes(&self.label, self.counts.unknown_class(), unknown_rows);
        self.emit(counted)
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        self.counts.snapshot(&self.tallied())
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<()> {
        let bins = self.settings.bins;
        let of =
            TalliedScores { kind: Calibration::NAME, label: &self.label, scores: &self.scores, classes: &self.classes };
        self.counts.restore(&of, snapshot, |tally| tally.reliability.bins().len() == bins)
    }

    fn state_bound_bytes(&self) -> usize {
        // In a snapshot, a bin is two numbers of up to 20 digits, one of up to 24, and their names. A tally has four more
        // numbers.
        let tally = 96 * self.settings.bins + 256;
        2 * tally * self.scores.len() + self.tallied().snapshot_bytes() + 1024
    }
}

#[cfg(test)]
mod tests;
