//! Patience with files that the system cannot read now: they are tried again, and then end the run, which can be resumed. They are not
//! rejected rows, as they may be good.

use std::{io, path::Path, thread::sleep, time::Duration};

use crate::{
    error::{Error, Result},
    fits,
};

/// How long to wait before a file is tried again.
const PAUSES: [Duration; 3] = [Duration::from_millis(20), Duration::from_millis(200), Duration::from_secs(1)];

/// Attempts something with a file until the system has no trouble with it.
///
/// # Errors
/// [`Error::Environment`] with the trouble that stays.
pub(super) fn patiently<T>(
    path: &Path,
    mut attempt: impl FnMut() -> T,
    trouble: impl Fn(&T) -> Option<&io::Error>,
) -> Result<T> {
    let mut pauses = PAUSES.iter();
    loop {
        let outcome = attempt();
        match (trouble(&outcome), pauses.next()) {
            (None, _) => return Ok(outcome),
            (Some(_), Some(pause)) => sleep(*pause),
            (Some(trouble), None) => return Err(cannot_read(&path.display().to_string(), trouble)),
        }
    }
}

/// Whether an error does not depend on the file. Without its folder (a disk that was unmounted), all files would be missing.
pub(super) fn is_outside(path: &Path, error: &io::Error) -> bool {
    // The empty path is the working folder.
    let is_missing = |folder: &Path| !folder.as_os_str().is_empty() && !folder.exists();
    path.parent().is_some_and(is_missing) || fits::is_outside(error)
}

pub(super) fn cannot_read(name: &str, trouble: &io::Error) -> Error {
    Error::environment(format!("cannot read `{name}`: {trouble}; resume when it can be read"))
}
