//! The run directory: its lock, its content, and its recovery after a kill.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::Existing;
use crate::{
    error::{Error, Result},
    io::disk,
    run::{
        self, COMMITS, CommitRecord, Finding, RunRecord, STAGING, TablePart, TableSize, commit_path, commits, is_run,
        locate, replay,
    },
};

const LOCK: &str = "_lock";
/// The commit records of a run that is being overwritten.
const DROPPED: &str = "_dropped";

/// A run directory that this process has locked.
pub(super) struct RunDir {
    path: PathBuf,
    _lock: Lock,
}

/// The state of a run at its last commit.
pub(super) struct RecoveredState {
    pub(super) last: CommitRecord,
    /// All parts of all tables.
    pub(super) tables: BTreeMap<String, Vec<TablePart>>,
    pub(super) findings: Vec<Finding>,
    /// Records from the latest checkpoint on.
    pub(super) log_length: usize,
    /// Parts that the checkpoint lists.
    pub(super) checkpoint_parts: usize,
}

impl RecoveredState {
    /// The sizes of the tables.
    pub(super) fn sizes(&self) -> BTreeMap<String, TableSize> {
        let size =
            |parts: &Vec<TablePart>| TableSize { rows: parts.iter().map(|part| part.rows).sum(), parts: parts.len() };
        self.tables.iter().map(|(table, parts)| (table.clone(), size(parts))).collect()
    }
}

impl RunDir {
    /// Opens a folder as a run directory, and reads its state if it is to be resumed.
    pub(super) fn open(path: &Path, existing: Existing) -> Result<(Self, Option<RecoveredState>)> {
        disk::create_folder(path)?;
        let ours = is_run(path)?;
        if !ours && !is_empty(path)? {
            let path = path.display();
            return Err(Error::environment(format!(
                "`{path}` is not empty and is not a run directory: choose another folder"
            )));
        }
        let dir = Self { path: path.to_owned(), _lock: Lock::of(path)? };
        match existing {
            Existing::Refuse if ours => Err(Error::environment(format!(
                "`{}` already holds a run: resume it, overwrite it, or choose another folder",
                path.display()
            ))),
            Existing::Resume => {
                let past = dir.state()?;
                if past.is_none() && dir.run_record()?.is_some_and(|record| record.commits > 0) {
                    return Err(Error::data(format!(
                        "the commit records of `{}` are missing, so its tables cannot be trusted; overwrite it to begin again",
                        path.display()
                    )));
                }
                Ok((dir, past))
            }
            Existing::Refuse | Existing::Overwrite => Ok((dir, None)),
        }
    }

