//! The table of the monitor: a row for every window, or for every segment of one.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, UInt64Array},
    datatypes::{DataType, Field, Schema, SchemaRef},
};

use super::windows::Window;
use crate::{error::Result, stats::mmd::Discrepancy};

/// What was found of a sample.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Judged {
    /// Its rows.
    pub(super) n: u64,
    pub(super) discrepancy: Option<Discrepancy>,
    /// The quantile of the null at the level.
    pub(super) mmd2_threshold: Option<f64>,
    pub(super) p_value: Option<f64>,
    pub(super) js_class: Option<f64>,
    pub(super) js_class_p_value: Option<f64>,
    pub(super) js_latent: Option<f64>,
    /// The dimension that it is of.
    pub(super) js_dimension: Option<u64>,
    pub(super) js_latent_p_value: Option<f64>,
    /// Why there is no test.
    pub(super) reason: Option<&'static str>,
}

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) segment: Option<String>,
    pub(super) judged: Judged,
    pub(super) adjusted: Option<f64>,
    pub(super) is_drift: Option<bool>,
}

/// What all rows of a window share.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame<'a> {
    pub(super) window: &'a Window,
    pub(super) reference: u64,
    /// The level of the test.
    pub(super) threshold: f64,
    /// False alarms that are expected so far, this window included.
    pub(super) expected_false_alarms: Option<f64>,
}

pub(super) fn schema(reference: &str, domain: Option<&str>) -> SchemaRef {
    let count = |name, nullable| Field::new(name, DataType::UInt64, nullable);
    let number = |name| Field::new(name, DataType::Float64, true);
    let text = |name| Field::new(name, DataType::Utf8, true);
    let of = [("reference", Some(reference)), ("domain", domain)];
    let of = of.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect();
    Arc::new(Schema::new(vec![
        count("window", false),
        count("first_row", false),
        count("last_row", false),
        text("value"),
        text("segment"),
        count("n", false),
        count("reference_n", false).with_metadata(of),
        number("mmd2"),
        number("mmd2_biased"),
        number("mmd2_threshold"),
        number("p_val"),
        number("p_val_adjusted"),
        number("threshold"),
        Field::new("is_drift", DataType::Boolean, true),
        number("js_class"),
        number("js_class_p_val"),
        number("js_latent"),
        count("js_latent_dimension", true),
        number("js_latent_p_val"),
        number("expected_false_alarms"),
        text("reason"),
    ]))
}

pub(super) fn rows(schema: &SchemaRef, frame: &Frame<'_>, rows: &[Row]) -> Result<RecordBatch> {
    let count =
        |of: &dyn Fn(&Row) -> Option<u64>| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<UInt64Array>()) };
    let number =
        |of: &dyn Fn(&Row) -> Option<f64>| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<Float64Array>()) };
    let text =
        |of: &dyn Fn(&Row) -> Option<String>| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<StringArray>()) };
    let window = frame.window;
    let columns: Vec<ArrayRef> = vec![
        count(&|_| Some(window.number)),
        count(&|_| Some(window.first)),
        count(&|_| Some(window.last)),
        text(&|_| window.value.clone()),
        text(&|row| row.segment.clone()),
        count(&|row| Some(row.judged.n)),
        count(&|_| Some(frame.reference)),
        number(&|row| Some(row.judged.discrepancy?.unbiased)),
        number(&|row| Some(row.judged.discrepancy?.biased)),
        number(&|row| row.judged.mmd2_threshold),
        number(&|row| row.judged.p_value),
        number(&|row| row.adjusted),
        number(&|_| Some(frame.threshold)),
        Arc::new(rows.iter().map(|row| row.is_drift).collect::<BooleanArray>()),
        number(&|row| row.judged.js_class),
        number(&|row| row.judged.js_class_p_value),
        number(&|row| row.judged.js_latent),
        count(&|row| row.judged.js_dimension),
        number(&|row| row.judged.js_latent_p_value),
        number(&|_| frame.expected_false_alarms),
        text(&|row| row.judged.reason.map(str::to_owned)),
    ];
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}
