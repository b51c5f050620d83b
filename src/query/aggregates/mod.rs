//! The SQL aggregates that compare two samples: `mmd2`, `energy_distance` and `js_distance`.
//!
//! A row adds a point to each of two samples (two columns), or to one of them (a column, and a boolean that is false for the first
//! sample and true for the second). What is null is left out, on its own side alone, so `case when` makes any two samples.

mod samples;

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

use self::samples::{Measure, Samples};
use crate::stats::mmd::GaussianKernelSum;

/// The bins of a histogram, where none are said.
const BINS: usize = 20;
/// The most bins of a histogram.
const MOST_BINS: i64 = 1 << 20;

/// All of them.
pub(super) fn all() -> [AggregateUDF; 3] {
    [Statistic::Mmd2, Statistic::EnergyDistance, Statistic::JsDistance].map(|statistic| {
        let signature = Signature::user_defined(Volatility::Immutable);
        AggregateUDF::new_from_impl(TwoSamples { statistic, signature })
    })
}

/// The distance of two samples.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TwoSamples {
    statistic: Statistic,
    signature: Signature,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Statistic {
    /// `mmd2(a, b [, variance])`: MMD^2 without bias, of the 19 kernels of arXiv 2112.14299 or of one.
    Mmd2,
    /// `energy_distance(a, b)`: by Euclidean distances, of lists or numbers.
    EnergyDistance,
    /// `js_distance(a, b [, bins])`: the Jensen-Shannon distance of histograms of equal bins over the range of both.
    JsDistance,
}

impl Statistic {
    const fn name(self) -> &'static str {
        match self {
            Self::Mmd2 => "mmd2",
            Self::EnergyDistance => "energy_distance",
            Self::JsDistance => "js_distance",
        }
    }

    /// What it takes, for a message.
    const fn takes(self) -> &'static str {
        match self {
            Self::Mmd2 => "two lists of numbers, or one and a boolean, then perhaps a variance",
            Self::EnergyDistance => "two lists of numbers or two numbers, or one and a boolean",
            Self::JsDistance => "two numbers, or one and a boolean, then perhaps a number of bins",
        }
    }

    /// The types that arguments of these types become; `None` when it does not take them.
    fn arguments(self, types: &[DataType]) -> Option<Vec<DataType>> {
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

    /// The statistic with its setting, a literal.
    fn measure(self, setting: Option<&ScalarValue>) -> Result<Measure> {
        match (self, setting) {
            (Self::Mmd2, None) => Ok(Measure::Mmd2(GaussianKernelSum::paper())),
            (Self::Mmd2, Some(found)) => {
                let ScalarValue::Float64(variance) = found else { return self.not_a_literal() };
                match variance.and_then(|variance| GaussianKernelSum::new(&[variance])) {
                    Some(kernel) => Ok(Measure::Mmd2(kernel)),
                    None => plan_err!("the variance of `mmd2` is a positive number, found {found}"),
                }
            }
            (Self::EnergyDistance, None) => Ok(Measure::EnergyDistance),
            (Self::JsDistance, None) => Ok(Measure::JsDistance { bins: BINS }),
            (Self::JsDistance, Some(ScalarValue::Int64(Some(bins)))) if (2..=MOST_BINS).contains(bins) => {
                Ok(Measure::JsDistance { bins: *bins as usize })
            }
            (Self::JsDistance, Some(found)) => plan_err!("`js_distance` takes 2 to {MOST_BINS} bins, found {found}"),
            (Self::EnergyDistance, Some(found)) => {
                plan_err!("`energy_distance` takes no third argument, found {found}")
            }
        }
    }

    fn not_distinct<T>(self) -> Result<T> {
        plan_err!("`{}` does not take `distinct`: select distinct rows first", self.name())
    }

    fn not_a_literal<T>(self) -> Result<T> {
        let setting = if self == Self::Mmd2 { "variance" } else { "number of bins" };
        plan_err!("the {setting} of `{}` is a literal number, not one of every row", self.name())
    }
}

const fn is_list(found: &DataType) -> bool {
    matches!(found, FixedSizeList(..) | List(_) | LargeList(_))
}

/// Lists of float32 of fixed size stay what they are; other lists of numbers become lists of float32, as latents are.
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

impl AggregateUDFImpl for TwoSamples {
    fn name(&self) -> &str {
        self.statistic.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Also refuses what it does not take: said here, the message reaches the user as it is.
    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        if self.statistic.arguments(types).is_none() {
            let found = types.iter().map(|found| format!("`{found}`")).collect::<Vec<_>>().join(", ");
            let found = if found.is_empty() { "nothing" } else { &found };
            return plan_err!("`{}` takes {}, found {found}", self.name(), self.statistic.takes());
        }
        match types {
            [FixedSizeList(_, a), FixedSizeList(_, b), ..] if a != b => {
                plan_err!("`{}` takes lists of one length, found {a} and {b}", self.name())
            }
            _ => Ok(DataType::Float64),
        }
    }

    /// Leaves as they are what `return_type` refuses.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(self.statistic.arguments(types).unwrap_or_else(|| types.to_vec()))
    }

    /// Changes nothing: here literals are known for the first time, before any row is read.
    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        let statistic = self.statistic;
        Some(Box::new(move |function, _| {
            if function.params.distinct {
                return statistic.not_distinct();
            }
            match function.params.args.get(2) {
                None => statistic.measure(None)?,
                Some(Expr::Literal(setting, _)) => statistic.measure(Some(setting))?,
                Some(_) => return statistic.not_a_literal(),
            };
            Ok(Expr::AggregateFunction(function))
        }))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let (name, statistic) = (self.statistic.name(), self.statistic);
        let measure = match args.exprs.get(2).map(|setting| setting.downcast_ref::<Literal>()) {
            None => statistic.measure(None)?,
            Some(Some(setting)) => statistic.measure(Some(setting.value()))?,
            Some(None) => return statistic.not_a_literal(),
        };
        if args.is_distinct {
            return statistic.not_distinct();
        }
        Ok(match args.expr_fields {
            [first, ..] if is_list(first.data_type()) => Box::new(Samples::<Float32Type>::new(name, measure)),
            _ => Box::new(Samples::<Float64Type>::new(name, measure)),
        })
    }

    /// The numbers of the two samples, and how many make a point.
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

    /// Samples have no order.
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

#[cfg(test)]
mod tests;
