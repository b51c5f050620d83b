//! The table of the monitor: a row per window, or per segment of a window.

use super::{settings::LatentDrift, windows::StreamWindow};
use crate::{monitor::kit::table::TableSpec, stats::mmd::Discrepancy};

/// Why a sample is not tested whose rows the kernels do not tell apart.
pub(super) const BLIND: &str = "all pairs of rows have the same kernel value";

/// Why a sample of one row is not tested.
pub(super) const TOO_FEW_ROWS: &str = "fewer than 2 rows";

/// The test of a sample.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct TestResult {
    /// Rows of the sample.
    pub(super) n: u64,
    /// Those that are rows of the reference too; `None` if some were not looked at.
    pub(super) in_reference: Option<u64>,
    pub(super) discrepancy: Option<Discrepancy>,
    /// The quantile of the null at the level of the test.
    pub(super) mmd2_threshold: Option<f64>,
    pub(super) p_value: Option<f64>,
    pub(super) js_class: Option<f64>,
    pub(super) js_class_p_value: Option<f64>,
    pub(super) js_latent: Option<f64>,
    /// The latent dimension with the distance `js_latent`.
    pub(super) js_dimension: Option<u64>,
    pub(super) js_latent_p_value: Option<f64>,
    /// Why there is no test.
    pub(super) reason: Option<&'static str>,
}

impl TestResult {
    /// A sample of `n` rows that is not tested.
    pub(super) fn untested(n: u64, reason: &'static str) -> Self {
        Self { n, reason: Some(reason), ..Self::default() }
    }
}

/// What all rows of a window share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct WindowContext<'a> {
    pub(super) window: &'a StreamWindow,
    /// Rows of the reference.
    pub(super) reference_rows: u64,
    /// The name of the kernels.
    pub(super) kernel: &'static str,
    /// The level of the test.
    pub(super) threshold: f64,
    /// False alarms expected so far, this window included; `None` if their rate is controlled.
    pub(super) expected_false_alarms: Option<f64>,
}

/// A row: a window, or a segment of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DriftRow<'a> {
    pub(super) context: WindowContext<'a>,
    pub(super) segment: Option<String>,
    pub(super) result: TestResult,
    /// The p-value, adjusted for the number of segments.
    pub(super) adjusted_p_value: Option<f64>,
    pub(super) is_drift: Option<bool>,
}

/// The table. The metadata of `reference_n` names the reference and its domain.
pub(super) fn table<'a>(settings: &LatentDrift) -> TableSpec<DriftRow<'a>> {
    let reference = [("reference".to_owned(), settings.reference.display().to_string())];
    let domain = settings.domain.iter().map(|domain| ("domain".to_owned(), domain.clone()));
    TableSpec::<DriftRow<'a>>::new()
        .count("window", |row| row.context.window.number)
        .count("first_row", |row| row.context.window.first)
        .count("last_row", |row| row.context.window.last)
        .optional_text("value", |row| row.context.window.value.as_deref())
        .optional_text("segment", |row| row.segment.as_deref())
        .count("n", |row| row.result.n)
        .count("reference_n", |row| row.context.reference_rows)
        .with_metadata(reference.into_iter().chain(domain).collect())
        .optional_number("mmd2", |row| Some(row.result.discrepancy?.unbiased))
        .optional_number("mmd2_biased", |row| Some(row.result.discrepancy?.biased))
        .optional_number("mmd2_threshold", |row| row.result.mmd2_threshold)
        .optional_number("p_val", |row| row.result.p_value)
        .optional_number("p_val_adjusted", |row| row.adjusted_p_value)
        .optional_number("threshold", |row| Some(row.context.threshold))
        .optional_flag("is_drift", |row| row.is_drift)
        .optional_number("js_class", |row| row.result.js_class)
        .optional_number("js_class_p_val", |row| row.result.js_class_p_value)
        .optional_number("js_latent", |row| row.result.js_latent)
        .optional_count("js_latent_dimension", |row| row.result.js_dimension)
        .optional_number("js_latent_p_val", |row| row.result.js_latent_p_value)
        .optional_number("expected_false_alarms", |row| row.context.expected_false_alarms)
        .optional_text("reason", |row| row.result.reason)
        .text("kernel", |row| row.context.kernel)
        .optional_count("n_in_reference", |row| row.result.in_reference)
}
