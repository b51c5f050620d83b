//! Predicted values: bias, scatter and outliers, and values against the truth.

use serde_json::Value;

use super::{
    Context, SectionItem, pairs, quoted,
    windows::{WindowFigure, WindowMeasure, windows},
};
use crate::{
    batch::metadata_names,
    error::Result,
    report::chart::{
        axis::{ChartAxis, range},
        marks::{Mark, MarkStyle},
        palette::{ALARM, INK, MUTED, series},
        panel::{ChartLayer, ChartShape, Panel, draw},
    },
};

/// The most scores with a chart of values against the truth, and the most curves in one chart.
const MAX_SCORES: usize = 6;
/// The residual above which a value is an outlier, where the settings name none.
const DEFAULT_OUTLIER_ABOVE: f64 = 0.15;
/// About the most points of a chart.
const MAX_POINTS: u32 = 4000;

const WINDOWS: WindowFigure<'static> = WindowFigure {
    rows: "n > 0",
    n: "n",
    measures: &[
        WindowMeasure { column: "mean_bias", merged: "avg(bias)", axis: "bias", from_zero: true },
        WindowMeasure { column: "mean_nmad", merged: "avg(nmad)", axis: "NMAD", from_zero: true },
        WindowMeasure {
            column: "outlier_fraction",
            merged: "sum(outliers) / cast(sum(n) as double)",
            axis: "fraction of outliers",
            from_zero: true,
        },
    ],
    title: "Bias, scatter and outliers",
    caption: " The means of their biases and scatters are drawn.",
};

pub(super) fn items(context: &Context<'_>, label: &str) -> Result<Vec<SectionItem>> {
    let mut items = Vec::new();
    let Some((totals, predicted)) = totals(context, label)? else { return Ok(items) };
    items.push(totals);
    for predicted in predicted.iter().take(MAX_SCORES) {
        items.extend(against_truth(context, label, predicted)?);
    }
    items.extend(windows(context, label, &WINDOWS)?);
    Ok(items)
}

/// A score, and the name of the value that it predicts.
struct PredictedValue {
    score: String,
    value: String,
}

/// Bias and scatter of all scores, and what they predict.
fn totals(context: &Context<'_>, label: &str) -> Result<Option<(SectionItem, Vec<PredictedValue>)>> {
    let result = context.query(&format!(
        "select score, value, n, bias, nmad, mean, rms, outliers, outlier_fraction, outlier_fraction_low, outlier_fraction_high, within_error,
            unlabelled
        from {}
        where scope = 'total'",
        quoted(label)
    ))?;
    if result.is_empty() {
        return Ok(None);
    }
    let names: Vec<String> = result.strings("score")?.into_iter().map(Option::unwrap_or_default).collect();
    let values = result.strings("value")?.into_iter().map(Option::unwrap_or_default);
    let predicted = names.iter().cloned().zip(values).map(|(score, value)| PredictedValue { score, value }).collect();
    let (bias, nmad) = (result.numbers("bias")?, result.numbers("nmad")?);
    let fraction = result.numbers("outlier_fraction")?;
    let (low, high) = (result.numbers("outlier_fraction_low")?, result.numbers("outlier_fraction_high")?);
    let y: Vec<Option<f64>> = (0..names.len()).rev().map(|i| Some(i as f64)).collect();
    let span = |from: &[Option<f64>], to: &[Option<f64>]| {
        let links = (0..names.len()).filter_map(|i| Some([(from[i]?, y[i]?), (to[i]?, y[i]?)]));
        // Plotters cannot draw a line of zero length.
        links.filter(|[from, to]| to.0 > from.0).collect::<Vec<_>>()
    };
    let shifted = |sign: f64| -> Vec<Option<f64>> {
        bias.iter().zip(&nmad).map(|(bias, nmad)| Some((*bias)? + sign * (*nmad)?)).collect()
    };
    let (below, above) = (shifted(-1.0), shifted(1.0));
    let style = MarkStyle { mark: Mark::Dot, radius: 5.0, outlined: true };
    let rows = || ChartAxis::names("", names.iter().rev().cloned().collect());
    let height = 70 + 32 * names.len() as u32;
    let scatter = Panel {
        x: ChartAxis::over(
            "bias, with the NMAD on both sides",
            below.iter().chain(&above).copied().flatten().chain([0.0]),
        ),
        y: rows(),
        layers: vec![
            ChartLayer::new(None, MUTED, ChartShape::Links(vec![[(0.0, -0.5), (0.0, names.len() as f64 - 0.5)]])),
            ChartLayer::new(None, series(0), ChartShape::Links(span(&below, &above))),
            ChartLayer::new(None, series(0), ChartShape::Marks(style, pairs(&bias, &y))),
        ],
        height,
    };
    let outliers = Panel {
        x: ChartAxis::over(
            "fraction of outliers, with confidence interval",
            low.iter().chain(&high).copied().flatten(),
        ),
        y: rows(),
        layers: vec![
            ChartLayer::new(None, ALARM, ChartShape::Links(span(&low, &high))),
            ChartLayer::new(None, ALARM, ChartShape::Marks(style, pairs(&fraction, &y))),
        ],
        height,
    };
    let caption = "Residuals are predicted minus true values. The bias is their median, the NMAD 1.4826 times the median distance from it: the \
                   standard deviation of normal residuals, whatever the outliers are. `within_error` is the fraction of residuals within the \
                   error that the model gives, 0.683 for normal errors of the right size.";
    let title = format!("Bias, scatter and outliers: {label}");
    let item = SectionItem::figure(label.to_owned(), title, caption, &result, draw(&[scatter, outliers])?)?;
    Ok(Some((item, predicted)))
}

