//! The table of the monitor: one row for every point.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array},
    datatypes::{DataType, Field, Schema, SchemaRef},
};

use super::kept::Object;
use crate::{
    batch::{OBJECT_ID, ORIGIN},
    error::Result,
};

/// A latent that is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point<'a> {
    pub(super) object: &'a Object,
    pub(super) score: &'a str,
    pub(super) role: &'static str,
    pub(super) class: Option<&'a str>,
    pub(super) latent: &'a [f32],
}

/// Where it is drawn, or why it is not.
pub(super) type Drawn = Result<Vec<f64>, &'static str>;

/// The graph of neighbours.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Drawing {
    /// How many parts it had, if there was one.
    pub(super) parts: Option<u64>,
    /// Points that it was to be made of.
    pub(super) n: u64,
}

pub(super) fn schema() -> SchemaRef {
    let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
    let number = |name| Field::new(name, DataType::Float64, true);
    Arc::new(Schema::new(vec![
        text(OBJECT_ID, false),
        text(ORIGIN, false),
        text("score", false),
        text("role", false),
        text("label_true", true),
        text("class", true),
        text("reason", true),
        number("x"),
        number("y"),
        number("z"),
        Field::new("parts", DataType::UInt64, true),
        Field::new("n", DataType::UInt64, false),
    ]))
}

pub(super) fn rows(schema: &SchemaRef, points: &[Point<'_>], drawn: &[Drawn], drawing: Drawing) -> Result<RecordBatch> {
    let text = |of: &dyn Fn(&Point<'_>) -> Option<String>| -> ArrayRef {
        Arc::new(points.iter().map(of).collect::<StringArray>())
    };
    let axis = |c: usize| -> ArrayRef {
        let number = |drawn: &Drawn| drawn.as_ref().ok().and_then(|place| place.get(c).copied());
        Arc::new(drawn.iter().map(number).collect::<Float64Array>())
    };
    let reasons: StringArray = drawn.iter().map(|drawn| drawn.as_ref().err().copied()).collect();
    let columns: Vec<ArrayRef> = vec![
        text(&|point| Some(point.object.object_id.clone())),
        text(&|point| Some(point.object.origin.clone())),
        text(&|point| Some(point.score.to_owned())),
        text(&|point| Some(point.role.to_owned())),
        text(&|point| point.object.truth.clone()),
        text(&|point| point.class.map(str::to_owned)),
        Arc::new(reasons),
        axis(0),
        axis(1),
        axis(2),
        Arc::new(UInt64Array::from(vec![drawing.parts; points.len()])),
        Arc::new(UInt64Array::from(vec![drawing.n; points.len()])),
    ];
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}
