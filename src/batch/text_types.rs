//! The types of columns that a file has as text: catalogues in CSV and its kin.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, UInt64Array},
    compute::cast,
    datatypes::{DataType, TimeUnit},
};

/// The words that mean nothing in headers and catalogues, as astropy, TOPCAT, pandas and R write them. Case counts: `none` is a class
/// of bars, `None` is Python's.
const NULL_WORDS: [&str; 13] =
    ["", "nan", "NaN", "NAN", "null", "NULL", "Null", "None", "--", "N/A", "n/a", "NA", "<NA>"];

/// Whether a text stands for a missing value.
pub(crate) fn is_null_word(text: &str) -> bool {
    NULL_WORDS.contains(&text.trim())
}

/// The type that a file declares for a column of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Declared {
    /// None: the values decide.
    No,
    Text,
    Integer,
    Real,
    Logical,
}

/// The values without blanks around them, and null where they stand for a missing one.
pub(crate) fn without_nulls(values: &StringArray, is_null: &dyn Fn(&str) -> bool) -> StringArray {
    values.iter().map(|text| text.map(str::trim).filter(|text| !is_null(text))).collect()
}

/// Text in the type that is declared, or in the narrowest one that keeps all values as they are written. The error is what is wrong
/// with the column.
pub(crate) fn typed(values: &StringArray, declared: Declared) -> Result<ArrayRef, String> {
    let fits = |is: &dyn Fn(&str) -> bool| values.iter().flatten().all(is);
    let wrong = |expected: &str, is: &dyn Fn(&str) -> bool| {
        let first = values.iter().flatten().find(|text| !is(text)).unwrap_or_default();
        format!("has `{}`, expected {expected}", first.escape_debug())
    };
    let has_values = values.null_count() < values.len();
    let (is_signed, is_unsigned) = (|text: &str| integer::<i64>(text), |text: &str| integer::<u64>(text));
    let is_signed = |text: &str| is_signed(text).is_some();
    let is_unsigned = |text: &str| is_unsigned(text).is_some();
    let is_real = |text: &str| real(text).is_some();
    let is_logical = |text: &str| logical(text).is_some();
    let kind = match declared {
        Declared::No if !has_values => Declared::Text,
        Declared::No if fits(&is_signed) || fits(&is_unsigned) => Declared::Integer,
        // Integers beyond 64 bits are text: a float would not keep them.
        Declared::No if fits(&|text| is_real(text) && !is_padded(text)) && !fits(&is_digits) => Declared::Real,
        Declared::No if fits(&is_logical) => Declared::Logical,
        Declared::No => return Ok(date_or_text(values)),
        declared => declared,
    };
    Ok(match kind {
        Declared::Integer if fits(&is_signed) => {
            Arc::new(values.iter().map(|text| text.and_then(integer::<i64>)).collect::<Int64Array>())
        }
        Declared::Integer if fits(&is_unsigned) => {
            Arc::new(values.iter().map(|text| text.and_then(integer::<u64>)).collect::<UInt64Array>())
        }
        Declared::Integer => return Err(wrong("a whole number of 64 bits", &is_signed)),
        Declared::Real if fits(&is_real) => {
            let reals = values.iter().map(|text| text.and_then(real).filter(|value| !value.is_nan()));
            Arc::new(reals.collect::<Float64Array>())
        }
        Declared::Real => return Err(wrong("a number", &is_real)),
        Declared::Logical if fits(&is_logical) => {
            Arc::new(values.iter().map(|text| text.and_then(logical)).collect::<BooleanArray>())
        }
        Declared::Logical => return Err(wrong("true or false", &is_logical)),
        Declared::Text | Declared::No => Arc::new(values.clone()),
    })
}

/// A whole number that would be written as it is: `007` is text.
fn integer<T: std::str::FromStr>(text: &str) -> Option<T> {
    (is_digits(text) && !is_padded(text)).then(|| text.parse().ok()).flatten()
}

fn is_digits(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_padded(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']).as_bytes();
    digits.first() == Some(&b'0') && digits.get(1).is_some_and(u8::is_ascii_digit)
}

/// A number.
pub(crate) fn real(text: &str) -> Option<f64> {
    let digits = text.trim_start_matches(['+', '-']);
    let is_number = digits.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || byte == b'.');
    let is_word = ["inf", "infinity", "nan"].contains(&digits.to_ascii_lowercase().as_str());
    (is_number || is_word).then(|| text.parse().ok()).flatten()
}

fn logical(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" => Some(true),
        "false" | "f" => Some(false),
        _ => None,
    }
}

/// Dates (`2026-11-28`) and times (`2026-11-28T11:30:00`) if all values are, else text.
fn date_or_text(values: &StringArray) -> ArrayRef {
    let text: ArrayRef = Arc::new(values.clone());
    let like_date = |text: &str| {
        text.len() >= 10
            && text.bytes().take(10).enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            })
    };
    if !values.iter().flatten().all(like_date) {
        return text;
    }
    let digits = values.iter().flatten().filter_map(|text| Some(text.split_once('.')?.1.len())).max().unwrap_or(0);
    let unit = match digits {
        0 => TimeUnit::Second,
        1..=3 => TimeUnit::Millisecond,
        4..=6 => TimeUnit::Microsecond,
        _ => TimeUnit::Nanosecond,
    };
    let are_days = values.iter().flatten().all(|text| text.len() == 10);
    let kind = if are_days { DataType::Date32 } else { DataType::Timestamp(unit, None) };
    match cast(&text, &kind) {
        Ok(dates) if dates.null_count() == text.null_count() => dates,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[&str]) -> StringArray {
        without_nulls(&StringArray::from(values.to_vec()), &is_null_word)
    }

    fn kind(values: &[&str]) -> DataType {
        typed(&column(values), Declared::No).expect("typed").data_type().clone()
    }

    #[test]
    fn types_keep_all_digits() {
        assert_eq!(kind(&["1", "-2"]), DataType::Int64);
        assert_eq!(kind(&["1", "10133099161583616512"]), DataType::UInt64);
        for text in
            [&["007", "8"][..], &["-1", "10133099161583616512"], &["99999999999999999999999"], &["1", "x"], &["nan"]]
        {
            assert_eq!(kind(text), DataType::Utf8, "{text:?}");
        }
        assert_eq!(kind(&["1", "2.5", "-3e5", "inf"]), DataType::Float64);
        assert_eq!(kind(&["true", "F"]), DataType::Boolean);
        assert_eq!(kind(&["2026-01-01", ""]), DataType::Date32);
        assert_eq!(kind(&["2026-01-01T10:00:00.5"]), DataType::Timestamp(TimeUnit::Millisecond, None));
        assert_eq!(kind(&["2026-01-01", "2026-13-45"]), DataType::Utf8);
        let declared = |declared| typed(&column(&["1", "2"]), declared).expect("typed").data_type().clone();
        assert_eq!(declared(Declared::Text), DataType::Utf8);
        assert_eq!(declared(Declared::Real), DataType::Float64);
        let reason = typed(&column(&["1", "x"]), Declared::Integer).expect_err("text");
        assert_eq!(reason, "has `x`, expected a whole number of 64 bits");
    }
}
