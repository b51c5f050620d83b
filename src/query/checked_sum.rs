//! `sum` of integers that is right or fails: DataFusion adds int64 and wraps around.
//!
//! Integers are summed as decimals of 38 digits, which no table can exceed; the sum becomes an integer again, if it fits.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, Field, FieldRef},
};
use datafusion::{
    common::{DataFusionError, Result, ScalarValue, exec_datafusion_err},
    functions_aggregate::sum::sum_udaf,
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::AggregateOrderSensitivity,
    },
};

/// The type in which integers are summed.
const WIDE: DataType = DataType::Decimal128(38, 0);

/// The aggregate `sum`, in place of that of DataFusion.
pub(super) fn sum() -> AggregateUDF {
    AggregateUDF::new_from_impl(CheckedSum { inner: sum_udaf() })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedSum {
    /// That of DataFusion.
    inner: Arc<AggregateUDF>,
}

/// The field of the wide sum of integers; `None` for other numbers, whose sums DataFusion makes.
fn wide(returned: &FieldRef) -> Option<FieldRef> {
    let is_integer = returned.data_type().is_integer();
    is_integer.then(|| Arc::new(Field::new(returned.name(), WIDE, true)))
}

impl AggregateUDFImpl for CheckedSum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        match wide(&args.return_field) {
            Some(return_field) => self.inner.state_fields(StateFieldsArgs { return_field, ..args }),
            None => self.inner.state_fields(args),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let returned = args.return_type().clone();
        match wide(&args.return_field) {
            Some(field) => Ok(Box::new(WideSum {
                inner: self.inner.accumulator(AccumulatorArgs { return_field: field, ..args })?,
                returned,
            })),
            None => self.inner.accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let returned = args.return_type().clone();
        // DataFusion has distinct sums over moving windows for int64 alone.
        match wide(&args.return_field).filter(|_| !args.is_distinct) {
            Some(field) => Ok(Box::new(WideSum {
                inner: self.inner.create_sliding_accumulator(AccumulatorArgs { return_field: field, ..args })?,
                returned,
            })),
            None => self.inner.create_sliding_accumulator(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let returned = args.return_type().clone();
        match wide(&args.return_field) {
            Some(field) => Ok(Box::new(WideGroupSums {
                inner: self.inner.create_groups_accumulator(AccumulatorArgs { return_field: field, ..args })?,
                returned,
            })),
            None => self.inner.create_groups_accumulator(args),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

const CHECKED: CastOptions<'_> =
    CastOptions { safe: false, format_options: arrow::util::display::FormatOptions::new() };

fn wide_values(values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    values.iter().map(|values| Ok(cast_with_options(values, &WIDE, &CHECKED)?)).collect()
}

fn narrow(sums: &ArrayRef, returned: &DataType) -> Result<ArrayRef> {
    cast_with_options(sums, returned, &CHECKED).map_err(|_| too_large())
}

fn too_large() -> DataFusionError {
    exec_datafusion_err!("a sum does not fit a 64-bit integer: cast its argument to double or decimal(38, 0)")
}

/// The sum of one group.
#[derive(Debug)]
struct WideSum {
    inner: Box<dyn Accumulator>,
    returned: DataType,
}

impl Accumulator for WideSum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.update_batch(&wide_values(values)?)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = self.inner.evaluate()?.to_array()?;
        ScalarValue::try_from_array(&narrow(&sum, &self.returned)?, 0)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.inner.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.retract_batch(&wide_values(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }
}

/// The sums of all groups.
struct WideGroupSums {
    inner: Box<dyn GroupsAccumulator>,
    returned: DataType,
}

impl GroupsAccumulator for WideGroupSums {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.inner.update_batch(&wide_values(values)?, groups, filter, total)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        narrow(&self.inner.evaluate(emit_to)?, &self.returned)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.inner.state(emit_to)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.inner.merge_batch(values, groups, total)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(&wide_values(values)?, filter)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.inner.size()
    }
}
