//! The table of the monitor: a row per point.

use super::drawing::{DrawnPoint, EmbeddingInfo, PointResult};
use crate::{
    batch::{OBJECT_ID, ORIGIN},
    monitor::kit::table::TableSpec,
};

/// A point, its coordinates and the embedding they belong to.
pub(super) struct IsomapRow<'a> {
    pub(super) point: DrawnPoint<'a>,
    pub(super) result: &'a PointResult,
    pub(super) embedding: EmbeddingInfo,
}

impl IsomapRow<'_> {
    fn coordinate(&self, axis: usize) -> Option<f64> {
        self.result.as_ref().ok()?.get(axis).copied()
    }
}

pub(super) fn table<'a>() -> TableSpec<IsomapRow<'a>> {
    TableSpec::<IsomapRow<'a>>::new()
        .text(OBJECT_ID, |row| &row.point.object.object_id)
        .text(ORIGIN, |row| &row.point.object.origin)
        .text("score", |row| row.point.score)
        .text("role", |row| row.point.role)
        .optional_text("label_true", |row| row.point.object.truth.as_deref())
        .optional_text("class", |row| row.point.class)
        .optional_text("reason", |row| row.result.as_ref().err().copied())
        .optional_number("x", |row| row.coordinate(0))
        .optional_number("y", |row| row.coordinate(1))
        .optional_number("z", |row| row.coordinate(2))
        .optional_count("parts", |row| row.embedding.parts)
        .count("n", |row| row.embedding.n)
}
