//! Distances between latents of the same objects.

use super::{Context, SectionItem, quoted};
use crate::{
    error::Result,
    report::{
        chart::{
            axis::ChartAxis,
            palette::series,
            panel::{ChartLayer, ChartShape, Panel, draw},
        },
        format::significant,
        query_result::QueryResult,
    },
};

pub(super) fn items(context: &Context<'_>, label: &str) -> Result<Vec<SectionItem>> {
    let table = quoted(label);
    let mut items = Vec::new();
    let total = context.query(&format!(
        "select n, median, mean, standard_error, versus_median, versus_mean, versus_standard_error,
            js_distance, js_null_median, js_null_p95, js_p_value
        from {table}
        where scope = 'total'"
    ))?;
    let counts = context.query(&format!(
        "with distances as (
            select 'first' as pair, abs(distance) as d from {table} where scope = 'object' and coalesce(flipped, true)
            union all
            select 'versus', abs(versus_distance) from {table} where scope = 'object' and coalesce(flipped, true)
        ),
        ends as (select min(d) as low, max(d) as high from distances)
        select pair, bin, low + bin * (high - low) / 20 as from_distance, low + (bin + 1) * (high - low) / 20 as to_distance, count(*) as n
        from (
            select pair, low, high, least(cast(floor(20 * (d - low) / (high - low)) as bigint), 19) as bin
            from distances, ends
            where d is not null and high > low
        )
        group by pair, bin, low, high
        order by pair, bin"
    ))?;
    if !counts.is_empty() {
        items.push(histograms(context, label, &total, &counts)?);
    }
    if !total.is_empty() {
        let caption = "All compared objects. Columns that begin with `versus_` describe the second pair.";
        items.push(SectionItem::table(format!("{label}-total"), format!("Summary: {label}"), caption, &total)?);
    }
    Ok(items)
}

fn histograms(context: &Context<'_>, label: &str, total: &QueryResult, counts: &QueryResult) -> Result<SectionItem> {
    let settings = context.record.settings("monitor", label);
    let pair_name = |pair: &serde_json::Value| {
        format!("{} to {}", pair["from"].as_str().unwrap_or("?"), pair["to"].as_str().unwrap_or("?"))
    };
    let names = [("first", pair_name(settings)), ("versus", pair_name(&settings["versus"]))];
    let (pair, n) = (counts.strings("pair")?, counts.numbers("n")?);
    let (low, high) = (counts.numbers("from_distance")?, counts.numbers("to_distance")?);
    let mut layers = Vec::new();
    for (i, (key, name)) in names.iter().enumerate() {
        let own = (0..counts.len()).filter(|&row| pair[row].as_deref() == Some(*key));
        let bars: Vec<_> = own.filter_map(|row| Some([(low[row]?, 0.0), (high[row]?, n[row]?)])).collect();
        if !bars.is_empty() {
            layers.push(ChartLayer::new(name.clone(), series(i), ChartShape::Bars(bars)));
        }
    }
    let highest = n.iter().copied().flatten().fold(0.0, f64::max);
    for (i, column) in ["median", "versus_median"].into_iter().enumerate() {
        if let Some(median) = total.numbers(column)?.first().copied().flatten() {
            let line = ChartShape::Dashes(vec![(median, 0.0), (median, highest * 1.05)]);
            layers.push(ChartLayer::new(format!("median {}", significant(median)), series(i), line));
        }
    }
    let panel = Panel {
        x: ChartAxis::over("distance in latent space", low.iter().chain(&high).copied().flatten()),
        y: ChartAxis::between("objects", 0.0, highest * 1.08),
        layers,
        height: 300,
    };
    let js = total.numbers("js_distance")?.first().copied().flatten().map_or_else(String::new, |js| {
        let first = |column| {
            total.numbers(column).ok().and_then(|v| v.first().copied().flatten()).map_or("?".into(), significant)
        };
        format!(
            " Jensen-Shannon distance between the two: {} (median under the null {}, p = {}).",
            significant(js),
            first("js_null_median"),
            first("js_p_value")
        )
    });
    let caption = format!(
        "Histograms of distances between latents of the same objects, in 20 equal bins over the range of both pairs. Dashed lines are medians.{js}"
    );
    SectionItem::figure(label.to_owned(), format!("Latent distance: {label}"), &caption, counts, draw(&[panel])?)
}
