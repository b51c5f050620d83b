//! The work of every stage of a run, by family.

use std::time::Instant;

use super::{Job, StepStage};
use crate::run::StageWork;

/// The work of all stages so far.
#[derive(Debug, Clone, Default)]
pub(super) struct StageWorks {
    pub(super) source: StageWork,
    /// Transforms and scores, in order.
    pub(super) steps: Vec<StageWork>,
    pub(super) monitors: Vec<StageWork>,
    pub(super) sinks: Vec<StageWork>,
}

impl StageWorks {
    /// No work yet.
    pub(super) fn of(job: &Job) -> Self {
        let work = |family: &str, label: &str, kind: &str| StageWork {
            family: family.into(),
            label: label.into(),
            kind: kind.into(),
            ..StageWork::default()
        };
        let family = |stage: &StepStage| if matches!(stage, StepStage::Score(_)) { "score" } else { "transform" };
        Self {
            source: work("source", "source", &job.source.kind),
            steps: job.steps.iter().map(|step| work(family(&step.stage), &step.label, &step.kind)).collect(),
            monitors: job
                .monitors
                .iter()
                .map(|monitor| work("monitor", &monitor.stage.label, &monitor.stage.kind))
                .collect(),
            sinks: job.sinks.iter().map(|sink| work("sink", &sink.label, &sink.kind)).collect(),
        }
    }

    /// Continues from the work in a commit record, if it is of the same stages.
    pub(super) fn restore(&mut self, past: &[StageWork]) {
        let now = self.to_vec();
        if !past.iter().map(|work| &work.label).eq(now.iter().map(|work| &work.label)) {
            return;
        }
        for (work, past) in self.iter_mut().zip(past) {
            *work = past.clone();
        }
    }

    /// All of it: source, steps, monitors, sinks.
    pub(super) fn to_vec(&self) -> Vec<StageWork> {
        [&self.source].into_iter().chain(&self.steps).chain(&self.monitors).chain(&self.sinks).cloned().collect()
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut StageWork> {
        [&mut self.source].into_iter().chain(&mut self.steps).chain(&mut self.monitors).chain(&mut self.sinks)
    }
}

/// Adds one call to the work of a stage.
pub(super) fn count(work: &mut StageWork, rows: u64, begun: Instant) {
    work.rows += rows;
    work.seconds += begun.elapsed().as_secs_f64();
}
