//! The table of the monitor: a row per object, and one over all objects.

use arrow::datatypes::Float64Type;

use super::settings::LatentDistance;
use crate::{
    batch::{OBJECT_ID, ORIGIN, metadata_list},
    monitor::kit::table::TableSpec,
};

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum DistanceRow {
    Object(ObjectDistance),
    Total(Box<DistanceTotal>),
}

/// The distances of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ObjectDistance {
    pub(super) object_id: String,
    pub(super) origin: String,
    pub(super) distance: Option<f64>,
    pub(super) versus: Option<f64>,
    /// Whether all upstream attacks flipped it; `None` if there is no attack.
    pub(super) flipped: Option<bool>,
}

/// Statistics of the distances of one pair.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct DistanceSummary {
    pub(super) median: Option<f64>,
    pub(super) mean: Option<f64>,
    pub(super) standard_error: Option<f64>,
    /// Empty if there are no distances.
    pub(super) quantiles: Vec<f64>,
}

/// How far the distributions of two pairs' distances are apart.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Divergence {
    /// The Jensen-Shannon distance, natural logarithm.
    pub(super) distance: Option<f64>,
    pub(super) base_2: Option<f64>,
    pub(super) null_median: Option<f64>,
    pub(super) null_p95: Option<f64>,
    pub(super) p_value: Option<f64>,
}

/// Statistics over all objects.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct DistanceTotal {
    /// Rows about objects.
    pub(super) objects: u64,
    /// Objects that the statistics cover.
    pub(super) n: u64,
    pub(super) own: DistanceSummary,
    pub(super) versus: DistanceSummary,
    pub(super) divergence: Divergence,
}

impl DistanceRow {
    const fn object(&self) -> Option<&ObjectDistance> {
        match self {
            Self::Object(object) => Some(object),
            Self::Total(_) => None,
        }
    }

    const fn total(&self) -> Option<&DistanceTotal> {
        match self {
            Self::Object(_) => None,
            Self::Total(total) => Some(total),
        }
    }
}

/// The table. The metadata of a distance names the two labels it is measured between, that of quantiles lists them.
pub(super) fn table(settings: &LatentDistance) -> TableSpec<DistanceRow> {
    let LatentDistance { from, to, versus, quantiles, .. } = settings;
    let ends = |from: &str, to: &str| [("from".to_owned(), from.to_owned()), ("to".to_owned(), to.to_owned())].into();
    let versus = versus.as_ref().map(|versus| ends(&versus.from, &versus.to)).unwrap_or_default();
    let n = quantiles.len();
    let written = || [("quantiles".to_owned(), metadata_list(quantiles))].into();
    TableSpec::<DistanceRow>::new()
        .text("scope", |row| if row.object().is_some() { "object" } else { "total" })
        .optional_text(OBJECT_ID, |row| Some(&row.object()?.object_id))
        .optional_text(ORIGIN, |row| Some(&row.object()?.origin))
        .optional_number("distance", |row| row.object()?.distance)
        .with_metadata(ends(from, to))
        .optional_number("versus_distance", |row| row.object()?.versus)
        .with_metadata(versus)
        .optional_flag("flipped", |row| row.object()?.flipped)
        .optional_count("objects", |row| Some(row.total()?.objects))
        .optional_count("n", |row| Some(row.total()?.n))
        .optional_number("median", |row| row.total()?.own.median)
        .optional_number("mean", |row| row.total()?.own.mean)
        .optional_number("standard_error", |row| row.total()?.own.standard_error)
        .optional_vector::<Float64Type>("quantiles", n, move |row| quantiles_of(&row.total()?.own, n))
        .with_metadata(written())
        .optional_number("versus_median", |row| row.total()?.versus.median)
        .optional_number("versus_mean", |row| row.total()?.versus.mean)
        .optional_number("versus_standard_error", |row| row.total()?.versus.standard_error)
        .optional_vector::<Float64Type>("versus_quantiles", n, move |row| quantiles_of(&row.total()?.versus, n))
        .with_metadata(written())
        .optional_number("js_distance", |row| row.total()?.divergence.distance)
        .optional_number("js_distance_base2", |row| row.total()?.divergence.base_2)
        .optional_number("js_null_median", |row| row.total()?.divergence.null_median)
        .optional_number("js_null_p95", |row| row.total()?.divergence.null_p95)
        .optional_number("js_p_value", |row| row.total()?.divergence.p_value)
}

/// The quantiles of a summary; `None` if there are no distances.
fn quantiles_of(summary: &DistanceSummary, n: usize) -> Option<&[f64]> {
    (summary.quantiles.len() == n).then_some(summary.quantiles.as_slice())
}
