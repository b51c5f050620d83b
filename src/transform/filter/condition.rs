//! Conditions: what is required of a column, and which rows satisfy it.

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
    pub(super) predicate: Predicate,
}

/// What is required of the value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Predicate {
    /// Is null (`true`), or is not null.
    Null(bool),
    /// Is one of these (`true`), or none of these.
    OneOf(bool, Vec<Literal>),
    /// Is on one side of a literal; equal to it only if `or_equal`.
    Ordered { side: Ordering, or_equal: bool, than: Literal },
}

/// A value as written in a condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Literal {
    pub(super) text: String,
    /// Its number; `None` for quoted texts and other words.
    pub(super) number: Option<LiteralNumber>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum LiteralNumber {
    Integer(i128),
    Real(f64),
}

impl LiteralNumber {
    fn real(self) -> f64 {
        match self {
            Self::Integer(number) => number as f64,
            Self::Real(number) => number,
        }
    }
}

/// How the values of a column are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ComparableType {
    Integer,
    Float32,
    Float64,
    Text,
    Bool,
    /// Not comparable.
    Other,
}

impl ComparableType {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            data_type if data_type.is_integer() => Self::Integer,
            DataType::Float16 | DataType::Float32 => Self::Float32,
            DataType::Float64 => Self::Float64,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Dictionary(_, values) if Self::of(values) == Self::Text => Self::Text,
            DataType::Boolean => Self::Bool,
            _ => Self::Other,
        }
    }
}

impl Predicate {
    fn literals(&self) -> &[Literal] {
        match self {
            Self::Null(_) => &[],
            Self::OneOf(_, literals) => literals,
            Self::Ordered { than, .. } => std::slice::from_ref(than),
        }
    }

    /// Whether a value that is not null satisfies the predicate; `compare` orders the value relative to a literal.
    fn holds(&self, compare: impl Fn(&Literal) -> Option<Ordering>) -> bool {
        match self {
            Self::Null(wanted) => !wanted,
            Self::OneOf(wanted, literals) => {
                literals.iter().any(|literal| compare(literal) == Some(Ordering::Equal)) == *wanted
            }
            Self::Ordered { side, or_equal, than } => {
                let order = compare(than);
                order == Some(*side) || (*or_equal && order == Some(Ordering::Equal))
            }
        }
    }
}

impl Condition {
    /// Checks that values of a type can be compared like this.
    pub(super) fn check_type(&self, key: &str, data_type: &DataType) -> Result<(), Diagnostic> {
        let column = &self.column;
        let wrong = |code, message: String| Err(Diagnostic::at(key, code, message));
        if matches!(self.predicate, Predicate::Null(_)) {
            return Ok(());
        }
        let comparable = ComparableType::of(data_type);
        if comparable == ComparableType::Other {
            let message = format!("column `{column}` holds {data_type}, which cannot be compared");
            return wrong(Code::WrongColumn, message);
        }
        let has_no_order = matches!(comparable, ComparableType::Text | ComparableType::Bool);
        if has_no_order && matches!(self.predicate, Predicate::Ordered { .. }) {
            let message = format!("column `{column}` holds {data_type}, which has no order; use `==` or `in`");
            return wrong(Code::WrongColumn, message);
        }
        let suits = |literal: &&Literal| match comparable {
            ComparableType::Text | ComparableType::Other => true,
            ComparableType::Bool => literal.text == "true" || literal.text == "false",
            ComparableType::Integer | ComparableType::Float32 | ComparableType::Float64 => literal.number.is_some(),
        };
        match self.predicate.literals().iter().find(|literal| !suits(literal)) {
            Some(literal) => {
                let message =
                    format!("`{}` cannot be compared with column `{column}`: it holds {data_type}", literal.text);
                wrong(Code::WrongType, message)
            }
            None => Ok(()),
        }
    }

    /// Clears `keep` for the rows that do not satisfy the condition.
    pub(super) fn clear_unsatisfied(&self, array: &ArrayRef, keep: &mut [bool]) -> Result<()> {
        let nulls = array.logical_nulls();
        let null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        let predicate = &self.predicate;
        let mut each = |nan: &dyn Fn(usize) -> bool, holds: &dyn Fn(usize) -> bool| {
            for (row, keep) in keep.iter_mut().enumerate().filter(|(_, keep)| **keep) {
                *keep = if null(row) || nan(row) { *predicate == Predicate::Null(true) } else { holds(row) };
            }
        };
        match ComparableType::of(array.data_type()) {
            ComparableType::Integer if array.data_type().is_unsigned_integer() => {
                let array = cast(array, &DataType::UInt64)?;
                let values = array.as_primitive::<UInt64Type>().values();
                each(&|_| false, &|row| predicate.holds(|literal| order_integer(i128::from(values[row]), literal)));
            }
            ComparableType::Integer => {
                let array = cast(array, &DataType::Int64)?;
                let values = array.as_primitive::<Int64Type>().values();
                each(&|_| false, &|row| predicate.holds(|literal| order_integer(i128::from(values[row]), literal)));
            }
            float @ (ComparableType::Float32 | ComparableType::Float64) => {
                let array = cast(array, &DataType::Float64)?;
                let values = array.as_primitive::<Float64Type>().values();
                let as_stored = |number: f64| match float {
                    ComparableType::Float32 => f64::from(number as f32),
                    _ => number,
                };
                each(&|row| values[row].is_nan(), &|row| {
                    predicate.holds(|literal| values[row].partial_cmp(&as_stored(literal.number?.real())))
                });
            }
            ComparableType::Text | ComparableType::Bool => {
                let array = cast(array, &DataType::Utf8)?;
                let values = array.as_string::<i32>();
                each(&|_| false, &|row| predicate.holds(|literal| Some(values.value(row).cmp(&literal.text))));
            }
            ComparableType::Other => each(&|_| false, &|_| predicate.holds(|_| None)),
        }
        Ok(())
    }
}

fn order_integer(value: i128, literal: &Literal) -> Option<Ordering> {
    match literal.number? {
        LiteralNumber::Integer(number) => Some(value.cmp(&number)),
        LiteralNumber::Real(number) => (value as f64).partial_cmp(&number),
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

    /// Five rows with a column of every comparable type.
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
        condition.check_type("keep.0", array.data_type()).expect("a comparable type");
        condition.clear_unsatisfied(array, &mut keep).expect("compared");
        (0..5).filter(|row| keep[*row]).collect()
    }

    #[test]
    fn keeps_the_rows_that_satisfy_a_condition() {
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
        fn compares_integers_exactly(number in any::<i64>()) {
            let condition = Condition::parse(&format!("id <= {number}")).expect("a condition");
            let numbers: ArrayRef = Arc::new(Int64Array::from(vec![number, number.saturating_add(1)]));
            let mut keep = vec![true; 2];
            condition.clear_unsatisfied(&numbers, &mut keep).expect("compared");
            prop_assert_eq!(keep, [true, number == i64::MAX]);
        }
    }
}
