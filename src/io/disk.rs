//! The file operations of run directories. Engine, tables and sinks read, make and change files through this module alone, so that
//! `pipeline/crash_tests/` can record every operation and make each of them fail.
//!
//! A name is durable when its folder is synced, content when its file is. An error of the system is never mistaken for a missing
//! file.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

/// One operation, before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation<'a> {
    CreateFolder(&'a Path),
    CreateFile(&'a Path),
    Write(&'a Path, &'a [u8]),
    SyncFile(&'a Path),
    SyncFolder(&'a Path),
    Rename(&'a Path, &'a Path),
    RemoveFile(&'a Path),
    /// An empty folder.
    RemoveFolder(&'a Path),
    Read(&'a Path),
    List(&'a Path),
    Stat(&'a Path),
}

/// Calls the system, and again while a signal interrupts the call.
fn attempt<T>(operation: Operation<'_>, mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match observe(operation).and_then(|()| call()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(not(all(test, feature = "fits")))]
#[expect(clippy::unnecessary_wraps, reason = "the test's observer can fail")]
fn observe(_operation: Operation<'_>) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, feature = "fits"))]
use self::observer::observe;

/// Creates a folder and those above it; the name of each new one is durable.
///
/// # Errors
/// When the disk is full or the place cannot be written.
pub(crate) fn create_folder(folder: &Path) -> Result<()> {
    let mut missing = Vec::new();
    for above in folder.ancestors().filter(|above| !above.as_os_str().is_empty()) {
        if is_folder(above)? {
            break;
        }
        missing.push(above);
    }
    for new in missing.iter().rev() {
        match attempt(Operation::CreateFolder(new), || fs::create_dir(new)) {
            // Another process may create it at the same time.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && new.is_dir() => {}
            made => made.map_err(|error| Error::io("create", new, error))?,
        }
        sync_folder(parent(new))?;
    }
    Ok(())
}

/// A file being written.
#[derive(Debug)]
pub(crate) struct NewFile {
    file: File,
    path: PathBuf,
}

impl NewFile {
    /// Creates a file that does not exist yet.
    ///
    /// # Errors
    /// When it exists, the disk is full, or the folder cannot be written.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = attempt(Operation::CreateFile(path), || File::create_new(path));
        Ok(Self { file: file.map_err(|error| Error::io("create", path, error))?, path: path.to_owned() })
    }

    /// Makes the content durable.
    ///
    /// # Errors
    /// When the system refuses: what was written is lost then.
    pub(crate) fn sync(&self) -> Result<()> {
        let synced = attempt(Operation::SyncFile(&self.path), || self.file.sync_all());
        synced.map_err(|error| Error::io("sync", &self.path, error))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(all(test, feature = "fits"))]
        let bytes = &bytes[..observer::room(&self.path, bytes.len())];
        attempt(Operation::Write(&self.path, bytes), || self.file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes the names in a folder durable.
///
/// # Errors
/// When the system refuses. Systems that cannot open folders (Windows) keep names durable by themselves.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(windows) {
        return Ok(());
    }
    let synced = attempt(Operation::SyncFolder(folder), || File::open(folder)?.sync_all());
    synced.map_err(|error| Error::io("sync", folder, error))
}

/// Replaces the content of a file. A reader, also after a power loss, sees the old content or the new; when this returns, the new
/// one is durable.
///
/// # Errors
/// When the disk is full or the folder cannot be written. After an error the file has the old content or the new.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let temporary = temporary(path);
    remove_file(&temporary)?;
    let mut file = NewFile::create(&temporary)?;
    let written = file.write_all(content).map_err(|error| Error::io("write", path, error));
    if let Err(error) = written.and_then(|()| file.sync()).and_then(|()| rename(&temporary, path)) {
        // A full disk needs the room. The first error is the one to report.
        let _ = remove_file(&temporary);
        return Err(error);
    }
    sync_folder(parent(path))
}

fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

/// Whether [`replace`] uses such a name for a while.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".new")
}

/// Moves a file.
///
/// # Errors
/// When the system refuses.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    attempt(Operation::Rename(from, to), || fs::rename(from, to)).map_err(|error| Error::io("move", from, error))
}

/// Opens a file to read it; links are followed.
///
/// # Errors
/// When it cannot be opened; [`Error::Data`] for a folder, a pipe or a device.
pub(crate) fn open(path: &Path) -> Result<File> {
    // Opening a pipe can block.
    let found =
        attempt(Operation::Stat(path), || fs::metadata(path)).map_err(|error| Error::io("open", path, error))?;
    if !found.is_file() {
        return Err(not_a_file(path));
    }
    attempt(Operation::Read(path), || File::open(path)).map_err(|error| Error::io("open", path, error))
}

/// Reads bytes of an open file.
///
/// # Errors
/// When the system cannot read, or the file ends before.
pub(crate) fn read_at(path: &Path, file: &mut File, start: u64, bytes: &mut [u8]) -> Result<()> {
    let read = attempt(Operation::Read(path), || {
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(bytes)
    });
    read.map_err(|error| Error::io("read", path, error))
}

fn not_a_file(path: &Path) -> Error {
    Error::data(format!("`{}` is not an ordinary file", path.display()))
}

/// The content of an ordinary file; `None` if the file is missing.
///
/// # Errors
/// [`Error::Data`] for a link, a pipe or a device: reading one may never end.
pub(crate) fn read_if_exists(path: &Path) -> Result<Option<Vec<u8>>> {
    if size(path)?.is_none() {
        return Ok(None);
    }
    let mut content = Vec::new();
    let read = attempt(Operation::Read(path), || {
        content.clear();
        File::open(path)?.read_to_end(&mut content)
    });
    match read {
        Ok(_) => Ok(Some(content)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

/// The content of an ordinary file that is expected to exist.
///
/// # Errors
/// As [`read_if_exists`], and when the file is missing.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    read_if_exists(path)?.ok_or_else(|| Error::io("read", path, io::ErrorKind::NotFound.into()))
}

/// The names in a folder; empty if the folder is missing.
///
/// # Errors
/// When the folder cannot be read.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>> {
    let names = attempt(Operation::List(folder), || {
        let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        fs::read_dir(folder)?.map(name).collect::<io::Result<Vec<String>>>()
    });
    match names {
        Err(error) if is_missing(&error) => Ok(Vec::new()),
        names => names.map_err(|error| Error::io("read", folder, error)),
    }
}

/// The size of an ordinary file in bytes; `None` if the file is missing.
///
/// # Errors
/// [`Error::Data`] if it is a folder, a link, a pipe or a device.
pub(crate) fn size(path: &Path) -> Result<Option<u64>> {
    match metadata(path)? {
        None => Ok(None),
        Some(file) if file.is_file() => Ok(Some(file.len())),
        Some(_) => Err(not_a_file(path)),
    }
}

/// Whether a folder exists. A link to a folder is one.
///
/// # Errors
/// When the system cannot tell.
pub(crate) fn is_folder(path: &Path) -> Result<bool> {
    match attempt(Operation::Stat(path), || fs::metadata(path)) {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

/// Whether a name is a symbolic link.
///
/// # Errors
/// When the system cannot tell.
pub(crate) fn is_link(path: &Path) -> Result<bool> {
    Ok(metadata(path)?.is_some_and(|found| found.is_symlink()))
}

fn metadata(path: &Path) -> Result<Option<fs::Metadata>> {
    match attempt(Operation::Stat(path), || fs::symlink_metadata(path)) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

/// Removes a file, or the link itself. A missing file is not an error.
///
/// # Errors
/// When the system refuses.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    let removed = attempt(Operation::RemoveFile(path), || fs::remove_file(path));
    unless_missing(removed).map_err(|error| Error::io("remove", path, error))
}

/// Removes a folder and its content; links in it are removed, not followed. A missing folder is not an error.
///
/// # Errors
/// When the system refuses.
pub(crate) fn remove_folder(folder: &Path) -> Result<()> {
    match metadata(folder)? {
        None => return Ok(()),
        Some(found) if !found.is_dir() => return remove_file(folder),
        Some(_) => {}
    }
    for name in names(folder)? {
        remove_folder(&folder.join(name))?;
    }
    let removed = attempt(Operation::RemoveFolder(folder), || fs::remove_dir(folder));
    unless_missing(removed).map_err(|error| Error::io("remove", folder, error))
}

/// Whether a path does not exist: the name, or a folder above it, which may be a file.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if is_missing(&error) { Ok(()) } else { Err(error) })
}

/// The folder that holds a name; `.` for a bare name.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Lets a test see the operations of its own thread, and fail them.
#[cfg(all(test, feature = "fits"))]
pub(crate) mod observer {
    use std::{cell::RefCell, io, path::Path};

    use super::Operation;

    /// Sees every operation before it is done.
    pub(crate) trait Observer {
        /// An error makes the operation fail with it.
        fn before(&mut self, operation: Operation<'_>) -> io::Result<()>;

        /// How many of `bytes` the next write may take: fewer make it a short write.
        fn room(&mut self, _path: &Path, bytes: usize) -> usize {
            bytes
        }
    }

    thread_local! {
        static OBSERVER: RefCell<Option<Box<dyn Observer>>> = const { RefCell::new(None) };
    }

    /// Calls `work` while `observer` sees the operations of this thread.
    pub(crate) fn observed<T>(observer: impl Observer + 'static, work: impl FnOnce() -> T) -> T {
        struct Reset;
        impl Drop for Reset {
            fn drop(&mut self) {
                OBSERVER.with(|slot| slot.borrow_mut().take());
            }
        }
        OBSERVER.with(|slot| *slot.borrow_mut() = Some(Box::new(observer)));
        let _reset = Reset;
        work()
    }

    pub(super) fn observe(operation: Operation<'_>) -> io::Result<()> {
        OBSERVER.with(|slot| slot.borrow_mut().as_mut().map_or(Ok(()), |observer| observer.before(operation)))
    }

    pub(super) fn room(path: &Path, bytes: usize) -> usize {
        OBSERVER.with(|slot| slot.borrow_mut().as_mut().map_or(bytes, |observer| observer.room(path, bytes)))
    }
}
