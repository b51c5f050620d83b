//! The run directory: its lock, its content, and its recovery after a kill.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::Existing;
use crate::{
    error::{Error, Result},
    io::files::sync_folder,
    run::{
        self, COMMITS, CommitRecord, Finding, RunRecord, STAGING, TablePart, TableSize, commit_path, commits, is_run,
        replay,
    },
};

const LOCK: &str = "_lock";

/// A run directory that this process has locked.
pub(super) struct RunDir {
    path: PathBuf,
    /// The lock is held while the file is open, and ends with the process.
    _lock: File,
}

/// The state of a run at its last commit.
pub(super) struct RecoveredState {
    pub(super) last: CommitRecord,
    pub(super) sizes: BTreeMap<String, TableSize>,
    pub(super) findings: Vec<Finding>,
    /// Records from the latest checkpoint on.
    pub(super) log_length: usize,
    /// Parts that the checkpoint lists.
    pub(super) checkpoint_parts: usize,
}

impl RunDir {
    /// Opens a folder as a run directory, and reads its state if it is to be resumed.
    pub(super) fn open(path: &Path, existing: Existing) -> Result<(Self, Option<RecoveredState>)> {
        fs::create_dir_all(path).map_err(|error| Error::io("create", path, error))?;
        let ours = is_run(path);
        if !ours && !is_empty(path)? {
            let path = path.display();
            return Err(Error::environment(format!(
                "`{path}` is not empty and is not a run directory: choose another folder"
            )));
        }
        let dir = Self { path: path.to_owned(), _lock: lock(path)? };
        match existing {
            Existing::Refuse if ours => Err(Error::environment(format!(
                "`{}` already holds a run: resume it, overwrite it, or choose another folder",
                path.display()
            ))),
            Existing::Resume => {
                let past = dir.state()?;
                let commits = dir.run_record()?.map_or(0, |record| record.commits);
                if past.is_none() && commits > 0 {
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
        if !is_run(path) {
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

    fn state(&self) -> Result<Option<RecoveredState>> {
        let mut log = replay(&self.path)?;
        let log_length = log.len();
        let checkpoint_parts = log.first().map_or(0, |record| record.tables.values().map(Vec::len).sum());
        let mut sizes: BTreeMap<String, TableSize> = BTreeMap::new();
        let mut findings = Vec::new();
        for record in &mut log {
            findings.append(&mut record.findings.clone());
            for (table, parts) in &record.tables {
                let size = sizes.entry(table.clone()).or_default();
                size.rows += parts.iter().map(|part| part.rows).sum::<u64>();
                size.parts += parts.len();
            }
        }
        Ok(log.pop().map(|last| RecoveredState { last, sizes, findings, log_length, checkpoint_parts }))
    }

    /// Removes the files of an old run, and no other files.
    pub(super) fn clear(&self, tables: &[&str]) -> Result<()> {
        // A record that cannot be read (damaged, or of a newer version) names no tables to remove.
        let old = self.run_record().ok().flatten();
        if let Some(record) = &old {
            // The old run is over, even if this process is killed before all of it is removed.
            RunRecord { commits: 0, ..record.clone() }.write_durably(&self.path)?;
        }
        // Remove the records first: without them no resume accepts tables that are half removed.
        remove_folder(&self.commits())?;
        sync_folder(&self.path)?;
        remove_folder(&self.path.join(STAGING))?;
        let old: Vec<String> = old.map(|record| record.tables.into_keys().collect()).unwrap_or_default();
        let plain = |name: &&String| name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
        for table in old.iter().filter(plain) {
            remove_folder(&self.table(table))?;
        }
        self.remove_temporaries(&self.path)?;
        let in_the_way = tables.iter().map(|table| self.table(table)).find(|folder| folder.exists());
        in_the_way.map_or(Ok(()), |folder| {
            Err(Error::environment(format!(
                "`{}` is in the way of a table and does not belong to an earlier run",
                folder.display()
            )))
        })
    }

    /// Completes the last commit, and removes the files that it does not name.
    pub(super) fn recover(&self, last: &CommitRecord) -> Result<()> {
        self.publish(&last.tables)?;
        for (table, parts) in &last.tables {
            let missing = parts.iter().map(|part| self.table(table).join(&part.file)).find(|path| !path.exists());
            if let Some(path) = missing {
                return Err(Error::data(format!("`{}` is missing; commit {} wrote it", path.display(), last.commit)));
            }
        }
        remove_folder(&self.path.join(STAGING))?;
        self.forget(last)?;
        self.remove_temporaries(&self.path)?;
        self.remove_temporaries(&self.commits())
    }

    /// Renames a record into place: the commit.
    pub(super) fn write_record(&self, record: &CommitRecord) -> Result<()> {
        record.write(&self.path)
    }

    /// Moves the parts that a record names from staging to their tables. Idempotent.
    pub(super) fn publish(&self, tables: &BTreeMap<String, Vec<TablePart>>) -> Result<()> {
        for (table, parts) in tables {
            let (staging, folder) = (self.staging(table), self.table(table));
            let mut moved = false;
            for part in parts {
                let from = staging.join(&part.file);
                if !from.exists() {
                    continue;
                }
                fs::create_dir_all(&folder).map_err(|error| Error::io("create", &folder, error))?;
                fs::rename(&from, folder.join(&part.file)).map_err(|error| Error::io("move", &from, error))?;
                moved = true;
            }
            if moved {
                sync_folder(&folder)?;
                sync_folder(&staging)?;
                sync_folder(&self.path)?;
            }
        }
        Ok(())
    }

    /// Removes what a record supersedes: states of other commits, records before a checkpoint, and the parts that only those
    /// name.
    pub(super) fn forget(&self, last: &CommitRecord) -> Result<()> {
        let states: Vec<&str> = last.monitors.values().map(|state| state.file.as_str()).collect();
        for name in names(&self.commits())? {
            if name.ends_with(".state") && !states.contains(&name.as_str()) {
                remove_file(&self.commits().join(name))?;
            }
        }
        if last.checkpoint {
            self.forget_before(last)?;
        }
        Ok(())
    }

    fn forget_before(&self, checkpoint: &CommitRecord) -> Result<()> {
        let older: Vec<u64> = commits(&self.path)?.into_iter().filter(|number| *number < checkpoint.commit).collect();
        for number in &older {
            let path = commit_path(&self.path, *number);
            let text = fs::read(&path).map_err(|error| Error::io("read", &path, error))?;
            let Ok(old) = serde_json::from_slice::<CommitRecord>(&text) else { continue };
            for (table, parts) in &old.tables {
                let kept = checkpoint.tables.get(table).map(Vec::as_slice).unwrap_or_default();
                let kept: HashSet<&str> = kept.iter().map(|part| part.file.as_str()).collect();
                for part in parts.iter().filter(|part| !kept.contains(part.file.as_str())) {
                    remove_file(&self.table(table).join(&part.file))?;
                }
            }
        }
        // The oldest is removed last: while it exists, a later start finds what is left to remove.
        for number in older.iter().rev() {
            remove_file(&commit_path(&self.path, *number))?;
        }
        Ok(())
    }

    /// Removes what is in staging, after a run that finished or failed.
    pub(super) fn remove_staging(&self) -> Result<()> {
        remove_folder(&self.path.join(STAGING))
    }

    /// All parts of all tables, as of the last commit.
    pub(super) fn all_parts(&self) -> Result<BTreeMap<String, Vec<TablePart>>> {
        run::tables(&self.path)
    }

    fn remove_temporaries(&self, folder: &Path) -> Result<()> {
        for name in names(folder)?.iter().filter(|name| name.starts_with('.') && name.ends_with(".new")) {
            remove_file(&folder.join(name))?;
        }
        Ok(())
    }
}

fn lock(path: &Path) -> Result<File> {
    let path = path.join(LOCK);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| Error::io("open", &path, error))?;
    // A child process that is just being started holds a copy of a released lock until its `exec`.
    let patience = Instant::now() + Duration::from_millis(500);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < patience => thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::WouldBlock) => {
                let folder = path.parent().unwrap_or(&path).display();
                return Err(Error::environment(format!("another process is using `{folder}`")));
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path, error)),
        }
    }
}

/// Whether a process works on a run directory now. The run record does not show it: a killed run leaves the record unchanged.
pub fn is_running(run_dir: &Path) -> bool {
    // A shared lock that is released at once. A run that starts at this moment retries for longer than that.
    let lock = File::open(run_dir.join(LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Whether a folder is empty, except for the lock of a process that ended before it began.
fn is_empty(folder: &Path) -> Result<bool> {
    Ok(names(folder)?.iter().all(|name| name == LOCK || (name.starts_with('.') && name.ends_with(".new"))))
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", folder, error)),
    };
    let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().to_string_lossy().into_owned());
    entries.map(name).collect::<io::Result<_>>().map_err(|error| Error::io("read", folder, error))
}

fn remove_folder(folder: &Path) -> Result<()> {
    unless_gone(fs::remove_dir_all(folder)).map_err(|error| Error::io("remove", folder, error))
}

fn remove_file(file: &Path) -> Result<()> {
    unless_gone(fs::remove_file(file)).map_err(|error| Error::io("remove", file, error))
}

fn unless_gone(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
