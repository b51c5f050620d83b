//! The run directory: who may use it, what is in it, and how it is put in order after a kill.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{Existing, record::Record};
use crate::{
    error::{Error, Result},
    stage::Finding,
    table::{
        self, COMMITS, RUN_RECORD, STAGING, TablePart, chain, is_run, record_path, records, sync_folder, write_durably,
    },
};

const LOCK: &str = "_lock";

/// A run directory that this process has locked.
pub(super) struct RunDir {
    path: PathBuf,
    /// The lock lasts as long as the file is open, and no longer than the process.
    _lock: File,
}

/// What a run had come to at its last commit.
pub(super) struct Past {
    pub(super) last: Record,
    /// Rows and number of parts of every table.
    pub(super) tables: BTreeMap<String, (u64, usize)>,
    pub(super) findings: Vec<Finding>,
    /// Records in the chain.
    pub(super) chain: usize,
    /// Parts that the checkpoint at its beginning lists.
    pub(super) checkpoint_parts: usize,
}

impl RunDir {
    /// Opens a folder as a run directory, and tells what it had come to if it is to be resumed.
    pub(super) fn open(path: &Path, existing: Existing) -> Result<(Self, Option<Past>)> {
        fs::create_dir_all(path).map_err(|error| Error::io("make", path, error))?;
        let ours = is_run(path);
        if !ours && !is_empty(path)? {
            let path = path.display();
            return Err(Error::environment(format!(
                "`{path}` is not empty and is no run directory: choose another folder"
            )));
        }
        let dir = Self { path: path.to_owned(), _lock: lock(path)? };
        match existing {
            Existing::Refuse if ours => Err(Error::environment(format!(
                "`{}` holds a run already: resume it, overwrite it, or choose another folder",
                path.display()
            ))),
            Existing::Resume => {
                let past = dir.past()?;
                let commits = dir.run_record().and_then(|run| run["commits"].as_u64());
                if past.is_none() && commits.is_some_and(|commits| commits > 0) {
                    return Err(Error::data(format!(
                        "the commit records of `{}` are gone: its tables cannot be believed; overwrite it to begin again",
                        path.display()
                    )));
                }
                Ok((dir, past))
            }
            Existing::Refuse | Existing::Overwrite => Ok((dir, None)),
        }
    }

    /// Locks an existing run to work on its tables.
    pub(super) fn open_existing(path: &Path) -> Result<(Self, Option<Past>)> {
        if !is_run(path) {
            return Err(Error::environment(format!("`{}` is no run directory", path.display())));
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

    /// The run record as it is, if there is one.
    pub(super) fn run_record(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.path.join(RUN_RECORD)).ok()?).ok()
    }

    fn past(&self) -> Result<Option<Past>> {
        let mut chain = chain::<Record>(&self.path)?;
        let length = chain.len();
        let checkpoint_parts = chain.first().map_or(0, |record| record.tables.values().map(Vec::len).sum());
        let mut tables: BTreeMap<String, (u64, usize)> = BTreeMap::new();
        let mut findings = Vec::new();
        for record in &mut chain {
            findings.append(&mut record.findings.clone());
            for (table, parts) in &record.tables {
                let (rows, number) = tables.entry(table.clone()).or_default();
                *rows += parts.iter().map(|part| part.rows).sum::<u64>();
                *number += parts.len();
            }
        }
        Ok(chain.pop().map(|last| Past { last, tables, findings, chain: length, checkpoint_parts }))
    }

    /// Makes room for a new run: what an old one left is removed, and nothing else.
    pub(super) fn clear(&self, tables: &[&str]) -> Result<()> {
        let old = self.run_record();
        if let Some(mut run) = old.clone() {
            // The run that was is over, even if this process is killed before it has removed all of it.
            run["commits"] = 0.into();
            write_durably(&self.path.join(RUN_RECORD), run.to_string().as_bytes())?;
        }
        // The records go first: without them no resume can believe in tables that are half removed.
        remove_folder(&self.commits())?;
        sync_folder(&self.path)?;
        remove_folder(&self.path.join(STAGING))?;
        let old = old.and_then(|run| Some(run.get("tables")?.as_object()?.keys().cloned().collect::<Vec<_>>()));
        let plain = |name: &&String| name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
        for table in old.iter().flatten().filter(plain) {
            remove_folder(&self.table(table))?;
        }
        self.remove_temporaries(&self.path)?;
        let in_the_way = tables.iter().map(|table| self.table(table)).find(|folder| folder.exists());
        in_the_way.map_or(Ok(()), |folder| {
            Err(Error::environment(format!(
                "`{}` is in the way of a table and is not of an earlier run",
                folder.display()
            )))
        })
    }

