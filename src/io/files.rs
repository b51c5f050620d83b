//! Files that are there whole or not at all.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

/// Makes the names in a folder durable.
///
/// # Errors
/// When the system refuses. Systems that cannot open folders (Windows) keep names durable by themselves.
pub fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(windows) {
        return Ok(());
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| Error::io("sync", folder, error))
}

/// Writes a file under another name and renames it into place, so that a reader sees the old content or the new.
///
/// # Errors
/// When the disk is full or the folder cannot be written; nothing is left then.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    replace(path, content, false)
}

/// The same, and durable when it returns: file and folder are synced.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_durably(path: &Path, content: &[u8]) -> Result<()> {
    replace(path, content, true)?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn replace(path: &Path, content: &[u8], durable: bool) -> Result<()> {
    let temporary = temporary(path);
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(content)?;
        if durable {
            file.sync_all()?;
        }
        fs::rename(&temporary, path)
    };
    write().map_err(|error| {
        // The first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        Error::io("write", path, error)
    })
}

fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}
