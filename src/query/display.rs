//! Results in readable form: images and long lists are replaced by their shapes.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};

use crate::batch::tensor_shape;

/// Lists up to this length are written in full.
const LONGEST: usize = 16;

/// The batch with images (`[3x100x100]`) and long lists (`[256]`) replaced by their shapes.
pub(super) fn abbreviated(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    map_columns(batch, |field, column| match column.data_type() {
        DataType::FixedSizeList(..) | DataType::List(_) | DataType::LargeList(_) => lists(field, column).map(Some),
        _ => Ok(None),
    })
}

/// The batch with nested columns as text, for CSV.
pub(super) fn flattened(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    map_columns(batch, |_, column| {
        if !column.data_type().is_nested() {
            return Ok(None);
        }
        texts(column, |_| None).map(Some)
    })
}

fn map_columns(
    batch: &RecordBatch,
    column: impl Fn(&Field, &ArrayRef) -> Result<Option<ArrayRef>, ArrowError>,
) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let mut columns = Vec::new();
    let mut fields = Vec::new();
    for (field, old) in schema.fields().iter().zip(batch.columns()) {
        match column(field, old)? {
            Some(new) => {
                fields.push(Arc::new(Field::new(field.name(), new.data_type().clone(), true)));
                columns.push(new);
            }
            None => {
                fields.push(field.clone());
                columns.push(old.clone());
            }
        }
    }
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

fn lists(field: &Field, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let shape = shape(field);
    let length = |row: usize| match column.data_type() {
        DataType::FixedSizeList(_, length) => usize::try_from(*length).unwrap_or(0),
        DataType::List(_) => column.as_list::<i32>().value_length(row) as usize,
        _ => column.as_list::<i64>().value_length(row) as usize,
    };
    texts(column, |row| match &shape {
        Some(shape) => Some(format!("[{shape}]")),
        None => Some(length(row)).filter(|length| *length > LONGEST).map(|length| format!("[{length}]")),
    })
}

/// Each row as Arrow formats it, or the text that `instead` returns for it.
fn texts(column: &ArrayRef, instead: impl Fn(usize) -> Option<String>) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default().with_null("null");
    let formatter = ArrayFormatter::try_new(column, &options)?;
    let text = |row: usize| -> Result<Option<String>, ArrowError> {
        if column.is_null(row) {
            return Ok(None);
        }
        instead(row).map_or_else(|| formatter.value(row).try_to_string(), Ok).map(Some)
    };
    Ok(Arc::new((0..column.len()).map(text).collect::<Result<StringArray, _>>()?))
}

/// The shape of a tensor column, `3x100x100`.
fn shape(field: &Field) -> Option<String> {
    let sizes = tensor_shape(field)?.into_iter().map(|size| size.to_string());
    Some(sizes.collect::<Vec<_>>().join("x"))
}
