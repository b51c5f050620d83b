//! SQL functions on lists of numbers: latents, probabilities, images.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, FixedSizeListArray, Float64Array, Int64Array, ListArray},
    datatypes::{
        DataType::{self, FixedSizeList, LargeList, List},
        Field, Float32Type, Float64Type,
    },
};
use datafusion::{
    common::{DataFusionError, Result, exec_err, plan_err},
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
};

/// All functions.
pub(super) fn all() -> [ScalarUDF; 2] {
    let signature = || Signature::user_defined(Volatility::Immutable);
    [
        ScalarUDF::new_from_impl(ListFunction {
            name: "l2_distance",
            signature: signature(),
            operation: ListOperation::L2Distance,
        }),
        ScalarUDF::new_from_impl(ListFunction {
            name: "array_argmax",
            signature: signature(),
            operation: ListOperation::Argmax,
        }),
    ]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ListFunction {
    name: &'static str,
    signature: Signature,
    operation: ListOperation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ListOperation {
    /// `l2_distance(a, b)`: sqrt(sum (a_i - b_i)^2) in double precision; null if a list or a number in it is null.
    L2Distance,
    /// `array_argmax(a)`: the position of the first maximum, from 1 as all positions in SQL. Nulls and NaN are skipped; null if
    /// nothing is left.
    Argmax,
}

impl ScalarUDFImpl for ListFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Also checks the arguments: errors from here reach the user unchanged.
    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let (arguments, expected, returned) = match self.operation {
            ListOperation::L2Distance => (2, "two lists", DataType::Float64),
            ListOperation::Argmax => (1, "one list", DataType::Int64),
        };
        if types.len() == arguments && types.iter().all(|found| matches!(found, FixedSizeList(..) | List(_))) {
            return Ok(returned);
        }
        let found = types.iter().map(|found| format!("`{found}`")).collect::<Vec<_>>().join(", ");
        plan_err!("`{}` expects {expected} of numbers, found {found}", self.name)
    }

    /// Fixed-size lists of float32 are kept, because images would double in size. All other lists become float64.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let doubles = || List(Arc::new(Field::new("item", DataType::Float64, true)));
        let coerced = types.iter().map(|found| match found {
            FixedSizeList(item, _) if *item.data_type() == DataType::Float32 => found.clone(),
            FixedSizeList(item, _) | List(item) | LargeList(item)
                if item.data_type().is_numeric() || item.data_type().is_null() =>
            {
                doubles()
            }
            DataType::Null => doubles(),
            // A type that `return_type` rejects.
            List(item) | FixedSizeList(item, _) => LargeList(item.clone()),
            _ => found.clone(),
        });
        Ok(coerced.collect())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let lists = ColumnarValue::values_to_arrays(&args.args)?;
        let lists = lists.iter().map(ListColumn::of).collect::<Result<Vec<_>>>()?;
        let result: ArrayRef = match (self.operation, lists.as_slice()) {
            (ListOperation::L2Distance, [a, b]) => {
                Arc::new((0..a.rows()).map(|row| l2_distance(a, b, row)).collect::<Result<Float64Array>>()?)
            }
            (ListOperation::Argmax, [list]) => {
                Arc::new((0..list.rows()).map(|row| argmax(list, row)).collect::<Int64Array>())
            }
            _ => return exec_err!("`{}` received {} arguments", self.name, lists.len()),
        };
        Ok(ColumnarValue::Array(result))
    }
}

/// A column of lists of numbers.
enum ListColumn<'a> {
    Single(&'a FixedSizeListArray),
    Double(&'a ListArray),
}

impl<'a> ListColumn<'a> {
    fn of(array: &'a ArrayRef) -> Result<Self> {
        let single = array.as_fixed_size_list_opt().map(Self::Single);
        single
            .or_else(|| array.as_list_opt().map(Self::Double))
            .ok_or_else(|| DataFusionError::Internal(format!("expected a list, found {}", array.data_type())))
    }

    fn rows(&self) -> usize {
        match self {
            Self::Single(lists) => lists.len(),
            Self::Double(lists) => lists.len(),
        }
    }

    /// The numbers of a row, nulls as `None`; `None` if the list is null.
    fn numbers(&self, row: usize) -> Option<Box<dyn ExactSizeIterator<Item = Option<f64>>>> {
        match self {
            Self::Single(lists) if lists.is_valid(row) => {
                let values = lists.value(row).as_primitive::<Float32Type>().clone();
                Some(Box::new((0..values.len()).map(move |i| values.is_valid(i).then(|| f64::from(values.value(i))))))
            }
            Self::Double(lists) if lists.is_valid(row) => {
                let values = lists.value(row).as_primitive::<Float64Type>().clone();
                Some(Box::new((0..values.len()).map(move |i| values.is_valid(i).then(|| values.value(i)))))
            }
            _ => None,
        }
    }
}

fn l2_distance(a: &ListColumn<'_>, b: &ListColumn<'_>, row: usize) -> Result<Option<f64>> {
    let (Some(a), Some(b)) = (a.numbers(row), b.numbers(row)) else { return Ok(None) };
    if a.len() != b.len() {
        return exec_err!("`l2_distance` expects lists of equal length, found {} and {}", a.len(), b.len());
    }
    let squares = a.zip(b).map(|(a, b)| Some((a? - b?).powi(2)));
    Ok(squares.sum::<Option<f64>>().map(f64::sqrt))
}

fn argmax(list: &ListColumn<'_>, row: usize) -> Option<i64> {
    let numbers = list.numbers(row)?.enumerate();
    let numbers = numbers.filter_map(|(i, number)| Some((i, number.filter(|number| !number.is_nan())?)));
    let best = numbers.reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map(|(i, _)| i as i64 + 1)
}
