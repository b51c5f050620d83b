//! Starts the stages of a job.

use std::{num::NonZero, sync::Arc, thread};

use super::{Job, JobMonitor, StepStage, guard::guarded};
use crate::{
    error::{Error, Result},
    stage::{RunContext, Scorers, Stop},
};

/// Rows of a batch unless a score prefers more: their images stay in the cache of a core.
const BATCH_ROWS: usize = 32;

/// More threads are a mistake: each has sessions of every model.
const MAX_THREADS: usize = 1024;

/// Starts source, steps and monitors (sinks start when their folders are ready).
pub(super) fn start_stages(job: &mut Job, stop: &Stop) -> Result<RunContext> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = if job.engine.threads == 0 { cores } else { job.engine.threads };
    if threads > MAX_THREADS {
        return Err(Error::data(format!("`threads` is {threads}, expected at most {MAX_THREADS}")));
    }
    let batch_rows = if job.engine.batch_rows == 0 { BATCH_ROWS } else { job.engine.batch_rows };
    let mut run = RunContext { seed: job.seed, threads, batch_rows, stop: stop.clone() };
    guarded("source", job.source.custom, || job.source.stage.start(&run))?;
    for step in &mut job.steps {
        guarded(&step.label, step.custom, || match &mut step.stage {
            StepStage::Transform(transform) => transform.start(&run),
            StepStage::Score(scorer) => Arc::get_mut(scorer)
                .ok_or_else(|| Error::bug(format!("scorer `{}` is shared before it has started", step.label)))?
                .start(&run),
        })?;
    }
    let scorers: Scorers = job
        .steps
        .iter()
        .filter_map(|step| match &step.stage {
            StepStage::Score(scorer) => Some((step.label.clone(), scorer.clone())),
            StepStage::Transform(_) => None,
        })
        .collect();
    if job.engine.batch_rows == 0 {
        let wanted = scorers.values().filter_map(|scorer| scorer.preferred_batch_rows());
        run.batch_rows = wanted.fold(BATCH_ROWS, usize::max);
        job.engine.batch_rows = run.batch_rows;
    }
    for JobMonitor { stage, .. } in &mut job.monitors {
        guarded(&stage.label, stage.custom, || stage.stage.start(&run, &scorers))?;
    }
    Ok(run)
}
