//! Image columns of a file as lists of float32 without gaps.

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, GenericListArray, OffsetSizeTrait, new_empty_array},
    compute::{cast, concat},
    datatypes::{DataType, Field, Float32Type, UInt64Type},
};

use super::{band_structs, columns::is_mask, reader::RejectReasons, stored_images::StoredImages};
use crate::{
    batch::{list_column, list_type, mask_column, mask_type},
    error::{Error, Result},
};

/// The images of a column, and the rows without a usable one as reasons. Such rows keep pixels that must not be used.
pub(super) fn images(
    name: &str,
    column: &ArrayRef,
    stored: &StoredImages,
    reasons: &mut RejectReasons,
) -> Result<ArrayRef> {
    let pixels = stored.layout.pixels();
    if band_structs::as_lists(&Field::new(name, column.data_type().clone(), true)).is_some() {
        let lists = band_structs::lists(name, column, &stored.layout.bands, reasons)?;
        return images(name, &lists, stored, reasons);
    }
    if is_mask(name) {
        return masks(name, column, stored, reasons);
    }
    // The variance of a pixel without data is infinite. PSFs are not checked either.
    let must_be_finite = !["_variance", "_psf"].iter().any(|companion| name.ends_with(companion));
    if *column.data_type() == list_type(pixels) && column.null_count() == 0 && stored.are_in_order() {
        let lists = column.as_fixed_size_list();
        let values = lists.values().as_primitive::<Float32Type>();
        if values.null_count() == 0 {
            let start = usize::try_from(lists.value_offset(0)).unwrap_or(0);
            let values = &values.values()[start..start + lists.len() * pixels];
            for (row, image) in values.chunks_exact(pixels).enumerate().filter(|_| must_be_finite) {
                check_finite(name, row, image, reasons);
            }
            return Ok(column.clone());
        }
    }
    let mut reason = |row, text| _ = reasons.entry(row).or_insert(text);
    let all = unpacked::<Float32Type>(column, stored, &mut |row, unusable| {
        let expected = match &unusable {
            UnusableRow::OtherShape { shape, .. } if shape.len() == 1 => pixels.to_string(),
            _ => format!("{:?}", stored.shape),
        };
        reason(
            row,
            match unusable {
                UnusableRow::Missing => format!("`{name}` is missing"),
                UnusableRow::MissingPixels(count) => format!("`{name}` has {count} missing pixels"),
                UnusableRow::OtherShape { shape, count } => {
                    let hint = stored.hint(&shape).map(|hint| format!("; {hint}")).unwrap_or_default();
                    let found = match shape.len() {
                        0 => format!("{count} pixels in lists of unequal length"),
                        1 => format!("{count} pixels"),
                        _ => format!("{shape:?} pixels"),
                    };
                    format!("`{name}` has {found}, expected {expected}{hint}")
                }
            },
        );
    })?;
    for (row, image) in all.chunks_exact(pixels).enumerate().filter(|_| must_be_finite) {
        check_finite(name, row, image, reasons);
    }
    list_column(all, pixels)
}

/// The masks of a column. Floats, as earlier versions wrote them, become the integers that they are.
fn masks(name: &str, column: &ArrayRef, stored: &StoredImages, reasons: &mut RejectReasons) -> Result<ArrayRef> {
    let pixels = stored.layout.pixels();
    if *column.data_type() == mask_type(pixels)
        && column.null_count() == 0
        && column.as_fixed_size_list().values().null_count() == 0
        && stored.are_in_order()
    {
        return Ok(column.clone());
    }
    // A cast makes null of what is not an integer from 0 on.
    let all = unpacked::<UInt64Type>(column, stored, &mut |row, unusable| {
        let (found, bad) = match unusable {
            UnusableRow::Missing => {
                reasons.entry(row).or_insert_with(|| format!("`{name}` is missing"));
                return;
            }
            UnusableRow::MissingPixels(bad) => (pixels, bad),
            UnusableRow::OtherShape { count, .. } => (count, 0),
        };
        let reason = format!("`{name}` has {found} pixels, {bad} of them no integers from 0 on, expected {pixels}");
        reasons.entry(row).or_insert(reason);
    })?;
    mask_column(all, pixels)
}

/// Why a row has no usable image.
enum UnusableRow {
    Missing,
    /// How many pixels are null, or not of the type that they are converted to.
    MissingPixels(usize),
    OtherShape {
        /// The lengths of the lists, the outermost first; empty if lists of one depth differ in length.
        shape: Vec<usize>,
        count: usize,
    },
}

