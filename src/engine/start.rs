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

/// The most rows of a batch, so that a batch in every worker, one that is being read and one that is being written fit in memory.
/// Results do not depend on it.
fn fitting_rows(memory_bytes: usize, threads: usize, row_bytes: usize) -> usize {
    (memory_bytes / (threads + 2) / row_bytes.max(1)).max(1)
}

/// Starts source, steps and monitors (sinks start when their folders are ready).
pub(super) fn start_stages(job: &mut Job, stop: &Stop) -> Result<RunContext> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = if job.engine.threads == 0 { cores } else { job.engine.threads };
    if threads > MAX_THREADS {
        return Err(Error::data(format!("`threads` is {threads}, expected at most {MAX_THREADS}")));
    }
    let fitting = fitting_rows(job.engine.memory_mib << 20, threads, job.row_bytes);
    let batch_rows = if job.engine.batch_rows == 0 { BATCH_ROWS } else { job.engine.batch_rows }.min(fitting);
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
        run.batch_rows = wanted.fold(BATCH_ROWS, usize::max).min(fitting);
        job.engine.batch_rows = run.batch_rows;
    }
    for JobMonitor { stage, .. } in &mut job.monitors {
        guarded(&stage.label, stage.custom, || stage.stage.start(&run, &scorers))?;
    }
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_rows_make_small_batches() {
        // 100 x 100 pixels in three bands; 1,024 x 1,024 with two copies; 8,192 x 8,192.
        let rows = |side: usize, images| fitting_rows(512 << 20, 2, side * side * 3 * 4 * images);
        assert_eq!((rows(100, 1), rows(1024, 3), rows(8192, 1)), (1118, 3, 1));
        // A batch in each of six workers and two more.
        assert_eq!(fitting_rows(8000, 6, 10), 100);
        assert!(fitting_rows(16 << 20, 1024, 0) > BATCH_ROWS);
    }
}
