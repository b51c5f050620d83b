//! The fused, stateless steps, as one worker runs them on one batch after the other.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use arrow::array::{Array, RecordBatch};

use super::{Step, StepStage};
use crate::{
    error::{Error, Result},
    stage::Rejects,
};

/// What a step did to a batch.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StepWork {
    pub(super) rows: u64,
    pub(super) rejected: u64,
    pub(super) filtered: u64,
    pub(super) seconds: f64,
}

/// A batch after all steps.
pub(super) struct Worked {
    pub(super) rows: RecordBatch,
    pub(super) rejects: Rejects,
    pub(super) steps: Vec<StepWork>,
    /// The most bytes that the batch took on its way.
    pub(super) peak_bytes: usize,
}

/// Copies of the steps for one more worker.
pub(super) fn fork(steps: &[Step]) -> Vec<Step> {
    let stage = |stage: &StepStage| match stage {
        StepStage::Transform(transform) => StepStage::Transform(transform.fork()),
        StepStage::Score(scorer) => StepStage::Score(scorer.clone()),
    };
    let copy = |step: &Step| Step {
        label: step.label.clone(),
        kind: step.kind.clone(),
        stage: stage(&step.stage),
        drop_after: step.drop_after.clone(),
    };
    steps.iter().map(copy).collect()
}

/// Runs a batch through the steps. Every row that goes in comes out, is rejected, or is filtered. Steps never see a batch
/// without rows: what is left of one has the columns that it had when its last row went.
pub(super) fn work(steps: &mut [Step], mut rows: RecordBatch) -> Result<Worked> {
    let mut rejects = Rejects::default();
    let mut works = Vec::with_capacity(steps.len());
    let mut peak_bytes = bytes_of(&rows);
    for step in steps {
        if rows.num_rows() == 0 {
            works.push(StepWork::default());
            continue;
        }
        let before = (rows.num_rows() as u64, rejects.rejected.len() as u64, rejects.filtered);
        let begun = Instant::now();
        rows = guarded(&step.label, || match &mut step.stage {
            StepStage::Transform(transform) => transform.apply(rows, &mut rejects),
            StepStage::Score(scorer) => scorer.score(rows, &mut rejects),
        })?;
        let work = StepWork {
            rows: before.0,
            rejected: rejects.rejected.len() as u64 - before.1,
            filtered: rejects.filtered - before.2,
            seconds: begun.elapsed().as_secs_f64(),
        };
        if rows.num_rows() as u64 + work.rejected + work.filtered != work.rows {
            return Err(Error::bug(format!(
                "stage `{}` was given {} rows and answers for {} + {} rejected + {} filtered",
                step.label,
                work.rows,
                rows.num_rows(),
                work.rejected,
                work.filtered
            )));
        }
        works.push(work);
        peak_bytes = peak_bytes.max(bytes_of(&rows));
        rows = without(rows, &step.drop_after)?;
    }
    Ok(Worked { rows, rejects, steps: works, peak_bytes })
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

/// Runs a part of a stage; a panic in it is a bug that names the stage.
pub(super) fn guarded<T>(label: &str, part: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(part))
        .unwrap_or_else(|panic| Err(Error::bug(format!("stage `{label}` panicked: {}", said(panic.as_ref())))))
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
