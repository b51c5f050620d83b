//! Catalogues in binary tables of FITS.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, UInt64Array};

use super::{Catalogue, Columns, Input, values::RawColumn};
use crate::{
    error::Diagnostic,
    fits::{FitsFile, Limits, TableValues},
};

impl Catalogue {
    pub(super) fn read_fits(&self, input: Input) -> Result<Columns, Vec<Diagnostic>> {
        // Opened as bytes: no part of the path is syntax.
        let bytes = input.into_bytes().map_err(|error| self.unreadable(&error))?;
        let file = FitsFile::from_bytes(&self.path, bytes, &Limits::default());
        let file = file.map_err(|error| self.unreadable(&error.reason()))?;
        let table = file.first_table().map_err(|reason| self.unreadable(&reason))?;
        let names = table.names();
        let mut columns = Columns::new();
        for index in self.chosen(&names)? {
            let values = table.values(index).map_err(|reason| self.unreadable(&reason))?;
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
