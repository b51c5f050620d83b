//! Renders the page of a run.

use std::path::Path;

use askama::Template;
use serde_json::Value;

use super::{
    chart::{palette::themed, pipeline_graph::pipeline_graph},
    format::{duration, grouped, significant, timestamp},
    record::{Record, Standing},
    render,
    section::Section,
};
use crate::{error::Result, io::digest};

/// How a page is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageMode {
    /// A file: it shows the status of the run.
    Static,
    /// Served during the run: the script of the live view shows the status and updates the sections.
    Live,
}

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    styles: &'static [&'static str],
    scripts: &'static [&'static str],
    is_live: bool,
    name: String,
    description: &'a str,
    /// `None` on live pages.
    status: Option<StatusLine>,
    sections: Vec<PageSection<'a>>,
    /// Why there are no sections yet.
    note: Option<&'a str>,
}

/// The status of the run: a badge and an explanation.
struct StatusLine {
    badge: &'static str,
    sentence: String,
}

/// A rendered section with its heading.
struct PageSection<'a> {
    id: &'a str,
    title: &'a str,
    html: String,
    /// The digest of `html`: the live view replaces sections whose digest has changed.
    digest: String,
}

#[derive(Template)]
#[template(path = "summary.html")]
struct SummarySection<'a> {
    /// `None` for run records of versions that did not write the graph.
    graph: Option<String>,
    counts: Vec<(&'static str, String)>,
    findings: Vec<(&'a str, &'a str)>,
    models: Vec<[String; 6]>,
    provenance: Vec<(&'static str, String)>,
    stages: Vec<[String; 7]>,
    tables: Vec<(&'a str, String)>,
}

#[derive(Template)]
#[template(path = "section.html")]
struct MonitorSection<'a> {
    section: &'a Section,
}

const PAGE_CSS: &str = include_str!("templates/page.css");
const SCATTER_3D_JS: &str = include_str!("templates/scatter_3d.js");
const LIVE_CSS: &str = include_str!("templates/live.css");
const LIVE_JS: &str = include_str!("templates/live.js");

impl PageMode {
    const fn styles(self) -> &'static [&'static str] {
        match self {
            Self::Static => &[PAGE_CSS],
            Self::Live => &[PAGE_CSS, LIVE_CSS],
        }
    }

    const fn scripts(self) -> &'static [&'static str] {
        match self {
            Self::Static => &[SCATTER_3D_JS],
            Self::Live => &[SCATTER_3D_JS, LIVE_JS],
        }
    }
}

/// The page of a run.
pub(super) fn render_run(run_dir: &Path, record: &Record, sections: &[Section], mode: PageMode) -> Result<String> {
    let mut rendered = vec![PageSection::new("summary", "Summary", &summary(record)?)?];
    for section in sections {
        rendered.push(PageSection::new(section.id, section.title, &MonitorSection { section })?);
    }
    render(&Page {
        styles: mode.styles(),
        scripts: mode.scripts(),
        is_live: mode == PageMode::Live,
        name: run_dir.file_name().unwrap_or(run_dir.as_os_str()).to_string_lossy().into_owned(),
        description: record.description.as_deref().unwrap_or_default().trim(),
        status: (mode == PageMode::Static).then(|| status_line(record)),
        sections: rendered,
        note: None,
    })
}

/// A live page without sections, and why there are none yet. Its script adds them later.
pub(super) fn render_empty(name: &str, note: &str) -> Result<String> {
    render(&Page {
        styles: PageMode::Live.styles(),
        scripts: PageMode::Live.scripts(),
        is_live: true,
        name: name.to_owned(),
        description: "",
        status: None,
        sections: Vec::new(),
        note: Some(note),
    })
}

impl<'a> PageSection<'a> {
    fn new(id: &'a str, title: &'a str, body: &impl Template) -> Result<Self> {
        let html = render(body)?;
        let digest = digest::of_bytes(html.as_bytes());
        Ok(Self { id, title, html, digest })
    }
}

