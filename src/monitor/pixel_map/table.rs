//! The table of the monitor: one row for every object.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BooleanArray, FixedSizeListBuilder, Float32Builder, Float64Array, RecordBatch, StringArray,
        UInt32Array, UInt64Array,
    },
    datatypes::{DataType, Field, Schema, SchemaRef},
};

use super::super::asked::Before;
use crate::{
    batch::{OBJECT_ID, ORIGIN, list_type, object_id, origin, tensor_metadata},
    error::{Error, Result},
};

/// What was found of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) p_before: f64,
    /// The largest drop at every pixel, `[y, x]`.
    pub(super) drops: Vec<f32>,
    /// Pixels of which some value gives another class.
    pub(super) flipping: u32,
    pub(super) candidates: u64,
    /// Candidates that the model has scored again.
    pub(super) rescored: u64,
}

impl Found {
    pub(super) const fn new(p_before: f64) -> Self {
        Self { p_before, drops: Vec::new(), flipping: 0, candidates: 0, rescored: 0 }
    }

    /// The next pixel.
    pub(super) fn push(&mut self, drop: f64, flips: bool) {
        self.drops.push(drop as f32);
        self.flipping += u32::from(flips);
    }

    /// The place of the largest drop, the first of equals.
    fn largest(&self) -> usize {
        (1..self.drops.len()).fold(0, |best, i| if self.drops[i] > self.drops[best] { i } else { best })
    }
}

/// How rows are made.
pub(super) struct Table {
    schema: SchemaRef,
    height: usize,
    width: usize,
}

impl Table {
    pub(super) fn new(height: usize, width: usize) -> Self {
        let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
        let count = |name| Field::new(name, DataType::UInt32, true);
        let fields = vec![
            text(OBJECT_ID, false),
            text(ORIGIN, false),
            text("label_true", true),
            text("label_pred", true),
            Field::new("p_before", DataType::Float64, true),
            Field::new("largest_drop", DataType::Float64, true),
            count("pixel_row"),
            count("pixel_column"),
            count("flipping_pixels"),
            Field::new("flips", DataType::Boolean, true),
            Field::new("candidates", DataType::UInt64, false),
            Field::new("rescored", DataType::UInt64, false),
            text("reason", true),
            Field::new("drop", list_type(height * width), true)
                .with_metadata(tensor_metadata(&[height, width], &["y", "x"])),
        ];
        Self { schema: Arc::new(Schema::new(fields)), height, width }
    }

    pub(super) const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The row of an object: what was found, or why it was left out.
    pub(super) fn row(
        &self,
        subject: &RecordBatch,
        before: &Before<'_>,
        classes: &[String],
        found: Result<&Found, &str>,
    ) -> Result<RecordBatch> {
        let text = |value: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
        let count = |value: Option<usize>| -> ArrayRef {
            Arc::new(UInt32Array::from(vec![value.and_then(|value| u32::try_from(value).ok())]))
        };
        let some = found.ok();
        let largest = some.map(Found::largest);
        let drop = some.zip(largest).map(|(found, largest)| f64::from(found.drops[largest]));
        let pixels = self.height * self.width;
        let mut map = FixedSizeListBuilder::new(Float32Builder::new(), i32::try_from(pixels).unwrap_or(i32::MAX));
        match some {
            Some(found) => map.values().append_slice(&found.drops),
            None => map.values().append_nulls(pixels),
        }
        map.append(some.is_some());
        let columns: Vec<ArrayRef> = vec![
            text(Some(object_id(subject, 0)?)),
            text(Some(origin(subject, 0)?)),
            text(before.truth.as_deref()),
            text(classes.get(before.class).map(String::as_str)),
            Arc::new(Float64Array::from(vec![some.map(|found| found.p_before)])),
            Arc::new(Float64Array::from(vec![drop])),
            count(largest.map(|at| at / self.width)),
            count(largest.map(|at| at % self.width)),
            count(some.map(|found| found.flipping as usize)),
            Arc::new(BooleanArray::from(vec![some.map(|found| found.flipping > 0)])),
            Arc::new(UInt64Array::from(vec![some.map_or(0, |found| found.candidates)])),
            Arc::new(UInt64Array::from(vec![some.map_or(0, |found| found.rescored)])),
            text(found.err()),
            Arc::new(map.finish()),
        ];
        RecordBatch::try_new(self.schema.clone(), columns).map_err(Error::from)
    }
}
