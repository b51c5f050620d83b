//! The table of the monitor: a row per object.

use arrow::datatypes::Float32Type;

use crate::{
    batch::{OBJECT_ID, ORIGIN, tensor_metadata},
    monitor::kit::table::TableSpec,
};

/// The map of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DropMap {
    pub(super) p_before: f64,
    /// The largest drop at every pixel, `[y, x]`.
    pub(super) drops: Vec<f32>,
    /// Pixels for which some value gives another class.
    pub(super) flipping: u32,
    pub(super) candidates: u64,
    /// Candidates that the model has scored again.
    pub(super) rescored: u64,
}

/// A row: the map of an object, or the reason why it was skipped.
pub(super) struct PixelMapRow<'a> {
    pub(super) object_id: &'a str,
    pub(super) origin: &'a str,
    pub(super) truth: Option<&'a str>,
    /// The class before.
    pub(super) class: Option<&'a str>,
    pub(super) map: Result<&'a DropMap, &'a str>,
}

impl DropMap {
    pub(super) const fn new(p_before: f64) -> Self {
        Self { p_before, drops: Vec::new(), flipping: 0, candidates: 0, rescored: 0 }
    }

    /// Adds the next pixel.
    pub(super) fn push(&mut self, drop: f64, flips: bool) {
        self.drops.push(drop as f32);
        self.flipping += u32::from(flips);
    }

    /// The index of the largest drop, the first of equal ones.
    fn largest(&self) -> usize {
        (1..self.drops.len()).fold(0, |best, i| if self.drops[i] > self.drops[best] { i } else { best })
    }
}

impl<'a> PixelMapRow<'a> {
    fn map(&self) -> Option<&'a DropMap> {
        self.map.ok()
    }
}

/// The table of maps of images of `height` x `width` pixels.
pub(super) fn table<'a>(height: usize, width: usize) -> TableSpec<PixelMapRow<'a>> {
    let index = |index: usize| u32::try_from(index).ok();
    TableSpec::<PixelMapRow<'a>>::new()
        .text(OBJECT_ID, |row| row.object_id)
        .text(ORIGIN, |row| row.origin)
        .optional_text("label_true", |row| row.truth)
        .optional_text("label_pred", |row| row.class)
        .optional_number("p_before", |row| Some(row.map()?.p_before))
        .optional_number("largest_drop", |row| row.map().map(|map| f64::from(map.drops[map.largest()])))
        .optional_small_count("pixel_row", move |row| index(row.map()?.largest() / width))
        .optional_small_count("pixel_column", move |row| index(row.map()?.largest() % width))
        .optional_small_count("flipping_pixels", |row| Some(row.map()?.flipping))
        .optional_flag("flips", |row| Some(row.map()?.flipping > 0))
        .count("candidates", |row| row.map().map_or(0, |map| map.candidates))
        .count("rescored", |row| row.map().map_or(0, |map| map.rescored))
        .optional_text("reason", |row| row.map.err())
        .optional_vector::<Float32Type>("drop", height * width, |row| Some(&row.map()?.drops))
        .with_metadata(tensor_metadata(&[height, width], &["y", "x"]))
}
