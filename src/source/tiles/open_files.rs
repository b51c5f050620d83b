//! The files of tiles that are open: a few, those that were read last.

use std::path::Path;

use super::plan::TileFile;
use crate::{
    error::{Error, Result},
    fits::{FitsFile, Limits},
    source::fits::reader::{digest_of, open_patiently},
};

/// The most files that are open at one time. Processes have 1024 descriptors or more.
const MOST: usize = 64;

/// The most pixels of a tile, all planes: it is never in memory as a whole.
const MAX_PIXELS: u64 = 1 << 40;

/// How much a tile may take. None is decompressed as a whole.
pub(super) const LIMITS: Limits = Limits { pixels: MAX_PIXELS, gunzipped_bytes: 0 };

/// The open files of a reader.
#[derive(Default)]
pub(super) struct OpenFiles {
    files: Vec<OpenTileFile>,
    /// Counts the files that were asked for.
    asked: u64,
}

struct OpenTileFile {
    number: usize,
    file: FitsFile,
    /// When it was last asked for.
    last: u64,
}

impl OpenFiles {
    /// A file by its number, opened if it is not open. It has to be as it was when the source was bound.
    pub(super) fn get(&mut self, number: usize, named: &TileFile) -> Result<&FitsFile> {
        self.asked += 1;
        let at = match self.files.iter().position(|open| open.number == number) {
            Some(at) => at,
            None => {
                if self.files.len() >= MOST {
                    let oldest = (0..self.files.len()).min_by_key(|at| self.files[*at].last);
                    oldest.map(|at| self.files.swap_remove(at));
                }
                let file = open(named)?;
                self.files.push(OpenTileFile { number, file, last: 0 });
                self.files.len() - 1
            }
        };
        let open = &mut self.files[at];
        open.last = self.asked;
        Ok(&open.file)
    }
}

fn open(named: &TileFile) -> Result<FitsFile> {
    let path: &Path = &named.path;
    let opened = open_patiently(path, || FitsFile::open_headers(path, &LIMITS))?;
    let file = opened.map_err(|error| match error.io_error() {
        // It was there when the source was bound.
        Some(_) => Error::environment(format!("cannot read `{}`: {}", path.display(), error.reason())),
        None if named.has_changed() => named.changed(),
        None => Error::from(error),
    })?;
    if digest_of(&file) != named.headers {
        let path = path.display();
        return Err(Error::data(format!("`{path}` has other headers than when the run began: it was replaced")));
    }
    if named.has_changed() {
        return Err(named.changed());
    }
    Ok(file)
}