/// The numbers of all rows in the order of a batch. Those of an unusable row are 0.
fn unpacked<T: ArrowPrimitiveType>(
    column: &ArrayRef,
    stored: &StoredImages,
    unusable: &mut dyn FnMut(usize, UnusableRow),
) -> Result<Vec<T::Native>> {
    let pixels = stored.layout.pixels();
    let mut all = vec![T::Native::default(); column.len() * pixels];
    if let Some(RowPixels { values, shape }) = of_equal_rows(column).filter(|rows| stored.accepts(&rows.shape)) {
        let values = cast(&values, &T::DATA_TYPE)?;
        if values.null_count() == 0 {
            let rows = values.as_primitive::<T>().values().chunks_exact(shape.iter().product());
            for (image, row) in all.chunks_exact_mut(pixels).zip(rows) {
                stored.arrange(row, image);
            }
            return Ok(all);
        }
    }
    for (row, image) in all.chunks_exact_mut(pixels).enumerate() {
        match list_of(column, row, &T::DATA_TYPE)? {
            Some(RowPixels { values, shape }) if stored.accepts(&shape) => match values.null_count() {
                0 => stored.arrange(values.as_primitive::<T>().values(), image),
                missing => unusable(row, UnusableRow::MissingPixels(missing)),
            },
            Some(RowPixels { values, shape }) => {
                unusable(row, UnusableRow::OtherShape { shape, count: values.len() });
            }
            None => unusable(row, UnusableRow::Missing),
        }
    }
    Ok(all)
}

/// The numbers in the list of a row, those of nested lists one after the other.
struct RowPixels {
    values: ArrayRef,
    /// The lengths of the lists, the outermost first; empty if lists of one depth differ in length.
    shape: Vec<usize>,
}

/// The numbers of all rows, if all lists of one depth are there and have one length.
fn of_equal_rows(column: &ArrayRef) -> Option<RowPixels> {
    fn equal_lists<O: OffsetSizeTrait>(lists: &GenericListArray<O>) -> Option<(ArrayRef, usize)> {
        let offsets = lists.value_offsets();
        let (first, end) = (offsets.first()?.as_usize(), offsets.last()?.as_usize());
        let length = (end - first) / lists.len();
        let are_equal = offsets.windows(2).all(|pair| pair[1].as_usize() - pair[0].as_usize() == length);
        are_equal.then(|| (lists.values().slice(first, end - first), length))
    }
    let (mut values, mut shape) = (column.clone(), Vec::new());
    while is_list(values.data_type()) {
        if values.is_empty() || values.null_count() > 0 {
            return None;
        }
        let (inner, length) = match values.data_type() {
            DataType::FixedSizeList(..) => {
                let lists = values.as_fixed_size_list();
                let length = usize::try_from(lists.value_length()).ok()?;
                let first = usize::try_from(lists.value_offset(0)).ok()?;
                (lists.values().slice(first, lists.len() * length), length)
            }
            DataType::List(_) => equal_lists(values.as_list::<i32>())?,
            DataType::LargeList(_) => equal_lists(values.as_list::<i64>())?,
            // The lists of a view may overlap.
            _ => return None,
        };
        shape.push(length);
        values = inner;
    }
    Some(RowPixels { values, shape })
}

/// The numbers of a row in a type, if it has a list.
fn list_of(column: &ArrayRef, row: usize, kind: &DataType) -> Result<Option<RowPixels>> {
    if column.is_null(row) {
        return Ok(None);
    }
    let list = inner(column, row)?;
    if !is_list(list.data_type()) {
        let values = cast(&list, kind)?;
        return Ok(Some(RowPixels { shape: vec![values.len()], values }));
    }
    let parts: Option<Vec<RowPixels>> =
        (0..list.len()).map(|part| list_of(&list, part, kind)).collect::<Result<_>>()?;
    let Some(parts) = parts else { return Ok(None) };
    let Some(first) = parts.first() else {
        return Ok(Some(RowPixels { values: new_empty_array(kind), shape: Vec::new() }));
    };
    let are_equal = !first.shape.is_empty() && parts.iter().all(|part| part.shape == first.shape);
    let shape = if are_equal { [&[parts.len()], first.shape.as_slice()].concat() } else { Vec::new() };
    let values: Vec<&dyn Array> = parts.iter().map(|part| part.values.as_ref()).collect();
    Ok(Some(RowPixels { values: concat(&values)?, shape }))
}

fn is_list(kind: &DataType) -> bool {
    use DataType::{FixedSizeList, LargeList, LargeListView, List, ListView};
    matches!(kind, FixedSizeList(..) | List(_) | LargeList(_) | ListView(_) | LargeListView(_))
}

fn inner(column: &ArrayRef, row: usize) -> Result<ArrayRef> {
    match column.data_type() {
        DataType::FixedSizeList(..) => Ok(column.as_fixed_size_list().value(row)),
        DataType::List(_) => Ok(column.as_list::<i32>().value(row)),
        DataType::LargeList(_) => Ok(column.as_list::<i64>().value(row)),
        DataType::ListView(_) => Ok(column.as_list_view::<i32>().value(row)),
        DataType::LargeListView(_) => Ok(column.as_list_view::<i64>().value(row)),
        other => Err(Error::data(format!("a column of {other} cannot hold images, expected lists of numbers"))),
    }
}

