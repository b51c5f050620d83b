//! A catalogue in memory.

use std::collections::HashMap;

use arrow::{
    array::{Array, ArrayRef, StringArray, UInt32Array},
    compute::take,
    datatypes::Field,
};

use crate::error::Result;

/// The row of each key.
pub(super) type RowsByKey = HashMap<String, u32>;

/// A catalogue in memory.
pub(in crate::source) struct LoadedCatalogue {
    rows: RowsByKey,
    columns: Vec<(Field, ArrayRef)>,
}

/// The row of each key; the error is one that comes twice.
pub(super) fn rows_by_key(keys: &StringArray) -> Result<RowsByKey, String> {
    let mut rows = HashMap::with_capacity(keys.len());
    for (row, key) in (0..).zip(keys).filter_map(|(row, key)| Some((row, key?))) {
        if rows.insert(key.trim().to_owned(), row).is_some() {
            return Err(key.to_owned());
        }
    }
    Ok(rows)
}

impl LoadedCatalogue {
    pub(super) fn new(rows: RowsByKey, columns: Vec<(Field, ArrayRef)>) -> Self {
        Self { rows, columns }
    }

    /// The fields of the new columns.
    pub(in crate::source::fits) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.columns.iter().map(|(field, _)| field)
    }

    /// The row of a key.
    pub(in crate::source::fits) fn row(&self, key: &str) -> Option<u32> {
        self.rows.get(key.trim()).copied()
    }

    /// All keys, in any order.
    pub(in crate::source::fits) fn keys(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(String::as_str)
    }

    /// A few of its keys, in order, for messages.
    pub(in crate::source::fits) fn first_keys(&self, most: usize) -> Vec<&str> {
        let mut keys: Vec<(&u32, &String)> = self.rows.iter().map(|(key, row)| (row, key)).collect();
        keys.sort_unstable();
        keys.into_iter().take(most).map(|(_, key)| key.as_str()).collect()
    }

    /// The values of a new column (by its index in [`Self::fields`]) for rows of the catalogue.
    pub(in crate::source::fits) fn take(&self, column: usize, rows: &UInt32Array) -> Result<ArrayRef> {
        Ok(take(&self.columns[column].1, rows, None)?)
    }
}
