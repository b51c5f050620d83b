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

/// The batch with images (`[3x100x100]`) and long lists (`[256]`) replaced by their shapes, and without control characters: names
/// come from files, and a terminal obeys them.
pub(super) fn abbreviated(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    map_columns(batch, |field, column| match column.data_type() {
        DataType::FixedSizeList(..) | DataType::List(_) | DataType::LargeList(_) => lists(field, column).map(Some),
        kind if kind.is_primitive() || *kind == DataType::Boolean => Ok(None),
        _ => texts(column, |_| None).map(Some),
    })
}

/// A text with control characters escaped, except for line breaks and tabs.
fn harmless(text: String) -> String {
    let harmful = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    if !text.contains(harmful) {
        return text;
    }
    let escape = |letter: char| if harmful(letter) { letter.escape_default().collect() } else { letter.to_string() };
    text.chars().map(escape).collect()
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
        instead(row).map_or_else(|| formatter.value(row).try_to_string().map(harmless), Ok).map(Some)
    };
    Ok(Arc::new((0..column.len()).map(text).collect::<Result<StringArray, _>>()?))
}

/// The shape of a tensor column, `3x100x100`.
fn shape(field: &Field) -> Option<String> {
    let sizes = tensor_shape(field)?.into_iter().map(|size| size.to_string());
    Some(sizes.collect::<Vec<_>>().join("x"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_of_names_do_not_reach_a_terminal() {
        let names: ArrayRef =
            Arc::new(StringArray::from(vec![Some("\x1b[31mM 31\x07\u{9b}2J"), Some("a\tb\nc"), None]));
        let batch = RecordBatch::try_from_iter([("object_id", names)]).expect("a batch");
        let shown = abbreviated(&batch).expect("text");
        let shown: Vec<Option<&str>> = shown.column(0).as_string::<i32>().iter().collect();
        assert_eq!(shown, [Some("\\u{1b}[31mM 31\\u{7}\\u{9b}2J"), Some("a\tb\nc"), None]);
    }
}
