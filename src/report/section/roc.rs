//! ROC and precision-recall curves, with the threshold of each score.

use super::{
    Context, SectionItem, quoted,
    windows::{WindowFigure, WindowMeasure, windows},
};
use crate::{
    error::Result,
    report::{
        chart::unit_square::{UnitCurve, UnitSquare, unit_squares},
        query_result::QueryResult,
    },
};

/// The most curves in one chart.
const MAX_CURVES: usize = 6;
/// The threshold of a score whose settings name none.
const DEFAULT_THRESHOLD: f64 = 0.5;

const WINDOWS: WindowFigure<'static> = WindowFigure {
    rows: "threshold is null and auc is not null",
    n: "positives + negatives",
    measures: &[WindowMeasure {
        column: "mean_auc",
        merged: "avg(auc)",
        axis: "area under the ROC curve",
        from_zero: false,
    }],
    title: "Area under the ROC curve",
    caption: " Their mean is drawn. Windows without a positive or without a negative object have none.",
};

pub(super) fn items(context: &Context<'_>, label: &str) -> Result<Vec<SectionItem>> {
    let mut items = Vec::new();
    items.extend(totals(context, label)?);
    items.extend(windows(context, label, &WINDOWS)?);
    Ok(items)
}

/// The curves of the complete run: areas first, then every threshold.
struct RocCurves {
    score: Vec<Option<String>>,
    threshold: Vec<Option<f64>>,
    recall: Vec<Option<f64>>,
    false_positive_rate: Vec<Option<f64>>,
    precision: Vec<Option<f64>>,
}

/// The areas of one score.
struct RocAreas {
    score: String,
    positive: String,
    prevalence: Option<f64>,
    auc: Option<f64>,
    average_precision: Option<f64>,
}

fn totals(context: &Context<'_>, label: &str) -> Result<Option<SectionItem>> {
    let areas = context.query(&format!(
        "select score, positive, positives, negatives, auc, auc_low, auc_high, average_precision, unlabelled, unknown_truth
        from {}
        where scope = 'total' and threshold is null",
        quoted(label)
    ))?;
    if areas.is_empty() {
        return Ok(None);
    }
    let points = context.query(&format!(
        "select score, threshold, recall, false_positive_rate, precision
        from {}
        where scope = 'total' and threshold is not null
        order by score, threshold desc
        limit 200000",
        quoted(label)
    ))?;
    let found = areas_of(&areas)?;
    let points = RocCurves {
        score: points.strings("score")?,
        threshold: points.numbers("threshold")?,
        recall: points.numbers("recall")?,
        false_positive_rate: points.numbers("false_positive_rate")?,
        precision: points.numbers("precision")?,
    };
    let shown = &found[..found.len().min(MAX_CURVES)];
    let threshold = |score: &str| {
        let of = context.record.scorers.get(score).and_then(|scorer| scorer.get("threshold")?.as_f64());
        of.unwrap_or(DEFAULT_THRESHOLD)
    };
    let named = |name: &str, area: Option<f64>, what: &str| {
        area.map_or_else(|| format!("{name}: {what} unknown"), |area| format!("{name}: {what} {area:.3}"))
    };
    let roc = shown
        .iter()
        .map(|areas| points.roc(&areas.score, threshold(&areas.score), named(&areas.score, areas.auc, "AUC")));
    let precision = shown.iter().map(|areas| {
        let name = named(&areas.score, areas.average_precision, "AP");
        points.precision_recall(&areas.score, threshold(&areas.score), name)
    });
    let positive = found.first().map_or("", |areas| areas.positive.as_str());
    let prevalence = found.first().and_then(|areas| areas.prevalence).unwrap_or(0.0);
    let squares = [
        UnitSquare {
            title: "ROC".into(),
            x_label: "false positive rate".into(),
            y_label: "recall".into(),
            uninformed: [(0.0, 0.0), (1.0, 1.0)],
            curves: roc.collect(),
        },
        UnitSquare {
            title: "Precision and recall".into(),
            x_label: "recall".into(),
            y_label: "precision".into(),
            uninformed: [(0.0, prevalence), (1.0, prevalence)],
            curves: precision.collect(),
        },
    ];
    let left_out = match found.len() {
        n if n > MAX_CURVES => format!(" The first {MAX_CURVES} of {n} scores are drawn; the query returns all."),
        _ => String::new(),
    };
    let caption = format!(
        "How well the probability of `{positive}` separates its objects from all others, at every threshold. AUC is the area under the ROC curve: \
         the fraction of pairs of a positive and a negative object in the right order. AP, the average precision, is the area under the \
         steps on the right. Marks are the thresholds of the scores ({DEFAULT_THRESHOLD} unless set), dashed lines are scores without \
         information.{left_out}"
    );
    let title = format!("ROC and precision-recall curves: {label}");
    SectionItem::figure(label.to_owned(), title, &caption, &areas, unit_squares(&squares)?).map(Some)
}

fn areas_of(result: &QueryResult) -> Result<Vec<RocAreas>> {
    let (score, positive) = (result.strings("score")?, result.strings("positive")?);
    let (positives, negatives) = (result.numbers("positives")?, result.numbers("negatives")?);
    let (auc, average_precision) = (result.numbers("auc")?, result.numbers("average_precision")?);
    let of_row = |row: usize| {
        let (positives, negatives) = (positives[row].unwrap_or(0.0), negatives[row].unwrap_or(0.0));
        Some(RocAreas {
            score: score[row].clone()?,
            positive: positive[row].clone()?,
            prevalence: (positives + negatives > 0.0).then(|| positives / (positives + negatives)),
            auc: auc[row],
            average_precision: average_precision[row],
        })
    };
    Ok((0..result.len()).filter_map(of_row).collect())
}

impl RocCurves {
    /// The rows of a score from the highest threshold to the lowest, and the last of them that is at or above a threshold.
    fn rows(&self, score: &str, threshold: f64) -> (Vec<usize>, Option<usize>) {
        let rows: Vec<usize> = (0..self.score.len()).filter(|&row| self.score[row].as_deref() == Some(score)).collect();
        // Bins have rounded edges.
        let at = rows.iter().copied().rfind(|&row| self.threshold[row].is_some_and(|edge| edge >= threshold - 1e-9));
        (rows, at)
    }

    fn roc(&self, score: &str, threshold: f64, name: String) -> UnitCurve {
        let (rows, at) = self.rows(score, threshold);
        let point = |row: usize| Some((self.false_positive_rate[row]?, self.recall[row]?));
        let points = std::iter::once((0.0, 0.0)).chain(rows.into_iter().filter_map(point)).collect();
        // Above the highest threshold nothing is called positive.
        let marked = at.map_or(Some((0.0, 0.0)), point);
        UnitCurve { name, points, marked }
    }

    fn precision_recall(&self, score: &str, threshold: f64, name: String) -> UnitCurve {
        let (rows, at) = self.rows(score, threshold);
        let point = |row: usize| Some((self.recall[row]?, self.precision[row]?));
        let mut points: Vec<(f64, f64)> = Vec::new();
        for (recall, precision) in rows.into_iter().filter_map(point) {
            // The precision of a threshold belongs to all objects that it adds.
            points.push((points.last().map_or(0.0, |(before, _)| *before), precision));
            points.push((recall, precision));
        }
        UnitCurve { name, points, marked: at.and_then(point) }
    }
}