/// What the settings of a monitor say about its residuals.
struct ResidualSettings {
    truth: String,
    one_plus_truth: bool,
    outlier_above: f64,
}

impl ResidualSettings {
    fn of(document: &Value, label: &str) -> Option<Self> {
        let settings = &document["monitor"][label]["regression"];
        Some(Self {
            truth: settings["truth"].as_str()?.to_owned(),
            one_plus_truth: settings["one_plus_truth"].as_bool().unwrap_or(false),
            outlier_above: settings["outlier_above"].as_f64().unwrap_or(DEFAULT_OUTLIER_ABOVE),
        })
    }

    /// The line of all values whose residual is `residual`, between two truths.
    fn line(&self, residual: f64, (from, to): (f64, f64)) -> [(f64, f64); 2] {
        [from, to].map(|truth| (truth, truth + residual * self.scale(truth)))
    }

    /// What residuals are divided by.
    fn scale(&self, truth: f64) -> f64 {
        if self.one_plus_truth { 1.0 + truth } else { 1.0 }
    }
}

/// The part of a line whose height is within limits: plotters would bend it there.
fn within([from, to]: [(f64, f64); 2], (low, high): (f64, f64)) -> Option<[(f64, f64); 2]> {
    let rise = to.1 - from.1;
    let at = |height: f64| if rise == 0.0 { None } else { Some((height - from.1) / rise) };
    let (mut begin, mut end) = (0.0_f64, 1.0_f64);
    if let Some((first, second)) = at(low).zip(at(high)) {
        (begin, end) = (begin.max(first.min(second)), end.min(first.max(second)));
    }
    let is_inside = rise != 0.0 || (low..=high).contains(&from.1);
    let point = |part: f64| (from.0 + part * (to.0 - from.0), (from.1 + part * rise).clamp(low, high));
    (is_inside && begin < end).then(|| [point(begin), point(end)])
}

