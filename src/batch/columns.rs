//! Columns of a batch by name, and batches with other columns or rows.
//!
//! A missing column is [`Error::Data`], not a defect of Lucarne: these functions are called by stages of embedders too, with
//! names of their own. The stages of Lucarne have checked their columns when they were bound.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray},
    compute::filter_record_batch,
    datatypes::{DataType, Field, Schema, UInt64Type},
};

use super::{OBJECT_ID, ORIGIN, ROW};
use crate::error::{Error, Result, did_you_mean, quoted_list};

/// A column by name.
///
/// # Errors
/// [`Error::Data`] when it is missing, naming those that the batch has.
pub fn column_of<'a>(batch: &'a RecordBatch, column: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(column).ok_or_else(|| missing(batch, column))
}

pub(super) fn missing(batch: &RecordBatch, column: &str) -> Error {
    let schema = batch.schema_ref();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let help = did_you_mean(column, names.iter().copied()).unwrap_or_else(|| format!("it has {}", quoted_list(&names)));
    Error::data(format!("the batch has no column `{column}`: {help}"))
}

/// A text column by name.
///
/// # Errors
/// [`Error::Data`] when it is missing or not utf8.
pub fn text_column<'a>(batch: &'a RecordBatch, column: &str) -> Result<&'a StringArray> {
    let array = column_of(batch, column)?;
    array.as_string_opt().ok_or_else(|| wrong_type(column, array.data_type(), "utf8"))
}

fn wrong_type(column: &str, found: &DataType, expected: &str) -> Error {
    Error::data(format!("column `{column}` is {found}, expected {expected}"))
}

/// The identity of a row.
///
/// # Errors
/// As [`text_column`].
pub fn object_id(batch: &RecordBatch, row: usize) -> Result<&str> {
    Ok(text_column(batch, OBJECT_ID)?.value(row))
}

/// Where a row came from.
///
/// # Errors
/// As [`text_column`].
pub fn origin(batch: &RecordBatch, row: usize) -> Result<&str> {
    Ok(text_column(batch, ORIGIN)?.value(row))
}

/// The number of a row in its split.
///
/// # Errors
/// [`Error::Data`] when the column `_row` is missing or not uint64.
pub fn row_number(batch: &RecordBatch, row: usize) -> Result<u64> {
    let array = column_of(batch, ROW)?;
    let rows = array.as_primitive_opt::<UInt64Type>().ok_or_else(|| wrong_type(ROW, array.data_type(), "uint64"))?;
    Ok(rows.value(row))
}

/// The batch with columns appended.
///
/// # Errors
/// When a column has another length than the batch, or another type than its field.
pub fn with_columns(batch: &RecordBatch, columns: impl IntoIterator<Item = (Field, ArrayRef)>) -> Result<RecordBatch> {
    let mut fields = batch.schema().fields().to_vec();
    let mut arrays = batch.columns().to_vec();
    for (field, array) in columns {
        fields.push(Arc::new(field));
        arrays.push(array);
    }
    let schema = Schema::new_with_metadata(fields, batch.schema().metadata().clone());
    Ok(RecordBatch::try_new(Arc::new(schema), arrays)?)
}

/// The rows of a batch whose entry in `keep` is true.
///
/// # Errors
/// When `keep` has another length than the batch.
pub fn keep_rows(batch: &RecordBatch, keep: Vec<bool>) -> Result<RecordBatch> {
    Ok(filter_record_batch(batch, &BooleanArray::from(keep))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Images;

    #[test]
    fn missing_columns_and_wrong_types_are_named_and_are_not_called_bugs() {
        let schema = Schema::new(vec![Field::new(OBJECT_ID, DataType::Utf8, false)]);
        let ids: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let batch = RecordBatch::try_new(Arc::new(schema), vec![ids]).expect("a batch");
        let message = |error: Error| match error {
            Error::Data { message, .. } => message,
            other => panic!("{other:?}"),
        };
        let near = "the batch has no column `objectid`: did you mean `object_id`?";
        assert_eq!(message(text_column(&batch, "objectid").unwrap_err()), near);
        let far = "the batch has no column `image`: it has `object_id`";
        assert_eq!(message(Images::of(&batch, "image").map(|_| ()).unwrap_err()), far);
        assert!(message(row_number(&batch, 0).unwrap_err()).starts_with("the batch has no column `_row`"));
        let image = message(Images::of(&batch, OBJECT_ID).map(|_| ()).unwrap_err());
        assert_eq!(image, "column `object_id` is Utf8, expected an image");
    }
}
