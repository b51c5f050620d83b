//! How far objects move in latent space.

use super::{Context, Item, quoted};
use crate::{
    error::Result,
    report::{
        chart::{
            axis::Axis,
            palette::series,
            panel::{Layer, Panel, Shape, draw},
        },
        numbers::short,
    },
};

pub(super) fn show(context: &Context<'_>, label: &str) -> Result<Vec<Item>> {
    let table = quoted(label);
    let mut items = Vec::new();
    let total = context.ask(&format!(
        "select n, median, mean, standard_error, versus_median, versus_mean, versus_standard_error,
            js_distance, js_null_median, js_null_p95, js_p_value
        from {table}
        where scope = 'total'"
    ))?;
    let counts = context.ask(&format!(
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
    if counts.is_empty() {
        return if total.is_empty() { Ok(items) } else { Ok(vec![table_of(label, &total)?]) };
    }
    let settings = context.record.settings("monitor", label);
    let told = |pair: &serde_json::Value| {
        format!("{} to {}", pair["from"].as_str().unwrap_or("?"), pair["to"].as_str().unwrap_or("?"))
    };
    let names = [("first", told(settings)), ("versus", told(&settings["versus"]))];
    let (pair, low, high, n) =
        (counts.texts("pair")?, counts.numbers("from_distance")?, counts.numbers("to_distance")?, counts.numbers("n")?);
    let mut layers = Vec::new();
    for (i, (key, name)) in names.iter().enumerate() {
        let own = (0..counts.len()).filter(|&row| pair[row].as_deref() == Some(*key));
        let bars: Vec<_> = own.filter_map(|row| Some([(low[row]?, 0.0), (high[row]?, n[row]?)])).collect();
        if !bars.is_empty() {
            layers.push(Layer::new(name.clone(), series(i), Shape::Bars(bars)));
        }
    }
    let most = n.iter().copied().flatten().fold(0.0, f64::max);
    for (i, column) in ["median", "versus_median"].into_iter().enumerate() {
        if let Some(median) = total.numbers(column)?.first().copied().flatten() {
            let line = Shape::Dashes(vec![(median, 0.0), (median, most * 1.05)]);
            layers.push(Layer::new(format!("median {}", short(median)), series(i), line));
        }
    }
    let panel = Panel {
        x: Axis::over("distance in latent space", low.iter().chain(&high).copied().flatten()),
        y: Axis::between("objects", 0.0, most * 1.08),
        layers,
        height: 300,
    };
    let js = total.numbers("js_distance")?.first().copied().flatten().map_or_else(String::new, |js| {
        let number =
            |name| total.numbers(name).ok().and_then(|v| v.first().copied().flatten()).map_or("?".into(), short);
        format!(
            " Jensen-Shannon distance of the two: {} (without any difference {} by its median; p = {}).",
            short(js),
            number("js_null_median"),
            number("js_p_value")
        )
    });
    let caption = format!(
        "Distances of the same objects, in 20 equal bins over the range of both; medians are broken lines.{js}"
    );
    let title = format!("Distances: {label}");
    items.push(Item::figure(label.to_owned(), title, &caption, &counts, draw(&[panel])?)?);
    if !total.is_empty() {
        items.push(table_of(label, &total)?);
    }
    Ok(items)
}

fn table_of(label: &str, total: &crate::report::answer::Answer) -> Result<Item> {
    let caption = "Over all objects that are compared: `versus_` columns are of the second pair.";
    Item::table(format!("{label}-total"), format!("Summary: {label}"), caption, total)
}
