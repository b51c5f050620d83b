//! Rejected rows, by reason.

use super::{Context, Section, SectionItem};
use crate::{
    error::Result,
    report::chart::{
        axis::ChartAxis,
        palette::ALARM,
        panel::{ChartLayer, ChartShape, Panel, draw},
    },
};

/// The most reasons in the chart.
const MAX_REASONS: usize = 20;

pub(super) fn section(context: &Context<'_>) -> Section {
    let mut section = Section { id: "rejects", title: "Rejects", items: Vec::new(), notes: Vec::new() };
    if context.record.counts.rejected == 0 {
        section.notes.push("No rows were rejected.".into());
    } else if !context.has_table("rejects") {
        section.notes.push("The rejected rows are not committed yet.".into());
    } else {
        match items(context) {
            Ok(items) => section.items = items,
            Err(error) => section.notes.push(format!("The rejected rows cannot be shown: {}.", error.report())),
        }
    }
    section
}

fn items(context: &Context<'_>) -> Result<Vec<SectionItem>> {
    let reasons = context.query(
        "select stage, reason, count(*) as n
        from rejects
        group by stage, reason
        order by n desc, stage, reason
        limit 50",
    )?;
    let examples = context.query("select object_id, origin, stage, reason from rejects limit 50")?;
    let drawn = reasons.len().min(MAX_REASONS);
    let (reason, n) = (reasons.strings("reason")?, reasons.numbers("n")?);
    let names = (0..drawn).rev().map(|i| reason[i].clone().unwrap_or_default()).collect();
    let bars = (0..drawn).filter_map(|i| {
        let y = (drawn - 1 - i) as f64;
        Some([(0.0, y - 0.35), (n[i]?, y + 0.35)])
    });
    let panel = Panel {
        x: ChartAxis::between("rows", 0.0, n.iter().copied().flatten().fold(1.0, f64::max) * 1.05),
        y: ChartAxis::names("", names),
        layers: vec![ChartLayer::new(None, ALARM, ChartShape::Bars(bars.collect()))],
        height: 70 + 26 * drawn as u32,
    };
    let caption = format!("Rejected rows by reason. The {MAX_REASONS} most frequent reasons are drawn.");
    Ok(vec![
        SectionItem::figure("rejects".into(), "Rejects by reason".into(), &caption, &reasons, draw(&[panel])?)?,
        SectionItem::table("rejects-examples".into(), "Rejected rows".into(), "At most 50 rows.", &examples)?,
    ])
}
