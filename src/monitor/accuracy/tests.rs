//! The monitor against confusion matrices worked out by hand.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, DictionaryArray, StringArray},
    compute::concat_batches,
    datatypes::{DataType, Field, Float64Type, Int32Type, Int64Type},
};

use super::*;
use crate::{error::Code, stage::RowsOut};

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

/// Rows of a truth and the classes that the scores `a` and `b` predict.
fn batch(rows: &[(Option<&str>, usize, usize)]) -> RecordBatch {
    let truth: StringArray = rows.iter().map(|row| row.0).collect();
    let predicted = |class: fn(&(Option<&str>, usize, usize)) -> usize| -> ArrayRef {
        Arc::new(rows.iter().map(|row| CLASSES[class(row)]).collect::<DictionaryArray<Int32Type>>())
    };
    let columns = vec![Arc::new(truth) as ArrayRef, predicted(|row| row.1), predicted(|row| row.2)];
    RecordBatch::try_new(Arc::new(fields("spiral,elliptical,merger")), columns).expect("a batch")
}

#[test]
fn a_row_without_a_predicted_class_is_unlabelled_for_that_score() {
    let fields = fields("spiral,elliptical,merger");
    let nullable = fields.fields().iter().map(|field| Arc::new(field.as_ref().clone().with_nullable(true)));
    let schema = Arc::new(Schema::new(nullable.collect::<Vec<_>>()));
    let truth: ArrayRef = Arc::new(StringArray::from(vec!["spiral", "merger"]));
    let some: ArrayRef = Arc::new([Some("spiral"), None].into_iter().collect::<DictionaryArray<Int32Type>>());
    let all: ArrayRef = Arc::new(["spiral", "merger"].into_iter().collect::<DictionaryArray<Int32Type>>());
    let rows = RecordBatch::try_new(schema, vec![truth, some, all]).expect("a batch");
    let (table, _) = watch(&mut *monitor(Accuracy::new(["a", "b"])), &[rows]);
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
    monitor.bind(&fields("spiral,elliptical,merger"), &UpstreamSchemas::new()).expect("bound");
    monitor
}

/// The table of a monitor that observes some batches, and its findings.
fn watch(monitor: &mut dyn Monitor, batches: &[RecordBatch]) -> (RecordBatch, Vec<Finding>) {
    let mut out = MonitorOutput::default();
    batches.iter().for_each(|batch| out.append(monitor.observe(batch).expect("observed")));
    out.append(monitor.finish().expect("finished"));
    (concat(out.rows), out.findings)
}

fn concat(emitted: Vec<RowsOut>) -> RecordBatch {
    let rows: Vec<RecordBatch> = emitted.into_iter().map(|emitted| emitted.rows).collect();
    concat_batches(rows[0].schema_ref(), &rows).expect("one table")
}

fn windowed() -> Accuracy {
    Accuracy { window: Some(8), minimum_accuracy: Some(0.6), ..Accuracy::new(["a", "b"]) }
}

fn counts<'a>(table: &'a RecordBatch, column: &str) -> &'a [i64] {
    table[column].as_primitive::<Int64Type>().values()
}

#[test]
fn counts_rows_by_truth_and_prediction_and_unknown_truths_apart() {
    let rows = [
        (Some("spiral"), 0, 1),
        (Some("spiral"), 1, 1),
        (Some("merger"), 2, 1),
        (None, 0, 1),
        (Some(""), 0, 1),
        (Some("star"), 0, 1),
    ];
    let (table, findings) = watch(&mut *monitor(Accuracy::new(["a", "b"])), &[batch(&rows)]);
    assert!(findings.is_empty());
    let class: Vec<&str> = table["class"].as_string::<i32>().iter().flatten().collect();
    assert_eq!(class[..4], ["all", "spiral", "elliptical", "merger"]);
    assert_eq!(counts(&table, "n")[..4], [3, 2, 0, 1]);
    assert_eq!(counts(&table, "correct")[..5], [2, 1, 0, 1, 0]);
    assert_eq!(counts(&table, "predicted")[..4], [3, 1, 1, 1]);
    assert_eq!((counts(&table, "unlabelled")[0], counts(&table, "unknown_truth")[0]), (2, 1));
    let confusion = table["confusion"].as_fixed_size_list().values().as_primitive::<Int64Type>().values();
    assert_eq!(confusion[..12], [1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1]);
    let accuracy = table["accuracy"].as_primitive::<Float64Type>();
    let found: Vec<Option<f64>> = accuracy.iter().take(4).collect();
    assert_eq!(found, [Some(2.0 / 3.0), Some(0.5), None, Some(1.0)]);
    // Weighted precision: spiral 1/1 twice, merger 1/1 once.
    assert_eq!(table["precision"].as_primitive::<Float64Type>().value(0), 1.0);
}

