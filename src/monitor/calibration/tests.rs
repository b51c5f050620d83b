//! The monitor against reliability tables worked out by hand.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, DictionaryArray, StringArray},
    compute::concat_batches,
    datatypes::{DataType, Field, Float64Type, Int32Type, Int64Type},
};

use super::*;
use crate::{
    batch::{list_column, list_type},
    stage::RowsOut,
};

const CLASSES: [&str; 3] = ["spiral", "elliptical", "merger"];

fn fields(probabilities: usize) -> Schema {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let metadata = || [("classes".to_owned(), CLASSES.join(","))].into();
    let class = |name| Field::new(name, dictionary.clone(), true).with_metadata(metadata());
    Schema::new(vec![
        Field::new(LABEL, DataType::Utf8, true),
        class("a_class"),
        Field::new("a_probability", list_type(3), false),
        class("b_class"),
        Field::new("b_probability", list_type(probabilities), false),
    ])
}

/// A truth, and the probabilities of the score `a`; `b` gives every object the probability 1 of a spiral.
type LabelledRow = (Option<&'static str>, [f32; 3]);

fn batch(rows: &[LabelledRow]) -> RecordBatch {
    let truth: StringArray = rows.iter().map(|row| row.0).collect();
    let best = |probabilities: &[f32; 3]| crate::stats::softmax::argmax(probabilities);
    let class = |class: &dyn Fn(&LabelledRow) -> usize| -> ArrayRef {
        Arc::new(rows.iter().map(|row| CLASSES[class(row)]).collect::<DictionaryArray<Int32Type>>())
    };
    let list =
        |of: &dyn Fn(&LabelledRow) -> [f32; 3]| list_column(rows.iter().flat_map(of).collect(), 3).expect("a list");
    let columns = vec![
        Arc::new(truth) as ArrayRef,
        class(&|row| best(&row.1)),
        list(&|row| row.1),
        class(&|_| 0),
        list(&|_| [1.0, 0.0, 0.0]),
    ];
    RecordBatch::try_new(Arc::new(fields(3)), columns).expect("a batch")
}

fn monitor(settings: Calibration) -> Box<dyn Monitor> {
    let mut monitor = settings.build("calibration").expect("built");
    monitor.bind(&fields(3), &UpstreamSchemas::new()).expect("bound");
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

fn counts(table: &RecordBatch, column: &str) -> Vec<Option<i64>> {
    table[column].as_primitive::<Int64Type>().iter().collect()
}

fn rates(table: &RecordBatch, column: &str) -> Vec<Option<f64>> {
    table[column].as_primitive::<Float64Type>().iter().collect()
}

fn four() -> Calibration {
    Calibration { bins: 4, ..Calibration::new(["a", "b"]) }
}

fn windowed() -> Calibration {
    Calibration { window: Some(8), maximum_ece: Some(0.3), ..four() }
}

fn stream() -> Vec<LabelledRow> {
    let truth = |i: usize| match i % 11 {
        3 => None,
        7 => Some("star"),
        9 => Some(""),
        _ => Some(CLASSES[i % 3]),
    };
    let probabilities = |i: usize| {
        let confidence = 0.35 + 0.013 * i as f32;
        let mut p = [(1.0 - confidence) / 2.0; 3];
        p[(i * i) % 3] = confidence;
        p
    };
    (0..50).map(|i| (truth(i), probabilities(i))).collect()
}

#[test]
fn bins_and_errors_agree_with_a_table_worked_out_by_hand() {
    let rows = [
        (Some("spiral"), [0.75, 0.25, 0.0]),
        (Some("elliptical"), [0.75, 0.25, 0.0]),
        (Some("merger"), [0.25, 0.25, 0.5]),
        (None, [0.0, 1.0, 0.0]),
        (Some("star"), [0.0, 1.0, 0.0]),
    ];
    let (table, findings) = watch(&mut *monitor(four()), &[batch(&rows)]);
    assert!(findings.is_empty());
    assert_eq!(table.num_rows(), 10);
    assert_eq!(counts(&table, "bin")[..5], [None, Some(0), Some(1), Some(2), Some(3)]);
    assert_eq!(counts(&table, "n")[..5], [Some(3), Some(0), Some(0), Some(1), Some(2)]);
    assert_eq!(counts(&table, "correct")[..5], [Some(2), Some(0), Some(0), Some(1), Some(1)]);
    assert_eq!(rates(&table, "low")[..5], [Some(0.0), Some(0.0), Some(0.25), Some(0.5), Some(0.75)]);
    assert_eq!(rates(&table, "high")[..5], [Some(1.0), Some(0.25), Some(0.5), Some(0.75), Some(1.0)]);
    assert_eq!(rates(&table, "mean_confidence")[..5], [Some(2.0 / 3.0), None, None, Some(0.5), Some(0.75)]);
    assert_eq!(rates(&table, "gap")[3..5], [Some(0.5), Some(-0.25)]);
    assert_eq!(counts(&table, "kept")[..5], [Some(3), Some(3), Some(3), Some(3), Some(2)]);
    assert_eq!(rates(&table, "coverage")[4], Some(2.0 / 3.0));
    assert_eq!(rates(&table, "kept_accuracy")[..5], [2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 0.5].map(Some));
    // |1 - 0.5| once and |0.5 - 0.75| twice; squares of (1/4, 1/4), (3/4, 3/4), (1/4, 1/4, 1/2).
    assert_eq!(rates(&table, "ece")[..2], [Some(1.0 / 3.0), None]);
    assert_eq!(rates(&table, "mce")[0], Some(0.5));
    assert_eq!(rates(&table, "brier")[0], Some((0.125 + 1.125 + 0.375) / 3.0));
    let nll = rates(&table, "nll")[0].expect("a likelihood");
    assert!((nll + (0.75_f64 * 0.25 * 0.5).ln() / 3.0).abs() < 1e-12, "{nll}");
    assert_eq!((counts(&table, "unlabelled")[0], counts(&table, "unknown_truth")[0]), (Some(1), Some(1)));
    // The score `b` has confidence 1, and is right once in three.
    assert_eq!((counts(&table, "correct")[5], counts(&table, "n")[9]), (Some(1), Some(3)));
    assert_eq!((rates(&table, "ece")[5], rates(&table, "brier")[5]), (Some(2.0 / 3.0), Some(4.0 / 3.0)));
}

#[test]
fn windows_count_rows_independent_of_batches() {
    let stream = stream();
    let expected = watch(&mut *monitor(windowed()), &[batch(&stream)]);
    for size in [1, 3, 8, 20] {
        let batches: Vec<RecordBatch> = stream.chunks(size).map(batch).collect();
        assert_eq!(watch(&mut *monitor(windowed()), &batches), expected, "batches of {size}");
    }
    // Seven windows and the total, two scores, one row for all bins and four for the bins.
    let (table, findings) = expected;
    assert_eq!(table.num_rows(), 8 * 2 * 5);
    let n: Vec<i64> = counts(&table, "n").into_iter().flatten().step_by(10).collect();
    assert_eq!(n[..7].iter().sum::<i64>(), n[7]);
    assert!(!findings.is_empty());
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
    let other = monitor(Calibration::new(["a", "b"])).snapshot().expect("a snapshot");
    assert!(monitor(four()).restore(&other).is_err(), "other bins");
    assert!(monitor(Calibration::new(["a"])).restore(&other).is_err(), "other scores");
}

#[test]
fn reports_an_error_above_the_threshold_once_until_it_falls() {
    let confident_spirals = |truth| vec![(Some(truth), [1.0, 0.0, 0.0]); 4];
    let (good, bad) = (confident_spirals("spiral"), confident_spirals("merger"));
    let rows = [good.clone(), bad.clone(), bad.clone(), good, bad].concat();
    let settings = Calibration { window: Some(4), maximum_ece: Some(0.5), ..Calibration::new(["a"]) };
    let (_, findings) = watch(&mut *monitor(settings), &[batch(&rows)]);
    let messages: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "the expected calibration error of `a` in window 1 (rows 4 to 7) is 1.0000 (4 rows), above 0.5",
            "the expected calibration error of `a` in window 4 (rows 16 to 19) is 1.0000 (4 rows), above 0.5",
            "the expected calibration error of `a` in total is 0.6000 (20 rows), above 0.5",
        ]
    );
}

