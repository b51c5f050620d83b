//! Image columns of a file as lists of float32 without gaps.

use arrow::{
    array::{Array, ArrayRef, AsArray, new_empty_array},
    compute::{cast, concat},
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
        return masks(name, column, layout, reasons);
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
        match list_of(column, row, &DataType::Float32)? {
            Some(RowPixels { values, shape }) if is_image(&shape, layout) && values.null_count() == 0 => {
                image.copy_from_slice(values.as_primitive::<Float32Type>().values());
                if must_be_finite {
                    check_finite(name, row, image, reasons);
                }
            }
            Some(RowPixels { values, shape }) if is_image(&shape, layout) => {
                reasons.entry(row).or_insert_with(|| format!("`{name}` has {} missing pixels", values.null_count()));
            }
            Some(RowPixels { values, shape }) => {
                let found = match shape.len() {
                    0 => format!("{} pixels in lists of unequal length", values.len()),
                    1 => format!("{} pixels", values.len()),
                    _ => format!("{shape:?} pixels"),
                };
                let (bands, height, width) = (layout.bands.len(), layout.height, layout.width);
                let expected =
                    if shape.len() == 1 { pixels.to_string() } else { format!("{:?}", [bands, height, width]) };
                reasons.entry(row).or_insert_with(|| format!("`{name}` has {found}, expected {expected}"));
            }
            None => {
                reasons.entry(row).or_insert_with(|| format!("`{name}` is missing"));
            }
        }
    }
    list_column(all, pixels)
}

/// The masks of a column. Floats, as earlier versions wrote them, become the integers that they are.
fn masks(name: &str, column: &ArrayRef, layout: &ImageLayout, reasons: &mut RejectReasons) -> Result<ArrayRef> {
    let pixels = layout.pixels();
    if *column.data_type() == mask_type(pixels)
        && column.null_count() == 0
        && column.as_fixed_size_list().values().null_count() == 0
    {
        return Ok(column.clone());
    }
    let mut all = vec![0; column.len() * pixels];
    for (row, mask) in all.chunks_exact_mut(pixels).enumerate() {
        // A cast makes null of what is not an integer from 0 on.
        match list_of(column, row, &DataType::UInt64)? {
            Some(RowPixels { values, shape }) if is_image(&shape, layout) && values.null_count() == 0 => {
                mask.copy_from_slice(values.as_primitive::<UInt64Type>().values());
            }
            Some(RowPixels { values, .. }) => {
                let (found, bad) = (values.len(), values.null_count());
                let reason =
                    format!("`{name}` has {found} pixels, {bad} of them no integers from 0 on, expected {pixels}");
                reasons.entry(row).or_insert(reason);
            }
            None => {
                reasons.entry(row).or_insert_with(|| format!("`{name}` is missing"));
            }
        }
    }
    mask_column(all, pixels)
}

/// The numbers in the list of a row, those of nested lists one after the other.
struct RowPixels {
    values: ArrayRef,
    /// The lengths of the lists, the outermost first; empty if lists of one depth differ in length.
    shape: Vec<usize>,
}

/// The numbers of a row in a type, if it has a list.
fn list_of(column: &ArrayRef, row: usize, kind: &DataType) -> Result<Option<RowPixels>> {
    if column.is_null(row) {
        return Ok(None);
    }
    let list = inner(column, row)?;
    if !matches!(list.data_type(), DataType::FixedSizeList(..) | DataType::List(_) | DataType::LargeList(_)) {
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

/// Whether lists of some lengths hold an image: `[band][y][x]`, `[y][x]` of one band, one list per band, or one list.
fn is_image(shape: &[usize], layout: &ImageLayout) -> bool {
    let (bands, height, width) = (layout.bands.len(), layout.height, layout.width);
    match *shape {
        [pixels] => pixels == layout.pixels(),
        [outer, inner] => {
            [outer, inner] == [bands, height * width] || (bands == 1 && [outer, inner] == [height, width])
        }
        [outer, middle, inner] => [outer, middle, inner] == [bands, height, width],
        _ => false,
    }
}

fn inner(column: &ArrayRef, row: usize) -> Result<ArrayRef> {
    match column.data_type() {
        DataType::FixedSizeList(..) => Ok(column.as_fixed_size_list().value(row)),
        DataType::List(_) => Ok(column.as_list::<i32>().value(row)),
        DataType::LargeList(_) => Ok(column.as_list::<i64>().value(row)),
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
    use crate::batch::{Unit, list_type};

    fn layout() -> ImageLayout {
        ImageLayout {
            bands: vec!["r".into()],
            height: 2,
            width: 2,
            unit: Unit::Unknown,
            pixel_scale_arcsec: None,
            stretch: None,
            electrons_per_njy: None,
        }
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
        let images = images("image", &nested, &layout(), &mut reasons).expect("images");
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
        let images = images("image", &lists, &layout(), &mut RejectReasons::new()).expect("images");
        let pixels = images.as_fixed_size_list().values().as_primitive::<Float32Type>().clone();
        assert_eq!(pixels.values()[..], [0.0, 255.0, 7.0, 1.0]);
    }
}
