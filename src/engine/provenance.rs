//! `run.json`: what ran, on what, what came of it.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value, json};

use super::{Job, StageWork, StepStage, record::Record};
use crate::{
    error::Result,
    stage::Finding,
    table::{RUN_RECORD, write_atomically},
};

/// What of the run record stays the same.
pub(super) struct Provenance {
    begun: f64,
    document: Value,
    about: Value,
    scorers: Map<String, Value>,
    engine: Value,
    tables: Vec<String>,
    /// Digests of the models, by label: a resume with other ones is refused.
    pub(super) models: BTreeMap<String, String>,
}

/// How a run stands.
pub(super) enum Standing<'a> {
    Running,
    Finished,
    Interrupted,
    Failed(&'a str),
}

impl Provenance {
    /// Of a job whose stages are started.
    pub(super) fn of(job: &Job, threads: usize, tables: &[&str], before: Option<&Value>) -> Self {
        let mut scorers = Map::new();
        for step in &job.steps {
            if let StepStage::Score(scorer) = &step.stage {
                scorers.insert(step.label.clone(), scorer.provenance());
            }
        }
        let digests = scorers.iter().filter_map(|(label, scorer)| Some((label.clone(), digest_in(scorer)?)));
        let engine = json!({
            "threads": threads,
            "batch_rows": job.engine.batch_rows,
            "memory_mib": job.engine.memory_mib,
            "commit_rows": job.engine.commit_rows,
            "commit_seconds": job.engine.commit_seconds,
            "on_reject": job.engine.on_reject,
        });
        Self {
            begun: before.and_then(|run| run["begun_unix_seconds"].as_f64()).unwrap_or_else(now),
            document: job.document.clone(),
            about: json!(job.about),
            models: digests.collect(),
            scorers,
            engine,
            tables: tables.iter().map(|&table| table.to_owned()).collect(),
        }
    }

    /// Writes the run record as of a commit.
    pub(super) fn write(
        &self,
        run_dir: &std::path::Path,
        record: &Record,
        rows: &BTreeMap<String, (u64, usize)>,
        findings: &[Finding],
        standing: &Standing<'_>,
    ) -> Result<()> {
        let tables: Map<String, Value> = self
            .tables
            .iter()
            .map(|table| {
                let (rows, parts) = rows.get(table).copied().unwrap_or_default();
                (table.clone(), json!({ "rows": rows, "parts": parts }))
            })
            .collect();
        let (state, error) = match standing {
            Standing::Running => ("running", None),
            Standing::Finished => ("finished", None),
            Standing::Interrupted => ("interrupted", None),
            Standing::Failed(error) => ("failed", Some(*error)),
        };
        let run = json!({
            "lucarne": { "version": env!("CARGO_PKG_VERSION") },
            "state": state,
            "error": error,
            "begun_unix_seconds": self.begun,
            "updated_unix_seconds": now(),
            "description": self.about["description"],
            "seed": record.seed,
            "limit": record.limit,
            "pipeline_digest": record.digest,
            "host": host(),
            "engine": self.engine,
            "scorers": self.scorers,
            "counts": record.counts,
            "commits": record.commit,
            "tables": tables,
            "findings": findings,
            "stages": record.stages,
            "metrics": metrics(&record.stages),
            "graph": self.about["graph"],
            "document": self.document,
        });
        let mut text = serde_json::to_vec_pretty(&run).map_err(|error| crate::error::Error::bug(error.to_string()))?;
        text.push(b'\n');
        write_atomically(&run_dir.join(RUN_RECORD), &text)
    }
}

/// The work of the stages under Prometheus-style names.
fn metrics(stages: &[StageWork]) -> Map<String, Value> {
    let mut metrics = Map::new();
    for StageWork { family, label, rows, rejected, filtered, seconds, .. } in stages {
        let mut add = |name: &str, value: Value| {
            metrics.insert(format!("{name}{{family=\"{family}\",stage=\"{label}\"}}"), value);
        };
        add("lucarne_stage_rows_total", json!(rows));
        add("lucarne_stage_rejected_rows_total", json!(rejected));
        add("lucarne_stage_filtered_rows_total", json!(filtered));
        add("lucarne_stage_seconds_total", json!(seconds));
    }
    metrics
}

/// The digest that a scorer tells of its model: the first key that ends so.
fn digest_in(provenance: &Value) -> Option<String> {
    let provenance = provenance.as_object()?;
    let mut digests = provenance.iter().filter(|(key, _)| key.ends_with("digest") || key.ends_with("sha256"));
    digests.find_map(|(_, value)| value.as_str().map(str::to_owned))
}

fn host() -> Value {
    json!({
        "cpu": cpu_model(),
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "system": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
    })
}

/// The name of the processor: equal bits are promised for one kind of it.
fn cpu_model() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
