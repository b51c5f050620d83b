//! Rows that could not be used, by reason.

use super::{Context, Item, Section};
use crate::{
    error::Result,
    report::chart::{
        axis::Axis,
        palette::ALARM,
        panel::{Layer, Panel, Shape, draw},
    },
};

pub(super) fn section(context: &Context<'_>) -> Section {
    let mut section = Section { id: "rejects", title: "Rejects", items: Vec::new(), notes: Vec::new() };
    if context.record.counts.rejected == 0 {
        section.notes.push("No row was rejected.".into());
    } else if !context.has("rejects") {
        section.notes.push("The rejects are not committed yet.".into());
    } else {
        match show(context) {
            Ok(items) => section.items = items,
            Err(error) => section.notes.push(format!("The rejects cannot be shown: {error}.")),
        }
    }
    section
}

fn show(context: &Context<'_>) -> Result<Vec<Item>> {
    let reasons = context.ask(
        "select stage, reason, count(*) as n
        from rejects
        group by stage, reason
        order by n desc, stage, reason
        limit 50",
    )?;
    let examples = context.ask("select object_id, origin, stage, reason from rejects limit 50")?;
    let shown = reasons.len().min(20);
    let (reason, n) = (reasons.texts("reason")?, reasons.numbers("n")?);
    let names = (0..shown).rev().map(|i| reason[i].clone().unwrap_or_default()).collect();
    let bars = (0..shown).filter_map(|i| {
        let place = (shown - 1 - i) as f64;
        Some([(0.0, place - 0.35), (n[i]?, place + 0.35)])
    });
    let panel = Panel {
        x: Axis::between("rows", 0.0, n.iter().copied().flatten().fold(1.0, f64::max) * 1.05),
        y: Axis::names("", names),
        layers: vec![Layer::new(None, ALARM, Shape::Bars(bars.collect()))],
        height: 70 + 26 * shown as u32,
    };
    let caption = "Rows by the reason for which they could not be used, the 20 most frequent drawn.";
    Ok(vec![
        Item::figure("rejects".into(), "Rejects by reason".into(), caption, &reasons, draw(&[panel])?)?,
        Item::table("rejects-examples".into(), "Where they came from".into(), "The first of them.", &examples)?,
    ])
}
