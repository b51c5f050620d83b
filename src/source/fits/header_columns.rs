//! The types of columns from header keys, and their values.
//!
//! Headers are written one by one, so that a key is an integer here, a real there, and `N/A` or blank in a third. A column of numbers
//! is float64, whatever the first files have: the next one may have a fraction. Whole numbers are integers where the settings say so.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray},
    datatypes::DataType,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::HeaderColumn;
use crate::{batch::is_null_word, fits::CardValue};

/// The greatest whole number up to which every one is a float64.
const MAX_EXACT: u64 = 1 << 53;

/// A header key that fills a column: `VISIT`, or `{ key: VISIT, type: integer }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HeaderKey {
    /// A key; the type is that of the values in the first files.
    Key(String),
    /// A key and its type.
    Typed(TypedKey),
}

/// A header key and the type of its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TypedKey {
    /// The header key.
    pub key: String,
    /// The type of its values; a file with a value of another type is rejected.
    pub r#type: HeaderType,
}

/// The type of a column from a header key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeaderType {
    /// Whole numbers of 64 bits.
    Integer,
    /// Numbers (float64).
    Number,
    /// Text, numbers as they are written.
    Text,
    /// `T` or `F`.
    Logical,
}

impl HeaderType {
    const fn data_type(self) -> DataType {
        match self {
            Self::Integer => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::Logical => DataType::Boolean,
        }
    }
}

impl From<&str> for HeaderKey {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl HeaderKey {
    /// The column of a name, without a type unless the settings give one.
    pub(super) fn column(&self, name: &str) -> HeaderColumn {
        let (key, kind) = match self {
            Self::Key(key) => (key, DataType::Null),
            Self::Typed(TypedKey { key, r#type }) => (key, r#type.data_type()),
        };
        HeaderColumn { name: name.to_owned(), key: key.clone(), kind }
    }
}

/// The values of a key in the first files.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct KeyValues {
    has_text: bool,
    has_logical: bool,
    has_number: bool,
    /// A whole number that is not a float64.
    has_big: bool,
    has_fraction: bool,
}

impl KeyValues {
    /// Adds a value.
    pub(super) fn add(&mut self, value: Option<CardValue>) {
        match value.and_then(not_null) {
            None => {}
            Some(CardValue::Logical(_)) => self.has_logical = true,
            Some(CardValue::Text(text)) => match number_in(&text) {
                // `007` is a name.
                Some(number) if !is_padded(&text) => self.add(Some(number)),
                _ => self.has_text = true,
            },
            Some(CardValue::BigInteger(_)) => self.has_big = true,
            Some(CardValue::Integer(value)) if value.unsigned_abs() > MAX_EXACT => self.has_big = true,
            Some(CardValue::Integer(_)) => self.has_number = true,
            Some(CardValue::Real(_)) => (self.has_number, self.has_fraction) = (true, true),
        }
    }

