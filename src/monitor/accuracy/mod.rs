//! The monitor kind `accuracy`: how often scores are right, where the truth is known.
//!
//! Accuracy is correct / rows with a truth, with its Wilson interval; precision, recall and F1 are those of
//! [`stats::classification`](crate::stats::classification), for each class and weighted by class support. Windows are
//! counted in rows of the stream.
//!
//! A row of the table is about one score, one scope and one class (`n`, `correct`: the rows of this class, and how many
//! of them were classified right; so the accuracy of a class is its recall) or all classes. `confusion` makes the
//! confusion matrix: how many rows of this class were given each class, in the order of the classes in its metadata.
//! `unlabelled` and `unknown_truth` count the rows of the scope whose truth (or predicted class) is not there, or whose
//! truth is no class of the model.

mod table;
mod tally;

use std::collections::HashMap;

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{Int32Type, Schema, SchemaRef},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{
    table::{Scope, schema},
    tally::Tally,
};
use super::columns::{class_column, classes_of, needs_text, text};
use crate::{
    batch::{LABEL, column_of},
    error::{Code, Error, Mistake, Result},
    stage::{Emitted, Finding, Monitor, Need, Settings, Tables},
};

/// Counts how often scores are right, over the whole run and over windows of rows.
///
/// Its table has, for every score and scope (`total`, and `window` if asked for), a row with class `all` and one for
/// every class.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    /// The text column with the true class. Rows where it is null or empty are counted as unlabelled.
    #[serde(default = "label")]
    pub truth: String,
    /// The label of a score (or of a `morphology`), or a list of them. All have to tell the same classes apart. Rows without
    /// a class are counted as unlabelled.
    pub score: Labels,
    /// Also counts every so many rows of the stream.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub window: Option<u64>,
    /// The confidence of the intervals.
    #[serde(default = "confidence")]
    #[schemars(range(min = 0.5, max = 0.999_999))]
    pub confidence: f64,
    /// Makes a finding (exit code 1) of an accuracy below this, in total or when a window falls below.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub minimum_accuracy: Option<f64>,
}

/// One label, or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Labels {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

fn label() -> String {
    LABEL.into()
}

const fn confidence() -> f64 {
    0.95
}

impl Accuracy {
    /// The accuracy of some scores in total, against the column `label`.
    pub fn of(scores: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let score = Labels::Many(scores.into_iter().map(Into::into).collect());
        Self { truth: label(), score, window: None, confidence: confidence(), minimum_accuracy: None }
    }
}

impl Settings<dyn Monitor> for Accuracy {
    const NAME: &'static str = "accuracy";

    fn build(self, label: &str) -> Result<Box<dyn Monitor>, Vec<Mistake>> {
        let scores = match &self.score {
            Labels::One(score) => vec![score.clone()],
            Labels::Many(scores) => scores.clone(),
        };
        let twice = (1..scores.len()).find(|&i| scores[..i].contains(&scores[i]));
        if scores.is_empty() {
            return Err(vec![Mistake::at("score", Code::OutOfRange, "`score` names no score")]);
        }
        if let Some(i) = twice {
            let message = format!("`score` names `{}` twice", scores[i]);
            return Err(vec![Mistake::at("score", Code::Conflict, message)]);
        }
        Ok(Box::new(AccuracyMonitor {
            label: label.to_owned(),
            settings: self,
            scores,
            classes: Vec::new(),
            schema: Schema::empty().into(),
            state: State::default(),
        }))
    }
}

/// The monitor of the kind `accuracy`.
struct AccuracyMonitor {
    label: String,
    settings: Accuracy,
    scores: Vec<String>,
    classes: Vec<String>,
    schema: SchemaRef,
    state: State,
}

/// All that is remembered. Its size depends on the numbers of scores and classes alone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct State {
    /// Rows seen.
    rows: u64,
    /// Counts of every score, since the beginning.
    total: Vec<Tally>,
    /// Counts of every score, in the window under way.
    window: Vec<Tally>,
    /// Whether the last full window of a score was below the threshold.
    below: Vec<bool>,
    /// A truth that is no class, to be named.
    stranger: Option<String>,
}