#[test]
fn windows_count_rows_independent_of_batches() {
    let stream = stream();
    let expected = watch(&mut *monitor(windowed()), &[batch(&stream)]);
    for size in [1, 3, 8, 20] {
        let batches: Vec<RecordBatch> = stream.chunks(size).map(batch).collect();
        assert_eq!(watch(&mut *monitor(windowed()), &batches), expected, "batches of {size}");
    }
    let table = &expected.0;
    let total = table["scope"].as_string::<i32>().iter().position(|scope| scope == Some("total")).expect("a total");
    assert_eq!(total, 7 * 8, "seven windows of two scores and four classes");
    assert_eq!((counts(table, "first_row")[48], counts(table, "last_row")[48]), (48, 49));
    let all = |rows: std::ops::Range<usize>| rows.step_by(8).map(|row| counts(table, "n")[row]).sum::<i64>();
    assert_eq!(all(0..total), counts(table, "n")[total]);
}

#[test]
fn resumes_from_a_snapshot_at_any_row() {
    let stream = stream();
    let uninterrupted = watch(&mut *monitor(windowed()), &[batch(&stream)]);
    for cut in [0, 5, 8, 49] {
        let mut first = monitor(windowed());
        let before = first.observe(&batch(&stream[..cut])).expect("observed");
        let mut second = monitor(windowed());
        second.restore(&first.snapshot().expect("a snapshot")).expect("restored");
        let (after, findings) = watch(&mut *second, &[batch(&stream[cut..])]);
        let resumed = concat(before.rows.into_iter().chain([after.into()]).collect());
        assert_eq!((resumed, [before.findings, findings].concat()), uninterrupted, "cut at {cut}");
    }
}

#[test]
fn refuses_a_snapshot_of_other_scores() {
    let snapshot = monitor(Accuracy::new(["a", "b"])).snapshot().expect("a snapshot");
    assert!(monitor(Accuracy::new(["a"])).restore(&snapshot).is_err());
}

#[test]
fn reports_an_accuracy_below_the_threshold_once_until_it_recovers() {
    let good = vec![(Some("spiral"), 0, 0); 4];
    let bad = vec![(Some("spiral"), 1, 0); 4];
    let rows = [good.clone(), bad.clone(), bad.clone(), good, bad].concat();
    let settings = Accuracy { window: Some(4), minimum_accuracy: Some(0.5), ..Accuracy::new(["a", "b"]) };
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
fn an_empty_stream_has_a_total_of_zero_rows() {
    let (table, findings) = watch(&mut *monitor(windowed()), &[]);
    assert_eq!((table.num_rows(), counts(&table, "n")[0], findings.len()), (8, 0, 0));
    assert!(table["last_row"].is_null(0) && table["accuracy"].is_null(0));
}

#[test]
fn rejects_scores_and_truths_that_cannot_be_compared() {
    let mistakes = |settings: Accuracy, classes: &str| {
        let bound =
            settings.build("accuracy").and_then(|mut monitor| monitor.bind(&fields(classes), &UpstreamSchemas::new()));
        let mistakes = bound.expect_err("a mistake");
        mistakes.into_iter().map(|mistake| (mistake.code, mistake.path.join("."))).collect::<Vec<_>>()
    };
    let both = Accuracy::new(["a", "b"]);
    let missing_truth = Accuracy { truth: "a_latent".into(), ..both.clone() };
    let score = |code| [(code, "score".to_owned())];
    assert_eq!(mistakes(both, "galaxy,star"), score(Code::Conflict), "other classes");
    assert_eq!(mistakes(missing_truth, "spiral,elliptical,merger"), [(Code::WrongColumn, "truth".to_owned())]);
    assert_eq!(mistakes(Accuracy::new(["c"]), "galaxy,star"), score(Code::WrongColumn), "not a score");
    assert_eq!(mistakes(Accuracy::new(["a", "a"]), "galaxy,star"), score(Code::Conflict), "one score twice");
    assert_eq!(mistakes(Accuracy::new(Labels::Many(Vec::new())), "galaxy,star"), score(Code::OutOfRange), "no score");
}

#[test]
fn state_stays_within_its_bound() {
    let mut monitor = monitor(windowed());
    let bound = monitor.state_bound_bytes();
    for _ in 0..20 {
        monitor.observe(&batch(&stream())).expect("observed");
    }
    assert!(monitor.snapshot().expect("a snapshot").len() <= bound);
}

#[test]
fn accepts_one_score_without_a_list() {
    let settings: Accuracy = serde_json::from_str(r#"{ "score": "a" }"#).expect("settings");
    let (table, _) = watch(&mut *monitor(settings), &[batch(&stream())]);
    assert_eq!(table.num_rows(), 4);
}
