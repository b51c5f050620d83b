//! The run record of a run in progress: its constant part, and the part that every commit updates.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::Map;

use super::{Job, JobMonitor, StepStage, run_dir::RecoveredState};
use crate::run::{
    CommitRecord, EngineSettings, FORMAT, Finding, HostRecord, RunRecord, RunState, TableSize, Writer, record::metrics,
};

/// The run record of a job whose stages are started, before its first commit.
pub(super) fn begin(job: &Job, digest: &str, threads: usize, tables: &[&str], before: Option<&RunRecord>) -> RunRecord {
    let mut scorers = Map::new();
    let mut models = BTreeMap::new();
    for step in &job.steps {
        if let StepStage::Score(scorer) = &step.stage {
            scorers.insert(step.label.clone(), scorer.provenance());
            models.extend(scorer.digest().map(|digest| (step.label.clone(), digest)));
        }
    }
    let provenance = |monitor: &JobMonitor| (monitor.stage.label.clone(), monitor.stage.stage.provenance());
    let monitors = job.monitors.iter().map(provenance).filter(|(_, provenance)| !provenance.is_null()).collect();
    let now = now();
    RunRecord {
        format: FORMAT,
        lucarne: Writer::this(),
        state: RunState::Running,
        error: None,
        begun_unix_seconds: before.map_or(now, |before| before.begun_unix_seconds),
        updated_unix_seconds: now,
        description: job.metadata.description.clone(),
        seed: job.seed,
        limit: job.limit,
        pipeline_digest: digest.to_owned(),
        host: host(),
        engine: EngineSettings { threads, ..job.engine.clone() },
        scorers,
        monitors,
        models,
        counts: crate::run::Counts::default(),
        commits: 0,
        tables: tables.iter().map(|&table| (table.to_owned(), TableSize::default())).collect(),
        findings: Vec::new(),
        stages: Vec::new(),
        metrics: Map::new(),
        graph: job.metadata.graph.clone(),
        document: job.document.clone(),
    }
}

/// Updates the record after a commit.
pub(super) fn update(
    record: &mut RunRecord,
    commit: &CommitRecord,
    sizes: &BTreeMap<String, TableSize>,
    findings: &[Finding],
) {
    record.updated_unix_seconds = now();
    record.counts = commit.counts;
    record.commits = commit.commit;
    for (table, size) in &mut record.tables {
        *size = sizes.get(table).copied().unwrap_or_default();
    }
    record.findings = findings.to_vec();
    record.stages.clone_from(&commit.stages);
    record.metrics = metrics(&commit.stages);
}

/// The record of a complete run.
pub(super) fn finish(mut record: RunRecord, past: &RecoveredState) -> RunRecord {
    update(&mut record, &past.last, &past.sizes(), &past.findings);
    (record.state, record.error) = (RunState::Finished, None);
    record
}

fn host() -> HostRecord {
    HostRecord {
        cpu: cpu_model(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        system: std::env::consts::OS.into(),
        architecture: std::env::consts::ARCH.into(),
    }
}

fn cpu_model() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
