//! Catalogues in binary tables of FITS.

use std::{ops::Range, sync::Arc};

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, UInt64Array};

use super::{Catalogue, Columns, Input, values::RawColumn};
use crate::{
    error::Diagnostic,
    fits::{FitsFile, Limits, Table, TableValues},
};

impl Catalogue {
    pub(super) fn read_fits(&self, input: Input) -> Result<Columns, Vec<Diagnostic>> {
        // Opened as bytes: no part of the path is syntax.
        let bytes = input.into_bytes().map_err(|error| self.unreadable(&error))?;
        let file = FitsFile::from_bytes(&self.path, bytes, &Limits::default());
        let file = file.map_err(|error| self.unreadable(&error.reason()))?;
        let table = file.first_table().map_err(|reason| self.unreadable(&reason))?;
        self.columns_of(&table, &(0..table.rows()))
    }

    /// The columns that are used, in some rows of a table.
    pub(super) fn columns_of(&self, table: &Table<'_>, rows: &Range<u64>) -> Result<Columns, Vec<Diagnostic>> {
        let names = table.names();
        let mut columns = Columns::new();
        for index in self.chosen(&names)? {
            let values = table.values(index, rows).map_err(|reason| self.unreadable(&reason))?;
            let array: ArrayRef = match values {
                TableValues::Text(values) => Arc::new(StringArray::from(values)),
                TableValues::Logical(values) => Arc::new(BooleanArray::from(values)),
                TableValues::Integer(values) => Arc::new(Int64Array::from(values)),
                TableValues::Unsigned(values) => Arc::new(UInt64Array::from(values)),
                TableValues::Real(values) => Arc::new(Float64Array::from(values)),
            };
            columns.insert(names[index].to_owned(), RawColumn::Typed(array));
        }
        Ok(columns)
    }
}