fn summary(record: &Record) -> Result<SummarySection<'_>> {
    let counts = record.counts;
    let lookups = record.stages.first().map(|source| source.lookups).filter(|lookups| lookups.rows > 0);
    Ok(SummarySection {
        graph: pipeline_svg(record)?.as_deref().map(themed),
        counts: [
            ("rows in", counts.source),
            ("kept", counts.written),
            ("filtered", counts.filtered),
            ("rejected", counts.rejected),
        ]
        .map(|(name, n)| (name, grouped(n)))
        .into_iter()
        .chain(lookups.map(|lookups| {
            ("found in the catalogue", format!("{} of {}", grouped(lookups.found), grouped(lookups.rows)))
        }))
        .collect(),
        findings: record.findings.iter().map(|finding| (finding.monitor.as_str(), finding.message.as_str())).collect(),
        models: record.scorers.iter().map(|(label, model)| model_row(label, model)).collect(),
        provenance: provenance(record),
        stages: stages(record),
        tables: record.tables.keys().map(|table| (table.as_str(), row_count(record.rows(table)))).collect(),
    })
}

/// The graph of the pipeline; `None` if the run record does not have it.
pub(super) fn pipeline_svg(record: &Record) -> Result<Option<String>> {
    if record.graph.is_empty() { Ok(None) } else { pipeline_graph(&record.graph).map(Some) }
}

fn status_line(record: &Record) -> StatusLine {
    let last = timestamp(record.updated_unix_seconds);
    let (badge, sentence) = match record.standing() {
        Standing::Finished => ("finished", format!("Finished at {last}.")),
        Standing::Running => ("running", format!("Still running. This page shows the commit of {last}.")),
        Standing::Killed => (
            "killed",
            format!(
                "The process ended unexpectedly after {last}. This page shows its last commit; `--resume` continues from there."
            ),
        ),
        Standing::Interrupted => {
            ("interrupted", format!("Stopped after the commit of {last}; `--resume` continues from there."))
        }
        Standing::Failed(error) => ("failed", format!("Failed at {last}: {error}")),
    };
    StatusLine { badge, sentence }
}

fn row_count(rows: u64) -> String {
    format!("{} {}", grouped(rows), if rows == 1 { "row" } else { "rows" })
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Label, model, digest, domain, training domains, device.
fn model_row(label: &str, model: &Value) -> [String; 6] {
    let digest: String = text(&model["sha256"]).chars().take(12).collect();
    [
        label.to_owned(),
        text(&model["model"]),
        digest,
        text(&model["domain"]),
        text(&model["trained_on"]),
        text(&model["device"]),
    ]
}

fn provenance(record: &Record) -> Vec<(&'static str, String)> {
    let runtime = record.scorers.values().find_map(|scorer| scorer["onnxruntime"].as_str()).unwrap_or("not used");
    vec![
        ("Lucarne", record.lucarne.version.clone()),
        ("ONNX Runtime", runtime.to_owned()),
        ("started", timestamp(record.begun_unix_seconds)),
        ("last update", timestamp(record.updated_unix_seconds)),
        ("commits", record.commits.to_string()),
        ("seed", record.seed.to_string()),
        ("row limit", record.limit.map_or_else(|| "none".into(), grouped)),
        ("pipeline digest", record.pipeline_digest.clone()),
        ("CPU", record.host.cpu.clone().unwrap_or_default()),
        ("cores", record.host.cores.to_string()),
        ("threads", record.engine.threads.to_string()),
    ]
}

/// Family, label, kind, rows, rows rejected or filtered, time, rows per second of that time.
fn stages(record: &Record) -> Vec<[String; 7]> {
    let row = |stage: &crate::engine::StageWork| {
        let kind = record.graph.iter().find(|node| node.label == stage.label).map_or(&stage.kind, |node| &node.kind);
        let rate = if stage.seconds > 0.0 && stage.rows > 0 {
            significant(stage.rows as f64 / stage.seconds)
        } else {
            String::new()
        };
        let removed = stage.rejected + stage.filtered;
        [
            stage.family.clone(),
            stage.label.clone(),
            kind.clone(),
            grouped(stage.rows),
            grouped(removed),
            duration(stage.seconds),
            rate,
        ]
    };
    record.stages.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_names_and_notes_in_the_empty_page() {
        let page = render_empty("<b>run</b> & \"co\"", "no <script>").expect("a page");
        assert!(page.contains("<title>&#60;b&#62;run&#60;/b&#62; &#38; &#34;co&#34;: report</title>"), "{page}");
        assert!(page.contains("<p class=\"note\">no &#60;script&#62;</p>"), "{page}");
        assert_eq!((page.matches("<script>").count(), page.matches("</script>").count()), (2, 2));
    }
}
