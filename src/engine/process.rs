//! The fused, stateless steps, which each worker runs on one batch at a time.

use std::time::Instant;

use arrow::array::{Array, RecordBatch};

use super::{Step, StepStage, guard::guarded};
use crate::{
    error::{Error, Result},
    stage::Rejects,
};

/// The effect of a step on a batch.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StepWork {
    pub(super) rows: u64,
    pub(super) rejected: u64,
    pub(super) filtered: u64,
    pub(super) seconds: f64,
}

/// A batch after all steps.
pub(super) struct ProcessedBatch {
    pub(super) rows: RecordBatch,
    pub(super) rejects: Rejects,
    pub(super) steps: Vec<StepWork>,
    /// The peak size of the batch, bytes.
    pub(super) peak_bytes: usize,
}

/// Copies the steps for another worker.
pub(super) fn fork(steps: &[Step]) -> Vec<Step> {
    let stage = |stage: &StepStage| match stage {
        StepStage::Transform(transform) => StepStage::Transform(transform.fork()),
        StepStage::Score(scorer) => StepStage::Score(scorer.clone()),
    };
    let copy = |step: &Step| Step {
        label: step.label.clone(),
        kind: step.kind.clone(),
        custom: step.custom,
        stage: stage(&step.stage),
        drop_after: step.drop_after.clone(),
    };
    steps.iter().map(copy).collect()
}

/// Runs a batch through the steps. Every row is returned, rejected or filtered. Steps never receive a batch without rows: a batch
/// that becomes empty keeps the columns that it has at that step.
pub(super) fn process(steps: &mut [Step], mut rows: RecordBatch) -> Result<ProcessedBatch> {
    let mut rejects = Rejects::default();
    let mut works = Vec::with_capacity(steps.len());
    let mut peak_bytes = bytes_of(&rows);
    for step in steps {
        if rows.num_rows() == 0 {
            works.push(StepWork::default());
            continue;
        }
        let before = StepWork {
            rows: rows.num_rows() as u64,
            rejected: rejects.rejected.len() as u64,
            filtered: rejects.filtered,
            seconds: 0.0,
        };
        let begun = Instant::now();
        rows = guarded(&step.label, step.custom, || match &mut step.stage {
            StepStage::Transform(transform) => transform.apply(rows, &mut rejects),
            StepStage::Score(scorer) => scorer.score(rows, &mut rejects),
        })?;
        let work = StepWork {
            rows: before.rows,
            rejected: rejects.rejected.len() as u64 - before.rejected,
            filtered: rejects.filtered - before.filtered,
            seconds: begun.elapsed().as_secs_f64(),
        };
        check_rows(&step.label, &work, rows.num_rows() as u64)?;
        works.push(work);
        peak_bytes = peak_bytes.max(bytes_of(&rows));
        rows = without(rows, &step.drop_after)?;
    }
    Ok(ProcessedBatch { rows, rejects, steps: works, peak_bytes })
}

fn check_rows(label: &str, work: &StepWork, out: u64) -> Result<()> {
    let StepWork { rows, rejected, filtered, .. } = *work;
    let accounted = out + rejected + filtered;
    if accounted == rows {
        return Ok(());
    }
    let what = if accounted < rows { "lost" } else { "added" };
    let message = format!("{what} rows: {rows} in, {out} out, {rejected} rejected, {filtered} filtered");
    Err(Error::stage(label, message))
}

/// Bytes of the rows of a batch, not of the buffers that it may share with others.
pub(super) fn bytes_of(rows: &RecordBatch) -> usize {
    let size =
        |array: &dyn Array| array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size());
    rows.columns().iter().map(|array| size(array.as_ref())).sum()
}

fn without(rows: RecordBatch, columns: &[String]) -> Result<RecordBatch> {
    if columns.is_empty() {
        return Ok(rows);
    }
    let fields = rows.schema_ref().fields().iter().enumerate();
    let kept: Vec<usize> =
        fields.filter(|(_, field)| !columns.contains(field.name())).map(|(index, _)| index).collect();
    Ok(rows.project(&kept)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_loses_or_adds_rows_is_named() {
        let work = StepWork { rows: 5, rejected: 1, filtered: 0, seconds: 0.0 };
        assert!(check_rows("mine", &work, 4).is_ok());
        assert!(check_rows("mine", &StepWork { filtered: 3, ..work }, 1).is_ok());
        let error = check_rows("mine", &work, 3).expect_err("a lost row");
        assert_eq!(error.to_string(), "stage `mine` lost rows: 5 in, 3 out, 1 rejected, 0 filtered");
        let error = check_rows("mine", &work, 5).expect_err("an added row");
        assert_eq!(error.to_string(), "stage `mine` added rows: 5 in, 5 out, 1 rejected, 0 filtered");
    }
}
