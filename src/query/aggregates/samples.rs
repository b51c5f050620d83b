//! Two samples, as rows add to them, and what is measured of them at the end.

use std::{fmt::Debug, mem, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, ListArray, PrimitiveArray},
    buffer::{OffsetBuffer, ScalarBuffer},
    datatypes::{DataType, Field, Float32Type, Float64Type, UInt64Type},
};
use datafusion::{
    common::{DataFusionError, Result, ScalarValue, exec_err},
    logical_expr::Accumulator,
};

use crate::stats::{
    energy, jensen_shannon,
    mmd::{self, GaussianKernelSum},
    points::Points,
};

/// The most numbers of both samples: 128 MiB of float32.
const MOST_NUMBERS: usize = 1 << 25;

/// What is measured of two samples.
#[derive(Debug)]
pub(super) enum Measure {
    Mmd2(GaussianKernelSum),
    EnergyDistance,
    JsDistance { bins: usize },
}

impl Measure {
    /// The fewest points of a sample.
    const fn fewest(&self) -> usize {
        if matches!(self, Self::Mmd2(_)) { 2 } else { 1 }
    }
}

/// What samples are made of: float32 in lists, float64 alone.
pub(super) trait Number: ArrowPrimitiveType + Debug {
    fn is_finite(number: Self::Native) -> bool;

    /// `None` when points of this kind are not measured so.
    fn measured(measure: &Measure, length: usize, samples: &mut [Vec<Self::Native>; 2]) -> Option<f64>;
}

impl Number for Float32Type {
    fn is_finite(number: f32) -> bool {
        number.is_finite()
    }

    fn measured(measure: &Measure, length: usize, [x, y]: &mut [Vec<f32>; 2]) -> Option<f64> {
        let (x, y) = (Points::new(x, length), Points::new(y, length));
        match measure {
            Measure::Mmd2(kernel) => Some(mmd::mmd2(x, &y, kernel.clone())?.unbiased),
            Measure::EnergyDistance => energy::of_points(&x, &y),
            Measure::JsDistance { .. } => None,
        }
    }
}

impl Number for Float64Type {
    fn is_finite(number: f64) -> bool {
        number.is_finite()
    }

    fn measured(measure: &Measure, _: usize, [x, y]: &mut [Vec<f64>; 2]) -> Option<f64> {
        match measure {
            Measure::Mmd2(_) => None,
            Measure::EnergyDistance => energy::of_numbers(x, y),
            Measure::JsDistance { bins } => {
                let over = jensen_shannon::Bins::over(x.iter().chain(y.iter()).copied(), *bins)?;
                let histogram = |sample: &[f64]| {
                    let mut counts = vec![0; *bins];
                    sample.iter().for_each(|number| counts[over.of(*number)] += 1);
                    counts
                };
                jensen_shannon::distance(&histogram(x), &histogram(y))
            }
        }
    }
}

/// Two samples of points of one length, one after the other.
#[derive(Debug)]
pub(super) struct Samples<T: Number> {
    /// Of the function, for messages.
    name: &'static str,
    measure: Measure,
    /// Numbers of a point, once there is one.
    length: Option<usize>,
    samples: [Vec<T::Native>; 2],
}

impl<T: Number> Samples<T> {
    pub(super) const fn new(name: &'static str, measure: Measure) -> Self {
        Self { name, measure, length: None, samples: [const { Vec::new() }; 2] }
    }

    /// Adds numbers to a sample, of which so many are a point.
    fn add(&mut self, sample: usize, numbers: &[T::Native], length: usize) -> Result<()> {
        let known = *self.length.get_or_insert(length);
        if known != length {
            return exec_err!("`{}` takes lists of one length, found {known} and {length}", self.name);
        }
        if self.samples.iter().map(Vec::len).sum::<usize>() + numbers.len() > MOST_NUMBERS {
            let points = MOST_NUMBERS / length.max(1);
            return exec_err!(
                "`{}` compares at most {MOST_NUMBERS} numbers, {points} points of {length}: ask it of fewer rows, as \
                 `where right(object_id, 1) = '0'` or `from (select * from objects limit 10000)`",
                self.name
            );
        }
        self.samples[sample].extend_from_slice(numbers);
        Ok(())
    }
}

