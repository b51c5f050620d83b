//! The table of the monitor: one row for every object and target.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BooleanArray, FixedSizeListBuilder, Float32Builder, Float64Array, RecordBatch, StringArray,
        UInt32Array, UInt32Builder, UInt64Array,
    },
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef},
};

use super::{
    super::{asked::Before, pixels::Pixels},
    attack::{Goal, Outcome},
    images,
};
use crate::{
    batch::{OBJECT_ID, ORIGIN, list_type, object_id, origin, tensor_metadata},
    error::{Diagnostic, Error, Result},
    stats::distance::l2,
};

/// How rows are made.
#[derive(Debug, Clone)]
pub(super) struct Table {
    schema: SchemaRef,
    pixels: Pixels,
    latent: Option<usize>,
    /// The images that are kept, the last columns.
    images: Vec<FieldRef>,
}

/// What all rows of an object share.
pub(super) struct Line<'a> {
    pub(super) subject: &'a RecordBatch,
    pub(super) before: &'a Before<'a>,
    pub(super) classes: &'a [String],
    pub(super) seed: u64,
}

/// A row: what it is about, and what came of it if it was attacked.
struct Row<'a> {
    target: Option<usize>,
    p_before: Option<f64>,
    flipped: bool,
    reason: &'a str,
    outcome: Option<&'a Outcome>,
}

fn item(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("item", data_type, true))
}

