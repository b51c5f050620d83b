//! What a plan does, for people: a text with the schema on every edge, and a Mermaid graph.

use std::fmt::Write;

use arrow::datatypes::{DataType, Field};

use super::outline::{Outline, OutlineMonitor, OutlineStep};
use crate::batch::ImageLayout;

/// The plan as a text, from source to sinks: `+` what a step makes, `-` what is dropped after it, `=` what flows on.
pub fn text(outline: &Outline) -> String {
    let mut out = String::new();
    if let Some(description) = &outline.description {
        let _ = writeln!(out, "{}\n", description.trim());
    }
    let _ = writeln!(out, "source {}", outline.source_kind);
    let mut flows: Vec<String> = Vec::new();
    for field in &outline.source {
        made(&mut out, field);
        flows.push(field.name().clone());
    }
    for step in &outline.steps {
        let _ = writeln!(out, "│\n├─ {}", title(step));
        for field in &step.made {
            made(&mut out, field);
            if !flows.contains(field.name()) {
                flows.push(field.name().clone());
            }
        }
        for name in &step.dropped {
            let _ = writeln!(out, "│    - {name}");
        }
        flows.retain(|name| !step.dropped.contains(name));
        let _ = writeln!(out, "│    = {}", flows.join(", "));
    }
    let ends = outline.monitors.len() + outline.sinks.len();
    let mut left = ends;
    let mut branch = || {
        left -= 1;
        if left == 0 { ("└─", "  ") } else { ("├─", "│ ") }
    };
    for OutlineMonitor { label, kind, reads, follows, table } in &outline.monitors {
        let (fork, bar) = branch();
        let of: Vec<&str> = follows.iter().chain(reads).map(String::as_str).collect();
        let _ = writeln!(out, "│\n{fork} monitor {label}: {kind} of {}", of.join(", "));
        for field in table.fields() {
            let _ = writeln!(out, "{bar}   + {:<24} {}", field.name(), describe(field));
        }
    }
    for (label, kind, columns) in &outline.sinks {
        let (fork, bar) = branch();
        let _ = writeln!(out, "│\n{fork} sink {label}: {kind}");
        let _ = writeln!(out, "{bar}   = {}", columns.join(", "));
    }
    if let Some(run) = &outline.run {
        let _ = writeln!(out, "\nruns into {}", run.display());
    }
    out
}

fn title(step: &OutlineStep) -> String {
    let mut title = format!("{} {}: {}", step.family.name(), step.label, step.kind);
    if !step.reads.is_empty() {
        let _ = write!(title, " of {}", step.reads.join(", "));
    }
    if !step.shared_by.is_empty() {
        let _ = write!(title, ", once for {}", step.shared_by.join(" and "));
    }
    title
}

fn made(out: &mut String, field: &Field) {
    let _ = writeln!(out, "│    + {:<24} {}", field.name(), describe(field));
}

/// The type of a column in words.
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

/// The plan as a Mermaid graph: steps are nodes, columns are on the edges.
pub fn mermaid(outline: &Outline) -> String {
    let mut out = String::from("flowchart LR\n");
    let _ = writeln!(out, "  source[\"source<br>{}\"]", outline.source_kind);
    let maker = |column: &str| {
        let made = |step: &&OutlineStep| step.made.iter().any(|field| field.name() == column);
        outline.steps.iter().find(made).map_or("source", |step| step.label.as_str())
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
    for step in &outline.steps {
        let _ = writeln!(out, "  {}[\"{}<br>{}\"]", node(&step.label), step.label, step.kind);
        edges(&mut out, &step.reads, &step.label);
    }
    for OutlineMonitor { label, kind, reads, follows, .. } in &outline.monitors {
        let _ = writeln!(out, "  {}{{{{\"{label}<br>{kind}\"}}}}", node(label));
        edges(&mut out, reads, label);
        for above in follows {
            let _ = writeln!(out, "  {} --> {}", node(above), node(label));
        }
    }
    for (label, kind, columns) in &outline.sinks {
        let _ = writeln!(out, "  {}[(\"{label}<br>{kind}\")]", node(label));
        edges(&mut out, columns, label);
    }
    out
}

/// A name that is no word of Mermaid's own (`end`, `graph`).
fn node(label: &str) -> String {
    if label == "source" { "source".into() } else { format!("n_{label}") }
}
