//! Calibration of scores: reliability diagrams, errors, abstention and windows.

use super::{
    Context, SectionItem, curves, distinct, pairs, quoted,
    windows::{WindowFigure, WindowMeasure, windows},
};
use crate::{
    error::Result,
    report::{
        chart::{
            axis::ChartAxis,
            marks::{Mark, MarkStyle},
            palette::{ALARM, series},
            panel::{ChartLayer, ChartShape, Panel, draw},
            reliability::{ReliabilityBin, ReliabilityCurve, reliability},
        },
        format::grouped,
        query_result::QueryResult,
    },
};

/// The most reliability diagrams.
const MAX_DIAGRAMS: usize = 24;
/// The most curves in one chart.
const MAX_CURVES: usize = 6;

const WINDOWS: WindowFigure<'static> = WindowFigure {
    rows: "bin is null and n > 0",
    n: "n",
    measures: &[WindowMeasure {
        column: "mean_ece",
        merged: "avg(ece)",
        axis: "expected calibration error",
        from_zero: true,
    }],
    title: "Expected calibration error",
    caption: " Their mean is drawn. With few rows and many bins it is large by chance.",
};

pub(super) fn items(context: &Context<'_>, label: &str) -> Result<Vec<SectionItem>> {
    let totals = context.query(&format!(
        "select score, n, accuracy, mean_confidence, gap, ece, mce, brier, nll, unlabelled, unknown_truth
        from {}
        where scope = 'total' and bin is null",
        quoted(label)
    ))?;
    let bins = context.query(&format!(
        "select score, bin, low, high, n, accuracy, accuracy_low, accuracy_high, mean_confidence, gap, kept, coverage, kept_accuracy
        from {}
        where scope = 'total' and bin is not null and n > 0
        limit 20000",
        quoted(label)
    ))?;
    let mut items = Vec::new();
    if !totals.is_empty() && !bins.is_empty() {
        items.push(diagrams(label, &totals, &bins)?);
        items.push(errors(label, &totals)?);
        items.push(abstention(label, &totals, &bins)?);
    }
    items.extend(windows(context, label, &WINDOWS)?);
    Ok(items)
}

/// The scores, in the order of the table.
fn scores(totals: &QueryResult) -> Result<Vec<String>> {
    Ok(distinct(&totals.strings("score")?))
}

fn diagrams(label: &str, totals: &QueryResult, bins: &QueryResult) -> Result<SectionItem> {
    let names = scores(totals)?;
    let (n, ece) = (totals.numbers("n")?, totals.numbers("ece")?);
    let (low, high, n_in_bin) = (bins.numbers("low")?, bins.numbers("high")?, bins.numbers("n")?);
    let (accuracy, confidence) = (bins.numbers("accuracy")?, bins.numbers("mean_confidence")?);
    let (accuracy_low, accuracy_high) = (bins.numbers("accuracy_low")?, bins.numbers("accuracy_high")?);
    let score = bins.strings("score")?;
    let curve = |(i, name): (usize, &String)| {
        let objects = n[i].unwrap_or(0.0).max(1.0);
        let bin = |row: usize| {
            Some(ReliabilityBin {
                edges: (low[row]?, high[row]?),
                confidence: confidence[row]?,
                accuracy: accuracy[row]?,
                interval: (accuracy_low[row]?, accuracy_high[row]?),
                share: n_in_bin[row]? / objects,
            })
        };
        let rows = (0..bins.len()).filter(|&row| score[row].as_ref() == Some(name));
        let ece = ece[i].map_or_else(|| "?".into(), |ece| format!("{ece:.3}"));
        ReliabilityCurve {
            title: name.clone(),
            subtitle: format!("ECE {ece}, {} objects", grouped(objects as u64)),
            bins: rows.filter_map(bin).collect(),
        }
    };
    let curves: Vec<ReliabilityCurve> = names.iter().take(MAX_DIAGRAMS).enumerate().map(curve).collect();
    let left_out = match names.len() {
        n if n > MAX_DIAGRAMS => format!(" The first {MAX_DIAGRAMS} of {n} scores are shown."),
        _ => String::new(),
    };
    let caption = format!(
        "Accuracy of the predicted class against confidence, in bins of confidence. On the dashed line, accuracy equals confidence; below it, the \
         score is overconfident. ECE, the expected calibration error, is the mean distance from the line over all objects.{left_out}"
    );
    let title = format!("Reliability diagram: {label}");
    SectionItem::figure(label.to_owned(), title, &caption, bins, reliability(&curves)?)
}

fn errors(label: &str, totals: &QueryResult) -> Result<SectionItem> {
    let names: Vec<String> = totals.strings("score")?.into_iter().map(Option::unwrap_or_default).collect();
    let (accuracy, confidence) = (totals.numbers("accuracy")?, totals.numbers("mean_confidence")?);
    let y: Vec<Option<f64>> = (0..names.len()).rev().map(|i| Some(i as f64)).collect();
    let x = ChartAxis::over("accuracy and mean confidence", accuracy.iter().chain(&confidence).copied().flatten());
    // Plotters cannot draw a line of zero length.
    let shortest = (x.high - x.low) / 300.0;
    let links = y.iter().enumerate().filter_map(|(i, y)| {
        let (from, to) = (accuracy[i]?, confidence[i]?);
        ((from - to).abs() > shortest).then_some([(from, (*y)?), (to, (*y)?)])
    });
    let marks =
        |mark, x: &[Option<f64>]| ChartShape::Marks(MarkStyle { mark, radius: 5.0, outlined: false }, pairs(x, &y));
    let panel = Panel {
        x,
        y: ChartAxis::names("", names.iter().rev().cloned().collect()),
        layers: vec![
            ChartLayer::new(None, series(0), ChartShape::Links(links.collect())),
            ChartLayer::new("accuracy".to_owned(), series(0), marks(Mark::Dot, &accuracy)),
            ChartLayer::new("mean confidence".to_owned(), ALARM, marks(Mark::Ring, &confidence)),
        ],
        height: 70 + 30 * names.len() as u32,
    };
    let caption = "Accuracy and mean confidence of each score. The table adds the expected and the maximum calibration error over bins of \
                   confidence, the Brier score summed over the classes (0 to 2) and the negative log-likelihood (nats).";
    let (name, title) = (format!("{label}-errors"), format!("Accuracy and confidence: {label}"));
    SectionItem::figure(name, title, caption, totals, draw(&[panel])?)
}

fn abstention(label: &str, totals: &QueryResult, bins: &QueryResult) -> Result<SectionItem> {
    let (coverage, accuracy) = (bins.numbers("coverage")?, bins.numbers("kept_accuracy")?);
    let (score, names) = (bins.strings("score")?, scores(totals)?);
    let panel = Panel {
        x: ChartAxis::over("coverage: fraction of objects kept", coverage.iter().copied().flatten()),
        y: ChartAxis::over("accuracy of kept objects", accuracy.iter().copied().flatten()),
        layers: curves(&names[..names.len().min(MAX_CURVES)], &score, &coverage, &accuracy),
        height: 320,
    };
    let left_out = match names.len() {
        n if n > MAX_CURVES => format!(" The first {MAX_CURVES} of {n} scores are drawn; the query returns all."),
        _ => String::new(),
    };
    let caption = format!(
        "Accuracy of the objects that remain when those below a confidence threshold are rejected, against the fraction that remains: all \
         objects on the right, only the most confident ones on the left.{left_out}"
    );
    let (name, title) = (format!("{label}-abstention"), format!("Accuracy against coverage: {label}"));
    SectionItem::figure(name, title, &caption, bins, draw(&[panel])?)
}
