//! Whether probabilities mean what they say.

use super::{Context, Item, curves, distinct, pairs, quoted};
use crate::{
    error::Result,
    report::{
        answer::Answer,
        chart::{
            axis::Axis,
            marks::Mark,
            palette::{ALARM, series},
            panel::{Layer, Panel, Shape, draw},
            reliability::{Bin, Curve, reliability},
        },
        numbers::count,
    },
};

/// Reliability diagrams that are drawn.
const DIAGRAMS: usize = 24;
/// Curves of one picture.
const CURVES: usize = 6;

pub(super) fn show(context: &Context<'_>, label: &str) -> Result<Vec<Item>> {
    let totals = context.ask(&format!(
        "select score, n, accuracy, mean_confidence, gap, ece, mce, brier, nll, unlabelled, unknown_truth
        from {}
        where scope = 'total' and bin is null",
        quoted(label)
    ))?;
    let bins = context.ask(&format!(
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
    items.extend(windows(context, label)?);
    Ok(items)
}

/// The scores, in the order of the table.
fn scores(totals: &Answer) -> Result<Vec<String>> {
    Ok(distinct(&totals.texts("score")?))
}

fn diagrams(label: &str, totals: &Answer, bins: &Answer) -> Result<Item> {
    let names = scores(totals)?;
    let (n, ece) = (totals.numbers("n")?, totals.numbers("ece")?);
    let number = |column: &str| bins.numbers(column);
    let (low, high, of_bin) = (number("low")?, number("high")?, number("n")?);
    let (accuracy, least, most) = (number("accuracy")?, number("accuracy_low")?, number("accuracy_high")?);
    let (confidence, score) = (number("mean_confidence")?, bins.texts("score")?);
    let curve = |(i, name): (usize, &String)| {
        let all = n[i].unwrap_or(0.0).max(1.0);
        let bin = |row: usize| {
            Some(Bin {
                edges: (low[row]?, high[row]?),
                confidence: confidence[row]?,
                accuracy: accuracy[row]?,
                interval: (least[row]?, most[row]?),
                share: of_bin[row]? / all,
            })
        };
        let rows = (0..bins.len()).filter(|&row| score[row].as_ref() == Some(name));
        let objects = count(all as u64);
        Curve {
            title: name.clone(),
            subtitle: format!(
                "ECE {}, {objects} objects",
                ece[i].map_or_else(|| "?".into(), |ece| format!("{ece:.3}"))
            ),
            bins: rows.filter_map(bin).collect(),
        }
    };
    let curves: Vec<Curve> = names.iter().take(DIAGRAMS).enumerate().map(curve).collect();
    let left_out = match names.len() {
        n if n > DIAGRAMS => format!(" The first {DIAGRAMS} of {n} scores are drawn."),
        _ => String::new(),
    };
    let caption = format!(
        "Of the objects that a score gave a class with some confidence, the fraction that was right. On the broken line a score is as often right as \
         it says; below it is too sure of itself. ECE, the expected calibration error, is the mean distance from the line over all objects.{left_out}"
    );
    Item::figure(label.to_owned(), format!("Reliability: {label}"), &caption, bins, reliability(&curves)?)
}

fn errors(label: &str, totals: &Answer) -> Result<Item> {
    let names: Vec<String> = totals.texts("score")?.into_iter().map(Option::unwrap_or_default).collect();
    let (accuracy, confidence) = (totals.numbers("accuracy")?, totals.numbers("mean_confidence")?);
    let places: Vec<Option<f64>> = (0..names.len()).rev().map(|place| Some(place as f64)).collect();
    let x = Axis::over("accuracy and mean confidence", accuracy.iter().chain(&confidence).copied().flatten());
    // A line from a place to itself cannot be drawn.
    let least = (x.high - x.low) / 300.0;
    let links = places.iter().enumerate().filter_map(|(i, place)| {
        let (from, to) = (accuracy[i]?, confidence[i]?);
        ((from - to).abs() > least).then_some([(from, (*place)?), (to, (*place)?)])
    });
    let marks = |mark, at: &[Option<f64>]| Shape::Marks { mark, radius: 5.0, outlined: false, at: pairs(at, &places) };
    let panel = Panel {
        x,
        y: Axis::names("", names.iter().rev().cloned().collect()),
        layers: vec![
            Layer::new(None, series(0), Shape::Links(links.collect())),
            Layer::new("accuracy".to_owned(), series(0), marks(Mark::Dot, &accuracy)),
            Layer::new("mean confidence".to_owned(), ALARM, marks(Mark::Ring, &confidence)),
        ],
        height: 70 + 30 * names.len() as u32,
    };
    let caption = "How often scores are right and how sure they are of it on average. With the expected and the maximum calibration error over bins of \
                   confidence, the Brier score of all classes (0 to 2) and the negative log likelihood (nats).";
    Item::figure(format!("{label}-errors"), format!("Confidence: {label}"), caption, totals, draw(&[panel])?)
}

fn abstention(label: &str, totals: &Answer, bins: &Answer) -> Result<Item> {
    let (coverage, accuracy, score) = (bins.numbers("coverage")?, bins.numbers("kept_accuracy")?, bins.texts("score")?);
    let names = scores(totals)?;
    let layers = curves(&names[..names.len().min(CURVES)], &score, &coverage, &accuracy);
    let panel = Panel {
        x: Axis::over("fraction of the objects that is kept", coverage.iter().copied().flatten()),
        y: Axis::over("accuracy of those", accuracy.iter().copied().flatten()),
        layers,
        height: 320,
    };
    let left_out = match names.len() {
        n if n > CURVES => format!(" The first {CURVES} of {n} scores are drawn; the query gives all."),
        _ => String::new(),
    };
    let caption = format!(
        "What is left, and how often it is right, when objects below a confidence are refused: from the right, where all are kept, to the left, where \
         only the surest are.{left_out}"
    );
    Item::figure(format!("{label}-abstention"), format!("Abstention: {label}"), &caption, bins, draw(&[panel])?)
}

fn windows(context: &Context<'_>, label: &str) -> Result<Option<Item>> {
    let answer = context.ask(&format!(
        "with windows as (
            select score, \"window\", n, ece, last_row, 1 + max(\"window\") over () / 400 as together
            from {}
            where scope = 'window' and bin is null and n > 0
        )
        select score, max(last_row) as last_row, sum(n) as n, avg(ece) as mean_ece
        from windows
        group by score, \"window\" / together
        order by score, last_row
        limit 20000",
        quoted(label)
    ))?;
    if answer.is_empty() {
        return Ok(None);
    }
    let (score, rows, ece) = (answer.texts("score")?, answer.numbers("last_row")?, answer.numbers("mean_ece")?);
    let names = distinct(&score);
    let layers = curves(&names[..names.len().min(CURVES)], &score, &rows, &ece);
    let panel = Panel {
        x: Axis::over("last row of the window", rows.iter().copied().flatten()),
        y: Axis::over("expected calibration error", ece.iter().copied().flatten().chain([0.0])),
        layers,
        height: 300,
    };
    let caption = format!(
        "The expected calibration error in windows of the stream, of {CURVES} scores at most; of more than 400 windows the mean of neighbours. \
         Of few rows in many bins it is large by chance."
    );
    let title = format!("Calibration over the stream: {label}");
    Item::figure(format!("{label}-windows"), title, &caption, &answer, draw(&[panel])?).map(Some)
}