#[test]
fn an_empty_stream_has_a_total_of_zero_rows() {
    let (table, findings) = watch(&mut *monitor(windowed()), &[]);
    assert_eq!((table.num_rows(), counts(&table, "n")[0], findings.len()), (10, Some(0), 0));
    assert!(["last_row", "accuracy", "coverage", "ece", "nll"].iter().all(|column| table[*column].is_null(0)));
}

#[test]
fn rejects_scores_and_truths_that_cannot_be_calibrated() {
    let mistakes = |settings: Calibration, schema: &Schema| {
        let bound = settings.build("calibration").and_then(|mut monitor| monitor.bind(schema, &UpstreamSchemas::new()));
        let mistakes = bound.expect_err("a mistake");
        mistakes.into_iter().map(|mistake| (mistake.code, mistake.path.join("."))).collect::<Vec<_>>()
    };
    let both = Calibration::new(["a", "b"]);
    let numeric_truth = Calibration { truth: "a_probability".into(), ..both.clone() };
    let expect = |code, key: &str| [(code, key.to_owned())];
    assert_eq!(mistakes(both.clone(), &fields(2)), expect(Code::WrongColumn, "score"), "two of three probabilities");
    assert_eq!(mistakes(Calibration::new(["c"]), &fields(3)), expect(Code::WrongColumn, "score"), "not a score");
    assert_eq!(mistakes(numeric_truth, &fields(3)), expect(Code::WrongColumn, "truth"));
    assert_eq!(mistakes(Calibration::new(["a", "a"]), &fields(3)), expect(Code::Conflict, "score"), "one score twice");
    assert_eq!(mistakes(Calibration { bins: 0, ..both }, &fields(3)), expect(Code::OutOfRange, "bins"));
}

#[test]
fn state_stays_within_its_bound() {
    let settings = Calibration { bins: 1000, ..windowed() };
    let mut monitor = monitor(settings);
    for _ in 0..20 {
        monitor.observe(&batch(&stream())).expect("observed");
    }
    assert!(monitor.snapshot().expect("a snapshot").len() <= monitor.state_bound_bytes());
}