impl<T: Number> Accumulator for Samples<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [first, second, ..] = values else { return exec_err!("`{}` got {} columns", self.name, values.len()) };
        let points = Column::<T>::of(first)?;
        if let Some(sides) = second.as_boolean_opt() {
            for (row, side) in sides.iter().enumerate() {
                if let (Some(side), Some(point)) = (side, points.point(row)) {
                    self.add(usize::from(side), point, point.len())?;
                }
            }
            return Ok(());
        }
        let columns = [points, Column::of(second)?];
        for row in 0..first.len() {
            for (sample, column) in columns.iter().enumerate() {
                if let Some(point) = column.point(row) {
                    self.add(sample, point, point.len())?;
                }
            }
        }
        Ok(())
    }

    /// Null when a sample has too few points; not a number when one of their numbers is not finite.
    fn evaluate(&mut self) -> Result<ScalarValue> {
        let length = self.length.unwrap_or_default();
        let has_too_few = |sample: &Vec<T::Native>| sample.len() / length.max(1) < self.measure.fewest();
        let measured = if self.samples.iter().any(has_too_few) {
            None
        } else if self.samples.iter().flatten().all(|number| T::is_finite(*number)) {
            T::measured(&self.measure, length, &mut self.samples)
        } else {
            Some(f64::NAN)
        };
        Ok(ScalarValue::Float64(measured))
    }

    fn size(&self) -> usize {
        let numbers: usize = self.samples.iter().map(Vec::capacity).sum();
        mem::size_of_val(self) + numbers * mem::size_of::<T::Native>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let field = Arc::new(Field::new_list_field(T::DATA_TYPE, true));
        let list = |numbers: Vec<T::Native>| -> Result<ScalarValue> {
            let offsets = OffsetBuffer::from_lengths([numbers.len()]);
            let numbers = PrimitiveArray::<T>::new(ScalarBuffer::from(numbers), None);
            Ok(ScalarValue::List(Arc::new(ListArray::try_new(field.clone(), offsets, Arc::new(numbers), None)?)))
        };
        let [first, second] = mem::take(&mut self.samples);
        Ok(vec![list(first)?, list(second)?, ScalarValue::UInt64(self.length.take().map(|length| length as u64))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [first, second, lengths] = states else {
            return exec_err!("`{}` got {} states", self.name, states.len());
        };
        let (samples, lengths) = ([Column::<T>::of(first)?, Column::of(second)?], lengths.as_primitive::<UInt64Type>());
        for (row, length) in lengths.iter().enumerate() {
            // Without a point there is no length.
            let Some(length) = length else { continue };
            for (sample, column) in samples.iter().enumerate() {
                self.add(sample, column.point(row).unwrap_or_default(), length as usize)?;
            }
        }
        Ok(())
    }
}

/// A column of points: lists of numbers, or numbers.
struct Column<'a, T: ArrowPrimitiveType> {
    rows: &'a dyn Array,
    numbers: &'a PrimitiveArray<T>,
    extent: Extent<'a>,
}

/// Where the numbers of a row are.
enum Extent<'a> {
    Equal(usize),
    Offsets(&'a [i32]),
}

impl<'a, T: ArrowPrimitiveType> Column<'a, T> {
    fn of(column: &'a ArrayRef) -> Result<Self> {
        let (numbers, extent): (&dyn Array, _) = match column.data_type() {
            DataType::FixedSizeList(_, length) => {
                (column.as_fixed_size_list().values().as_ref(), Extent::Equal(*length as usize))
            }
            DataType::List(_) => {
                let lists = column.as_list::<i32>();
                (lists.values().as_ref(), Extent::Offsets(lists.value_offsets()))
            }
            _ => (column.as_ref(), Extent::Equal(1)),
        };
        let Some(numbers) = numbers.as_primitive_opt::<T>() else {
            let found = column.data_type();
            return Err(DataFusionError::Internal(format!("{} were expected, found {found}", T::DATA_TYPE)));
        };
        Ok(Self { rows: column.as_ref(), numbers, extent })
    }

    /// The numbers of a row; `None` where it is null, or one of them.
    fn point(&self, row: usize) -> Option<&'a [T::Native]> {
        let range = match self.extent {
            Extent::Equal(length) => row * length..(row + 1) * length,
            Extent::Offsets(offsets) => offsets[row] as usize..offsets[row + 1] as usize,
        };
        let has_null =
            || self.numbers.nulls().is_some_and(|nulls| nulls.slice(range.start, range.len()).null_count() > 0);
        (self.rows.is_valid(row) && !has_null()).then(|| &self.numbers.values()[range.clone()])
    }
}
