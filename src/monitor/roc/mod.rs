//! The monitor kind `roc`: how well the probability of one class separates its objects from all others.
//!
//! All numbers are those of [`stats::roc`](crate::stats::roc). A row of the table describes one score and one scope: where
//! `threshold` is null the areas (`auc` with the bounds that binning leaves open, `average_precision`), else the rows with a
//! probability of at least the threshold: `recall` (true positive rate) with its Wilson interval, `false_positive_rate`, `precision`,
//! `f1`. A threshold is listed where a count changes. `unlabelled` counts the rows whose truth is missing, `unknown_truth` those
//! whose truth is not a class of the model.

mod table;
mod tally;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{table::RocRow, tally::RocTally};
use super::kit::{
    score::{Labels, TruthColumn, class_column, common_classes, no_probabilities, probability_column},
    windowed::{Scope, TalliedScores, Windowed},
};
use crate::{
    batch::{LABEL, list_values},
    error::{Code, Diagnostic, Result},
    stage::{ColumnRef, Finding, Monitor, MonitorOutput, Settings, UpstreamSchemas},
};

/// Measures ROC and precision-recall curves of one class, over the complete run and over windows of rows.
///
/// Its table has, for every score and scope (`total`, and `window` if the setting is given), a row with the areas, where `threshold`
/// is null, and a row for every threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Roc {
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
    /// The class whose probability is the score; all others are the negatives. The default is the second of two classes.
    #[serde(default)]
    pub positive: Option<String>,
    /// Number of bins of equal width over probabilities from 0 to 1. A probability on an edge belongs to the bin above.
    #[serde(default = "bins")]
    #[schemars(range(min = 2, max = 10_000))]
    pub bins: usize,
    /// Rows of a window: also reports the curves of every window of the stream.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub window: Option<u64>,
    /// The confidence level of the intervals of recalls.
    #[serde(default = "confidence")]
    #[schemars(range(min = 0.5, max = 0.999_999))]
    pub confidence: f64,
    /// Reports a finding (exit code 1) if the area under the ROC curve is below this: in total, and at the first of consecutive windows
    /// below it.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub minimum_auc: Option<f64>,
}

impl Roc {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(score: impl Into<Labels>) -> Self {
        Self {
            truth: label(),
            truth_classes: None,
            score: score.into(),
            positive: None,
            bins: bins(),
            window: None,
            confidence: confidence(),
            minimum_auc: None,
        }
    }
}

fn label() -> String {
    LABEL.into()
}

const fn bins() -> usize {
    1000
}

const fn confidence() -> f64 {
    0.95
}

impl Settings<dyn Monitor> for Roc {
    const NAME: &'static str = "roc";

