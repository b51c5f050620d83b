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
    array::{ArrayRef, AsArray, RecordBatch, StringArray},
    compute::cast,
    datatypes::{DataType, Field, Int32Type, Schema, SchemaRef},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{
    table::{Scope, schema},
    tally::Tally,
};
use crate::{
    batch::{LABEL, column_of},
    error::{Code, Error, Mistake, Result},
    stage::{Emitted, Finding, Monitor, Need, Settings},
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
        out.rows.push(self.rows(&scope, &tallies)?);
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

    fn bind(&mut self, input: &Schema) -> Result<SchemaRef, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        match input.field_with_name(&self.settings.truth) {
            Ok(field) if is_text(field.data_type()) => {}
            found => {
                let found = found.map_or_else(|_| "not there".to_owned(), |field| field.data_type().to_string());
                let message = format!("`truth` takes a text column, `{}` is {found}", self.settings.truth);
                mistakes.push(Mistake::at("truth", Code::WrongColumn, message));
            }
        }
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
        out.rows.push(self.rows(&scope, &self.state.total)?);
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

fn class_column(score: &str) -> String {
    format!("{score}_class")
}

/// The classes that a score tells apart, in the order of its logits.
fn classes_of(input: &Schema, score: &str) -> Option<Vec<String>> {
    let field: &Field = input.field_with_name(&class_column(score)).ok()?;
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let classes = field.metadata().get("classes").filter(|_| *field.data_type() == dictionary)?;
    Some(classes.split(',').map(str::to_owned).collect())
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

fn text(column: &ArrayRef) -> Result<StringArray> {
    Ok(cast(column, &DataType::Utf8)?.as_string::<i32>().clone())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::DictionaryArray,
        compute::concat_batches,
        datatypes::{Float64Type, UInt64Type},
    };

    use super::*;

    const CLASSES: [&str; 3] = ["spiral", "elliptical", "merger"];

    fn fields(classes: &str) -> Schema {
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let metadata = |classes: &str| [("classes".to_owned(), classes.to_owned())].into();
        Schema::new(vec![
            Field::new(LABEL, DataType::Utf8, true),
            Field::new("a_class", dictionary.clone(), false).with_metadata(metadata("spiral,elliptical,merger")),
            Field::new("b_class", dictionary, false).with_metadata(metadata(classes)),
        ])
    }

    /// Rows of truth and two predictions.
    fn batch(rows: &[(Option<&str>, usize, usize)]) -> RecordBatch {
        let truth: StringArray = rows.iter().map(|row| row.0).collect();
        let predicted = |class: fn(&(Option<&str>, usize, usize)) -> usize| -> ArrayRef {
            Arc::new(rows.iter().map(|row| CLASSES[class(row)]).collect::<DictionaryArray<Int32Type>>())
        };
        let columns = vec![Arc::new(truth) as ArrayRef, predicted(|row| row.1), predicted(|row| row.2)];
        RecordBatch::try_new(Arc::new(fields("spiral,elliptical,merger")), columns).expect("a batch")
    }

    #[test]
    fn a_row_without_a_class_is_unlabelled_for_that_score() {
        let fields = fields("spiral,elliptical,merger");
        let nullable = fields.fields().iter().map(|field| Arc::new(field.as_ref().clone().with_nullable(true)));
        let schema = Arc::new(Schema::new(nullable.collect::<Vec<_>>()));
        let truth: ArrayRef = Arc::new(StringArray::from(vec!["spiral", "merger"]));
        let some: ArrayRef = Arc::new([Some("spiral"), None].into_iter().collect::<DictionaryArray<Int32Type>>());
        let all: ArrayRef = Arc::new(["spiral", "merger"].into_iter().collect::<DictionaryArray<Int32Type>>());
        let rows = RecordBatch::try_new(schema, vec![truth, some, all]).expect("a batch");
        let (table, _) = watch(&mut *monitor(Accuracy::of(["a", "b"])), &[rows]);
        let first = |column| [counts(&table, column)[0], counts(&table, column)[4]];
        assert_eq!((first("n"), first("correct"), first("unlabelled")), ([1, 2], [1, 2], [1, 0]));
    }

    fn stream() -> Vec<(Option<&'static str>, usize, usize)> {
        let truth = |i: usize| match i % 11 {
            3 => None,
            7 => Some("star"),
            9 => Some(""),
            _ => Some(CLASSES[i % 3]),
        };
        (0..50).map(|i| (truth(i), if i % 5 == 0 { 2 } else { i % 3 }, (i * i) % 3)).collect()
    }

    fn monitor(settings: Accuracy) -> Box<dyn Monitor> {
        let mut monitor = settings.build("accuracy").expect("built");
        monitor.bind(&fields("spiral,elliptical,merger")).expect("bound");
        monitor
    }

    /// All rows of the table, and the findings.
    fn watch(monitor: &mut dyn Monitor, batches: &[RecordBatch]) -> (RecordBatch, Vec<Finding>) {
        let mut said: Vec<Emitted> = batches.iter().map(|batch| monitor.observe(batch).expect("observed")).collect();
        said.push(monitor.finish().expect("finished"));
        let (rows, findings): (Vec<_>, Vec<_>) = said.into_iter().map(|said| (said.rows, said.findings)).unzip();
        let rows = rows.concat();
        (concat_batches(rows[0].schema_ref(), &rows).expect("one table"), findings.concat())
    }

    fn windowed() -> Accuracy {
        Accuracy { window: Some(8), minimum_accuracy: Some(0.6), ..Accuracy::of(["a", "b"]) }
    }

    fn counts<'a>(table: &'a RecordBatch, column: &str) -> &'a [u64] {
        table[column].as_primitive::<UInt64Type>().values()
    }

    #[test]
    fn rows_are_counted_by_truth_and_prediction_and_the_unknown_apart() {
        let rows = [
            (Some("spiral"), 0, 1),
            (Some("spiral"), 1, 1),
            (Some("merger"), 2, 1),
            (None, 0, 1),
            (Some(""), 0, 1),
            (Some("star"), 0, 1),
        ];
        let (table, findings) = watch(&mut *monitor(Accuracy::of(["a", "b"])), &[batch(&rows)]);
        assert!(findings.is_empty());
        let class: Vec<&str> = table["class"].as_string::<i32>().iter().flatten().collect();
        assert_eq!(class[..4], ["all", "spiral", "elliptical", "merger"]);
        assert_eq!(counts(&table, "n")[..4], [3, 2, 0, 1]);
        assert_eq!(counts(&table, "correct")[..5], [2, 1, 0, 1, 0]);
        assert_eq!(counts(&table, "predicted")[..4], [3, 1, 1, 1]);
        assert_eq!((counts(&table, "unlabelled")[0], counts(&table, "unknown_truth")[0]), (2, 1));
        let confusion = table["confusion"].as_fixed_size_list().values().as_primitive::<UInt64Type>().values();
        assert_eq!(confusion[..12], [1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1]);
        let accuracy = table["accuracy"].as_primitive::<Float64Type>();
        let found: Vec<Option<f64>> = accuracy.iter().take(4).collect();
        assert_eq!(found, [Some(2.0 / 3.0), Some(0.5), None, Some(1.0)]);
        // Weighted precision: spiral 1/1 twice, merger 1/1 once.
        assert_eq!(table["precision"].as_primitive::<Float64Type>().value(0), 1.0);
    }

    #[test]
    fn windows_are_counted_in_rows_whatever_the_batches() {
        let stream = stream();
        let whole = watch(&mut *monitor(windowed()), &[batch(&stream)]);
        for size in [1, 3, 8, 20] {
            let batches: Vec<RecordBatch> = stream.chunks(size).map(batch).collect();
            assert_eq!(watch(&mut *monitor(windowed()), &batches), whole, "batches of {size}");
        }
        let table = &whole.0;
        let total = table["scope"].as_string::<i32>().iter().position(|scope| scope == Some("total")).expect("a total");
        assert_eq!(total, 7 * 8, "seven windows of two scores and four classes");
        assert_eq!((counts(table, "first_row")[48], counts(table, "last_row")[48]), (48, 49));
        let all = |rows: std::ops::Range<usize>| rows.step_by(8).map(|row| counts(table, "n")[row]).sum::<u64>();
        assert_eq!(all(0..total), counts(table, "n")[total]);
    }

    #[test]
    fn a_restored_monitor_says_what_an_undisturbed_one_says() {
        let stream = stream();
        let undisturbed = watch(&mut *monitor(windowed()), &[batch(&stream)]);
        for cut in [0, 5, 8, 49] {
            let mut first = monitor(windowed());
            let before = first.observe(&batch(&stream[..cut])).expect("observed");
            let mut second = monitor(windowed());
            second.restore(&first.snapshot().expect("a snapshot")).expect("restored");
            let (after, findings) = watch(&mut *second, &[batch(&stream[cut..])]);
            let rows = [before.rows, vec![after]].concat();
            assert_eq!(concat_batches(rows[0].schema_ref(), &rows).expect("one table"), undisturbed.0, "cut at {cut}");
            assert_eq!([before.findings, findings].concat(), undisturbed.1);
        }
    }

    #[test]
    fn a_snapshot_of_other_scores_is_refused() {
        let snapshot = monitor(Accuracy::of(["a", "b"])).snapshot().expect("a snapshot");
        assert!(monitor(Accuracy::of(["a"])).restore(&snapshot).is_err());
    }

    #[test]
    fn an_accuracy_that_falls_below_the_threshold_is_found_once_until_it_recovers() {
        let good = vec![(Some("spiral"), 0, 0); 4];
        let bad = vec![(Some("spiral"), 1, 0); 4];
        let rows = [good.clone(), bad.clone(), bad.clone(), good, bad].concat();
        let settings = Accuracy { window: Some(4), minimum_accuracy: Some(0.5), ..Accuracy::of(["a", "b"]) };
        let (_, findings) = watch(&mut *monitor(settings), &[batch(&rows)]);
        let messages: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "the accuracy of `a` in window 1 (rows 4 to 7) is 0.0000 (0 of 4 rows), below 0.5",
                "the accuracy of `a` in window 4 (rows 16 to 19) is 0.0000 (0 of 4 rows), below 0.5",
                "the accuracy of `a` in total is 0.4000 (8 of 20 rows), below 0.5",
            ]
        );
    }

    #[test]
    fn a_stream_without_rows_has_a_total_of_nothing() {
        let (table, findings) = watch(&mut *monitor(windowed()), &[]);
        assert_eq!((table.num_rows(), counts(&table, "n")[0], findings.len()), (8, 0, 0));
        assert!(table["last_row"].is_null(0) && table["accuracy"].is_null(0));
    }

    #[test]
    fn what_cannot_be_compared_is_a_mistake() {
        let mistakes = |settings: Accuracy, classes: &str| {
            let bound = settings.build("accuracy").and_then(|mut monitor| monitor.bind(&fields(classes)));
            bound.expect_err("a mistake").iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let both = Accuracy::of(["a", "b"]);
        assert!(
            mistakes(both.clone(), "galaxy,star")
                .contains("`a` tells spiral, elliptical, merger apart, `b` galaxy, star")
        );
        let numbers = Accuracy { truth: "a_latent".into(), ..both.clone() };
        assert!(mistakes(numbers, "spiral,elliptical,merger").contains("`a_latent` is not there"));
        assert!(mistakes(Accuracy::of(["c"]), "galaxy,star").contains("no score `c`"));
        assert!(mistakes(Accuracy::of(["a", "a"]), "galaxy,star").contains("names `a` twice"));
        assert!(mistakes(Accuracy::of(Vec::<String>::new()), "galaxy,star").contains("names no score"));
    }

    #[test]
    fn the_state_never_outgrows_its_bound() {
        let mut monitor = monitor(windowed());
        let bound = monitor.state_bound_bytes();
        for _ in 0..20 {
            monitor.observe(&batch(&stream())).expect("observed");
        }
        assert!(monitor.snapshot().expect("a snapshot").len() <= bound);
    }

    #[test]
    fn one_score_can_be_named_without_a_list() {
        let settings: Accuracy = serde_json::from_str(r#"{ "score": "a" }"#).expect("settings");
        let (table, _) = watch(&mut *monitor(settings), &[batch(&stream())]);
        assert_eq!(table.num_rows(), 4);
    }
}