impl AccuracyMonitor {
    /// The predicted class of every row, by its number; none where the class is null.
    fn predictions(&self, batch: &RecordBatch, score: &str) -> Result<Vec<Option<usize>>> {
        let name = class_column(score);
        let wrong = || Error::Bug(format!("column `{name}` holds no class of the model"));
        let column = column_of(batch, &name)?.as_dictionary_opt::<Int32Type>().ok_or_else(wrong)?;
        let values = column.values().as_string_opt::<i32>().ok_or_else(wrong)?;
        let numbers: Vec<Option<usize>> = values.iter().map(|value| self.class(value?)).collect();
        column
            .keys()
            .iter()
            .map(|key| key.map(|key| numbers.get(key as usize).copied().flatten().ok_or_else(wrong)).transpose())
            .collect()
    }

    fn class(&self, name: &str) -> Option<usize> {
        self.classes.iter().position(|class| class == name)
    }

    /// The first row that is in a later window than `row`, or the end.
    fn window_end(&self, row: u64) -> Option<u64> {
        self.settings.window.map(|window| (row / window + 1) * window)
    }

    fn close_window(&mut self, out: &mut Emitted) -> Result<()> {
        let Some(size) = self.settings.window else { return Ok(()) };
        let Some(last) = self.state.rows.checked_sub(1) else { return Ok(()) };
        let window = last / size;
        let scope = Scope { name: "window", window: Some(window), first: window * size, last: Some(last) };
        let empty = self.empty();
        let tallies = std::mem::replace(&mut self.state.window, empty);
        out.rows.push(self.rows(&scope, &tallies)?.into());
        for (i, tally) in tallies.iter().enumerate() {
            let below = self.is_below(tally);
            if below && !self.state.below[i] {
                out.findings.push(self.finding(&format!("window {window} (rows {} to {last})", scope.first), i, tally));
            }
            self.state.below[i] = below;
        }
        Ok(())
    }

    fn is_below(&self, tally: &Tally) -> bool {
        let threshold = self.settings.minimum_accuracy.unwrap_or(0.0);
        tally.confusion(self.classes.len()).accuracy().is_some_and(|accuracy| accuracy < threshold)
    }

    fn finding(&self, scope: &str, score: usize, tally: &Tally) -> Finding {
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

    fn rows(&self, scope: &Scope, tallies: &[Tally]) -> Result<RecordBatch> {
        let scores: Vec<(&str, &Tally)> = self.scores.iter().map(String::as_str).zip(tallies).collect();
        table::rows(&self.schema, scope, &scores, &self.classes, self.settings.confidence)
    }

    fn empty(&self) -> Vec<Tally> {
        vec![Tally::new(self.classes.len()); self.scores.len()]
    }
}

impl Monitor for AccuracyMonitor {
    fn needs(&self) -> Vec<Need> {
        let scores = self.scores.iter().map(|score| Need::new("score", class_column(score)));
        std::iter::once(Need::new("truth", &self.settings.truth)).chain(scores).collect()
    }

    fn bind(&mut self, input: &Schema, _above: &Tables) -> Result<SchemaRef, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        mistakes.extend(needs_text(input, "truth", &self.settings.truth));
        let mut first: Option<(&str, Vec<String>)> = None;
        for score in &self.scores {
            let classes = classes_of(input, score);
            match (&first, classes) {
                (_, None) => {
                    let message = format!("no score `{score}` says its classes in a column `{}`", class_column(score));
                    mistakes.push(Mistake::at("score", Code::WrongColumn, message));
                }
                (Some((other, known)), Some(classes)) if *known != classes => {
                    let (known, classes) = (known.join(", "), classes.join(", "));
                    let message = format!("`{other}` tells {known} apart, `{score}` {classes}");
                    let help = "give each its own `accuracy` monitor";
                    mistakes.push(Mistake::at("score", Code::Conflict, message).help(help));
                }
                (Some(_), Some(_)) => {}
                (None, Some(classes)) => first = Some((score, classes)),
            }
        }
        let Some((_, classes)) = first.filter(|_| mistakes.is_empty()) else { return Err(mistakes) };
        self.schema = schema(&classes);
        self.classes = classes;
        let below = vec![false; self.scores.len()];
        self.state = State { total: self.empty(), window: self.empty(), below, ..State::default() };
        Ok(self.schema.clone())
    }