    /// The type that holds them all.
    pub(super) const fn data_type(self) -> DataType {
        match self {
            Self { has_text: true, .. } | Self { has_big: true, has_fraction: false, .. } => DataType::Utf8,
            Self { has_number: true, has_logical: false, .. } => DataType::Float64,
            Self { has_logical: true, has_number: false, has_big: false, .. } => DataType::Boolean,
            _ => DataType::Utf8,
        }
    }
}

/// A value, unless it stands for a missing one.
pub(super) fn not_null(value: CardValue) -> Option<CardValue> {
    match &value {
        CardValue::Text(text) if is_null_word(text) => None,
        _ => Some(value),
    }
}

/// A value of a header column in its type; an error if it has another.
pub(super) fn typed_value(column: &HeaderColumn, value: Option<CardValue>) -> Result<Option<CardValue>, String> {
    let Some(value) = value.and_then(not_null) else { return Ok(None) };
    let number = match &value {
        CardValue::Text(text) => number_in(text),
        CardValue::Logical(_) => None,
        number => Some(number.clone()),
    };
    let typed = match (&column.kind, number) {
        (DataType::Boolean, _) => matches!(value, CardValue::Logical(_)).then(|| value.clone()),
        (DataType::Int64, number) => number.and_then(whole),
        (DataType::Float64, number) => number.filter(is_exact),
        _ => Some(value.clone()),
    };
    let wrong = || {
        let (key, found) = (&column.key, value.to_text());
        let (expected, help) = match column.kind {
            DataType::Boolean => ("`T` or `F`", "text"),
            DataType::Int64 => ("a whole number of 64 bits", "number"),
            _ => ("a number that a float64 holds", "text"),
        };
        let found = found.escape_debug();
        format!(
            "key `{key}` is `{found}`, expected {expected}; `{{ key: {key}, type: {help} }}` in `columns` would keep it"
        )
    };
    typed.map(Some).ok_or_else(wrong)
}

/// Whether a float64 holds a number, as far as it was written.
fn is_exact(value: &CardValue) -> bool {
    match value {
        CardValue::Integer(value) => value.unsigned_abs() <= MAX_EXACT,
        CardValue::Real(_) => true,
        _ => false,
    }
}

/// A whole number: `30` or `30.0`.
fn whole(value: CardValue) -> Option<CardValue> {
    match value {
        CardValue::Integer(_) => Some(value),
        CardValue::Real(real) if real.fract() == 0.0 && real.abs() <= MAX_EXACT as f64 => {
            Some(CardValue::Integer(real as i64))
        }
        _ => None,
    }
}

/// The number that a text is.
fn number_in(text: &str) -> Option<CardValue> {
    CardValue::of_number(text.trim())
}

/// Whether the first of several digits before a point is 0.
fn is_padded(text: &str) -> bool {
    let digits = text.trim().trim_start_matches(['+', '-']).as_bytes();
    digits.first() == Some(&b'0') && digits.get(1).is_some_and(u8::is_ascii_digit)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> CardValue {
        CardValue::Text(text.to_owned())
    }

    fn kind(values: &[CardValue]) -> DataType {
        let mut all = KeyValues::default();
        values.iter().for_each(|value| all.add(Some(value.clone())));
        all.data_type()
    }

    #[test]
    fn a_column_of_numbers_is_float64_and_missing_values_do_not_change_it() {
        use CardValue::{BigInteger, Integer, Logical, Real};
        for values in [
            &[Integer(30), Integer(30)][..],
            &[Integer(30), Real(30.5)],
            &[Real(0.7), text("NaN"), text("0.9"), text(""), text("N/A")],
            &[text("30"), text("1.5D3")],
            &[Integer(1 << 60), Real(0.5)],
        ] {
            assert_eq!(kind(values), DataType::Float64, "{values:?}");
        }
        assert_eq!(kind(&[Logical(true), text("--")]), DataType::Boolean);
        for values in [
            &[][..],
            &[text("NaN")],
            &[Integer(1), text("R1")],
            &[text("007")],
            &[Integer(1), Logical(true)],
            // Identifiers keep their digits.
            &[Integer(3), Integer((1 << 53) + 1)],
            &[BigInteger("10133099161583616512".into())],
        ] {
            assert_eq!(kind(values), DataType::Utf8, "{values:?}");
        }
    }

    #[test]
    fn values_become_those_of_their_column_or_are_reported() {
        let value = |kind: DataType, value: CardValue| {
            let column = HeaderColumn { name: "exptime".into(), key: "EXPTIME".into(), kind };
            typed_value(&column, Some(value))
        };
        assert_eq!(value(DataType::Int64, CardValue::Real(30.0)), Ok(Some(CardValue::Integer(30))));
        assert_eq!(value(DataType::Int64, text(" 30 ")), Ok(Some(CardValue::Integer(30))));
        assert_eq!(value(DataType::Float64, text("1.5")), Ok(Some(CardValue::Real(1.5))));
        assert_eq!(value(DataType::Boolean, text("N/A")), Ok(None));
        assert_eq!(value(DataType::Utf8, text("None")), Ok(None));
        assert_eq!(
            value(DataType::Int64, CardValue::Real(30.5)).unwrap_err(),
            "key `EXPTIME` is `30.5`, expected a whole number of 64 bits; \
             `{ key: EXPTIME, type: number }` in `columns` would keep it"
        );
        for wrong in [text("long"), CardValue::Integer((1 << 53) + 1), CardValue::Logical(true)] {
            let reason = value(DataType::Float64, wrong).unwrap_err();
            assert!(reason.contains("expected a number that a float64 holds"), "{reason}");
        }
    }
}
