//! The logical plan for readers: a text with the schema on every edge, and a Mermaid flowchart.

use std::fmt::Write;

use arrow::datatypes::{DataType, Field};

use super::logical_plan::{LogicalMonitor, LogicalPlan, LogicalSink, LogicalStep};
use crate::batch::ImageLayout;

/// The plan as text, from source to sinks: `+` a column that a step makes, `-` a column dropped after it, `=` the columns that
/// remain.
pub fn text(plan: &LogicalPlan) -> String {
    let mut out = String::new();
    if let Some(description) = &plan.description {
        let _ = writeln!(out, "{}\n", description.trim());
    }
    let _ = writeln!(out, "source {}", plan.source_kind);
    let mut remaining: Vec<String> = Vec::new();
    for field in &plan.source {
        column(&mut out, field);
        remaining.push(field.name().clone());
    }
    for step in &plan.steps {
        let _ = writeln!(out, "│\n├─ {}", title(step));
        for field in &step.made {
            column(&mut out, field);
            if !remaining.contains(field.name()) {
                remaining.push(field.name().clone());
            }
        }
        for name in &step.dropped {
            let _ = writeln!(out, "│    - {name}");
        }
        remaining.retain(|name| !step.dropped.contains(name));
        let _ = writeln!(out, "│    = {}", remaining.join(", "));
    }
    let mut left = plan.monitors.len() + plan.sinks.len();
    let mut branch = || {
        left -= 1;
        if left == 0 { ("└─", "  ") } else { ("├─", "│ ") }
    };
    for LogicalMonitor { label, kind, reads, upstream, table } in &plan.monitors {
        let (fork, bar) = branch();
        let of: Vec<&str> = upstream.iter().chain(reads).map(String::as_str).collect();
        let _ = writeln!(out, "│\n{fork} monitor {label}: {kind} of {}", of.join(", "));
        for field in table.fields() {
            let _ = writeln!(out, "{bar}   + {:<24} {}", field.name(), describe(field));
        }
    }
    for LogicalSink { label, kind, columns } in &plan.sinks {
        let (fork, bar) = branch();
        let _ = writeln!(out, "│\n{fork} sink {label}: {kind}");
        let _ = writeln!(out, "{bar}   = {}", columns.join(", "));
    }
    if let Some(run) = &plan.run {
        let _ = writeln!(out, "\nrun directory {}", run.display());
    }
    out
}

fn title(step: &LogicalStep) -> String {
    let mut title = format!("{} {}: {}", step.family.name(), step.label, step.kind);
    if !step.reads.is_empty() {
        let _ = write!(title, " of {}", step.reads.join(", "));
    }
    if !step.shared_by.is_empty() {
        let _ = write!(title, ", once for {}", step.shared_by.join(" and "));
    }
    title
}

fn column(out: &mut String, field: &Field) {
    let _ = writeln!(out, "│    + {:<24} {}", field.name(), describe(field));
}

/// The type of a column, in words.
pub(super) fn describe(field: &Field) -> String {
    if let Some(layout) = ImageLayout::of(field) {
        let scale = layout.pixel_scale_arcsec.map_or_else(String::new, |scale| format!(", {scale} arcsec/pixel"));
        let stretch =
            layout.stretch.map_or_else(String::new, |stretch| format!(", lo {} hi {}", stretch.lo, stretch.hi));
        let (bands, unit) = (layout.bands.join(" "), layout.unit.name());
        return format!("image {bands}, {}x{} pixels, {unit}{scale}{stretch}", layout.height, layout.width);
    }
    let name = match field.data_type() {
        DataType::Utf8 => "text".to_owned(),
        DataType::Dictionary(_, value) if **value == DataType::Utf8 => "text, dictionary".to_owned(),
        DataType::FixedSizeList(item, length) => format!("{length} x {}", item.data_type()).to_lowercase(),
        DataType::List(item) => format!("list of {}", item.data_type()).to_lowercase(),
        other => other.to_string().to_lowercase(),
    };
    let unit = field.metadata().get("unit").map_or_else(String::new, |unit| format!(", {unit}"));
    let null = if field.is_nullable() { ", may be null" } else { "" };
    format!("{name}{unit}{null}")
}

/// The plan as a Mermaid flowchart: steps are nodes, columns are on the edges.
pub fn mermaid(plan: &LogicalPlan) -> String {
    let mut out = String::from("flowchart LR\n");
    let _ = writeln!(out, "  source[\"source<br>{}\"]", plan.source_kind);
    let maker = |column: &str| {
        let made = |step: &&LogicalStep| step.made.iter().any(|field| field.name() == column);
        plan.steps.iter().find(made).map_or("source", |step| step.label.as_str())
    };
    let edges = |out: &mut String, reads: &[String], to: &str| {
        let mut by_maker: Vec<(&str, Vec<&str>)> = Vec::new();
        for column in reads {
            let maker = maker(column);
            match by_maker.iter_mut().find(|(known, _)| *known == maker) {
                Some((_, columns)) => columns.push(column),
                None => by_maker.push((maker, vec![column])),
            }
        }
        for (maker, columns) in by_maker {
            let _ = writeln!(out, "  {} -->|{}| {}", node(maker), columns.join("<br>"), node(to));
        }
    };
    for step in &plan.steps {
        let _ = writeln!(out, "  {}[\"{}<br>{}\"]", node(&step.label), step.label, step.kind);
        edges(&mut out, &step.reads, &step.label);
    }
    for LogicalMonitor { label, kind, reads, upstream, .. } in &plan.monitors {
        let _ = writeln!(out, "  {}{{{{\"{label}<br>{kind}\"}}}}", node(label));
        edges(&mut out, reads, label);
        for monitor in upstream {
            let _ = writeln!(out, "  {} --> {}", node(monitor), node(label));
        }
    }
    for LogicalSink { label, kind, columns } in &plan.sinks {
        let _ = writeln!(out, "  {}[(\"{label}<br>{kind}\")]", node(label));
        edges(&mut out, columns, label);
    }
    out
}

/// The Mermaid node of a label. The prefix avoids Mermaid's keywords (`end`, `graph`).
fn node(label: &str) -> String {
    if label == "source" { "source".into() } else { format!("n_{label}") }
}
