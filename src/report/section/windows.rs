//! Measures in each window of the stream, for monitors whose tables have a row for a window and a score.

use super::{Context, QueryResult, SectionItem, curves, distinct, quoted};
use crate::{
    error::Result,
    report::chart::{
        axis::ChartAxis,
        panel::{Panel, draw},
    },
};

/// Scores that are drawn.
const MAX_CURVES: usize = 6;
/// Points of a curve; of more windows, neighbours are merged.
const MAX_POINTS: usize = 400;

/// What is drawn of the windows.
pub(super) struct WindowFigure<'a> {
    /// The rows that are windows, as a condition in SQL.
    pub(super) rows: &'a str,
    /// The objects of a window that count, in SQL.
    pub(super) n: &'a str,
    /// A panel each.
    pub(super) measures: &'a [WindowMeasure],
    pub(super) title: &'a str,
    /// Sentences after those that all these figures have.
    pub(super) caption: &'a str,
}

/// A measure, as a panel.
pub(super) struct WindowMeasure {
    pub(super) column: &'static str,
    /// Its value over merged windows, in SQL.
    pub(super) merged: &'static str,
    pub(super) axis: &'static str,
    /// Whether the axis has 0.
    pub(super) from_zero: bool,
}

/// A figure of the windows of a table; none of a stream that has not filled one.
pub(super) fn windows(context: &Context<'_>, label: &str, figure: &WindowFigure<'_>) -> Result<Option<SectionItem>> {
    let merged = |measure: &WindowMeasure| format!("{} as {}", measure.merged, measure.column);
    let measures: Vec<String> = figure.measures.iter().map(merged).collect();
    let result = context.query(&format!(
        "with windows as (
            select *, {} as counted, 1 + max(\"window\") over () / {MAX_POINTS} as merged
            from {}
            where scope = 'window' and {}
        )
        select score, max(last_row) as last_row, sum(counted) as n, {}
        from windows
        group by score, \"window\" / merged
        order by score, last_row
        limit 20000",
        figure.n,
        quoted(label),
        figure.rows,
        measures.join(", "),
    ))?;
    if result.is_empty() {
        return Ok(None);
    }
    let height = if figure.measures.len() == 1 { 300 } else { 220 };
    let panels = figure.measures.iter().map(|measure| panel(&result, measure, height)).collect::<Result<Vec<_>>>()?;
    let caption = format!(
        "{} in each window of the stream, for at most {MAX_CURVES} scores. Above {MAX_POINTS} windows, neighbouring windows are merged.{}",
        figure.title, figure.caption
    );
    let (name, title) = (format!("{label}-windows"), format!("{} by window: {label}", figure.title));
    SectionItem::figure(name, title, &caption, &result, draw(&panels)?).map(Some)
}

fn panel(result: &QueryResult, measure: &WindowMeasure, height: u32) -> Result<Panel> {
    let (scores, rows) = (result.strings("score")?, result.numbers("last_row")?);
    let values = result.numbers(measure.column)?;
    let names = distinct(&scores);
    let zero = measure.from_zero.then_some(0.0);
    Ok(Panel {
        x: ChartAxis::over("last row of the window", rows.iter().copied().flatten()),
        y: ChartAxis::over(measure.axis, values.iter().copied().flatten().chain(zero)),
        layers: curves(&names[..names.len().min(MAX_CURVES)], &scores, &rows, &values),
        height,
    })
}
