//! A catalogue in a binary table of FITS that is read in pieces: never in memory as a whole.

use std::{ops::Range, path::Path};

use arrow::array::Array as _;

use super::{
    Catalogue,
    keyed_rows::{KeyedRows, Pieces},
};
use crate::{
    error::{Diagnostic, Error, Result},
    fits::{FitsFile, Limits},
};

/// A catalogue in a file of FITS that is not compressed.
#[derive(Debug)]
pub(in crate::source) struct FitsRows {
    catalogue: Catalogue,
    rows: u64,
}

impl FitsRows {
    /// Opens the file and reads its headers.
    pub(in crate::source) fn open(catalogue: Catalogue) -> Result<Self, Vec<Diagnostic>> {
        let file = file(&catalogue)?;
        let table = file.first_table().map_err(|reason| catalogue.unreadable(&reason))?;
        let rows = table.rows();
        Ok(Self { catalogue, rows })
    }

    /// The keys and the new columns of some rows.
    fn keyed(&self, file: &FitsFile, rows: &Range<u64>) -> Result<KeyedRows, Vec<Diagnostic>> {
        let table = file.first_table().map_err(|reason| self.catalogue.unreadable(&reason))?;
        self.catalogue.keyed(&self.catalogue.columns_of(&table, rows)?)
    }

    /// Reads some rows again.
    pub(in crate::source) fn read(&self, rows: &Range<u64>) -> Result<KeyedRows> {
        let keyed = file(&self.catalogue).and_then(|file| self.keyed(&file, rows));
        let keyed = keyed
            .map_err(|diagnostics| Error::data(diagnostics.first().map(ToString::to_string).unwrap_or_default()))?;
        if keyed.keys.len() as u64 != rows.end - rows.start {
            let path = &self.catalogue.path;
            return Err(Error::data(format!("`{path}` has fewer rows than when the run began: it was replaced")));
        }
        Ok(keyed)
    }

    /// The new columns, without rows.
    pub(in crate::source) fn without_rows(&self) -> Result<KeyedRows, Vec<Diagnostic>> {
        self.keyed(&file(&self.catalogue)?, &(0..0))
    }
}

impl Pieces for FitsRows {
    type Place = Range<u64>;

    fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    fn each_piece(
        &self,
        rows: usize,
        take: &mut dyn FnMut(Range<u64>, KeyedRows) -> Result<(), Vec<Diagnostic>>,
    ) -> Result<(), Vec<Diagnostic>> {
        let file = file(&self.catalogue)?;
        for start in (0..self.rows).step_by(rows) {
            let rows = start..(start + rows as u64).min(self.rows);
            take(rows.clone(), self.keyed(&file, &rows)?)?;
        }
        Ok(())
    }
}

/// Opens the file, of which pieces are read.
fn file(catalogue: &Catalogue) -> Result<FitsFile, Vec<Diagnostic>> {
    let file = FitsFile::open_headers(Path::new(&catalogue.path), &Limits::default());
    file.map_err(|error| catalogue.unreadable(&error.reason()))
}