fn length(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

impl Table {
    pub(super) fn new(pixels: &Pixels, latent: Option<usize>, model: Option<&str>) -> Self {
        let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
        let place =
            |name| Field::new(name, DataType::FixedSizeList(item(DataType::UInt32), length(pixels.count)), true);
        let values = |name| {
            let metadata = tensor_metadata(&[pixels.count, pixels.bands], &["pixel", "band"]);
            Field::new(name, list_type(pixels.count * pixels.bands), true).with_metadata(metadata)
        };
        let mut fields = vec![
            text(OBJECT_ID, false),
            text(ORIGIN, false),
            text("label_true", true),
            text("label_pred", false),
            text("label_target", true),
            Field::new("p_before", DataType::Float64, true),
            Field::new("p_after", DataType::Float64, true),
            Field::new("success", DataType::Boolean, true),
            Field::new("flipped", DataType::Boolean, false),
            place("pixel_row"),
            place("pixel_column"),
            values("pixel_values"),
        ];
        if pixels.adds() {
            fields.push(values("pixel_electrons"));
        }
        fields.extend([
            Field::new("iterations", DataType::UInt32, true),
            Field::new("queries", DataType::UInt64, false),
            Field::new("screening_queries", DataType::UInt64, false),
            text("stop_reason", false),
        ]);
        if let Some(latent) = latent {
            let metadata = model.map(|model| ("model".to_owned(), model.to_owned())).into_iter().collect();
            fields.push(Field::new("latent_after", list_type(latent), true).with_metadata(metadata));
            fields.push(Field::new("latent_dist_l2", DataType::Float64, true));
        }
        fields.push(Field::new("seed", DataType::UInt64, false));
        Self { schema: Arc::new(Schema::new(fields)), pixels: pixels.clone(), latent, images: Vec::new() }
    }

    /// The same table with images of what is flipped, in columns of their names.
    pub(super) fn with_images(self, images: Vec<FieldRef>) -> Result<Self, Vec<Diagnostic>> {
        let taken: Vec<Diagnostic> = images.iter().filter_map(|image| images::taken(image, &self.schema)).collect();
        if !taken.is_empty() {
            return Err(taken);
        }
        let fields: Vec<FieldRef> = self.schema.fields().iter().chain(&images).cloned().collect();
        Ok(Self { schema: Arc::new(Schema::new(fields)), images, ..self })
    }

    pub(super) const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The row of an object that was not attacked.
    pub(super) fn skipped(&self, line: &Line<'_>, reason: &str) -> Result<RecordBatch> {
        self.rows(line, &[Row { target: None, p_before: None, flipped: false, reason, outcome: None }])
    }

    /// The rows of the attacks on an object.
    pub(super) fn attacked(&self, line: &Line<'_>, outcomes: &[(Goal, Outcome)]) -> Result<RecordBatch> {
        let rows: Vec<Row<'_>> = outcomes
            .iter()
            .map(|(goal, outcome)| Row {
                target: goal.target(),
                p_before: Some(goal.probability(&line.before.said.logits)),
                flipped: outcome.success && line.before.is_right,
                reason: outcome.stop_reason,
                outcome: Some(outcome),
            })
            .collect();
        self.rows(line, &rows)
    }

    fn rows(&self, line: &Line<'_>, rows: &[Row<'_>]) -> Result<RecordBatch> {
        let Line { subject, before, classes, seed } = line;
        let id = object_id(subject, 0)?;
        let origin = origin(subject, 0)?;
        let class = |class: usize| classes.get(class).map(String::as_str);
        let text = |of: &dyn Fn(&Row<'_>) -> Option<String>| -> ArrayRef {
            Arc::new(rows.iter().map(of).collect::<StringArray>())
        };
        let number = |of: &dyn Fn(&Row<'_>) -> Option<f64>| -> ArrayRef {
            Arc::new(rows.iter().map(of).collect::<Float64Array>())
        };
        let mut columns: Vec<ArrayRef> = vec![
            text(&|_| Some(id.to_owned())),
            text(&|_| Some(origin.to_owned())),
            text(&|_| before.truth.clone()),
            text(&|_| class(before.class).map(str::to_owned)),
            text(&|row| class(row.target?).map(str::to_owned)),
            number(&|row| row.p_before),
            number(&|row| row.outcome.map(|outcome| outcome.p_after)),
            Arc::new(rows.iter().map(|row| row.outcome.map(|outcome| outcome.success)).collect::<BooleanArray>()),
            Arc::new(rows.iter().map(|row| Some(row.flipped)).collect::<BooleanArray>()),
            self.places(rows, |(row, _)| row),
            self.places(rows, |(_, column)| column),
            floats(rows, self.pixels.count * self.pixels.bands, |outcome| &outcome.values),
        ];
        if self.pixels.adds() {
            columns.push(floats(rows, self.pixels.count * self.pixels.bands, |outcome| &outcome.electrons));
        }
        columns.extend([
            Arc::new(rows.iter().map(|row| row.outcome.map(|o| o.iterations)).collect::<UInt32Array>()) as ArrayRef,
            Arc::new(rows.iter().map(|row| Some(row.outcome.map_or(0, |o| o.queries))).collect::<UInt64Array>()),
            Arc::new(
                rows.iter().map(|row| Some(row.outcome.map_or(0, |o| o.screening_queries))).collect::<UInt64Array>(),
            ),
            text(&|row| Some(row.reason.to_owned())),
        ]);
        if let Some(latent) = self.latent {
            columns.push(floats(rows, latent, |outcome| &outcome.latent));
            columns.push(number(&|row| row.outcome.map(|outcome| l2(&before.said.latents, &outcome.latent))));
        }
        columns.push(Arc::new(rows.iter().map(|_| Some(*seed)).collect::<UInt64Array>()));
        let flipped = rows.iter().position(|row| row.flipped);
        for image in &self.images {
            columns.push(images::column(subject, image.name(), flipped, rows.len())?);
        }
        RecordBatch::try_new(self.schema.clone(), columns).map_err(Error::from)
    }

    fn places(&self, rows: &[Row<'_>], of: fn((u32, u32)) -> u32) -> ArrayRef {
        let count = self.pixels.count;
        let mut lists =
            FixedSizeListBuilder::new(UInt32Builder::new(), length(count)).with_field(item(DataType::UInt32));
        for row in rows {
            match row.outcome {
                Some(outcome) => {
                    outcome.places.iter().for_each(|place| {
                        lists.values().append_value(of(self.pixels.row_and_column(*place)));
                    });
                }
                None => lists.values().append_nulls(count),
            }
            lists.append(row.outcome.is_some());
        }
        Arc::new(lists.finish())
    }
}

/// Lists of floats, null where nothing was attacked.
fn floats(rows: &[Row<'_>], n: usize, of: fn(&Outcome) -> &Vec<f32>) -> ArrayRef {
    let mut lists = FixedSizeListBuilder::new(Float32Builder::new(), length(n)).with_field(item(DataType::Float32));
    for row in rows {
        match row.outcome {
            Some(outcome) => lists.values().append_slice(of(outcome)),
            None => lists.values().append_nulls(n),
        }
        lists.append(row.outcome.is_some());
    }
    Arc::new(lists.finish())
}
