//! The columns of an object that come from headers and from the catalogue.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray},
    datatypes::DataType,
};

use super::{
    objects::FileRow,
    plan::{FitsPlan, headers_of},
    schema::HeaderColumn,
};
use crate::fits::{self, CardValue};

/// Everything of a row but its identity and its pixels.
pub(super) struct RowKeys {
    pub label: Option<String>,
    pub ra: Option<f64>,
    pub dec: Option<f64>,
    /// The values of the header columns, in their order.
    pub headers: Vec<Option<CardValue>>,
    /// The row of the catalogue.
    pub joined: Option<u32>,
}

impl RowKeys {
    /// The keys of an object; the error is the reason why one of them is not usable.
    pub(super) fn read(plan: &FitsPlan, file: &fits::FitsFile, found: &FileRow, id: &str) -> Result<Self, String> {
        let settings = &plan.settings;
        let value = |key: &str| headers_of(file, found).find_map(|header| header.get(key));
        let text = |key: &String| headers_of(file, found).find_map(|header| header.text(key));
        let degrees = |key: &String| match value(key) {
            None => Ok(None),
            Some(value) => {
                let wrong = || format!("key `{key}` is `{}`, expected degrees", value.to_text().escape_debug());
                value.to_number().map(Some).ok_or_else(wrong)
            }
        };
        let typed = |column: &HeaderColumn| typed_value(column, value(&column.key));
        let headers = plan.columns.iter().map(typed).collect::<Result<Vec<_>, _>>()?;
        let header_key = settings.catalogue.as_ref().and_then(|catalogue| catalogue.header_key.as_ref());
        let joined = plan.catalogue.as_ref().and_then(|catalogue| match header_key {
            None => catalogue.row(id),
            Some(key) => catalogue.row(&text(key)?),
        });
        Ok(Self {
            label: settings.label.as_ref().and_then(text),
            ra: settings.ra.as_ref().map_or(Ok(None), degrees)?,
            dec: settings.dec.as_ref().map_or(Ok(None), degrees)?,
            headers,
            joined,
        })
    }
}

/// A value of a header column, if it has the type of the column.
fn typed_value(column: &HeaderColumn, value: Option<CardValue>) -> Result<Option<CardValue>, String> {
    let fits = matches!(
        (&value, &column.kind),
        (None, _)
            | (_, DataType::Utf8)
            | (Some(CardValue::Integer(_)), DataType::Int64)
            | (Some(CardValue::Integer(_) | CardValue::Real(_)), DataType::Float64)
            | (Some(CardValue::Logical(_)), DataType::Boolean)
    );
    match value {
        Some(value) if !fits => {
            let (key, found) = (&column.key, value.to_text());
            Err(format!("key `{key}` is `{}`, expected {} as in the first files", found.escape_debug(), column.kind))
        }
        value => Ok(value),
    }
}

/// The values of a header column as an array of its type.
pub(super) fn header_array(values: Vec<Option<CardValue>>, kind: &DataType) -> ArrayRef {
    match kind {
        DataType::Int64 => {
            let integer = |value| if let Some(CardValue::Integer(value)) = value { Some(value) } else { None };
            Arc::new(values.into_iter().map(integer).collect::<Int64Array>())
        }
        DataType::Float64 => {
            let number = |value: Option<CardValue>| value.and_then(|value| value.to_number());
            Arc::new(values.into_iter().map(number).collect::<Float64Array>())
        }
        DataType::Boolean => {
            let logical = |value| if let Some(CardValue::Logical(value)) = value { Some(value) } else { None };
            Arc::new(values.into_iter().map(logical).collect::<BooleanArray>())
        }
        _ => Arc::new(values.into_iter().map(|value| value.map(|value| value.to_text())).collect::<StringArray>()),
    }
}
