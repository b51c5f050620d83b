//! Reads the rows of a split, file by file.

use std::{ops::Range, path::Path, sync::Arc, time::Instant};

use super::{
    Layout,
    identity::UnnamedRow,
    objects::FileRows,
    plan::{FitsPlan, rows_of},
    rows::{NewRow, RowsBuilder},
    taken_ids::{TakenIds, UniqueId},
};
use crate::{
    error::Result,
    fits,
    io::digest,
    source::patience::{cannot_read, is_outside, patiently},
    stage::{Lookups, Read, Reader, Reject},
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
    /// A digest of the headers of the files so far.
    contents: u128,
    /// The lookups of the last batch in the catalogue.
    lookups: Lookups,
    /// The ids of all rows of the run so far; none after the end of the split.
    taken: Option<TakenIds>,
    /// Whether rows are passed only.
    reads_headers: bool,
}

/// A file whose rows are being read.
struct OpenFile {
    name: String,
    /// The id that it gives to its objects.
    file_id: String,
    /// The remaining rows; for a file that cannot be read the reason, until it has been reported.
    rows: Result<(fits::FitsFile, FileRows), Option<String>>,
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
    /// Opens files and passes the rows before an offset.
    pub(super) fn open(plan: Arc<FitsPlan>, files: Range<usize>, offset: u64) -> Result<Self> {
        let taken = match plan.ids_before.take(files.start) {
            Some(taken) => taken,
            None => Self::ids_of(&plan, 0..files.start)?,
        };
        let mut reader = Self::new(plan, files, offset, taken);
        reader.pass()?;
        Ok(reader)
    }

    fn new(plan: Arc<FitsPlan>, files: Range<usize>, start: u64, taken: TakenIds) -> Self {
        Self {
            plan,
            files,
            current: None,
            buffer: Vec::new(),
            passed: 0,
            start,
            contents: 0,
            lookups: Lookups::default(),
            taken: Some(taken),
            reads_headers: false,
        }
    }

    /// The ids of all rows of some files, by their headers.
    fn ids_of(plan: &Arc<FitsPlan>, files: Range<usize>) -> Result<TakenIds> {
        let end = files.end;
        let mut reader = Self::new(plan.clone(), files, u64::MAX, TakenIds::default());
        reader.reads_headers = true;
        reader.pass()?;
        Ok(plan.ids_before.take(end).unwrap_or_default())
    }

    /// Passes the rows before the start.
    fn pass(&mut self) -> Result<()> {
        let mut rows = RowsBuilder::new(&self.plan, 0);
        while self.passed < self.start {
            if matches!(self.step(&mut rows, &mut Vec::new())?, FileStep::EndOfFile) && !self.open_next()? {
                break;
            }
        }
        Ok(())
    }

    /// Opens the next file; false when there is none.
    fn open_next(&mut self) -> Result<bool> {
        if let Some(OpenFile { rows: Ok((file, _)), .. }) = self.current.take() {
            self.buffer = file.into_buffer();
        }
        let Some(index) = self.files.next() else {
            if let Some(taken) = self.taken.take() {
                self.plan.ids_before.put(self.files.end, taken);
            }
            return Ok(false);
        };
        let plan = self.plan.clone();
        let paths = plan.inputs.paths(index);
        let name = paths.first().map(|path| path.display().to_string()).unwrap_or_default();
        let mut files = plan.inputs.problem(index).map_or_else(|| Ok(Vec::new()), |problem| Err(problem.to_owned()));
        for path in if files.is_ok() { paths } else { &[] } {
            let opened = self.open_patiently(path)?.map_err(|error| error.reason());
            match (&mut files, opened) {
                (Ok(files), Ok(file)) => files.push(file),
                (_, Err(reason)) => {
                    files = Err(if paths.len() > 1 { format!("`{}` {reason}", path.display()) } else { reason });
                    break;
                }
                (Err(_), Ok(_)) => {}
            }
        }
        let rows = files.and_then(|files| rows_of(files, &plan.settings, Some(plan.bands())));
        let of_file = rows
            .as_ref()
            .map_or_else(|reason| digest::wide_number_of(&[reason.as_bytes()]), |(file, _)| digest_of(file));
        self.contents =
            digest::wide_number_of(&[&self.contents.to_le_bytes(), name.as_bytes(), &of_file.to_le_bytes()]);
        let file_id = plan.inputs.id(index);
        self.current = Some(OpenFile { name, file_id, rows: rows.map_err(Some) });
        Ok(true)
    }

    /// Opens a file into the buffer of the last one.
    fn open_patiently(&mut self, path: &Path) -> Result<Result<fits::FitsFile, fits::FitsError>> {
        let (limits, buffer) = (&self.plan.limits, &mut self.buffer);
        if self.reads_headers {
            return open_patiently(path, || fits::FitsFile::open_headers(path, limits));
        }
        open_patiently(path, || fits::FitsFile::open_into(path, limits, std::mem::take(buffer)))
    }

