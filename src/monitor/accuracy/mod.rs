//! The monitor kind `accuracy`: how often scores are right, for objects whose class is known.
//!
//! Accuracy is correct / labelled rows, with its Wilson interval. Precision, recall and F1 are those of
//! [`stats::classification`](crate::stats::classification), for each class and weighted by class support. Windows count
//! rows of the stream.
//!
//! A row of the table describes one score, one scope and one class, or all classes. `n` and `correct` count the rows of
//! this true class and those of them that were classified correctly, so the accuracy of a class is its recall. `confusion` is a
//! row of the confusion matrix: how many rows of this class were assigned to each class, in the order of the classes in its
//! metadata. `unlabelled` counts the rows of the scope whose truth or predicted class is missing, `unknown_truth` those whose
//! truth is not a class of the model.

mod table;
mod tally;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{table::AccuracyRow, tally::Tally};
use super::kit::{
    score::{Labels, TruthColumn, class_column, common_classes, predictions},
    windowed::{Scope, TalliedScores, Windowed},
};
use crate::{
    batch::LABEL,
    error::{Diagnostic, Result},
    stage::{ColumnRef, Finding, Monitor, MonitorOutput, Settings, UpstreamSchemas},
};

/// Counts how often scores are right, over the complete run and over windows of rows.
///
/// Its table has, for every score and scope (`total`, and `window` if the setting is given), a row with class `all` and a row
/// for every class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    /// The column with the true class: text, or integers that count the classes of the model from 0. Rows where
    /// it is null or empty count as unlabelled.
    #[serde(default = "label")]
    pub truth: String,
    /// The classes in the order of the integers of `truth`, where that is not the order of the model: all classes of the model, and
    /// others that the truth has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truth_classes: Option<Vec<String>>,
    /// The label of a score (or of a `morphology`), or a list of them. All must have the same classes. Rows without a
    /// predicted class count as unlabelled.
    pub score: Labels,
    /// Rows of a window: also reports the accuracy of every window of the stream.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub window: Option<u64>,
    /// The confidence level of the intervals.
    #[serde(default = "confidence")]
    #[schemars(range(min = 0.5, max = 0.999_999))]
    pub confidence: f64,
    /// Reports a finding (exit code 1) if the accuracy is below this: in total, and at the first of consecutive windows below it.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub minimum_accuracy: Option<f64>,
}

impl Accuracy {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(score: impl Into<Labels>) -> Self {
        Self {
            truth: label(),
            truth_classes: None,
            score: score.into(),
            window: None,
            confidence: confidence(),
            minimum_accuracy: None,
        }
    }
}

fn label() -> String {
    LABEL.into()
}

const fn confidence() -> f64 {
    0.95
}

impl Settings<dyn Monitor> for Accuracy {
    const NAME: &'static str = "accuracy";

    fn examples() -> &'static [&'static str] {
        &[
            "{ score: da_y10 }",
            "{ truth: class_number, truth_classes: [merger, spiral, elliptical], score: da_y10 }",
            "{ truth: label, score: [da_y10, da_y1], window: 250, confidence: 0.99, minimum_accuracy: 0.8 }",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Monitor>, Vec<Diagnostic>> {
        Ok(Box::new(AccuracyMonitor {
            label: label.to_owned(),
            scores: self.score.scores()?,
            truth: TruthColumn::new(&self.truth, self.truth_classes.as_deref()),
            settings: self,
            classes: Vec::new(),
            counts: Windowed::new(None, Tally::new(0), 0),
        }))
    }
}

/// The monitor of the kind `accuracy`. The size of its state depends only on the numbers of scores and classes.
struct AccuracyMonitor {
    label: String,
    settings: Accuracy,
    truth: TruthColumn,
    scores: Vec<String>,
    classes: Vec<String>,
    counts: Windowed<Tally>,
}

impl AccuracyMonitor {
    fn tallied(&self) -> TalliedScores<'_> {
        TalliedScores { kind: Accuracy::NAME, label: &self.label, scores: &self.scores, classes: &self.classes }
    }

    fn emit(&mut self, counted: Vec<(Scope, Vec<Tally>)>) -> Result<MonitorOutput> {
        let mut out = MonitorOutput::default();
        for (scope, tallies) in counted {
            let rows: Vec<AccuracyRow<'_>> = self
                .scores
                .iter()
                .zip(&tallies)
                .flat_map(|(score, tally)| table::rows(score, &scope, tally, &self.classes, self.settings.confidence))
                .collect();
            out.rows.push(table::table(&self.classes).batch(&rows)?.into());
            for (i, tally) in tallies.iter().enumerate() {
                if self.counts.is_found(&scope, i, self.is_below(tally)) {
                    out.findings.push(self.finding(&scope, i, tally));
                }
            }
        }
        Ok(out)
    }

    fn is_below(&self, tally: &Tally) -> bool {
        let threshold = self.settings.minimum_accuracy.unwrap_or(0.0);
        tally.confusion(self.classes.len()).accuracy().is_some_and(|accuracy| accuracy < threshold)
    }

    fn finding(&self, scope: &Scope, score: usize, tally: &Tally) -> Finding {
        let confusion = tally.confusion(self.classes.len());
        let message = format!(
            "the accuracy of `{}` in {scope} is {:.4} ({} of {} rows), below {}",
            self.scores[score],
            confusion.accuracy().unwrap_or(0.0),
            confusion.correct(),
            confusion.total(),
            self.settings.minimum_accuracy.unwrap_or(0.0),
        );
        Finding { monitor: self.label.clone(), message }
    }
}

impl Monitor for AccuracyMonitor {
    fn required_columns(&self) -> Vec<ColumnRef> {
        let scores = self.scores.iter().map(|score| ColumnRef::new("score", class_column(score)));
        std::iter::once(ColumnRef::new("truth", self.truth.name())).chain(scores).collect()
    }

    fn bind(&mut self, input: &Schema, _upstream: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        let classes = common_classes(input, &self.scores, Accuracy::NAME);
        let mut mistakes = self.truth.bind(input, classes.as_deref().ok());
        match classes {
            Ok(classes) => self.classes = classes,
            Err(wrong) => mistakes.extend(wrong),
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        self.counts = Windowed::new(self.settings.window, Tally::new(self.classes.len()), self.scores.len());
        Ok(table::table(&self.classes).schema())
    }

    fn observe(&mut self, batch: &RecordBatch) -> Result<MonitorOutput> {
        let (truths, unknown_class) = self.truth.truths(batch)?;
        self.counts.note_unknown_class(unknown_class);
        let of_score = |score: &String| predictions(batch, score, &self.classes);
        let predicted = self.scores.iter().map(of_score).collect::<Result<Vec<_>>>()?;
        let classes = self.classes.len();
        let ended = self.counts.take(batch.num_rows(), |tally, score, row| {
            tally.add(truths[row], predicted[score][row], classes);
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
        let of =
            TalliedScores { kind: Accuracy::NAME, label: &self.label, scores: &self.scores, classes: &self.classes };
        self.counts.restore(&of, snapshot, |tally| tally.fits(of.classes.len()))
    }

    fn state_bound_bytes(&self) -> usize {
        let tally = size_of::<Tally>() + self.classes.len() * self.classes.len() * size_of::<u64>();
        // In a snapshot, each number of 8 bytes is text of up to 20 digits and a comma. 1024 for the name of an unknown class.
        4 * (2 * tally + 1) * self.scores.len() + self.tallied().snapshot_bytes() + 1024
    }
}

#[cfg(test)]
mod tests;