    fn observe(&mut self, batch: &RecordBatch) -> Result<Emitted> {
        let truth = text(column_of(batch, &self.settings.truth)?)?;
        let classes: HashMap<&str, usize> =
            self.classes.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
        let truths = truth.iter().map(|name| name.filter(|name| !name.is_empty()));
        let truths: Vec<Option<Result<usize, &str>>> =
            truths.map(|name| name.map(|name| classes.get(name).copied().ok_or(name))).collect();
        if self.state.stranger.is_none() {
            let stranger = truths.iter().find_map(|truth| truth.and_then(Result::err));
            self.state.stranger = stranger.map(|name| name.chars().take(64).collect());
        }
        let predictions: Vec<Vec<Option<usize>>> =
            self.scores.iter().map(|score| self.predictions(batch, score)).collect::<Result<_>>()?;
        let mut out = Emitted::default();
        let mut row = 0;
        while row < batch.num_rows() {
            let left = batch.num_rows() - row;
            let room = self.window_end(self.state.rows).map_or(left as u64, |end| end - self.state.rows);
            let end = row + left.min(usize::try_from(room).unwrap_or(left));
            for (score, predicted) in predictions.iter().enumerate() {
                for i in row..end {
                    self.state.total[score].add(truths[i], predicted[i], self.classes.len());
                    self.state.window[score].add(truths[i], predicted[i], self.classes.len());
                }
            }
            self.state.rows += (end - row) as u64;
            row = end;
            if self.settings.window.is_some_and(|window| self.state.rows.is_multiple_of(window)) {
                self.close_window(&mut out)?;
            }
        }
        Ok(out)
    }

    fn finish(&mut self) -> Result<Emitted> {
        let mut out = Emitted::default();
        if self.settings.window.is_some_and(|window| !self.state.rows.is_multiple_of(window)) {
            self.close_window(&mut out)?;
        }
        let scope = Scope { name: "total", window: None, first: 0, last: self.state.rows.checked_sub(1) };
        out.rows.push(self.rows(&scope, &self.state.total)?.into());
        for (i, tally) in self.state.total.iter().enumerate().filter(|(_, tally)| self.is_below(tally)) {
            out.findings.push(self.finding("total", i, tally));
        }
        if let Some(name) = &self.state.stranger {
            let rows = self.state.total.first().map_or(0, |tally| tally.unknown_truth);
            tracing::warn!(
                monitor = self.label,
                rows,
                "rows have a truth that is no class of the model, such as `{name}`"
            );
        }
        Ok(out)
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(&self.state).map_err(|error| Error::Bug(error.to_string()))
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<()> {
        let state: State = serde_json::from_slice(snapshot).map_err(|error| Error::Bug(error.to_string()))?;
        let fits = |tallies: &[Tally]| {
            tallies.len() == self.scores.len() && tallies.iter().all(|tally| tally.fits(self.classes.len()))
        };
        if !fits(&state.total) || !fits(&state.window) || state.below.len() != self.scores.len() {
            return Err(Error::Bug(format!("the snapshot of `{}` is of other scores or classes", self.label)));
        }
        self.state = state;
        Ok(())
    }

    fn state_bound_bytes(&self) -> usize {
        let tally = size_of::<Tally>() + self.classes.len() * self.classes.len() * size_of::<u64>();
        // Up to 20 digits and a comma for every number of 8 bytes in a snapshot, and a name of 64 characters.
        4 * (2 * tally + 1) * self.scores.len() + 1024
    }
}

#[cfg(test)]
mod tests;
