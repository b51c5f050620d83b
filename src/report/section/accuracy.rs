//! Accuracy of scores: totals, confusion matrices and windows.

use super::{
    Context, SectionItem, quoted,
    windows::{WindowFigure, WindowMeasure, windows},
};
use crate::{
    batch::metadata_names,
    error::Result,
    report::chart::{
        axis::ChartAxis,
        marks::{Mark, MarkStyle},
        palette::series,
        panel::{ChartLayer, ChartShape, Panel, draw},
        small_multiples::{ClassLabels, ConfusionMatrix, confusion_matrices},
    },
};

const WINDOWS: WindowFigure<'static> = WindowFigure {
    rows: "class = 'all' and n > 0",
    n: "n",
    measures: &[WindowMeasure {
        column: "accuracy",
        merged: "sum(correct) / cast(sum(n) as double)",
        axis: "accuracy",
        from_zero: false,
    }],
    title: "Accuracy",
    caption: "",
};

pub(super) fn items(context: &Context<'_>, label: &str) -> Result<Vec<SectionItem>> {
    let mut items = Vec::new();
    items.extend(totals(context, label)?);
    items.extend(confusion(context, label)?);
    items.extend(windows(context, label, &WINDOWS)?);
    Ok(items)
}

fn totals(context: &Context<'_>, label: &str) -> Result<Option<SectionItem>> {
    let result = context.query(&format!(
        "select score, n, accuracy, accuracy_low, accuracy_high, precision, recall, f1, unlabelled, unknown_truth
        from {}
        where scope = 'total' and class = 'all'",
        quoted(label)
    ))?;
    if result.is_empty() {
        return Ok(None);
    }
    let names: Vec<String> = result.strings("score")?.into_iter().flatten().collect();
    let (low, high) = (result.numbers("accuracy_low")?, result.numbers("accuracy_high")?);
    let accuracy = result.numbers("accuracy")?;
    let y = |i: usize| (names.len() - 1 - i) as f64;
    let whiskers = (0..names.len()).filter_map(|i| Some([(low[i]?, y(i)), (high[i]?, y(i))])).collect();
    let dots = (0..names.len()).filter_map(|i| Some((accuracy[i]?, y(i)))).collect();
    let all = low.iter().chain(&high).chain(&accuracy).copied().flatten();
    let style = MarkStyle { mark: Mark::Dot, radius: 5.0, outlined: true };
    let panel = Panel {
        x: ChartAxis::over("accuracy with confidence interval", all),
        y: ChartAxis::names("", names.iter().rev().cloned().collect()),
        layers: vec![
            ChartLayer::new(None, series(0), ChartShape::Links(whiskers)),
            ChartLayer::new(None, series(0), ChartShape::Marks(style, dots)),
        ],
        height: 70 + 32 * names.len() as u32,
    };
    let caption = "Fraction of objects classified correctly, with the Wilson confidence interval. Precision, recall and F1 are averages \
                   over the classes, weighted by the number of objects.";
    let title = format!("Accuracy: {label}");
    SectionItem::figure(label.to_owned(), title, caption, &result, draw(&[panel])?).map(Some)
}

fn confusion(context: &Context<'_>, label: &str) -> Result<Option<SectionItem>> {
    let result = context.query(&format!(
        "select score, class, confusion
        from {}
        where scope = 'total' and class <> 'all'
        limit 300",
        quoted(label)
    ))?;
    if result.is_empty() {
        return Ok(None);
    }
    let classes = metadata_names(result.field("confusion")?.metadata().get("classes").map_or("", String::as_str));
    let mut matrices: Vec<ConfusionMatrix> = Vec::new();
    for (score, line) in result.strings("score")?.into_iter().zip(result.lists("confusion")?) {
        let (Some(score), Some(line)) = (score, line) else { continue };
        let line: Vec<u64> = line.into_iter().map(|count| count as u64).collect();
        match matrices.iter_mut().find(|matrix| matrix.title == score) {
            Some(matrix) => matrix.counts.push(line),
            None => matrices.push(ConfusionMatrix { title: score, counts: vec![line] }),
        }
    }
    let labels = ClassLabels::of(&classes);
    let mut caption = "Objects by true class (rows) and predicted class (columns). Shades and percentages are fractions of the true class."
        .to_owned();
    if labels.are_numbered {
        let names: Vec<String> = classes.iter().enumerate().map(|(i, name)| format!("{i} {name}")).collect();
        caption = format!("{caption} The classes are: {}.", names.join("; "));
    }
    let (name, title) = (format!("{label}-confusion"), format!("Confusion matrix: {label}"));
    SectionItem::figure(name, title, &caption, &result, confusion_matrices(&matrices, &labels)?).map(Some)
}
