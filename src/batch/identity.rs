//! The columns that every source begins with: `_row`, `object_id` and `origin`.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, StringArray, UInt64Array},
    datatypes::{DataType, Field},
};

use super::{OBJECT_ID, ORIGIN, ROW};

/// The fields `_row`, `object_id` and `origin`.
pub fn identity_fields() -> Vec<Field> {
    vec![
        Field::new(ROW, DataType::UInt64, false),
        Field::new(OBJECT_ID, DataType::Utf8, false),
        Field::new(ORIGIN, DataType::Utf8, false),
    ]
}

/// The columns of [`identity_fields`] for consecutive rows of a split from `first_row` on, given the object id and the origin of
/// each.
pub fn identity_columns<I, O>(first_row: u64, rows: impl IntoIterator<Item = (I, O)>) -> Vec<ArrayRef>
where
    I: AsRef<str>,
    O: AsRef<str>,
{
    let (ids, origins): (Vec<I>, Vec<O>) = rows.into_iter().unzip();
    vec![
        Arc::new(UInt64Array::from_iter_values(first_row..first_row + ids.len() as u64)),
        Arc::new(StringArray::from_iter_values(ids)),
        Arc::new(StringArray::from_iter_values(origins)),
    ]
}
