//! Reads the rows of a split, file by file.

use std::{ops::Range, sync::Arc, time::Instant};

use super::{
    objects::{Found, objects},
    plan::{Plan, headers},
    rows::Rows,
};
use crate::{
    error::Result,
    fits,
    stage::{Read, Reader, Reject},
};

/// A reader of the files of a split.
pub(super) struct FileReader {
    plan: Arc<Plan>,
    files: Range<usize>,
    current: Option<Current>,
    /// Bytes of the last file, to read the next one into.
    buffer: Vec<u8>,
    position: u64,
    /// Rows that were read before a restart.
    skip: u64,
}

/// A file whose rows are being read.
struct Current {
    name: String,
    rows: Result<(fits::FitsFile, std::vec::IntoIter<Found>), Option<String>>,
}

impl FileReader {
    pub(super) fn open(plan: Arc<Plan>, files: Range<usize>, position: u64) -> Self {
        Self { plan, files, current: None, buffer: Vec::new(), position: 0, skip: position }
    }

    /// Opens the next file; false when there is none.
    fn advance(&mut self) -> bool {
        if let Some(Current { rows: Ok((file, _)), .. }) = self.current.take() {
            self.buffer = file.into_buffer();
        }
        let Some(file) = self.files.next() else { return false };
        let path = &self.plan.files[file];
        let buffer = std::mem::take(&mut self.buffer);
        let opened = fits::FitsFile::open_into(path, &self.plan.limits, buffer).map_err(|error| error.reason());
        let rows = opened.and_then(|file| {
            objects(&file, &self.plan.settings, Some(self.plan.bands())).map(|found| (file, found.into_iter()))
        });
        self.current = Some(Current { name: path.display().to_string(), rows: rows.map_err(Some) });
        true
    }

    /// Reads one row; false at the end of the split.
    fn row(&mut self, rows: &mut Rows, rejects: &mut Vec<Reject>) -> bool {
        loop {
            let skipped = self.position < self.skip;
            let reject = match &mut self.current {
                None => None,
                // A file that cannot be read is one row.
                Some(Current { name, rows: Err(reason) }) => reason.take().map(|reason| (None, name.clone(), reason)),
                Some(Current { name, rows: Ok((file, found)) }) => match found.next() {
                    None => None,
                    Some(_) if skipped => {
                        self.position += 1;
                        continue;
                    }
                    Some(found) => {
                        let (id, origin) = identity(&self.plan, name, file, &found);
                        match rows.push(&self.plan, file, &found, &id, &origin, self.position) {
                            Ok(()) => {
                                self.position += 1;
                                return true;
                            }
                            Err(reason) => Some((Some(id), origin, reason)),
                        }
                    }
                },
            };
            let Some((object_id, origin, reason)) = reject else {
                if self.advance() {
                    continue;
                }
                return false;
            };
            self.position += 1;
            if !skipped {
                let row = self.position - 1;
                rejects.push(Reject { row, object_id, origin, stage: "source".into(), reason });
                return true;
            }
        }
    }
}

impl Reader for FileReader {
    fn next(&mut self, max_rows: usize, _deadline: Instant) -> Result<Read> {
        let mut rows = Rows::new(&self.plan, max_rows);
        let mut rejects = Vec::new();
        while rows.len() + rejects.len() < max_rows.max(1) {
            if !self.row(&mut rows, &mut rejects) {
                break;
            }
        }
        if rows.len() + rejects.len() == 0 {
            return Ok(Read::End);
        }
        Ok(Read::Batch { rows: rows.into_batch(&self.plan)?, rejects })
    }

    fn offset(&self) -> u64 {
        self.position.max(self.skip)
    }
}

/// What an object is called, and where it came from: `file[unit]`, `file[unit][entry]`.
fn identity(plan: &Plan, name: &str, file: &fits::FitsFile, found: &Found) -> (String, String) {
    let units = found.hdus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let entry = found.entry.map(|entry| format!("[{entry}]")).unwrap_or_default();
    let origin = format!("{name}[{units}]{entry}");
    // The primary header speaks of the file, and its objects need names of their own.
    let own = headers(file, found)
        .take(if found.shares_file { 1 } else { 2 })
        .find_map(|header| header.text(&plan.settings.id));
    let id = own.map(|own| own + &entry).unwrap_or_else(|| {
        let stem = stem(name);
        if found.shares_file { format!("{stem}[{units}]{entry}") } else { stem.to_owned() }
    });
    (id, origin)
}

/// The name of a file without folders and endings.
fn stem(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    let file = [".gz", ".fz"].iter().find_map(|ending| file.strip_suffix(ending)).unwrap_or(file);
    let stem = file.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map_or(file, |(stem, _)| stem);
    if stem.is_empty() { name } else { stem }
}
