//! Image columns of a file as lists of float32 without gaps.

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::cast,
    datatypes::{DataType, Float32Type, UInt64Type},
};

use super::{columns::is_mask, reader::RejectReasons};
use crate::{
    batch::{ImageLayout, list_column, list_type, mask_column, mask_type},
    error::{Error, Result},
};

/// The images of a column, and the rows without a usable one as reasons. Such rows keep pixels that must not be used.
pub(super) fn images(
    name: &str,
    column: &ArrayRef,
    layout: &ImageLayout,
    reasons: &mut RejectReasons,
) -> Result<ArrayRef> {
    let pixels = layout.pixels();
    if is_mask(name) {
        return masks(name, column, pixels, reasons);
    }
    // The variance of a pixel without data is infinite. PSFs are not checked either.
    let must_be_finite = !["_variance", "_psf"].iter().any(|companion| name.ends_with(companion));
    if *column.data_type() == list_type(pixels) && column.null_count() == 0 {
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
    let mut all = vec![0.0; column.len() * pixels];
    for (row, image) in all.chunks_exact_mut(pixels).enumerate() {
        match floats_of(column, row)? {
            Some(list) if list.len() == pixels && list.null_count() == 0 => {
                image.copy_from_slice(list.as_primitive::<Float32Type>().values());
                if must_be_finite {
                    check_finite(name, row, image, reasons);
                }
            }
            Some(list) if list.len() == pixels => {
                reasons.entry(row).or_insert_with(|| format!("`{name}` has {} missing pixels", list.null_count()));
            }
            Some(list) => {
                let found = list.len();
                reasons.entry(row).or_insert_with(|| format!("`{name}` has {found} pixels, expected {pixels}"));
            }
            None => {
                reasons.entry(row).or_insert_with(|| format!("`{name}` is missing"));
            }
        }
    }
    list_column(all, pixels)
}

/// The masks of a column. Floats, as earlier versions wrote them, become the integers that they are.
fn masks(name: &str, column: &ArrayRef, pixels: usize, reasons: &mut RejectReasons) -> Result<ArrayRef> {
    if *column.data_type() == mask_type(pixels)
        && column.null_count() == 0
        && column.as_fixed_size_list().values().null_count() == 0
    {
        return Ok(column.clone());
    }
    let mut all = vec![0; column.len() * pixels];
    for (row, mask) in all.chunks_exact_mut(pixels).enumerate() {
        let list = list_of(column, row)?;
        let Some(list) = list.as_ref().filter(|list| list.len() == pixels && list.null_count() == 0) else {
            let found = list.map_or_else(|| "missing".to_owned(), |list| format!("{} pixels", list.len()));
            reasons.entry(row).or_insert_with(|| format!("`{name}` is {found}, expected {pixels} integers"));
            continue;
        };
        // A cast makes null of what is not an integer from 0 on.
        let integers = cast(list, &DataType::UInt64)?;
        if integers.null_count() > 0 {
            let bad = integers.null_count();
            reasons.entry(row).or_insert_with(|| format!("`{name}` has {bad} pixels that are not integers from 0 on"));
        }
        mask.copy_from_slice(integers.as_primitive::<UInt64Type>().values());
    }
    mask_column(all, pixels)
}

/// The list of a row as float32, if it has one.
fn floats_of(column: &ArrayRef, row: usize) -> Result<Option<ArrayRef>> {
    Ok(list_of(column, row)?.map(|list| cast(&list, &DataType::Float32)).transpose()?)
}

/// The list of a row, if it has one.
fn list_of(column: &ArrayRef, row: usize) -> Result<Option<ArrayRef>> {
    if column.is_null(row) {
        return Ok(None);
    }
    let list = match column.data_type() {
        DataType::FixedSizeList(..) => column.as_fixed_size_list().value(row),
        DataType::List(_) => column.as_list::<i32>().value(row),
        DataType::LargeList(_) => column.as_list::<i64>().value(row),
        other => return Err(Error::data(format!("a column of {other} cannot hold images, expected lists of floats"))),
    };
    Ok(Some(list))
}

fn check_finite(name: &str, row: usize, image: &[f32], reasons: &mut RejectReasons) {
    if image.iter().any(|value| !value.is_finite()) {
        let count = image.iter().filter(|value| !value.is_finite()).count();
        reasons.entry(row).or_insert_with(|| format!("`{name}` has {count} non-finite pixels"));
    }
}
