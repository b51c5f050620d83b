//! What a condition asks of a column, and which rows meet it.

use std::cmp::Ordering;

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, UInt64Type},
};

use crate::error::{Code, Diagnostic, Result};

/// A condition on a column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    pub(super) column: String,
    pub(super) test: Test,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    /// Is null, or is not.
    Null(bool),
    /// Is one of some values, or is not.
    OneOf(bool, Vec<Value>),
    /// Is before or after a value, or equal to it where that is allowed.
    Ordered { side: Ordering, or_equal: bool, than: Value },
}

/// A value as written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) number: Option<Number>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Whole(i128),
    Real(f64),
}

impl Number {
    fn real(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Real(number) => number,
        }
    }
}

/// What columns hold, as far as conditions go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Whole,
    Single,
    Double,
    Text,
    Bool,
    Other,
}

impl Family {
    fn of(kind: &DataType) -> Self {
        match kind {
            kind if kind.is_integer() => Self::Whole,
            DataType::Float16 | DataType::Float32 => Self::Single,
            DataType::Float64 => Self::Double,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Dictionary(_, values) if Self::of(values) == Self::Text => Self::Text,
            DataType::Boolean => Self::Bool,
            _ => Self::Other,
        }
    }
}

impl Test {
    fn values(&self) -> &[Value] {
        match self {
            Self::Null(_) => &[],
            Self::OneOf(_, values) => values,
            Self::Ordered { than, .. } => std::slice::from_ref(than),
        }
    }

    /// Whether a number that is no null meets the test; `compare` is how it stands to a value.
    fn met(&self, compare: impl Fn(&Value) -> Option<Ordering>) -> bool {
        match self {
            Self::Null(wanted) => !wanted,
            Self::OneOf(wanted, values) => {
                values.iter().any(|value| compare(value) == Some(Ordering::Equal)) == *wanted
            }
            Self::Ordered { side, or_equal, than } => {
                let order = compare(than);
                order == Some(*side) || (*or_equal && order == Some(Ordering::Equal))
            }
        }
    }
}

impl Condition {
    /// Whether a column of a type can be asked this.
    pub(super) fn fits(&self, key: &str, kind: &DataType) -> Result<(), Diagnostic> {
        let column = &self.column;
        let wrong = |code, message: String| Err(Diagnostic::at(key, code, message));
        let family = Family::of(kind);
        if matches!(self.test, Test::Null(_)) {
            return Ok(());
        }
        if family == Family::Other {
            return wrong(Code::WrongColumn, format!("column `{column}` holds {kind}, which no condition compares"));
        }
        if matches!(family, Family::Text | Family::Bool) && matches!(self.test, Test::Ordered { .. }) {
            return wrong(
                Code::WrongColumn,
                format!("column `{column}` holds {kind}, which has no order; use `==` or `in`"),
            );
        }
        let fine = |value: &&Value| match family {
            Family::Text | Family::Other => true,
            Family::Bool => value.text == "true" || value.text == "false",
            Family::Whole | Family::Single | Family::Double => value.number.is_some(),
        };
        match self.test.values().iter().find(|value| !fine(value)) {
            Some(value) => wrong(
                Code::WrongType,
                format!("`{}` is compared with column `{column}`, which holds {kind}", value.text),
            ),
            None => Ok(()),
        }
    }

    /// Clears the rows that do not meet the condition.
    pub(super) fn mark(&self, array: &ArrayRef, keep: &mut [bool]) -> Result<()> {
        let nulls = array.logical_nulls();
        let null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        let test = &self.test;
        let mut each = |nan: &dyn Fn(usize) -> bool, met: &dyn Fn(usize) -> bool| {
            for (row, keep) in keep.iter_mut().enumerate().filter(|(_, keep)| **keep) {
                *keep = if null(row) || nan(row) { *test == Test::Null(true) } else { met(row) };
            }
        };
        match Family::of(array.data_type()) {
            Family::Whole if array.data_type().is_unsigned_integer() => {
                let array = cast(array, &DataType::UInt64)?;
                let values = array.as_primitive::<UInt64Type>().values();
                each(&|_| false, &|row| test.met(|value| order_whole(i128::from(values[row]), value)));
            }
            Family::Whole => {
                let array = cast(array, &DataType::Int64)?;
                let values = array.as_primitive::<Int64Type>().values();
                each(&|_| false, &|row| test.met(|value| order_whole(i128::from(values[row]), value)));
            }
            family @ (Family::Single | Family::Double) => {
                let array = cast(array, &DataType::Float64)?;
                let values = array.as_primitive::<Float64Type>().values();
                let stored = |number: f64| if family == Family::Single { f64::from(number as f32) } else { number };
                each(&|row| values[row].is_nan(), &|row| {
                    test.met(|value| values[row].partial_cmp(&stored(value.number?.real())))
                });
            }
            Family::Text | Family::Bool => {
                let array = cast(array, &DataType::Utf8)?;
                let values = array.as_string::<i32>();
                each(&|_| false, &|row| test.met(|value| Some(values.value(row).cmp(&value.text))));
            }
            Family::Other => each(&|_| false, &|_| test.met(|_| None)),
        }
        Ok(())
    }
}

