//! The values of the columns of a catalogue: their types, and which are missing.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, PrimitiveArray, StringArray, UInt64Array,
    },
    compute::cast,
    datatypes::{ArrowPrimitiveType, DataType, Float64Type, TimeUnit},
};

use super::super::angle::Coordinate;

/// The type that a format declares for a column of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Declared {
    /// None: the values decide.
    No,
    Text,
    Integer,
    Real,
    Logical,
}

/// A column as it was read.
pub(super) enum RawColumn {
    /// Of a format that writes all values as text.
    Text { values: StringArray, declared: Declared },
    /// Of a format that has types.
    Typed(ArrayRef),
}

/// Whether a text stands for a missing value.
type IsNull<'a> = dyn Fn(&str) -> bool + 'a;

impl RawColumn {
    /// The values as text, numbers as they are written.
    pub(super) fn text(&self, is_null: &IsNull<'_>) -> Result<ArrayRef, String> {
        let text = match self {
            Self::Text { values, .. } => values.clone(),
            Self::Typed(array) => {
                let array = cast(array, &DataType::Utf8).map_err(|error| format!("is not text: {error}"))?;
                array.as_string::<i32>().clone()
            }
        };
        Ok(Arc::new(without_nulls(&text, is_null)))
    }

    /// The values in their type.
    pub(super) fn typed(&self, is_null: &IsNull<'_>) -> Result<ArrayRef, String> {
        match self {
            Self::Text { values, declared } => typed(&without_nulls(values, is_null), *declared),
            Self::Typed(array) => plain(array, is_null),
        }
    }

    /// Degrees, of numbers or of sexagesimal text.
    pub(super) fn degrees(&self, coordinate: Coordinate, is_null: &IsNull<'_>) -> Result<ArrayRef, String> {
        let array = self.typed(is_null)?;
        if array.data_type().is_numeric() {
            return cast(&array, &DataType::Float64).map_err(|error| error.to_string());
        }
        let text = self.text(is_null)?;
        let degrees = text.as_string::<i32>().iter().map(|text| {
            let wrong = |text: &str, expected| format!("has `{}`, expected {expected}", text.escape_debug());
            let degrees = |text: &str| coordinate.degrees_of_text(text).map_err(|expected| wrong(text, expected));
            text.map(degrees).transpose()
        });
        Ok(Arc::new(degrees.collect::<Result<Float64Array, String>>()?))
    }

    /// The first value of a column of floats, which cannot be a key. In text, such a column has numbers only, one of them with an
    /// exponent or all of them with `.0`; `9812.4` may be a name.
    pub(super) fn first_float(&self, is_null: &IsNull<'_>) -> Option<String> {
        match self {
            Self::Typed(array) if is_floating(array.data_type()) => {
                let text = cast(array, &DataType::Utf8).ok()?;
                let text = text.as_string::<i32>();
                Some(text.iter().flatten().next().unwrap_or("all are missing").to_owned())
            }
            Self::Text { values, declared: Declared::Real } => {
                let values = without_nulls(values, is_null);
                Some(values.iter().flatten().next().unwrap_or("all are missing").to_owned())
            }
            Self::Text { values, declared: Declared::No } => {
                let values = without_nulls(values, is_null);
                let mut all = values.iter().flatten().peekable();
                let first = (*all.peek()?).to_owned();
                let (mut has_exponent, mut are_whole) = (false, true);
                for text in all {
                    real(text)?;
                    has_exponent |= text.contains(['e', 'E']);
                    are_whole &=
                        text.split_once('.').is_some_and(|(_, digits)| digits.bytes().all(|byte| byte == b'0'));
                }
                (has_exponent || are_whole).then_some(first)
            }
            _ => None,
        }
    }
}

/// Whether a type is a float, dictionaries of floats included.
fn is_floating(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_floating(values),
        kind => kind.is_floating(),
    }
}

fn without_nulls(values: &StringArray, is_null: &IsNull<'_>) -> StringArray {
    values.iter().map(|text| text.map(str::trim).filter(|text| !is_null(text))).collect()
}

