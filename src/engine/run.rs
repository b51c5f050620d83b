//! A run from start to end.

use super::{Job, RunOptions, Status, Stop, Summary};
use crate::error::{Error, Result};

/// Runs a job into its run directory, on threads of its own; monitors, sinks, commits and `progress` on the caller's.
///
/// # Errors
/// [`Error::Interrupted`] after [`Stop::request`] and a commit; otherwise by whose fault it is. What was committed stays and
/// can be resumed.
pub fn run(job: Job, _options: &RunOptions, _stop: &Stop, _progress: &mut dyn FnMut(&Status)) -> Result<Summary> {
    Err(Error::Bug(format!("nothing runs {} steps yet", job.steps.len())))
}
