//! The table of the monitor: a row per object.

use arrow::datatypes::Float64Type;

use crate::{
    batch::{OBJECT_ID, ORIGIN, metadata_list, tensor_metadata},
    monitor::kit::table::TableSpec,
    stats::church_window::Grid,
};

/// The window of an object.
pub(super) struct DrawnWindow {
    /// The class at the origin.
    pub(super) class: usize,
    /// The lengths of the axes across and up, in latent space.
    pub(super) lengths: [f64; 2],
    pub(super) angle_deg: Option<f64>,
    /// The fraction of the window that each class covers.
    pub(super) areas: Vec<f64>,
    /// The distances to the boundaries along +across, -across, +up and -up, in latent space.
    pub(super) boundaries: [Option<f64>; 4],
    /// Classes, `[y, x]`.
    pub(super) window: Vec<u8>,
}

/// A row: the window of an object, or the reason why it has none.
pub(super) struct ChurchWindowRow<'a> {
    pub(super) id: &'a str,
    pub(super) origin: &'a str,
    pub(super) truth: Option<&'a str>,
    /// The classes of the model.
    pub(super) classes: &'a [String],
    pub(super) drawn: Result<&'a DrawnWindow, &'a str>,
}

const BOUNDARIES: [&str; 4] = ["boundary_across", "boundary_across_back", "boundary_up", "boundary_up_back"];

impl<'a> ChurchWindowRow<'a> {
    fn drawn(&self) -> Option<&'a DrawnWindow> {
        self.drawn.ok()
    }
}

/// The table for windows over `grid`, of a model with these classes.
pub(super) fn table<'a>(classes: &[String], grid: &Grid) -> TableSpec<ChurchWindowRow<'a>> {
    let side = grid.side();
    let named = ("classes".to_owned(), metadata_list(classes));
    let mut table = TableSpec::<ChurchWindowRow<'a>>::new()
        .text(OBJECT_ID, |row| row.id)
        .text(ORIGIN, |row| row.origin)
        .optional_text("label_true", |row| row.truth)
        .optional_text("class", |row| row.classes.get(row.drawn()?.class).map(String::as_str))
        .optional_text("reason", |row| row.drawn.err())
        .optional_number("across_length", |row| Some(row.drawn()?.lengths[0]))
        .optional_number("up_length", |row| Some(row.drawn()?.lengths[1]))
        .optional_number("angle_deg", |row| row.drawn()?.angle_deg);
    for (i, boundary) in BOUNDARIES.into_iter().enumerate() {
        table = table.optional_number(boundary, move |row| row.drawn()?.boundaries[i]);
    }
    let mut metadata = tensor_metadata(&[side, side], &["up", "across"]);
    metadata.extend([
        named.clone(),
        ("extent".to_owned(), grid.extent().to_string()),
        ("step".to_owned(), grid.step.to_string()),
    ]);
    table
        .optional_vector::<Float64Type>("areas", classes.len(), |row| Some(&row.drawn()?.areas))
        .with_metadata([named].into())
        .optional_indices::<u8>("window", side * side, |row| Some(&row.drawn()?.window))
        .with_metadata(metadata)
}