    /// Finishes what the last commit began, and removes what it does not name.
    pub(super) fn recover(&self, last: &Record) -> Result<()> {
        self.publish(&last.tables)?;
        for (table, parts) in &last.tables {
            let missing = parts.iter().map(|part| self.table(table).join(&part.file)).find(|path| !path.exists());
            if let Some(path) = missing {
                return Err(Error::data(format!("`{}` is missing, which commit {} made", path.display(), last.commit)));
            }
        }
        remove_folder(&self.path.join(STAGING))?;
        self.forget(last)?;
        self.remove_temporaries(&self.path)?;
        self.remove_temporaries(&self.commits())
    }

    /// Renames a record into place: the commit.
    pub(super) fn write_record(&self, record: &Record) -> Result<()> {
        let text = serde_json::to_vec(record).map_err(|error| Error::bug(format!("a commit record: {error}")))?;
        write_durably(&record_path(&self.path, record.commit), &text)
    }

    /// Moves the parts that a record names from staging to their tables. Doing it twice does no harm.
    pub(super) fn publish(&self, tables: &BTreeMap<String, Vec<TablePart>>) -> Result<()> {
        for (table, parts) in tables {
            let (staging, folder) = (self.staging(table), self.table(table));
            let mut moved = false;
            for part in parts {
                let from = staging.join(&part.file);
                if !from.exists() {
                    continue;
                }
                fs::create_dir_all(&folder).map_err(|error| Error::io("make", &folder, error))?;
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

    /// Removes what a record has made needless: states of other commits; records before a checkpoint, and the parts that
    /// only they name.
    pub(super) fn forget(&self, last: &Record) -> Result<()> {
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

    fn forget_before(&self, checkpoint: &Record) -> Result<()> {
        let older: Vec<u64> = records(&self.path)?.into_iter().filter(|number| *number < checkpoint.commit).collect();
        for number in &older {
            let path = record_path(&self.path, *number);
            let text = fs::read(&path).map_err(|error| Error::io("read", &path, error))?;
            let Ok(old) = serde_json::from_slice::<Record>(&text) else { continue };
            for (table, parts) in &old.tables {
                let kept = checkpoint.tables.get(table).map(Vec::as_slice).unwrap_or_default();
                let kept: std::collections::HashSet<&str> = kept.iter().map(|part| part.file.as_str()).collect();
                for part in parts.iter().filter(|part| !kept.contains(part.file.as_str())) {
                    remove_file(&self.table(table).join(&part.file))?;
                }
            }
        }
        // The oldest goes last: as long as there is one, a later start finds what is left to remove.
        for number in older.iter().rev() {
            remove_file(&record_path(&self.path, *number))?;
        }
        Ok(())
    }

    /// Removes what is in staging, after a run that came to its end or failed.
    pub(super) fn remove_staging(&self) -> Result<()> {
        remove_folder(&self.path.join(STAGING))
    }

    /// All parts of all tables, as the records have them now.
    pub(super) fn all_parts(&self) -> Result<BTreeMap<String, Vec<TablePart>>> {
        table::tables(&self.path)
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
    // A child that this process is just starting holds a copy of the lock that a run before has let go, until its `exec`.
    let patience = Instant::now() + Duration::from_millis(500);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < patience => thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::WouldBlock) => {
                let folder = path.parent().unwrap_or(&path).display();
                return Err(Error::environment(format!("another process is at work in `{folder}`")));
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path, error)),
        }
    }
}

/// Whether a process is at work in a run directory now. A run record alone cannot say: a killed run left it as it was.
pub fn is_running(run_dir: &Path) -> bool {
    // Shared, and let go at once: a run that begins just now tries for longer than that.
    let lock = File::open(run_dir.join(LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Whether there is nothing in a folder but, at most, a lock that a process left before it had begun.
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