/// A column of a format that has types: text as UTF-8, NaN as null.
fn plain(array: &ArrayRef, is_null: &IsNull<'_>) -> Result<ArrayRef, String> {
    match array.data_type() {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => {
            let text = cast(array, &DataType::Utf8).map_err(|error| error.to_string())?;
            Ok(Arc::new(without_nulls(text.as_string::<i32>(), is_null)))
        }
        DataType::Dictionary(_, values) => plain(&cast(array, values).map_err(|error| error.to_string())?, is_null),
        // A comparison in SQL takes NaN for more than any number.
        DataType::Float64 => Ok(Arc::new(number_or_null(array.as_primitive::<Float64Type>(), f64::is_nan))),
        DataType::Float32 => {
            let floats = array.as_primitive::<arrow::datatypes::Float32Type>();
            Ok(Arc::new(number_or_null(floats, f32::is_nan)))
        }
        _ => Ok(array.clone()),
    }
}

fn number_or_null<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    is_null: impl Fn(T::Native) -> bool,
) -> PrimitiveArray<T> {
    array.iter().map(|value| value.filter(|value| !is_null(*value))).collect()
}

/// Text in the type that is declared, or in the narrowest one that keeps all values as they are written.
fn typed(values: &StringArray, declared: Declared) -> Result<ArrayRef, String> {
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

fn real(text: &str) -> Option<f64> {
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
    use super::{super::super::null_words::is_null_word, *};

    fn raw(values: &[&str], declared: Declared) -> RawColumn {
        RawColumn::Text { values: StringArray::from(values.to_vec()), declared }
    }

    fn kind(values: &[&str]) -> DataType {
        raw(values, Declared::No).typed(&is_null_word).expect("typed").data_type().clone()
    }

    #[test]
    fn missing_values_do_not_change_the_type() {
        let z = raw(&["0.1", "nan", "N/A", "null", "", "--", "2"], Declared::No).typed(&is_null_word).expect("typed");
        assert_eq!(*z, Float64Array::from(vec![Some(0.1), None, None, None, None, None, Some(2.0)]));
        let class = raw(&["spiral", "nan", "NA"], Declared::No).text(&is_null_word).expect("text");
        assert_eq!(*class, StringArray::from(vec![Some("spiral"), None, None]));
        let none = raw(&["spiral", "-", "none"], Declared::No).typed(&|text| text == "-").expect("typed");
        assert_eq!(*none, StringArray::from(vec![Some("spiral"), None, Some("none")]));
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
        let declared = |declared| raw(&["1", "2"], declared).typed(&is_null_word).expect("typed").data_type().clone();
        assert_eq!(declared(Declared::Text), DataType::Utf8);
        assert_eq!(declared(Declared::Real), DataType::Float64);
        let reason = raw(&["1", "x"], Declared::Integer).typed(&is_null_word).expect_err("text");
        assert_eq!(reason, "has `x`, expected a whole number of 64 bits");
    }

    #[test]
    fn a_column_of_floats_is_no_key() {
        let float = |values: &[&str]| raw(values, Declared::No).first_float(&is_null_word);
        assert_eq!(float(&["3.641145283523821e+16", "4"]).as_deref(), Some("3.641145283523821e+16"));
        assert_eq!(float(&["", "7.0", "8.0"]).as_deref(), Some("7.0"));
        for keys in [&["7", "8"][..], &["9812.4", "9812.5"], &["7.0", "x"], &["", "nan"]] {
            assert_eq!(float(keys), None, "{keys:?}");
        }
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.5]));
        let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Float64));
        let dictionary = cast(&floats, &dictionary).expect("a dictionary");
        for floats in [floats, dictionary] {
            assert_eq!(RawColumn::Typed(floats).first_float(&is_null_word).as_deref(), Some("1.5"));
        }
        // What a format declares counts, whatever the values look like.
        for values in [&["9812.4", "9812.5"][..], &["7", "8"], &["nan"]] {
            assert!(raw(values, Declared::Real).first_float(&is_null_word).is_some(), "{values:?}");
        }
    }

    #[test]
    fn nan_in_numbers_is_null() {
        let array = RawColumn::Typed(Arc::new(Float64Array::from(vec![1.0, f64::NAN])));
        assert_eq!(*array.typed(&is_null_word).expect("typed"), Float64Array::from(vec![Some(1.0), None]));
    }

    #[test]
    fn right_ascensions_may_be_sexagesimal_and_wrong_ones_are_reported() {
        let degrees = |values: &[&str]| raw(values, Declared::No).degrees(Coordinate::RightAscension, &is_null_word);
        assert_eq!(*degrees(&["10:00:00", ""]).expect("degrees"), Float64Array::from(vec![Some(150.0), None]));
        assert_eq!(*degrees(&["150", "151"]).expect("degrees"), Float64Array::from(vec![150.0, 151.0]));
        assert!(degrees(&["10:00:00", "x"]).expect_err("text").starts_with("has `x`, expected degrees"));
    }
}
