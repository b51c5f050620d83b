//! The monitor against numbers worked out by hand, and against itself in pieces.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Array},
    compute::concat_batches,
    datatypes::Field,
};

use super::*;
use crate::batch::{list_column, list_type, metadata_list};

fn fields() -> Schema {
    let metadata = || [("names".to_owned(), metadata_list(&["z", "mass, log"]))].into();
    Schema::new(vec![
        Field::new("redshift", DataType::Float64, true),
        Field::new("m_value", list_type(2), false).with_metadata(metadata()),
        Field::new("m_error", list_type(2), false).with_metadata(metadata()),
    ])
}

/// Truths, values and errors of `z`.
fn batch(rows: &[(Option<f64>, f32, f32)]) -> RecordBatch {
    let truth: Float64Array = rows.iter().map(|row| row.0).collect();
    let list = |of: fn(&(Option<f64>, f32, f32)) -> f32| {
        list_column(rows.iter().flat_map(|row| [of(row), 99.0]).collect(), 2).expect("a list")
    };
    let columns: Vec<ArrayRef> = vec![Arc::new(truth), list(|row| row.1), list(|row| row.2)];
    RecordBatch::try_new(Arc::new(fields()), columns).expect("a batch")
}

fn settings() -> Regression {
    Regression { value: Some("z".into()), one_plus_truth: true, ..Regression::new("redshift", "m") }
}

fn monitor(settings: Regression) -> Box<dyn Monitor> {
    let mut monitor = settings.build("photoz").expect("built");
    monitor.bind(&fields(), &UpstreamSchemas::new()).expect("bound");
    monitor
}

fn table_of(output: MonitorOutput) -> RecordBatch {
    let rows: Vec<RecordBatch> = output.rows.into_iter().map(|emitted| emitted.rows).collect();
    concat_batches(rows[0].schema_ref(), &rows).expect("one table")
}

const ROWS: [(Option<f64>, f32, f32); 6] = [
    (Some(1.0), 1.25, 0.5),
    (Some(3.0), 3.0, 0.5),
    (Some(0.0), 0.5, 0.25),
    (None, 1.0, 1.0),
    (Some(1.0), 0.75, 0.125),
    (Some(f64::NAN), 1.0, 1.0),
];

#[test]
fn residuals_of_redshifts_are_those_worked_out_by_hand() {
    let mut photoz = monitor(Regression { maximum_outlier_fraction: Some(0.2), ..settings() });
    photoz.observe(&batch(&ROWS)).expect("observed");
    let out = photoz.finish().expect("finished");
    assert_eq!(
        out.findings[0].message,
        "0.2500 of the residuals of `z` by `m` in total are outliers (1 of 4), above 0.2"
    );
    let table = table_of(out);
    let number = |column: &str| table[column].as_primitive::<Float64Type>().value(0);
    // The residuals are 0.125, 0, 0.5 and -0.125; all but the third are within 0.15, two within their errors.
    for (column, expected, tolerance) in [
        ("bias", 0.0625, 1e-3),
        ("nmad", 1.4826 * 0.125, 1e-3),
        ("mean", 0.125, 1e-12),
        ("rms", (0.28125_f64 / 4.0).sqrt(), 1e-12),
        ("outlier_fraction", 0.25, 1e-12),
        ("within_error", 0.5, 1e-12),
    ] {
        assert!((number(column) - expected).abs() < tolerance, "{column}: {}", number(column));
    }
}

#[test]
fn rows_in_pieces_and_through_a_snapshot_give_the_same_table() {
    let settings = || Regression { window: Some(2), ..settings() };
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
fn a_model_of_several_values_needs_the_name_of_one() {
    let mut photoz = Regression { value: None, ..settings() }.build("photoz").expect("built");
    let wrong = photoz.bind(&fields(), &UpstreamSchemas::new()).expect_err("refused").remove(0);
    assert_eq!((wrong.code, wrong.help.as_deref()), (Code::MissingKey, Some("name one of `z`, `mass, log`")));
    let mut photoz = Regression { value: Some("y".into()), ..settings() }.build("photoz").expect("built");
    assert_eq!(photoz.bind(&fields(), &UpstreamSchemas::new()).expect_err("refused").remove(0).code, Code::OutOfRange);
}
