//! The table of the monitor: one row for every object.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, FixedSizeListBuilder, Float64Array, Float64Builder, RecordBatch, StringArray, UInt8Builder},
    datatypes::{DataType, Field, Schema, SchemaRef},
};

use crate::{
    batch::{OBJECT_ID, ORIGIN, tensor_metadata},
    error::{Error, Result},
    stats::church_window::Grid,
};

/// How rows are made.
pub(super) struct Table {
    schema: SchemaRef,
    classes: Vec<String>,
    side: usize,
}

/// A window that was drawn.
pub(super) struct Drawn {
    /// The class at the origin.
    pub(super) class: usize,
    /// Of the axes across and up, in latent space.
    pub(super) lengths: [f64; 2],
    pub(super) angle_deg: Option<f64>,
    pub(super) areas: Vec<f64>,
    /// +across, -across, +up, -up, in latent space.
    pub(super) boundaries: [Option<f64>; 4],
    /// Classes, `[y, x]`.
    pub(super) window: Vec<u8>,
}

/// What a row says: what was drawn, or why nothing was.
pub(super) struct Row<'a> {
    pub(super) id: &'a str,
    pub(super) origin: &'a str,
    pub(super) truth: Option<&'a str>,
    pub(super) drawn: Result<&'a Drawn, &'a str>,
}

const BOUNDARIES: [&str; 4] = ["boundary_across", "boundary_across_back", "boundary_up", "boundary_up_back"];

fn list(data_type: DataType, length: usize) -> DataType {
    DataType::FixedSizeList(Arc::new(Field::new("item", data_type, true)), i32::try_from(length).unwrap_or(i32::MAX))
}

impl Table {
    pub(super) fn new(classes: &[String], grid: &Grid) -> Self {
        let side = grid.side();
        let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
        let number = |name| Field::new(name, DataType::Float64, true);
        let named = ("classes".to_owned(), classes.join(","));
        let mut fields = vec![
            text(OBJECT_ID, false),
            text(ORIGIN, false),
            text("label_true", true),
            text("class", true),
            text("reason", true),
            number("across_length"),
            number("up_length"),
            number("angle_deg"),
        ];
        fields.extend(BOUNDARIES.map(number));
        let areas = Field::new("areas", list(DataType::Float64, classes.len()), true);
        fields.push(areas.with_metadata([named.clone()].into()));
        let mut metadata = tensor_metadata(&[side, side], &["up", "across"]);
        metadata.extend([
            named,
            ("extent".to_owned(), grid.extent().to_string()),
            ("step".to_owned(), grid.step.to_string()),
        ]);
        fields.push(Field::new("window", list(DataType::UInt8, side * side), true).with_metadata(metadata));
        Self { schema: Arc::new(Schema::new(fields)), classes: classes.to_vec(), side }
    }

    pub(super) const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(super) fn row(&self, row: &Row<'_>) -> Result<RecordBatch> {
        let text = |value: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
        let number = |value: Option<f64>| -> ArrayRef { Arc::new(Float64Array::from(vec![value])) };
        let drawn = row.drawn.ok();
        let class = drawn.and_then(|drawn| self.classes.get(drawn.class)).map(String::as_str);
        let mut columns = vec![
            text(Some(row.id)),
            text(Some(row.origin)),
            text(row.truth),
            text(class),
            text(row.drawn.err()),
            number(drawn.map(|drawn| drawn.lengths[0])),
            number(drawn.map(|drawn| drawn.lengths[1])),
            number(drawn.and_then(|drawn| drawn.angle_deg)),
        ];
        columns.extend((0..4).map(|i| number(drawn.and_then(|drawn| drawn.boundaries[i]))));
        let length = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let mut areas = FixedSizeListBuilder::new(Float64Builder::new(), length(self.classes.len()));
        let mut window = FixedSizeListBuilder::new(UInt8Builder::new(), length(self.side * self.side));
        match drawn {
            Some(drawn) => {
                areas.values().append_slice(&drawn.areas);
                window.values().append_slice(&drawn.window);
            }
            None => {
                areas.values().append_nulls(self.classes.len());
                window.values().append_nulls(self.side * self.side);
            }
        }
        areas.append(drawn.is_some());
        window.append(drawn.is_some());
        columns.extend([Arc::new(areas.finish()) as ArrayRef, Arc::new(window.finish())]);
        RecordBatch::try_new(self.schema.clone(), columns).map_err(Error::from)
    }
}
