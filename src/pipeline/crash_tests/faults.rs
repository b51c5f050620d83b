//! Makes file operations fail.

use std::{
    io::{self, ErrorKind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::io::disk::{
    Operation,
    observer::{Observer, observed},
};

/// Which operations fail.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// One, whatever it does.
    Once(ErrorKind),
    /// One that changes the disk, and all later ones that do.
    FromThenOn(ErrorKind),
    /// Every one, before it succeeds.
    EveryTime(ErrorKind),
    /// Every write takes at most a few bytes.
    ShortWrites,
}

pub(super) struct Faults {
    fault: Fault,
    at: usize,
    /// Operations so far, of those that the fault concerns.
    seen: Arc<AtomicUsize>,
    /// Whether the last one failed.
    failed: bool,
}

impl Faults {
    /// Calls `work` with a fault at the operation `at`, from 0. Returns also how many operations there were.
    pub(super) fn inject<T>(fault: Fault, at: usize, work: impl FnOnce() -> T) -> (T, usize) {
        let seen = Arc::new(AtomicUsize::new(0));
        let result = observed(Self { fault, at, seen: seen.clone(), failed: false }, work);
        (result, seen.load(Ordering::Relaxed))
    }
}

impl Observer for Faults {
    fn before(&mut self, operation: Operation<'_>) -> io::Result<()> {
        let changes = !matches!(operation, Operation::Read(_) | Operation::List(_) | Operation::Stat(_));
        let fails = |when: fn(usize, usize) -> bool| when(self.seen.fetch_add(1, Ordering::Relaxed), self.at);
        match self.fault {
            Fault::Once(kind) if fails(|number, at| number == at) => Err(kind.into()),
            // A full disk still removes.
            Fault::FromThenOn(ErrorKind::StorageFull)
                if matches!(operation, Operation::RemoveFile(_) | Operation::RemoveFolder(_)) =>
            {
                Ok(())
            }
            Fault::FromThenOn(kind) if changes && fails(|number, at| number >= at) => Err(kind.into()),
            Fault::EveryTime(kind) => {
                self.failed = !self.failed;
                if self.failed { Err(kind.into()) } else { Ok(()) }
            }
            Fault::Once(_) | Fault::FromThenOn(_) | Fault::ShortWrites => Ok(()),
        }
    }

    fn room(&mut self, _path: &Path, bytes: usize) -> usize {
        if matches!(self.fault, Fault::ShortWrites) { bytes.min(7) } else { bytes }
    }
}
