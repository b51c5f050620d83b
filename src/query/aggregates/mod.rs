//! SQL aggregates that compare two samples: `mmd2`, `energy_distance` and `js_distance`.
//!
//! A row adds a point to each sample (two columns), or to one of them (a column, and a boolean that is false for the first sample
//! and true for the second). Nulls are left out of their own sample only, so `case when` selects any two samples.

mod accumulator;

use std::sync::Arc;

use arrow::datatypes::{
    DataType::{self, Boolean, FixedSizeList, LargeList, List},
    Field, FieldRef, Float32Type, Float64Type,
};
use datafusion::{
    common::{Result, ScalarValue, plan_err},
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, Expr, ReversedUDAF, Signature, Volatility,
        function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs},
        utils::{AggregateOrderSensitivity, format_state_name},
    },
    physical_expr::expressions::Literal,
};

use self::accumulator::{SampleDistance, TwoSampleAccumulator};
use crate::stats::mmd::GaussianKernelSum;

/// The default number of bins of a histogram.
const DEFAULT_BINS: usize = 20;
/// The largest number of bins of a histogram.
const MAX_BINS: i64 = 1 << 20;

/// All aggregates.
pub(super) fn all() -> [AggregateUDF; 3] {
    [TwoSampleStatistic::Mmd2, TwoSampleStatistic::EnergyDistance, TwoSampleStatistic::JsDistance].map(|statistic| {
        let signature = Signature::user_defined(Volatility::Immutable);
        AggregateUDF::new_from_impl(TwoSampleFunction { statistic, signature })
    })
}

/// An aggregate of two samples, as DataFusion sees it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TwoSampleFunction {
    statistic: TwoSampleStatistic,
    signature: Signature,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum TwoSampleStatistic {
    /// `mmd2(a, b [, variance])`: the unbiased MMD^2, with the 19 kernels of arXiv 2112.14299 or with one kernel.
    Mmd2,
    /// `energy_distance(a, b)`: with Euclidean distances, between lists or numbers.
    EnergyDistance,
    /// `js_distance(a, b [, bins])`: the Jensen-Shannon distance between histograms with equal bins over the range of both samples.
    JsDistance,
}

impl TwoSampleStatistic {
    const fn name(self) -> &'static str {
        match self {
            Self::Mmd2 => "mmd2",
            Self::EnergyDistance => "energy_distance",
            Self::JsDistance => "js_distance",
        }
    }

    /// The expected arguments, for error messages.
    const fn expected(self) -> &'static str {
        match self {
            Self::Mmd2 => "two lists of numbers, or a list and a boolean, and optionally a variance",
            Self::EnergyDistance => "two lists of numbers, two numbers, or one of them and a boolean",
            Self::JsDistance => "two numbers, or a number and a boolean, and optionally a number of bins",
        }
    }

    /// The types to which arguments of these types are cast; `None` if they are not supported.
    fn coerced(self, types: &[DataType]) -> Option<Vec<DataType>> {
        let (first, second, setting) = match types {
            [first, second] => (first, second, None),
            [first, second, setting] => (first, second, Some(setting)),
            _ => return None,
        };
        let of_lists = match self {
            Self::Mmd2 => true,
            Self::EnergyDistance => is_list(first) || is_list(second),
            Self::JsDistance => false,
        };
        let points = if of_lists { points_of_lists } else { points_of_numbers };
        let second = if *second == Boolean { Boolean } else { points(second)? };
        let setting = match (self, setting) {
            (_, None) => None,
            (Self::Mmd2, Some(found)) if found.is_numeric() => Some(DataType::Float64),
            (Self::JsDistance, Some(found)) if found.is_integer() => Some(DataType::Int64),
            _ => return None,
        };
        Some([points(first)?, second].into_iter().chain(setting).collect())
    }

    /// The distance for the value of the third argument.
    fn distance(self, setting: Option<&ScalarValue>) -> Result<SampleDistance> {
        match (self, setting) {
            (Self::Mmd2, None) => Ok(SampleDistance::Mmd2(GaussianKernelSum::paper())),
            (Self::Mmd2, Some(found)) => {
                let ScalarValue::Float64(variance) = found else { return self.not_a_literal() };
                match variance.and_then(|variance| GaussianKernelSum::new(&[variance])) {
                    Some(kernel) => Ok(SampleDistance::Mmd2(kernel)),
                    None => plan_err!("`mmd2` expects a positive variance, found {found}"),
                }
            }
            (Self::EnergyDistance, None) => Ok(SampleDistance::EnergyDistance),
            (Self::JsDistance, None) => Ok(SampleDistance::JsDistance { bins: DEFAULT_BINS }),
            (Self::JsDistance, Some(ScalarValue::Int64(Some(bins)))) if (2..=MAX_BINS).contains(bins) => {
                Ok(SampleDistance::JsDistance { bins: *bins as usize })
            }
            (Self::JsDistance, Some(found)) => plan_err!("`js_distance` expects 2 to {MAX_BINS} bins, found {found}"),
            (Self::EnergyDistance, Some(found)) => {
                plan_err!("`energy_distance` expects two arguments, found a third: {found}")
            }
        }
    }

    fn not_distinct<T>(self) -> Result<T> {
        plan_err!("`{}` does not support `distinct`: select distinct rows in a subquery instead", self.name())
    }

    fn not_a_literal<T>(self) -> Result<T> {
        let setting = if self == Self::Mmd2 { "variance" } else { "number of bins" };
        plan_err!("`{}` expects a literal number as its {setting}, found an expression", self.name())
    }
}

