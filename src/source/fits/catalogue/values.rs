//! The values of the columns of a catalogue, in their types.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, PrimitiveArray, StringArray},
    compute::cast,
    datatypes::{ArrowPrimitiveType, DataType, Float64Type},
};

use super::super::angle::Coordinate;
pub(super) use crate::batch::Declared;
use crate::batch::{real, typed, without_nulls};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::is_null_word;

    fn raw(values: &[&str], declared: Declared) -> RawColumn {
        RawColumn::Text { values: StringArray::from(values.to_vec()), declared }
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
