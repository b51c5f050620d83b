//! The operations of a run that change the disk, in order.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use crate::io::disk::{
    Operation,
    observer::{Observer, observed},
};

/// An operation that changes the disk or makes it durable. Paths begin at the folder that the run directory is in.
#[derive(Debug, Clone)]
pub(super) enum LoggedOperation {
    CreateFolder(PathBuf),
    CreateFile(PathBuf),
    Write(PathBuf, Vec<u8>),
    SyncFile(PathBuf),
    SyncFolder(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl LoggedOperation {
    /// Whether it puts a commit record in place.
    pub(super) fn is_commit(&self) -> bool {
        let Self::Rename(_, to) = self else { return false };
        to.extension().is_some_and(|kind| kind == "json")
            && to.parent().is_some_and(|folder| folder.ends_with("_commits"))
    }

    fn of(operation: Operation<'_>, below: &Path) -> Option<Self> {
        let own = |path: &Path| path.strip_prefix(below).unwrap_or(path).to_owned();
        Some(match operation {
            Operation::CreateFolder(path) => Self::CreateFolder(own(path)),
            Operation::CreateFile(path) => Self::CreateFile(own(path)),
            Operation::Write(path, bytes) => Self::Write(own(path), bytes.to_owned()),
            Operation::SyncFile(path) => Self::SyncFile(own(path)),
            Operation::SyncFolder(path) => Self::SyncFolder(own(path)),
            Operation::Rename(from, to) => Self::Rename(own(from), own(to)),
            Operation::RemoveFile(path) | Operation::RemoveFolder(path) => Self::Remove(own(path)),
            Operation::Read(_) | Operation::List(_) | Operation::Stat(_) => return None,
        })
    }
}

struct Recorder {
    below: PathBuf,
    log: Arc<Mutex<Vec<LoggedOperation>>>,
}

impl Observer for Recorder {
    fn before(&mut self, operation: Operation<'_>) -> io::Result<()> {
        self.log.lock().expect("no panic").extend(LoggedOperation::of(operation, &self.below));
        Ok(())
    }
}

/// The operations of `work` on files below a folder.
pub(super) fn recorded<T>(below: &Path, work: impl FnOnce() -> T) -> Vec<LoggedOperation> {
    let log = Arc::default();
    observed(Recorder { below: below.to_owned(), log: Arc::clone(&log) }, work);
    std::mem::take(&mut log.lock().expect("no panic"))
}