fn order_whole(number: i128, value: &Value) -> Option<Ordering> {
    match value.number? {
        Number::Whole(value) => Some(number.cmp(&value)),
        Number::Real(value) => (number as f64).partial_cmp(&value),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{BooleanArray, DictionaryArray, Float32Array, Int64Array, RecordBatch, StringArray, UInt8Array},
        datatypes::Int32Type,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::batch::column_of;

    /// Five rows of every sort of column.
    fn table() -> RecordBatch {
        let text = vec![Some("spiral"), Some("merger"), None, Some("a b"), Some("7")];
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("text", Arc::new(StringArray::from(text.clone()))),
            ("class", Arc::new(text.into_iter().collect::<DictionaryArray<Int32Type>>())),
            (
                "single",
                Arc::new(Float32Array::from(vec![Some(22.1), Some(-1.5), None, Some(f32::NAN), Some(f32::INFINITY)])),
            ),
            ("id", Arc::new(Int64Array::from(vec![i64::MAX, i64::MAX - 1, -3, 0, 7]))),
            ("visits", Arc::new(UInt8Array::from(vec![Some(1), Some(2), Some(3), None, Some(255)]))),
            ("odd name", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true), Some(false)]))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
            .expect("a batch")
    }

    fn kept(condition: &str) -> Vec<usize> {
        let mut keep = vec![true; 5];
        let condition = Condition::parse(condition).expect("a condition");
        let table = table();
        let array = column_of(&table, &condition.column).expect("a column");
        condition.fits("keep.0", array.data_type()).expect("fitting");
        condition.mark(array, &mut keep).expect("marked");
        (0..5).filter(|row| keep[*row]).collect()
    }

    #[test]
    fn conditions_keep_the_rows_they_name() {
        for (condition, rows) in [
            ("text == spiral", &[0][..]),
            ("text != merger", &[0, 3, 4]),
            ("text in [spiral, 'a b']", &[0, 3]),
            ("text not in [spiral, \"a b\"]", &[1, 4]),
            ("text == 7", &[4]),
            ("text is null", &[2]),
            ("class != spiral", &[1, 3, 4]),
            ("class is not null", &[0, 1, 3, 4]),
            ("single<=22.1", &[0, 1]),
            ("single < 22.1", &[1]),
            ("single == 22.1", &[0]),
            ("single != 22.1", &[1, 4]),
            ("single > -1e3", &[0, 1, 4]),
            ("single is null", &[2, 3]),
            ("single is not null", &[0, 1, 4]),
            ("id == 9223372036854775807", &[0]),
            ("id < 9223372036854775807", &[1, 2, 3, 4]),
            ("id >= -2.5", &[0, 1, 3, 4]),
            ("id in [-3, 7]", &[2, 4]),
            ("visits > 1", &[1, 2, 4]),
            ("visits not in [2]", &[0, 2, 4]),
            ("visits > -1", &[0, 1, 2, 4]),
            ("`odd name` == true", &[0, 3]),
            ("`odd name` != true", &[1, 4]),
        ] {
            assert_eq!(kept(condition), rows, "{condition}");
        }
    }

    proptest! {
        #[test]
        fn a_number_as_written_is_compared_as_it_is(number in any::<i64>()) {
            let condition = Condition::parse(&format!("id <= {number}")).expect("a condition");
            let numbers: ArrayRef = Arc::new(Int64Array::from(vec![number, number.saturating_add(1)]));
            let mut keep = vec![true; 2];
            condition.mark(&numbers, &mut keep).expect("marked");
            prop_assert_eq!(keep, [true, number == i64::MAX]);
        }
    }
}