fn check_finite(name: &str, row: usize, image: &[f32], reasons: &mut RejectReasons) {
    if image.iter().any(|value| !value.is_finite()) {
        let count = image.iter().filter(|value| !value.is_finite()).count();
        reasons.entry(row).or_insert_with(|| format!("`{name}` has {count} non-finite pixels"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{Int16Builder, ListBuilder},
        datatypes::UInt8Type,
    };

    use super::*;
    use crate::batch::{ImageLayout, Unit, list_type};

    fn stored() -> StoredImages {
        StoredImages::in_order(ImageLayout::new(["r"], 2, 2, Unit::Unknown))
    }

    #[test]
    fn nested_lists_of_integers_are_images() {
        let mut rows = ListBuilder::new(ListBuilder::new(Int16Builder::new()));
        for image in [&[&[1, 2][..], &[3, -4]][..], &[&[1, 2, 3], &[4]], &[&[1, 2, 3, 4]], &[&[1], &[2], &[3], &[4]]] {
            for line in image {
                line.iter().for_each(|pixel| rows.values().values().append_value(*pixel));
                rows.values().append(true);
            }
            rows.append(true);
        }
        let mut reasons = RejectReasons::new();
        let nested: ArrayRef = Arc::new(rows.finish());
        let images = images("image", &nested, &stored(), &mut reasons).expect("images");
        assert_eq!(*images.data_type(), list_type(4));
        let pixels = images.as_fixed_size_list().values().as_primitive::<Float32Type>().clone();
        assert_eq!(pixels.values()[..4], [1.0, 2.0, 3.0, -4.0]);
        // Of four pixels each; one list per band is an image too.
        assert_eq!(
            reasons.into_iter().collect::<Vec<_>>(),
            [
                (1, "`image` has 4 pixels in lists of unequal length, expected [1, 2, 2]".to_owned()),
                (3, "`image` has [4, 1] pixels, expected [1, 2, 2]".to_owned()),
            ]
        );
    }

    #[test]
    fn flat_lists_of_bytes_are_images() {
        let pixels = [Some(vec![Some(0), Some(255), Some(7), Some(1)])];
        let lists: ArrayRef = Arc::new(arrow::array::ListArray::from_iter_primitive::<UInt8Type, _, _>(pixels));
        let images = images("image", &lists, &stored(), &mut RejectReasons::new()).expect("images");
        let pixels = images.as_fixed_size_list().values().as_primitive::<Float32Type>().clone();
        assert_eq!(pixels.values()[..], [0.0, 255.0, 7.0, 1.0]);
    }

    #[test]
    fn views_of_lists_are_images() {
        let numbers = Arc::new(arrow::array::Float32Array::from_iter_values((0..8_u8).map(f32::from)));
        let item = Arc::new(arrow::datatypes::Field::new("element", DataType::Float32, true));
        // The second row comes first, and the last one is too short.
        let (offsets, sizes) = (vec![4, 0, 0].into(), vec![4, 4, 3].into());
        let lists = arrow::array::ListViewArray::new(item, offsets, sizes, numbers, None);
        let mut reasons = RejectReasons::new();
        let images = images("image", &(Arc::new(lists) as ArrayRef), &stored(), &mut reasons).expect("images");
        let pixels = images.as_fixed_size_list().values().as_primitive::<Float32Type>().clone();
        assert_eq!(pixels.values()[..8], [4.0, 5.0, 6.0, 7.0, 0.0, 1.0, 2.0, 3.0]);
        assert_eq!(reasons.into_iter().collect::<Vec<_>>(), [(2, "`image` has 3 pixels, expected 4".to_owned())]);
    }

    #[test]
    fn a_slice_of_nested_lists_has_its_own_rows() {
        let mut rows = ListBuilder::new(ListBuilder::new(Int16Builder::new()));
        for first in [0, 4, 8] {
            for line in [[first, first + 1], [first + 2, first + 3]] {
                line.iter().for_each(|pixel| rows.values().values().append_value(*pixel));
                rows.values().append(true);
            }
            rows.append(true);
        }
        let slice = rows.finish().slice(1, 2);
        let mut reasons = RejectReasons::new();
        let images = images("image", &(Arc::new(slice) as ArrayRef), &stored(), &mut reasons).expect("images");
        let pixels = images.as_fixed_size_list().values().as_primitive::<Float32Type>().clone();
        assert_eq!(pixels.values()[..], [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
        assert!(reasons.is_empty());
    }
}