const fn is_list(found: &DataType) -> bool {
    matches!(found, FixedSizeList(..) | List(_) | LargeList(_))
}

/// Fixed-size lists of float32 are kept. Other lists of numbers become lists of float32, the type of latents.
fn points_of_lists(found: &DataType) -> Option<DataType> {
    let of_float32 = || List(Arc::new(Field::new("item", DataType::Float32, true)));
    match found {
        FixedSizeList(item, _) if *item.data_type() == DataType::Float32 => Some(found.clone()),
        FixedSizeList(item, _) | List(item) | LargeList(item)
            if item.data_type().is_numeric() || item.data_type().is_null() =>
        {
            Some(of_float32())
        }
        DataType::Null => Some(of_float32()),
        _ => None,
    }
}

/// All numbers become float64.
fn points_of_numbers(found: &DataType) -> Option<DataType> {
    (found.is_numeric() || found.is_null()).then_some(DataType::Float64)
}

impl AggregateUDFImpl for TwoSampleFunction {
    fn name(&self) -> &str {
        self.statistic.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Also checks the arguments: errors from here reach the user unchanged.
    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        if self.statistic.coerced(types).is_none() {
            let found = types.iter().map(|found| format!("`{found}`")).collect::<Vec<_>>().join(", ");
            let found = if found.is_empty() { "no arguments" } else { &found };
            return plan_err!("`{}` expects {}, found {found}", self.name(), self.statistic.expected());
        }
        match types {
            [FixedSizeList(_, a), FixedSizeList(_, b), ..] if a != b => {
                plan_err!("`{}` expects lists of equal length, found {a} and {b}", self.name())
            }
            _ => Ok(DataType::Float64),
        }
    }

    /// Keeps types that `return_type` rejects.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(self.statistic.coerced(types).unwrap_or_else(|| types.to_vec()))
    }

    /// Only checks the third argument: this is the first call with its value, and comes before any row is read.
    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        let statistic = self.statistic;
        Some(Box::new(move |function, _| {
            if function.params.distinct {
                return statistic.not_distinct();
            }
            match function.params.args.get(2) {
                None => statistic.distance(None)?,
                Some(Expr::Literal(setting, _)) => statistic.distance(Some(setting))?,
                Some(_) => return statistic.not_a_literal(),
            };
            Ok(Expr::AggregateFunction(function))
        }))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let (name, statistic) = (self.statistic.name(), self.statistic);
        let distance = match args.exprs.get(2).map(|setting| setting.downcast_ref::<Literal>()) {
            None => statistic.distance(None)?,
            Some(Some(setting)) => statistic.distance(Some(setting.value()))?,
            Some(None) => return statistic.not_a_literal(),
        };
        if args.is_distinct {
            return statistic.not_distinct();
        }
        Ok(match args.expr_fields {
            [first, ..] if is_list(first.data_type()) => {
                Box::new(TwoSampleAccumulator::<Float32Type>::new(name, distance))
            }
            _ => Box::new(TwoSampleAccumulator::<Float64Type>::new(name, distance)),
        })
    }

    /// The numbers of both samples, and the length of a point.
    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let number = match args.input_fields {
            [first, ..] if is_list(first.data_type()) => DataType::Float32,
            _ => DataType::Float64,
        };
        let numbers = || List(Arc::new(Field::new_list_field(number.clone(), true)));
        let states = [("first", numbers()), ("second", numbers()), ("length", DataType::UInt64)];
        let field = |(state, kind)| Arc::new(Field::new(format_state_name(args.name, state), kind, true));
        Ok(states.into_iter().map(field).collect())
    }

    /// The order of a sample does not matter.
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

#[cfg(test)]
mod tests;
