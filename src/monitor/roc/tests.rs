//! The monitor against a curve worked out by hand, and against itself in pieces.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, StringArray},
    compute::concat_batches,
    datatypes::{DataType, Field, Float64Type},
};

use super::*;
use crate::batch::{list_column, list_type, metadata_list};

const CLASSES: [&str; 2] = ["bogus, faint", "real"];

fn fields() -> Schema {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let metadata = [("classes".to_owned(), metadata_list(&CLASSES))].into();
    Schema::new(vec![
        Field::new(LABEL, DataType::Utf8, true),
        Field::new("m_class", dictionary, true).with_metadata(metadata),
        Field::new("m_probability", list_type(2), false),
    ])
}

/// Truths, and the probability of `real`.
fn batch(rows: &[(Option<&str>, f32)]) -> RecordBatch {
    let truth: StringArray = rows.iter().map(|row| row.0).collect();
    let class: arrow::array::DictionaryArray<arrow::datatypes::Int32Type> =
        rows.iter().map(|row| CLASSES[usize::from(row.1 > 0.5)]).collect();
    let probabilities = list_column(rows.iter().flat_map(|row| [1.0 - row.1, row.1]).collect(), 2).expect("a list");
    let columns: Vec<ArrayRef> = vec![Arc::new(truth), Arc::new(class), probabilities];
    RecordBatch::try_new(Arc::new(fields()), columns).expect("a batch")
}

fn monitor(settings: Roc) -> Box<dyn Monitor> {
    let mut monitor = settings.build("roc").expect("built");
    monitor.bind(&fields(), &UpstreamSchemas::new()).expect("bound");
    monitor
}

fn table_of(output: MonitorOutput) -> RecordBatch {
    let rows: Vec<RecordBatch> = output.rows.into_iter().map(|emitted| emitted.rows).collect();
    concat_batches(rows[0].schema_ref(), &rows).expect("one table")
}

fn numbers(table: &RecordBatch, column: &str) -> Vec<Option<f64>> {
    table[column].as_primitive::<Float64Type>().iter().collect()
}

const ROWS: [(Option<&str>, f32); 7] = [
    (Some("real"), 0.95),
    (Some("real"), 0.65),
    (Some("bogus, faint"), 0.65),
    (Some("bogus, faint"), 0.15),
    (Some("real"), 0.15),
    (None, 0.9),
    (Some("ghost"), 0.9),
];

#[test]
fn a_curve_of_five_rows_is_that_worked_out_by_hand() {
    let mut roc = monitor(Roc { bins: 10, minimum_auc: Some(0.9), ..Roc::new("m") });
    roc.observe(&batch(&ROWS)).expect("observed");
    let out = roc.finish().expect("finished");
    assert_eq!(out.findings[0].message, "the area under the ROC curve of `m` for `real` in total is 0.6667, below 0.9");
    let table = table_of(out);
    assert_eq!(numbers(&table, "threshold"), [None, Some(0.1), Some(0.6), Some(0.9)]);
    assert_eq!(numbers(&table, "recall"), [None, Some(1.0), Some(2.0 / 3.0), Some(1.0 / 3.0)]);
    assert_eq!(numbers(&table, "false_positive_rate"), [None, Some(1.0), Some(0.5), Some(0.0)]);
    assert_eq!(numbers(&table, "precision"), [None, Some(0.6), Some(2.0 / 3.0), Some(1.0)]);
    // Of the six pairs three are in order, two are ties; either may be true of the scores within a bin.
    let area = |column| numbers(&table, column)[0].expect("an area");
    assert!((area("auc") - 4.0 / 6.0).abs() < 1e-12);
    assert!((area("auc_low") - 0.5).abs() < 1e-12 && (area("auc_high") - 5.0 / 6.0).abs() < 1e-12);
}

#[test]
fn rows_in_pieces_and_through_a_snapshot_give_the_same_table() {
    let settings = || Roc { bins: 10, window: Some(3), ..Roc::new("m") };
    let mut whole = monitor(settings());
    let mut expected = whole.observe(&batch(&ROWS)).expect("observed");
    expected.append(whole.finish().expect("finished"));
    let mut out = MonitorOutput::default();
    let mut snapshot = monitor(settings()).snapshot().expect("a snapshot");
    for row in &ROWS {
        let mut piece = monitor(settings());
        piece.restore(&snapshot).expect("restored");
        out.append(piece.observe(&batch(&[*row])).expect("observed"));
        snapshot = piece.snapshot().expect("a snapshot");
        assert!(snapshot.len() <= piece.state_bound_bytes());
    }
    let mut last = monitor(settings());
    last.restore(&snapshot).expect("restored");
    out.append(last.finish().expect("finished"));
    assert_eq!(table_of(out), table_of(expected));
}

#[test]
fn the_positive_class_is_one_of_the_model() {
    let mut roc = Roc { positive: Some("rael".into()), ..Roc::new("m") }.build("roc").expect("built");
    let wrong = roc.bind(&fields(), &UpstreamSchemas::new()).expect_err("refused").remove(0);
    assert_eq!((wrong.code, wrong.help.as_deref()), (Code::OutOfRange, Some("did you mean `real`?")));
}
