//! The page: a template, filled.

use std::path::Path;

use askama::Template;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    chart::{bug, graph::graph},
    numbers::{count, instant, short, span},
    record::{Record, Standing},
    section::Section,
};
use crate::error::Result;

/// What a page is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be kept and sent: it says how the run stands.
    Keep,
    /// To be served while the run goes on: what has changed is put in its place by the script of the live view.
    Watch,
}

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    styles: &'static [&'static str],
    scripts: &'static [&'static str],
    is_live: bool,
    name: String,
    description: &'a str,
    standing: (&'static str, String),
    parts: Vec<Part<'a>>,
    /// Why there are no parts yet.
    note: Option<&'a str>,
}

/// A part of the page under a heading, written out.
struct Part<'a> {
    id: &'a str,
    title: &'a str,
    html: String,
    /// Of the HTML: by it the live view knows which parts have changed.
    digest: String,
}

#[derive(Template)]
#[template(path = "summary.html")]
struct Summary<'a> {
    /// The pipeline as a picture; runs of earlier versions did not write it down.
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
struct Body<'a> {
    section: &'a Section,
}

const STYLE: &str = include_str!("templates/page.css");
const TURN: &str = include_str!("templates/space.js");
const LIVE_STYLE: &str = include_str!("templates/live.css");
const LIVE: &str = include_str!("templates/live.js");

impl Purpose {
    const fn styles(self) -> &'static [&'static str] {
        match self {
            Self::Keep => &[STYLE],
            Self::Watch => &[STYLE, LIVE_STYLE],
        }
    }

    const fn scripts(self) -> &'static [&'static str] {
        match self {
            Self::Keep => &[TURN],
            Self::Watch => &[TURN, LIVE],
        }
    }
}

/// The page of a run.
pub(super) fn render(run_dir: &Path, record: &Record, sections: &[Section], purpose: Purpose) -> Result<String> {
    let mut parts = vec![Part::new("summary", "Summary", &summary(record)?)?];
    for section in sections {
        parts.push(Part::new(section.id, section.title, &Body { section })?);
    }
    let page = Page {
        styles: purpose.styles(),
        scripts: purpose.scripts(),
        is_live: purpose == Purpose::Watch,
        name: run_dir.file_name().unwrap_or(run_dir.as_os_str()).to_string_lossy().into_owned(),
        description: record.description.as_deref().unwrap_or_default().trim(),
        standing: standing(record),
        parts,
        note: None,
    };
    page.render().map_err(bug)
}

/// The page to watch of a run of which there is nothing to show yet, and why. Its script fills it.
pub(super) fn empty(name: &str, note: &str) -> Result<String> {
    let page = Page {
        styles: Purpose::Watch.styles(),
        scripts: Purpose::Watch.scripts(),
        is_live: true,
        name: name.to_owned(),
        description: "",
        standing: ("", String::new()),
        parts: Vec::new(),
        note: Some(note),
    };
    page.render().map_err(bug)
}

impl<'a> Part<'a> {
    fn new(id: &'a str, title: &'a str, body: &impl Template) -> Result<Self> {
        let html = body.render().map_err(bug)?;
        let digest = Sha256::digest(&html).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { id, title, html, digest })
    }
}

fn summary(record: &Record) -> Result<Summary<'_>> {
    let counts = record.counts;
    Ok(Summary {
        graph: pipeline(record)?,
        counts: [
            ("rows in", counts.source),
            ("kept", counts.written),
            ("filtered", counts.filtered),
            ("rejected", counts.rejected),
        ]
        .map(|(name, n)| (name, count(n)))
        .to_vec(),
        findings: record.findings.iter().map(|finding| (finding.monitor.as_str(), finding.message.as_str())).collect(),
        models: record.scorers.iter().map(|(label, model)| model_row(label, model)).collect(),
        provenance: provenance(record),
        stages: stages(record),
        tables: record.tables.keys().map(|table| (table.as_str(), count(record.rows(table)))).collect(),
    })
}

/// The graph of the pipeline.
pub(super) fn pipeline(record: &Record) -> Result<Option<String>> {
    if record.graph.is_empty() { Ok(None) } else { graph(&record.graph).map(Some) }
}

/// A word for how a run stands, and a sentence.
fn standing(record: &Record) -> (&'static str, String) {
    let last = instant(record.updated_unix_seconds);
    match record.standing() {
        Standing::Finished => ("finished", format!("It came to its end at {last}.")),
        Standing::Running => ("running", format!("It goes on; this is what it had committed at {last}.")),
        Standing::Killed => (
            "killed",
            format!(
                "It ended without a word after {last}; `--resume` goes on from its last commit, which is shown here."
            ),
        ),
        Standing::Interrupted => {
            ("interrupted", format!("It was stopped after a commit at {last}; `--resume` goes on from there."))
        }
        Standing::Failed(error) => ("failed", format!("It failed at {last}: {error}")),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

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
        ("begun", instant(record.begun_unix_seconds)),
        ("last written", instant(record.updated_unix_seconds)),
        ("commits", record.commits.to_string()),
        ("seed", record.seed.to_string()),
        ("limit", record.limit.map_or_else(|| "none".into(), count)),
        ("pipeline digest", record.pipeline_digest.clone()),
        ("processor", record.host.cpu.clone().unwrap_or_default()),
        ("cores", record.host.cores.to_string()),
        ("threads", record.engine.threads.to_string()),
    ]
}

/// Family, label, kind, rows, rejected and filtered, seconds, rows per second of work.
fn stages(record: &Record) -> Vec<[String; 7]> {
    let row = |stage: &crate::engine::StageWork| {
        let kind = record.graph.iter().find(|node| node.label == stage.label).map_or(&stage.kind, |node| &node.kind);
        let rate = if stage.seconds > 0.0 && stage.rows > 0 {
            short(stage.rows as f64 / stage.seconds)
        } else {
            String::new()
        };
        let lost = stage.rejected + stage.filtered;
        [
            stage.family.clone(),
            stage.label.clone(),
            kind.clone(),
            count(stage.rows),
            count(lost),
            span(stage.seconds),
            rate,
        ]
    };
    record.stages.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_page_shows_names_as_they_are_and_runs_none() {
        let page = empty("<b>run</b> & \"co\"", "no <script>").expect("a page");
        assert!(page.contains("<title>&#60;b&#62;run&#60;/b&#62; &#38; &#34;co&#34;: report</title>"), "{page}");
        assert!(page.contains("<p class=\"note\">no &#60;script&#62;</p>"), "{page}");
        assert_eq!((page.matches("<script>").count(), page.matches("</script>").count()), (2, 2));
    }
}
