//! How often scores are right.

use super::{Context, Item, curves, distinct, quoted};
use crate::{
    error::Result,
    report::chart::{
        axis::Axis,
        marks::Mark,
        palette::series,
        panel::{Layer, Panel, Shape, draw},
        small::confusions,
    },
};

pub(super) fn show(context: &Context<'_>, label: &str) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    items.extend(totals(context, label)?);
    items.extend(confusion(context, label)?);
    items.extend(windows(context, label)?);
    Ok(items)
}

fn totals(context: &Context<'_>, label: &str) -> Result<Option<Item>> {
    let answer = context.ask(&format!(
        "select score, n, accuracy, accuracy_low, accuracy_high, precision, recall, f1, unlabelled, unknown_truth
        from {}
        where scope = 'total' and class = 'all'",
        quoted(label)
    ))?;
    if answer.is_empty() {
        return Ok(None);
    }
    let names: Vec<String> = answer.texts("score")?.into_iter().flatten().collect();
    let (low, high, at) =
        (answer.numbers("accuracy_low")?, answer.numbers("accuracy_high")?, answer.numbers("accuracy")?);
    let place = |i: usize| (names.len() - 1 - i) as f64;
    let whiskers = (0..names.len()).filter_map(|i| Some([(low[i]?, place(i)), (high[i]?, place(i))])).collect();
    let dots = (0..names.len()).filter_map(|i| Some((at[i]?, place(i)))).collect();
    let ends = low.iter().chain(&high).chain(&at).copied().flatten();
    let panel = Panel {
        x: Axis::over("accuracy, with its interval", ends),
        y: Axis::names("", names.iter().rev().cloned().collect()),
        layers: vec![
            Layer::new(None, series(0), Shape::Links(whiskers)),
            Layer::new(None, series(0), Shape::Marks { mark: Mark::Dot, radius: 5.0, outlined: true, at: dots }),
        ],
        height: 70 + 32 * names.len() as u32,
    };
    let caption = "The fraction of objects whose class is right, with its confidence interval (Wilson). Precision, recall and F1 are \
                   weighted by the number of objects of each class.";
    let item = Item::figure(label.to_owned(), format!("Accuracy: {label}"), caption, &answer, draw(&[panel])?)?;
    Ok(Some(item))
}

fn confusion(context: &Context<'_>, label: &str) -> Result<Option<Item>> {
    let answer = context.ask(&format!(
        "select score, class, confusion
        from {}
        where scope = 'total' and class <> 'all'
        limit 300",
        quoted(label)
    ))?;
    if answer.is_empty() {
        return Ok(None);
    }
    let named = answer.field("confusion")?.metadata().get("classes").cloned().unwrap_or_default();
    let classes: Vec<String> = named.split(',').map(str::to_owned).collect();
    let mut matrices: Vec<(String, Vec<Vec<u64>>)> = Vec::new();
    for (score, line) in answer.texts("score")?.into_iter().zip(answer.lists("confusion")?) {
        let (Some(score), Some(line)) = (score, line) else { continue };
        let line: Vec<u64> = line.into_iter().map(|count| count as u64).collect();
        match matrices.iter_mut().find(|(known, _)| *known == score) {
            Some((_, lines)) => lines.push(line),
            None => matrices.push((score, vec![line])),
        }
    }
    let caption = "Objects by true class (down) and predicted class (across). Shades and percentages are fractions of the true class.";
    let title = format!("Confusion: {label}");
    Item::figure(format!("{label}-confusion"), title, caption, &answer, confusions(&matrices, &classes)?).map(Some)
}

fn windows(context: &Context<'_>, label: &str) -> Result<Option<Item>> {
    let answer = context.ask(&format!(
        "with windows as (
            select score, \"window\", n, correct, last_row, 1 + max(\"window\") over () / 400 as together
            from {}
            where scope = 'window' and class = 'all'
        )
        select score, max(last_row) as last_row, sum(n) as n, sum(correct) / cast(sum(n) as double) as accuracy
        from windows
        where n > 0
        group by score, \"window\" / together
        order by score, last_row
        limit 20000",
        quoted(label)
    ))?;
    if answer.is_empty() {
        return Ok(None);
    }
    let (scores, rows, accuracies) = (answer.texts("score")?, answer.numbers("last_row")?, answer.numbers("accuracy")?);
    let layers = curves(&distinct(&scores), &scores, &rows, &accuracies);
    let panel = Panel {
        x: Axis::over("last row of the window", rows.iter().copied().flatten()),
        y: Axis::over("accuracy", accuracies.iter().copied().flatten()),
        layers,
        height: 300,
    };
    let caption = "Accuracy in windows of the stream; of more than 400 windows neighbours are counted together.";
    let title = format!("Accuracy over the stream: {label}");
    Item::figure(format!("{label}-windows"), title, caption, &answer, draw(&[panel])?).map(Some)
}