    /// Locks an existing run to work on its tables.
    pub(super) fn open_existing(path: &Path) -> Result<(Self, Option<RecoveredState>)> {
        if !is_run(path)? {
            return Err(Error::environment(format!("`{}` is not a run directory", path.display())));
        }
        Self::open(path, Existing::Resume)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn table(&self, table: &str) -> PathBuf {
        self.path.join(table)
    }

    pub(super) fn staging(&self, table: &str) -> PathBuf {
        self.path.join(STAGING).join(table)
    }

    pub(super) fn commits(&self) -> PathBuf {
        self.path.join(COMMITS)
    }

    /// The run record, if there is one.
    pub(super) fn run_record(&self) -> Result<Option<RunRecord>> {
        RunRecord::read(&self.path)
    }

    /// The run record; `None` if it is missing or damaged, because the commit records suffice for a resume.
    ///
    /// # Errors
    /// [`Error::Data`] for a newer format.
    pub(super) fn run_record_if_whole(&self) -> Result<Option<RunRecord>> {
        match self.run_record() {
            Err(error @ Error::Data { .. }) if !RunRecord::is_newer(&self.path)? => {
                tracing::warn!("{}; it is written again", error.report());
                Ok(None)
            }
            record => record,
        }
    }

    fn state(&self) -> Result<Option<RecoveredState>> {
        let mut log = replay(&self.path)?;
        let log_length = log.len();
        let checkpoint_parts = log.first().map_or(0, |record| record.tables.values().map(Vec::len).sum());
        let mut tables: BTreeMap<String, Vec<TablePart>> = BTreeMap::new();
        let mut findings = Vec::new();
        for record in &log {
            findings.extend(record.findings.iter().cloned());
            for (table, parts) in &record.tables {
                tables.entry(table.clone()).or_default().extend(parts.iter().cloned());
            }
        }
        Ok(log.pop().map(|last| RecoveredState { last, tables, findings, log_length, checkpoint_parts }))
    }

    /// Removes the files of an old run, and no other files.
    pub(super) fn clear(&self, tables: &[&str]) -> Result<()> {
        self.refuse_links()?;
        let old = readable(self.run_record())?.flatten();
        // Both name the tables to remove; either may be damaged, or of a newer version.
        let mut old_tables: BTreeSet<String> = old.iter().flat_map(|record| record.tables.keys().cloned()).collect();
        old_tables.extend(readable(self.all_parts())?.into_iter().flat_map(BTreeMap::into_keys));
        if let Some(record) = &old {
            // The old run is over, even if this process is killed before all of it is removed.
            RunRecord { commits: 0, ..record.clone() }.write(&self.path)?;
        }
        // The records go first, and all at once: without them no resume accepts tables that are half removed.
        let dropped = self.path.join(DROPPED);
        disk::remove_folder(&dropped)?;
        if disk::is_folder(&self.commits())? {
            disk::rename(&self.commits(), &dropped)?;
            disk::sync_folder(&self.path)?;
            disk::remove_folder(&dropped)?;
        }
        disk::remove_folder(&self.path.join(STAGING))?;
        for table in &old_tables {
            disk::remove_folder(&self.table(table))?;
        }
        self.remove_temporaries(&self.path)?;
        for folder in tables.iter().map(|table| self.table(table)) {
            if disk::is_folder(&folder)? || disk::size(&folder)?.is_some() {
                return Err(Error::environment(format!(
                    "`{}` is in the way of a table and does not belong to an earlier run",
                    folder.display()
                )));
            }
        }
        disk::sync_folder(&self.path)
    }

    /// Completes the last commit, and removes the files that it does not name.
    ///
    /// # Errors
    /// [`Error::Data`] when a part of the run is missing or of another length.
    pub(super) fn recover(&self, RecoveredState { last, tables, .. }: &RecoveredState) -> Result<()> {
        self.refuse_links()?;
        // The process that wrote the record may have ended before these names were durable.
        disk::sync_folder(&self.path)?;
        disk::sync_folder(&self.commits())?;
        self.publish(&last.tables)?;
        for (table, parts) in tables {
            parts.iter().try_for_each(|part| locate(&self.path, table, part).map(drop))?;
        }
        self.remove_staging()?;
        self.forget(last)?;
        self.remove_temporaries(&self.path)?;
        self.remove_temporaries(&self.commits())
    }

    /// Refuses to work in a directory with links in place of folders: what is moved and removed there would be elsewhere.
    fn refuse_links(&self) -> Result<()> {
        for name in disk::names(&self.path)? {
            let path = self.path.join(name);
            if disk::is_link(&path)? {
                return Err(Error::data(format!(
                    "`{}` is a symbolic link: move what it points to into the run directory",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// Renames a record into place: the commit.
    pub(super) fn write_record(&self, record: &CommitRecord) -> Result<()> {
        record.write(&self.path)
    }

    /// Moves the parts that a record names from staging to their tables. Idempotent.
    pub(super) fn publish(&self, tables: &BTreeMap<String, Vec<TablePart>>) -> Result<()> {
        for (table, parts) in tables {
            let (staging, folder) = (self.staging(table), self.table(table));
            let staged: HashSet<String> = disk::names(&staging)?.into_iter().collect();
            let mut staged = parts.iter().filter(|part| staged.contains(&part.file)).peekable();
            if staged.peek().is_none() {
                continue;
            }
            // Its name has to be durable before anything is moved into it.
            disk::create_folder(&folder)?;
            staged.try_for_each(|part| disk::rename(&staging.join(&part.file), &folder.join(&part.file)))?;
            disk::sync_folder(&folder)?;
            disk::sync_folder(&staging)?;
        }
        Ok(())
    }

    /// Removes what a record supersedes: states of other commits, records before a checkpoint, and the parts that only those
    /// name.
    pub(super) fn forget(&self, last: &CommitRecord) -> Result<()> {
        let states: Vec<&str> = last.states().map(|(_, state)| state.file.as_str()).collect();
        for name in disk::names(&self.commits())? {
            if name.ends_with(".state") && !states.contains(&name.as_str()) {
                disk::remove_file(&self.commits().join(name))?;
            }
        }
        if last.checkpoint {
            self.forget_before(last)?;
        }
        Ok(())
    }

    fn forget_before(&self, checkpoint: &CommitRecord) -> Result<()> {
        let older: Vec<u64> = commits(&self.path)?.into_iter().filter(|number| *number < checkpoint.commit).collect();
        let mut emptied = BTreeSet::new();
        for number in &older {
            // The run does not need it any more.
            let old = readable(CommitRecord::read(&self.path, *number))?.flatten().unwrap_or_default();
            for (table, parts) in &old.tables {
                let kept = checkpoint.tables.get(table).map(Vec::as_slice).unwrap_or_default();
                let kept: HashSet<&str> = kept.iter().map(|part| part.file.as_str()).collect();
                for part in parts.iter().filter(|part| !kept.contains(part.file.as_str())) {
                    disk::remove_file(&self.table(table).join(&part.file))?;
                    emptied.insert(table.clone());
                }
            }
        }
        // A part that comes back after a power loss is removed by the next start only while its record exists. Programs that read the
        // folder would read its rows twice.
        emptied.iter().map(|table| self.table(table)).try_for_each(|folder| disk::sync_folder(&folder))?;
        // The oldest is removed last: while it exists, a later start finds what is left to remove.
        for number in older.iter().rev() {
            disk::remove_file(&commit_path(&self.path, *number))?;
        }
        Ok(())
    }

    /// Removes what is in staging, after a run that finished or failed.
    pub(super) fn remove_staging(&self) -> Result<()> {
        disk::remove_folder(&self.path.join(STAGING))
    }

    /// All parts of all tables, as of the last commit.
    pub(super) fn all_parts(&self) -> Result<BTreeMap<String, Vec<TablePart>>> {
        run::tables(&self.path)
    }

    fn remove_temporaries(&self, folder: &Path) -> Result<()> {
        let names = disk::names(folder)?;
        let mut temporaries = names.iter().filter(|name| disk::is_temporary(name));
        temporaries.try_for_each(|name| disk::remove_file(&folder.join(name)))
    }
}

/// What was read; `None` if it is damaged. An error of the system remains one.
fn readable<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(error @ Error::Environment { .. }) => Err(error),
        read => Ok(read.ok()),
    }
}

/// The lock of a run directory, held while its files are open; it ends with the process.
struct Lock {
    _file: File,
    /// The folder itself: somebody may remove the file. Not all systems can lock a folder.
    _folder: Option<File>,
}

impl Lock {
    fn of(run_dir: &Path) -> Result<Self> {
        let path = run_dir.join(LOCK);
        // Opening a pipe can block.
        disk::size(&path)?;
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| Error::io("open", &path, error))?;
        if !try_lock(&file).map_err(|error| Error::io("lock", &path, error))? {
            return Err(in_use(run_dir));
        }
        let folder = File::open(run_dir).ok();
        let folder = folder.and_then(|folder| Some((try_lock(&folder).ok()?, folder)));
        match folder {
            Some((false, _)) => Err(in_use(run_dir)),
            folder => Ok(Self { _file: file, _folder: folder.map(|(_, folder)| folder) }),
        }
    }
}

/// Locks a file; false if another process has locked it.
fn try_lock(file: &File) -> io::Result<bool> {
    // A child process that is just being started holds a copy of a released lock until its `exec`.
    let patience = Instant::now() + Duration::from_millis(500);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() < patience => thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn in_use(run_dir: &Path) -> Error {
    Error::environment(format!("another process is using `{}`", run_dir.display()))
}

/// Whether a process works on a run directory now. The run record does not show it: a killed run leaves the record unchanged.
pub fn is_running(run_dir: &Path) -> bool {
    // A shared lock that is released at once. A run that starts at this moment retries for longer than that.
    // Opening a pipe can block.
    let path = run_dir.join(LOCK);
    let lock = disk::size(&path).ok().flatten().and_then(|_| File::open(&path).ok());
    lock.is_some_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Whether a folder is empty, except for the lock of a process that ended before it began.
fn is_empty(folder: &Path) -> Result<bool> {
    Ok(disk::names(folder)?.iter().all(|name| name == LOCK || disk::is_temporary(name)))
}