    fn examples() -> &'static [&'static str] {
        &[
            "{ score: da_y10, positive: merger }",
            "{ truth: label, score: [da_y10, da_y1], positive: merger, bins: 100, window: 500, confidence: 0.9, minimum_auc: 0.9 }",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Monitor>, Vec<Diagnostic>> {
        if self.bins < 2 {
            return Err(vec![Diagnostic::at("bins", Code::OutOfRange, "`bins` must be at least 2")]);
        }
        let scores = self.score.scores()?;
        let counts = Windowed::new(self.window, RocTally::new(self.bins), scores.len());
        let truth = TruthColumn::new(&self.truth, self.truth_classes.as_deref());
        let label = label.to_owned();
        Ok(Box::new(RocMonitor { label, settings: self, truth, scores, classes: Vec::new(), positive: 0, counts }))
    }
}

/// The monitor of the kind `roc`. The size of its state depends only on the numbers of scores and bins.
struct RocMonitor {
    label: String,
    settings: Roc,
    truth: TruthColumn,
    scores: Vec<String>,
    classes: Vec<String>,
    /// The index of the positive class.
    positive: usize,
    counts: Windowed<RocTally>,
}

impl RocMonitor {
    fn tallied(&self) -> TalliedScores<'_> {
        TalliedScores { kind: Roc::NAME, label: &self.label, scores: &self.scores, classes: &self.classes }
    }

    fn emit(&mut self, counted: Vec<(Scope, Vec<RocTally>)>) -> Result<MonitorOutput> {
        let mut out = MonitorOutput::default();
        let positive = self.classes.get(self.positive).map_or("", String::as_str);
        for (scope, tallies) in counted {
            let rows: Vec<RocRow<'_>> = self
                .scores
                .iter()
                .zip(&tallies)
                .flat_map(|(score, tally)| RocRow::all_of(score, positive, &scope, tally, self.settings.confidence))
                .collect();
            out.rows.push(table::table().batch(&rows)?.into());
            for (i, tally) in tallies.iter().enumerate() {
                let minimum = self.settings.minimum_auc;
                let below = tally.scores.auc().zip(minimum).filter(|((auc, _, _), minimum)| auc < minimum);
                if self.counts.is_found(&scope, i, below.is_some())
                    && let Some(((auc, _, _), minimum)) = below
                {
                    let score = &self.scores[i];
                    let message = format!(
                        "the area under the ROC curve of `{score}` for `{positive}` in {scope} is {auc:.4}, below {minimum}"
                    );
                    out.findings.push(Finding { monitor: self.label.clone(), message });
                }
            }
        }
        Ok(out)
    }

    /// The index of the positive class.
    fn find_positive(&self) -> Result<usize, Diagnostic> {
        match &self.settings.positive {
            Some(name) => self.classes.iter().position(|class| class == name).ok_or_else(|| {
                let message = format!("the scores have no class `{name}`");
                let known = self.classes.iter().map(String::as_str);
                Diagnostic::at("positive", Code::OutOfRange, message).suggest(name, known, "classes")
            }),
            None if self.classes.len() == 2 => Ok(1),
            None => {
                let message = format!("the scores have {} classes, and `positive` names none", self.classes.len());
                let known = self.classes.iter().map(|class| format!("`{class}`")).collect::<Vec<_>>().join(", ");
                Err(Diagnostic::at("positive", Code::MissingKey, message).help(format!("name one of {known}")))
            }
        }
    }
}

impl Monitor for RocMonitor {
    fn required_columns(&self) -> Vec<ColumnRef> {
        let columns = |score: &String| [class_column(score), probability_column(score)];
        let scores = self.scores.iter().flat_map(columns).map(|column| ColumnRef::new("score", column));
        std::iter::once(ColumnRef::new("truth", self.truth.name())).chain(scores).collect()
    }

    fn bind(&mut self, input: &Schema, _upstream: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        let classes = common_classes(input, &self.scores, Roc::NAME);
        let mut mistakes = self.truth.bind(input, classes.as_deref().ok());
        match classes {
            Ok(classes) => {
                self.classes = classes;
                match self.find_positive() {
                    Ok(positive) => self.positive = positive,
                    Err(wrong) => mistakes.push(wrong),
                }
            }
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
        let of_score = |score: &String| Ok(list_values(batch, &probability_column(score))?.0);
        let scores = self.scores.iter().map(of_score).collect::<Result<Vec<_>>>()?;
        let (classes, positive) = (self.classes.len(), self.positive);
        let ended = self.counts.take(batch.num_rows(), |tally, score, row| {
            tally.add(truths[row], positive, scores[score][row * classes + positive]);
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
        let of = TalliedScores { kind: Roc::NAME, label: &self.label, scores: &self.scores, classes: &self.classes };
        self.counts.restore(&of, snapshot, |tally| tally.scores.has_bins(bins))
    }

    fn state_bound_bytes(&self) -> usize {
        // In a snapshot, a bin is two numbers of up to 20 digits and their commas. A tally has two more numbers, and names.
        let tally = 42 * self.settings.bins + 256;
        2 * tally * self.scores.len() + self.tallied().snapshot_bytes() + 1024
    }
}

#[cfg(test)]
mod tests;
