//! The table of the monitor: a row per object and target.

use std::collections::HashMap;

use arrow::{
    array::{RecordBatch, new_empty_array},
    datatypes::{FieldRef, Float32Type, SchemaRef},
};

use super::{
    attack::{Goal, Outcome},
    images,
};
use crate::{
    batch::{OBJECT_ID, ORIGIN, object_id, origin, tensor_metadata},
    error::{Diagnostic, Error, Result},
    monitor::kit::{pixels::PixelDecoder, table::TableSpec, target::Unperturbed},
    stats::distance::l2,
};

/// What determines the columns of the table.
#[derive(Debug, Clone)]
pub(super) struct AttackTable {
    pixels: PixelDecoder,
    /// The length of latents; `None` if the model has none.
    latent: Option<usize>,
    /// The file of the model.
    model: Option<String>,
    /// The images to keep: the last columns.
    images: Vec<FieldRef>,
}

/// What all rows of an object share.
#[derive(Clone, Copy)]
pub(super) struct AttackSubject<'a> {
    /// The row of the stream.
    pub(super) subject: &'a RecordBatch,
    pub(super) before: &'a Unperturbed<'a>,
    pub(super) classes: &'a [String],
    pub(super) seed: u64,
}

/// A row: an object, and the attack on it if it was attacked.
struct AttackRow<'a> {
    of: AttackSubject<'a>,
    object_id: &'a str,
    origin: &'a str,
    /// The class before.
    class: &'a str,
    target: Option<usize>,
    p_before: Option<f64>,
    flipped: bool,
    reason: &'a str,
    attack: Option<RowAttack<'a>>,
}

/// The attack of a row.
struct RowAttack<'a> {
    outcome: &'a Outcome,
    /// The changed pixels.
    rows: Vec<u32>,
    columns: Vec<u32>,
}

impl<'a> AttackRow<'a> {
    /// The row of an object that was not attacked.
    fn of(of: AttackSubject<'a>, reason: &'a str) -> Result<Self> {
        let class = of.classes.get(of.before.class).ok_or_else(|| {
            let (class, classes) = (of.before.class, of.classes.len());
            Error::bug(format!("the model predicts class {class}, its score lists {classes} classes"))
        })?;
        Ok(Self {
            class,
            object_id: object_id(of.subject, 0)?,
            origin: origin(of.subject, 0)?,
            of,
            target: None,
            p_before: None,
            flipped: false,
            reason,
            attack: None,
        })
    }

    fn target(&self) -> Option<&'a str> {
        self.of.classes.get(self.target?).map(String::as_str)
    }

    fn outcome(&self) -> Option<&Outcome> {
        self.attack.as_ref().map(|attack| attack.outcome)
    }
}

impl AttackTable {
    pub(super) fn new(pixels: &PixelDecoder, latent: Option<usize>, model: Option<&str>) -> Self {
        Self { pixels: pixels.clone(), latent, model: model.map(str::to_owned), images: Vec::new() }
    }

    /// The same table with images of flipped objects, in columns of their names.
    pub(super) fn with_images(self, images: Vec<FieldRef>) -> Result<Self, Vec<Diagnostic>> {
        let schema = self.schema();
        let taken: Vec<Diagnostic> = images.iter().filter_map(|image| images::taken(image, &schema)).collect();
        if taken.is_empty() { Ok(Self { images, ..self }) } else { Err(taken) }
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.spec().schema()
    }

    /// The row of an object that was not attacked.
    pub(super) fn skipped(&self, of: &AttackSubject<'_>, reason: &str) -> Result<RecordBatch> {
        self.spec().batch(&[AttackRow::of(*of, reason)?])
    }

    /// The rows of the attacks on an object.
    pub(super) fn attacked(&self, of: &AttackSubject<'_>, outcomes: &[(Goal, Outcome)]) -> Result<RecordBatch> {
        let mut rows = Vec::with_capacity(outcomes.len());
        for (goal, outcome) in outcomes {
            let (pixel_rows, columns) = outcome.places.iter().map(|place| self.pixels.row_and_column(*place)).unzip();
            rows.push(AttackRow {
                target: goal.target(),
                p_before: Some(goal.probability(&of.before.outputs.logits)),
                flipped: outcome.success && of.before.is_right,
                attack: Some(RowAttack { outcome, rows: pixel_rows, columns }),
                ..AttackRow::of(*of, outcome.stop_reason)?
            });
        }
        self.spec().batch(&rows)
    }

    /// The columns, in order.
    #[allow(
        clippy::redundant_closure_for_method_calls,
        reason = "the path of the method would fix the lifetime of the row"
    )]
    fn spec<'a>(&self) -> TableSpec<AttackRow<'a>> {
        let (count, values) = (self.pixels.count, self.pixels.count * self.pixels.bands);
        let tensor = || tensor_metadata(&[self.pixels.count, self.pixels.bands], &["pixel", "band"]);
        let mut table = TableSpec::<AttackRow<'a>>::new()
            .text(OBJECT_ID, |row| row.object_id)
            .text(ORIGIN, |row| row.origin)
            .optional_text("label_true", |row| row.of.before.truth.as_deref())
            .text("label_pred", |row| row.class)
            .optional_text("label_target", |row| row.target())
            .optional_number("p_before", |row| row.p_before)
            .optional_number("p_after", |row| Some(row.outcome()?.p_after))
            .optional_flag("success", |row| Some(row.outcome()?.success))
            .flag("flipped", |row| row.flipped)
            .optional_indices::<u32>("pixel_row", count, |row| Some(&row.attack.as_ref()?.rows))
            .optional_indices::<u32>("pixel_column", count, |row| Some(&row.attack.as_ref()?.columns))
            .optional_vector::<Float32Type>("pixel_values", values, |row| Some(&row.outcome()?.values))
            .with_metadata(tensor());
        if let Some(added) = self.pixels.added_column() {
            table = table
                .optional_vector::<Float32Type>(added, values, |row| Some(&row.outcome()?.added))
                .with_metadata(tensor());
        }
        table = table
            .optional_small_count("iterations", |row| Some(row.outcome()?.iterations))
            .count("queries", |row| row.outcome().map_or(0, |outcome| outcome.queries))
            .count("screening_queries", |row| row.outcome().map_or(0, |outcome| outcome.screening_queries))
            .text("stop_reason", |row| row.reason);
        if let Some(latent) = self.latent {
            let model: HashMap<String, String> =
                self.model.iter().map(|model| ("model".to_owned(), model.clone())).collect();
            table = table
                .optional_vector::<Float32Type>("latent_after", latent, |row| Some(&row.outcome()?.latent))
                .with_metadata(model)
                .optional_number("latent_dist_l2", |row| {
                    Some(l2(&row.of.before.outputs.latents, &row.outcome()?.latent))
                });
        }
        table = table.count("seed", |row| row.of.seed);
        for image in &self.images {
            let name = image.name().clone();
            let data_type = image.data_type().clone();
            table = table.column(image.as_ref().clone(), move |rows| {
                let Some(first) = rows.first() else { return Ok(new_empty_array(&data_type)) };
                let flipped = rows.iter().position(|row| row.flipped);
                images::column(first.of.subject, &name, flipped, rows.len())
            });
        }
        table
    }
}
