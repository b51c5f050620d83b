//! Drift of latents away from a reference.

use serde_json::Value;

use super::{Context, SectionItem, pairs, quoted};
use crate::{
    error::Result,
    report::chart::{
        axis::{ChartAxis, Ticks},
        marks::{Mark, MarkStyle},
        palette::{ALARM, series},
        panel::{ChartLayer, ChartShape, Panel, draw},
    },
};

/// The most rows with a tick label each.
const MAX_LABELS: usize = 24;
/// The name of both dashed lines, so that the legend has it once.
const THRESHOLD: &str = "threshold of MMD², level of the test";

pub(super) fn items(context: &Context<'_>, label: &str) -> Result<Vec<SectionItem>> {
    let result = context.query(&format!(
        "select \"window\", first_row, last_row, value, segment, n, reference_n, mmd2, mmd2_threshold,
            coalesce(p_val_adjusted, p_val) as p_val, threshold, is_drift, js_class, js_latent, expected_false_alarms, reason
        from (
            select *, row_number() over (order by \"window\", segment) - 1 as row_index, 1 + count(*) over () / 1000 as stride
            from {}
        )
        where row_index % stride = 0 or is_drift
        order by \"window\", segment
        limit 4000",
        quoted(label)
    ))?;
    if result.is_empty() {
        return Ok(Vec::new());
    }
    let (mmd2, mmd2_threshold) = (result.numbers("mmd2")?, result.numbers("mmd2_threshold")?);
    let (p, level) = (result.numbers("p_val")?, result.numbers("threshold")?);
    let position: Vec<Option<f64>> = (0..result.len()).map(|i| Some(i as f64)).collect();
    let is_drift = result.booleans("is_drift")?;
    let (value, segment) = (result.strings("value")?, result.strings("segment")?);
    let windows = result.numbers("window")?;
    let name = |i: usize| match (&value[i], &segment[i]) {
        (Some(value), None) => value.clone(),
        (_, Some(segment)) => segment.clone(),
        _ => windows[i].map_or_else(String::new, |window| window.to_string()),
    };
    let x_label = if segment.iter().any(Option::is_some) { "segment, in order of windows" } else { "window" };
    let x = || {
        if result.len() <= MAX_LABELS {
            ChartAxis::names(x_label, (0..result.len()).map(name).collect())
        } else {
            ChartAxis::between(x_label, -0.5, result.len() as f64 - 0.5)
        }
    };
    let log10 = |values: &[Option<f64>]| -> Vec<Option<f64>> {
        values.iter().map(|value| value.map(|value| value.max(1e-12).log10())).collect()
    };
    let points = |values: &[Option<f64>], wanted: bool| -> Vec<(f64, f64)> {
        let kept = values.iter().zip(&is_drift).map(|(v, drift)| v.filter(|_| drift.unwrap_or(false) == wanted));
        pairs(&position, &kept.collect::<Vec<_>>())
    };
    let layers = |values: &[Option<f64>], threshold: &[Option<f64>]| {
        let marks =
            |mark, wanted| ChartShape::Marks(MarkStyle { mark, radius: 4.5, outlined: wanted }, points(values, wanted));
        vec![
            ChartLayer::new(THRESHOLD.to_owned(), series(1), ChartShape::Dashes(pairs(&position, threshold))),
            ChartLayer::new(None, series(0), ChartShape::Line(pairs(&position, values))),
            ChartLayer::new("no drift".to_owned(), series(0), marks(Mark::Dot, false)),
            ChartLayer::new("drift".to_owned(), ALARM, marks(Mark::Diamond, true)),
        ]
    };
    let known = |a: &[Option<f64>], b: &[Option<f64>]| -> Vec<f64> { a.iter().chain(b).copied().flatten().collect() };
    let (log_p, log_level) = (log10(&p), log10(&level));
    let p_axis = ChartAxis::over("p-value", known(&log_p, &log_level).into_iter().chain([0.0]));
    let panels = [
        Panel {
            x: x(),
            y: ChartAxis::over("MMD²", known(&mmd2, &mmd2_threshold)),
            layers: layers(&mmd2, &mmd2_threshold),
            height: 250,
        },
        Panel {
            x: x(),
            y: ChartAxis { ticks: Ticks::Decades, ..p_axis },
            layers: layers(&log_p, &log_level),
            height: 220,
        },
    ];
    let kernels = context.record.monitors.get(label).map(kernel_note).unwrap_or_default();
    let caption = "Maximum mean discrepancy between each window and the reference (unbiased, so it can be negative), and the p-value of the \
                   test, adjusted if several segments are tested. A window whose point is beyond the dashed line has drifted. Above 1,000 \
                   rows, every k-th row is drawn and all rows with drift, at most 4,000.";
    let caption = format!("{caption}{kernels}");
    Ok(vec![SectionItem::figure(label.to_owned(), format!("Drift: {label}"), &caption, &result, draw(&panels)?)?])
}

/// Which kernels were used, if the run record has them: those of earlier versions do not.
fn kernel_note(provenance: &Value) -> String {
    let Some(variances) = provenance["variances"].as_array() else { return String::new() };
    let numbers: Vec<f64> = variances.iter().filter_map(Value::as_f64).collect();
    let (Some(widest), Some(narrowest)) = (numbers.first(), numbers.last()) else { return String::new() };
    let median = provenance["median_squared_distance"].as_f64().unwrap_or(f64::NAN);
    let kernels = match numbers.len() {
        1 => format!("one kernel of variance {widest:.2e}"),
        count => format!("{count} kernels of variances {narrowest:e} to {widest:e}"),
    };
    let name = provenance["kernel"].as_str().unwrap_or_default();
    format!(" Kernels: {name}, {kernels}; the median squared distance within the reference is {median:.2e}.")
}