    /// Reads one row; false at the end of the split.
    fn read_row(&mut self, rows: &mut RowsBuilder, rejects: &mut Vec<Reject>) -> Result<bool> {
        loop {
            match self.step(rows, rejects)? {
                FileStep::Row => return Ok(true),
                FileStep::Skipped => {}
                FileStep::EndOfFile => {
                    if !self.open_next()? {
                        return Ok(false);
                    }
                }
            }
        }
    }

    fn step(&mut self, rows: &mut RowsBuilder, rejects: &mut Vec<Reject>) -> Result<FileStep> {
        let number = self.passed;
        let is_skipped = number < self.start;
        let reject =
            |object_id, origin, reason| Reject { row: number, object_id, origin, stage: "source".into(), reason };
        let Some(OpenFile { name, file_id, rows: remaining }) = &mut self.current else {
            return Ok(FileStep::EndOfFile);
        };
        match remaining {
            // A file that cannot be read is one row.
            Err(reason) => {
                let Some(reason) = reason.take() else { return Ok(FileStep::EndOfFile) };
                if !is_skipped {
                    // Of an object with a file for each band the id is known.
                    let id = (self.plan.settings.layout == Layout::FilePerBand).then(|| file_id.clone());
                    rejects.push(reject(id, name.clone(), reason));
                }
            }
            Ok((file, found)) => {
                let next = found.next(file, &self.plan.settings, Some(self.plan.bands()));
                let Some(found) = next else { return Ok(FileStep::EndOfFile) };
                let identity = UnnamedRow { file, found: &found, name, file_id }.identify(&self.plan.id_key);
                let Some(taken) = &mut self.taken else { return Ok(FileStep::EndOfFile) };
                let UniqueId { id, is_first_repeat } = taken.claim(&identity);
                if is_first_repeat && !is_skipped && !self.plan.shared_id_is_reported {
                    let (key, first, origin) = (&self.plan.id_key, identity.id.escape_debug(), &identity.origin);
                    tracing::warn!(
                        "source `fits`: the id `{first}` of `{origin}` is that of an earlier object too: its id is `{}`, with the \
                         name of its file, and so for all such objects; `id` names a header key other than `{key}`",
                        id.escape_debug()
                    );
                }
                if !is_skipped {
                    let row = NewRow { file, found: &found, identity: &identity, id: &id, number };
                    if let Err(reason) = rows.push(&self.plan, &row) {
                        if let Some(trouble) = file.trouble() {
                            return Err(cannot_read(name, trouble));
                        }
                        rejects.push(reject(Some(id), identity.origin, reason));
                    }
                }
            }
        }
        self.passed += 1;
        Ok(if is_skipped { FileStep::Skipped } else { FileStep::Row })
    }
}

impl Reader for FitsReader {
    fn next(&mut self, max_rows: usize, _deadline: Instant) -> Result<Read> {
        let mut rows = RowsBuilder::new(&self.plan, max_rows);
        let mut rejects = Vec::new();
        while rows.len() + rejects.len() < max_rows.max(1) && self.read_row(&mut rows, &mut rejects)? {}
        if rows.len() + rejects.len() == 0 {
            return Ok(Read::End);
        }
        let joined = rows.joined();
        let found = joined.iter().flatten().count() as u64;
        let looked_up = if self.plan.catalogue.is_some() { joined.len() as u64 } else { 0 };
        self.lookups = Lookups { rows: looked_up, found };
        Ok(Read::Batch { rows: rows.into_batch(&self.plan)?, rejects })
    }

    fn contents(&self) -> Option<u128> {
        Some(self.contents)
    }

    fn lookups(&self) -> Lookups {
        self.lookups
    }

    fn offset(&self) -> u64 {
        self.passed.max(self.start)
    }
}

/// Opens a file. One that the system cannot read now is tried again; it is not its fault.
pub(in crate::source) fn open_patiently(
    path: &Path,
    open: impl FnMut() -> Result<fits::FitsFile, fits::FitsError>,
) -> Result<Result<fits::FitsFile, fits::FitsError>> {
    patiently(path, open, |opened| match opened {
        Ok(file) => file.trouble(),
        Err(error) => error.io_error().filter(|error| is_outside(path, error)),
    })
}

/// A digest of all headers of a file, which say how many objects it has.
pub(in crate::source) fn digest_of(file: &fits::FitsFile) -> u128 {
    let cards: Vec<&[u8]> = file.hdus().iter().flat_map(|hdu| hdu.header.cards()).collect();
    digest::wide_number_of(&cards)
}
