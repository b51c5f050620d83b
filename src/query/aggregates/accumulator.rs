//! Accumulates two samples, and computes the distance between them.

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

/// The most numbers in both samples: 128 MiB of float32.
const MAX_NUMBERS: usize = 1 << 25;

/// A distance between two samples.
#[derive(Debug)]
pub(super) enum SampleDistance {
    Mmd2(GaussianKernelSum),
    EnergyDistance,
    JsDistance { bins: usize },
}

impl SampleDistance {
    /// The smallest sample that has a distance.
    const fn min_points(&self) -> usize {
        if matches!(self, Self::Mmd2(_)) { 2 } else { 1 }
    }
}

/// The numbers of samples: float32 in lists, float64 otherwise.
pub(super) trait SampleNumber: ArrowPrimitiveType + Debug {
    fn is_finite(number: Self::Native) -> bool;

    /// The distance between samples of points of this length; `None` if it is not defined for these numbers.
    fn distance(distance: &SampleDistance, length: usize, samples: &mut [Vec<Self::Native>; 2]) -> Option<f64>;
}

impl SampleNumber for Float32Type {
    fn is_finite(number: f32) -> bool {
        number.is_finite()
    }

    fn distance(distance: &SampleDistance, length: usize, [x, y]: &mut [Vec<f32>; 2]) -> Option<f64> {
        let (x, y) = (Points::new(x, length), Points::new(y, length));
        match distance {
            SampleDistance::Mmd2(kernel) => Some(mmd::mmd2(x, &y, kernel.clone())?.unbiased),
            SampleDistance::EnergyDistance => energy::of_points(&x, &y),
            SampleDistance::JsDistance { .. } => None,
        }
    }
}

impl SampleNumber for Float64Type {
    fn is_finite(number: f64) -> bool {
        number.is_finite()
    }

    fn distance(distance: &SampleDistance, _: usize, [x, y]: &mut [Vec<f64>; 2]) -> Option<f64> {
        match distance {
            SampleDistance::Mmd2(_) => None,
            SampleDistance::EnergyDistance => energy::of_numbers(x, y),
            SampleDistance::JsDistance { bins } => {
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

/// Two samples of points of equal length.
#[derive(Debug)]
pub(super) struct TwoSampleAccumulator<T: SampleNumber> {
    /// The name of the function, for error messages.
    name: &'static str,
    distance: SampleDistance,
    /// The length of a point, once there is one.
    length: Option<usize>,
    /// The concatenated points of each sample.
    samples: [Vec<T::Native>; 2],
}

impl<T: SampleNumber> TwoSampleAccumulator<T> {
    pub(super) const fn new(name: &'static str, distance: SampleDistance) -> Self {
        Self { name, distance, length: None, samples: [const { Vec::new() }; 2] }
    }

    /// Adds the numbers of points of this length to a sample.
    fn add(&mut self, sample: usize, numbers: &[T::Native], length: usize) -> Result<()> {
        let known = *self.length.get_or_insert(length);
        if known != length {
            return exec_err!("`{}` expects lists of equal length, found {known} and {length}", self.name);
        }
        if self.samples.iter().map(Vec::len).sum::<usize>() + numbers.len() > MAX_NUMBERS {
            let points = MAX_NUMBERS / length.max(1);
            return exec_err!(
                "`{}` compares at most {MAX_NUMBERS} numbers, {points} points of length {length}: select fewer rows, for example \
                 with `where right(object_id, 1) = '0'` or `from (select * from objects limit 10000)`",
                self.name
            );
        }
        self.samples[sample].extend_from_slice(numbers);
        Ok(())
    }
}

impl<T: SampleNumber> Accumulator for TwoSampleAccumulator<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [first, second, ..] = values else { return exec_err!("`{}` received {} columns", self.name, values.len()) };
        let points = PointColumn::<T>::of(first)?;
        if let Some(sides) = second.as_boolean_opt() {
            for (row, side) in sides.iter().enumerate() {
                if let (Some(side), Some(point)) = (side, points.point(row)) {
                    self.add(usize::from(side), point, point.len())?;
                }
            }
            return Ok(());
        }
        let columns = [points, PointColumn::of(second)?];
        for row in 0..first.len() {
            for (sample, column) in columns.iter().enumerate() {
                if let Some(point) = column.point(row) {
                    self.add(sample, point, point.len())?;
                }
            }
        }
        Ok(())
    }

    /// Null if a sample has too few points, NaN if a number is not finite.
    fn evaluate(&mut self) -> Result<ScalarValue> {
        let length = self.length.unwrap_or_default();
        let has_too_few = |sample: &Vec<T::Native>| sample.len() / length.max(1) < self.distance.min_points();
        let distance = if self.samples.iter().any(has_too_few) {
            None
        } else if self.samples.iter().flatten().all(|number| T::is_finite(*number)) {
            T::distance(&self.distance, length, &mut self.samples)
        } else {
            Some(f64::NAN)
        };
        Ok(ScalarValue::Float64(distance))
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
            return exec_err!("`{}` received {} states", self.name, states.len());
        };
        let (samples, lengths) =
            ([PointColumn::<T>::of(first)?, PointColumn::of(second)?], lengths.as_primitive::<UInt64Type>());
        for (row, length) in lengths.iter().enumerate() {
            // A state without points has no length.
            let Some(length) = length else { continue };
            for (sample, column) in samples.iter().enumerate() {
                self.add(sample, column.point(row).unwrap_or_default(), length as usize)?;
            }
        }
        Ok(())
    }
}

/// A column of points: lists of numbers, or numbers.
struct PointColumn<'a, T: ArrowPrimitiveType> {
    rows: &'a dyn Array,
    numbers: &'a PrimitiveArray<T>,
    lengths: PointLengths<'a>,
}

/// The lengths of the points of a column.
enum PointLengths<'a> {
    Equal(usize),
    Offsets(&'a [i32]),
}

impl<'a, T: ArrowPrimitiveType> PointColumn<'a, T> {
    fn of(column: &'a ArrayRef) -> Result<Self> {
        let (numbers, lengths): (&dyn Array, _) = match column.data_type() {
            DataType::FixedSizeList(_, length) => {
                (column.as_fixed_size_list().values().as_ref(), PointLengths::Equal(*length as usize))
            }
            DataType::List(_) => {
                let lists = column.as_list::<i32>();
                (lists.values().as_ref(), PointLengths::Offsets(lists.value_offsets()))
            }
            _ => (column.as_ref(), PointLengths::Equal(1)),
        };
        let Some(numbers) = numbers.as_primitive_opt::<T>() else {
            let found = column.data_type();
            return Err(DataFusionError::Internal(format!("expected {}, found {found}", T::DATA_TYPE)));
        };
        Ok(Self { rows: column.as_ref(), numbers, lengths })
    }

    /// The numbers of a row; `None` if the row or one of its numbers is null.
    fn point(&self, row: usize) -> Option<&'a [T::Native]> {
        let range = match self.lengths {
            PointLengths::Equal(length) => row * length..(row + 1) * length,
            PointLengths::Offsets(offsets) => offsets[row] as usize..offsets[row + 1] as usize,
        };
        let has_null =
            || self.numbers.nulls().is_some_and(|nulls| nulls.slice(range.start, range.len()).null_count() > 0);
        (self.rows.is_valid(row) && !has_null()).then(|| &self.numbers.values()[range.clone()])
    }
}
