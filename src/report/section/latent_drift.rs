//! Whether latents have left the domain that a model knows.

use super::{Context, Item, pairs, quoted};
use crate::{
    error::Result,
    report::chart::{
        axis::{Axis, Ticks},
        marks::Mark,
        palette::{ALARM, series},
        panel::{Layer, Panel, Shape, draw},
    },
};

pub(super) fn show(context: &Context<'_>, label: &str) -> Result<Vec<Item>> {
    let answer = context.ask(&format!(
        "select \"window\", first_row, last_row, value, segment, n, reference_n, mmd2, mmd2_threshold,
            coalesce(p_val_adjusted, p_val) as p_val, threshold, is_drift, js_class, js_latent, expected_false_alarms, reason
        from (
            select *, row_number() over (order by \"window\", segment) - 1 as place, 1 + count(*) over () / 1000 as together
            from {}
        )
        where place % together = 0 or is_drift
        order by \"window\", segment
        limit 4000",
        quoted(label)
    ))?;
    if answer.is_empty() {
        return Ok(Vec::new());
    }
    let number = |name| answer.numbers(name);
    let (mmd2, limit, p, level) = (number("mmd2")?, number("mmd2_threshold")?, number("p_val")?, number("threshold")?);
    let places: Vec<Option<f64>> = (0..answer.len()).map(|i| Some(i as f64)).collect();
    let drifted = answer.flags("is_drift")?;
    let (value, segment) = (answer.texts("value")?, answer.texts("segment")?);
    let windows = number("window")?;
    let name = |i: usize| match (&value[i], &segment[i]) {
        (Some(value), None) => value.clone(),
        (_, Some(segment)) => segment.clone(),
        _ => windows[i].map_or_else(String::new, |window| window.to_string()),
    };
    let x = |label: &str| {
        let names = Axis::names(label, (0..answer.len()).map(name).collect());
        if answer.len() <= 24 { names } else { Axis::between(label, -0.5, answer.len() as f64 - 0.5) }
    };
    let decimal = |values: &[Option<f64>]| -> Vec<Option<f64>> {
        values.iter().map(|value| value.map(|value| value.max(1e-12).log10())).collect()
    };
    let only = |values: &[Option<f64>], wanted: bool| -> Vec<(f64, f64)> {
        let kept = values.iter().zip(&drifted).map(|(v, d)| v.filter(|_| d.unwrap_or(false) == wanted));
        pairs(&places, &kept.collect::<Vec<_>>())
    };
    let layers = |values: &[Option<f64>], line: &[Option<f64>], bound: &str| {
        let marks = |mark, wanted| Shape::Marks { mark, radius: 4.5, outlined: wanted, at: only(values, wanted) };
        vec![
            Layer::new(bound.to_owned(), series(1), Shape::Dashes(pairs(&places, line))),
            Layer::new(None, series(0), Shape::Line(pairs(&places, values))),
            Layer::new("no drift".to_owned(), series(0), marks(Mark::Dot, false)),
            Layer::new("drift".to_owned(), ALARM, marks(Mark::Diamond, true)),
        ]
    };
    let known = |a: &[Option<f64>], b: &[Option<f64>]| -> Vec<f64> { a.iter().chain(b).copied().flatten().collect() };
    let (log_p, log_level) = (decimal(&p), decimal(&level));
    let log_p_axis =
        Axis { ticks: Ticks::Decades, ..Axis::over("p-value", known(&log_p, &log_level).into_iter().chain([0.0])) };
    let what = if segment.iter().any(Option::is_some) { "segment, window after window" } else { "window" };
    let panels = [
        Panel {
            x: x(what),
            y: Axis::over("MMD²", known(&mmd2, &limit)),
            layers: layers(&mmd2, &limit, "threshold of MMD², level of the test"),
            height: 250,
        },
        Panel {
            x: x(what),
            y: log_p_axis,
            layers: layers(&log_p, &log_level, "threshold of MMD², level of the test"),
            height: 220,
        },
    ];
    let caption = "Maximum mean discrepancy of every window from the reference (without bias, so it may be negative) and the p-value of the \
                   test, adjusted where several segments are tested. Where a point lies beyond the broken line, the window has drifted. Of more than 1,000 rows every so \
                   many-th is drawn and those that drifted, 4,000 at most.";
    Ok(vec![Item::figure(label.to_owned(), format!("Drift: {label}"), caption, &answer, draw(&panels)?)?])
}
