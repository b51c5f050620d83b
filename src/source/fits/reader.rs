//! Reads the rows of a split, file by file.

use std::{ops::Range, sync::Arc, time::Instant};

use super::{
    objects::{FileRow, rows_of_file},
    plan::{FitsPlan, headers_of},
    rows::{NewRow, RowsBuilder},
};
use crate::{
    error::Result,
    fits,
    stage::{Read, Reader, Reject},
};

/// A reader of the files of a split.
pub(super) struct FitsReader {
    plan: Arc<FitsPlan>,
    /// The files that were not opened yet.
    files: Range<usize>,
    current: Option<OpenFile>,
    /// The buffer of the last file, which the next one reuses.
    buffer: Vec<u8>,
    /// Rows that were passed, rejects included.
    passed: u64,
    /// The offset at which the split was opened. Rows before it are passed but not read.
    start: u64,
}

/// A file whose rows are being read.
struct OpenFile {
    name: String,
    /// The remaining rows; for a file that cannot be read the reason, until it has been reported.
    rows: Result<(fits::FitsFile, std::vec::IntoIter<FileRow>), Option<String>>,
}

/// What a step through a file yields.
enum FileStep {
    /// A row was added to the batch, or rejected.
    Row,
    /// A row before the start was passed.
    Skipped,
    /// The file has no further row.
    EndOfFile,
}

impl FitsReader {
    pub(super) fn open(plan: Arc<FitsPlan>, files: Range<usize>, offset: u64) -> Self {
        Self { plan, files, current: None, buffer: Vec::new(), passed: 0, start: offset }
    }

    /// Opens the next file; false when there is none.
    fn open_next(&mut self) -> bool {
        if let Some(OpenFile { rows: Ok((file, _)), .. }) = self.current.take() {
            self.buffer = file.into_buffer();
        }
        let Some(index) = self.files.next() else { return false };
        let path = &self.plan.files[index];
        let buffer = std::mem::take(&mut self.buffer);
        let opened = fits::FitsFile::open_into(path, &self.plan.limits, buffer).map_err(|error| error.reason());
        let rows = opened.and_then(|file| {
            let rows = rows_of_file(&file, &self.plan.settings, Some(self.plan.bands()))?;
            Ok((file, rows.into_iter()))
        });
        self.current = Some(OpenFile { name: path.display().to_string(), rows: rows.map_err(Some) });
        true
    }

    /// Reads one row; false at the end of the split.
    fn read_row(&mut self, rows: &mut RowsBuilder, rejects: &mut Vec<Reject>) -> bool {
        loop {
            match self.step(rows, rejects) {
                FileStep::Row => return true,
                FileStep::Skipped => {}
                FileStep::EndOfFile => {
                    if !self.open_next() {
                        return false;
                    }
                }
            }
        }
    }

    fn step(&mut self, rows: &mut RowsBuilder, rejects: &mut Vec<Reject>) -> FileStep {
        let number = self.passed;
        let is_skipped = number < self.start;
        let reject =
            |object_id, origin, reason| Reject { row: number, object_id, origin, stage: "source".into(), reason };
        let Some(OpenFile { name, rows: remaining }) = &mut self.current else { return FileStep::EndOfFile };
        match remaining {
            // A file that cannot be read is one row.
            Err(reason) => {
                let Some(reason) = reason.take() else { return FileStep::EndOfFile };
                if !is_skipped {
                    rejects.push(reject(None, name.clone(), reason));
                }
            }
            Ok((file, found)) => {
                let Some(found) = found.next() else { return FileStep::EndOfFile };
                if !is_skipped {
                    let (id, origin) = identity(&self.plan, name, file, &found);
                    let row = NewRow { file, found: &found, id: &id, origin: &origin, number };
                    if let Err(reason) = rows.push(&self.plan, &row) {
                        rejects.push(reject(Some(id), origin, reason));
                    }
                }
            }
        }
        self.passed += 1;
        if is_skipped { FileStep::Skipped } else { FileStep::Row }
    }
}

impl Reader for FitsReader {
    fn next(&mut self, max_rows: usize, _deadline: Instant) -> Result<Read> {
        let mut rows = RowsBuilder::new(&self.plan, max_rows);
        let mut rejects = Vec::new();
        while rows.len() + rejects.len() < max_rows.max(1) && self.read_row(&mut rows, &mut rejects) {}
        if rows.len() + rejects.len() == 0 {
            return Ok(Read::End);
        }
        Ok(Read::Batch { rows: rows.into_batch(&self.plan)?, rejects })
    }

    fn offset(&self) -> u64 {
        self.passed.max(self.start)
    }
}

/// The identity and the origin of a row. An origin is `file[hdus]`, or `file[hdu][entry]` in a cube with four axes.
fn identity(plan: &FitsPlan, name: &str, file: &fits::FitsFile, found: &FileRow) -> (String, String) {
    let hdus = found.hdus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let entry = found.entry.map(|entry| format!("[{entry}]")).unwrap_or_default();
    let origin = format!("{name}[{hdus}]{entry}");
    // The primary header names the file, so it cannot name one of several objects.
    let mut headers = headers_of(file, found).take(if found.shares_file { 1 } else { 2 });
    let named = headers.find_map(|header| header.text(&plan.settings.id));
    let id = named.map(|named| named + &entry).unwrap_or_else(|| {
        let stem = stem(name);
        if found.shares_file { format!("{stem}[{hdus}]{entry}") } else { stem.to_owned() }
    });
    (id, origin)
}

/// The name of a file without folders and extensions.
fn stem(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    let file = [".gz", ".fz"].iter().find_map(|ending| file.strip_suffix(ending)).unwrap_or(file);
    let stem = file.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map_or(file, |(stem, _)| stem);
    if stem.is_empty() { name } else { stem }
}