/// Values against the truth, if a sink kept both.
fn against_truth(
    context: &Context<'_>,
    label: &str,
    PredictedValue { score, value }: &PredictedValue,
) -> Result<Option<SectionItem>> {
    let Some(settings) = ResidualSettings::of(&context.record.document, label) else { return Ok(None) };
    let column = format!("{score}_value");
    for sink in context.record.labels("sink", "parquet") {
        if !context.has_table(sink) {
            continue;
        }
        let nothing = context.query(&format!("select * from {} limit 0", quoted(sink)))?;
        let Ok(field) = nothing.field(&column) else { continue };
        let names = metadata_names(field.metadata().get("names").map_or("", String::as_str));
        let Some(index) = names.iter().position(|name| name == value) else { continue };
        if nothing.field(&settings.truth).is_err() {
            continue;
        }
        let result = context.query(&format!(
            "select truth, value
            from (
                select cast({} as double) as truth, cast({}[{}] as double) as value,
                    row_number() over () - 1 as row_index, 1 + count(*) over () / {MAX_POINTS} as stride
                from {}
            )
            where row_index % stride = 0",
            quoted(&settings.truth),
            quoted(&column),
            index + 1,
            quoted(sink)
        ))?;
        let points = pairs(&result.numbers("truth")?, &result.numbers("value")?);
        let Some(truths) = range(points.iter().map(|(truth, _)| *truth)) else { return Ok(None) };
        let x = ChartAxis::over(&format!("true {value}"), [truths.0, truths.1]);
        let values = points.iter().map(|(_, value)| *value);
        let y = ChartAxis::over(&format!("{value} by {score}"), values.chain([truths.0, truths.1]));
        let ends = (x.low, x.high);
        let is_outlier =
            |(truth, value): &(f64, f64)| ((value - truth) / settings.scale(*truth)).abs() > settings.outlier_above;
        let style = MarkStyle { mark: Mark::Dot, radius: 2.0, outlined: false };
        let (outside, inside): (Vec<_>, Vec<_>) = points.iter().copied().partition(|point| is_outlier(point));
        let mut layers = vec![
            ChartLayer::new("objects".to_owned(), series(0), ChartShape::Marks(style, inside)),
            ChartLayer::new("outliers".to_owned(), ALARM, ChartShape::Marks(style, outside)),
        ];
        layers.retain(|layer| !matches!(&layer.shape, ChartShape::Marks(_, points) if points.is_empty()));
        let line = |residual| within(settings.line(residual, ends), (y.low, y.high));
        let equal = ChartShape::Line(line(0.0).into_iter().flatten().collect());
        layers.push(ChartLayer::new("value = truth".to_owned(), INK, equal));
        let limits = [settings.outlier_above, -settings.outlier_above].into_iter().filter_map(line);
        layers.push(ChartLayer::new("limits of outliers".to_owned(), MUTED, ChartShape::Links(limits.collect())));
        let panel = Panel { x, y, layers, height: 460 };
        let caption = format!(
            "Values that `{score}` predicts against the truth, of the objects in `{sink}`. Above {MAX_POINTS} objects, every k-th is drawn."
        );
        let (name, title) = (format!("{label}-{score}"), format!("{value} against truth: {score}"));
        return SectionItem::figure(name, title, &caption, &result, draw(&[panel])?).map(Some);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_they_leave_the_chart() {
        let line = [(0.0, -1.0), (4.0, 3.0)];
        assert_eq!(within(line, (-2.0, 5.0)), Some(line));
        assert_eq!(within(line, (0.0, 2.0)), Some([(1.0, 0.0), (3.0, 2.0)]));
        assert_eq!(within([line[1], line[0]], (0.0, 5.0)), Some([(4.0, 3.0), (1.0, 0.0)]));
        assert_eq!(within(line, (4.0, 5.0)), None);
        let level = [(0.0, 1.0), (2.0, 1.0)];
        assert_eq!((within(level, (0.0, 2.0)), within(level, (2.0, 3.0))), (Some(level), None));
    }

    #[test]
    fn limits_of_redshifts_widen_with_the_truth() {
        let settings = ResidualSettings { truth: "z".into(), one_plus_truth: true, outlier_above: 0.1 };
        assert_eq!(settings.line(0.5, (0.0, 1.0)), [(0.0, 0.5), (1.0, 2.0)]);
        assert_eq!(settings.line(0.0, (0.0, 1.0)), [(0.0, 0.0), (1.0, 1.0)]);
    }
}
