//! Images whose bands are structs with a name and pixels, as the Multimodal Universe has them: a list of `{band, flux, ...}`, or a
//! struct of lists, which is how the library `datasets` writes a sequence of these.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, ListArray, StructArray, UInt32Array},
    buffer::{NullBuffer, OffsetBuffer},
    compute::{cast, take},
    datatypes::{DataType, Field},
};

use super::reader::RejectReasons;
use crate::error::{Error, Result};

/// The field of a struct with the name of its band, and that with its pixels.
const BAND: &str = "band";
const FLUX: &str = "flux";

/// The column of nested lists that a column of structs is read as, by its type; `None` for a column of another type.
pub(super) fn as_lists(field: &Field) -> Option<Field> {
    let of = |fields: &arrow::datatypes::Fields, name: &str| {
        fields.iter().find(|field| field.name() == name).map(|field| field.data_type().clone())
    };
    let flux = match field.data_type() {
        DataType::List(item) | DataType::LargeList(item) => match item.data_type() {
            DataType::Struct(fields) => {
                of(fields, BAND)?;
                of(fields, FLUX)?
            }
            _ => return None,
        },
        DataType::Struct(fields) => {
            of(fields, BAND)?;
            match of(fields, FLUX)? {
                DataType::List(item) | DataType::LargeList(item) => item.data_type().clone(),
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(Field::new(field.name(), list_of(flux), true))
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, true)))
}

/// Names and pixels of all bands of all rows, one after the other.
struct NamedPlanes {
    names: ArrayRef,
    pixels: ArrayRef,
    /// Where the bands of each row are among the names, and among the pixels.
    rows: [Vec<std::ops::Range<usize>>; 2],
}

impl NamedPlanes {
    fn of(column: &ArrayRef) -> Result<Self> {
        let missing = || Error::data(format!("a column of {} has no `band` and `flux`", column.data_type()));
        if let Some(structs) = column.as_struct_opt() {
            let list = |name: &str| structs.column_by_name(name).ok_or_else(missing).and_then(items);
            let ((names, of_names), (pixels, of_pixels)) = (list(BAND)?, list(FLUX)?);
            return Ok(Self { names: text(&names)?, pixels, rows: [of_names, of_pixels] });
        }
        let (structs, rows) = items(column)?;
        let structs: &StructArray = structs.as_struct_opt().ok_or_else(missing)?;
        let of = |name: &str| structs.column_by_name(name).cloned().ok_or_else(missing);
        Ok(Self { names: text(&of(BAND)?)?, pixels: of(FLUX)?, rows: [rows.clone(), rows] })
    }

    /// The pixels of some bands of a row, by their number among all; the error is the reason why it has none.
    fn of_row(&self, row: usize, bands: &[String]) -> Result<Vec<u32>, String> {
        let [names, pixels] = self.rows.each_ref().map(|rows| rows[row].clone());
        if names.len() != pixels.len() {
            return Err(format!("has {} names and pixels of {} bands", names.len(), pixels.len()));
        }
        let all = self.names.as_string::<i32>();
        let own: Vec<Option<&str>> = names.map(|index| all.is_valid(index).then(|| all.value(index))).collect();
        let number = |wanted: &String| {
            let is_it = |name: &Option<&str>| name.is_some_and(|name| name.trim() == wanted);
            let mut found = own.iter().enumerate().filter(|(_, name)| is_it(name)).map(|(index, _)| index);
            let listed = || own.iter().flatten().map(|name| format!("`{}`", name.escape_debug())).collect::<Vec<_>>();
            match (found.next(), found.next()) {
                (Some(index), None) => Ok((pixels.start + index) as u32),
                (Some(_), Some(_)) => Err(format!("has the band `{}` more than once", wanted.escape_debug())),
                (None, _) if own.is_empty() => Err(format!("has no band `{}`: it has no bands", wanted.escape_debug())),
                (None, _) => Err(format!("has no band `{}`, it has {}", wanted.escape_debug(), listed().join(", "))),
            }
        };
        bands.iter().map(number).collect()
    }
}

fn text(names: &ArrayRef) -> Result<ArrayRef> {
    Ok(cast(names, &DataType::Utf8)?)
}

/// The items of all lists, and where those of each row are.
fn items(lists: &ArrayRef) -> Result<(ArrayRef, Vec<std::ops::Range<usize>>)> {
    let lists = match lists.data_type() {
        DataType::List(_) => lists.clone(),
        DataType::LargeList(item) => cast(lists, &DataType::List(item.clone()))?,
        other => return Err(Error::data(format!("a column of {other} has no lists of bands"))),
    };
    let lists = lists.as_list::<i32>();
    let rows = lists.value_offsets().windows(2).map(|pair| pair[0] as usize..pair[1] as usize).collect();
    Ok((lists.values().clone(), rows))
}

/// The pixels of some bands as a column of lists, one list for each band. Rows without one are null, with the reason.
pub(super) fn lists(name: &str, column: &ArrayRef, wanted: &[String], reasons: &mut RejectReasons) -> Result<ArrayRef> {
    let bands = NamedPlanes::of(column)?;
    let (mut chosen, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..column.len() {
        let found = if column.is_null(row) { Err("is missing".to_owned()) } else { bands.of_row(row, wanted) };
        let found = found.map_err(|reason| _ = reasons.entry(row).or_insert(format!("`{name}` {reason}")));
        lengths.push(found.as_ref().map_or(0, Vec::len));
        valid.push(found.is_ok());
        chosen.extend(found.unwrap_or_default());
    }
    let pixels = take(&bands.pixels, &UInt32Array::from(chosen), None)?;
    let item = Arc::new(Field::new("item", pixels.data_type().clone(), true));
    let lists = ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), pixels, Some(NullBuffer::from(valid)))?;
    Ok(Arc::new(lists))
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{BooleanArray, FixedSizeListArray, Float32Array, StringArray},
        datatypes::{Fields, Float32Type},
    };

    use super::*;
    use crate::{
        batch::{ImageLayout, Unit},
        source::parquet::{ImageColumn, images::images},
    };

    /// Five images of 1 by 2 pixels: 0 and 1, 2 and 3, ...
    fn flux() -> ArrayRef {
        let pixels: ArrayRef = Arc::new(Float32Array::from_iter_values((0..10_u8).map(f32::from)));
        let lines = FixedSizeListArray::new(Arc::new(Field::new("item", DataType::Float32, true)), 2, pixels, None);
        let item = Arc::new(Field::new("item", lines.data_type().clone(), true));
        Arc::new(ListArray::new(item, OffsetBuffer::from_lengths([1; 5]), Arc::new(lines), None))
    }

    fn lists_of(values: ArrayRef, lengths: &[usize]) -> ArrayRef {
        let item = Arc::new(Field::new("item", values.data_type().clone(), true));
        Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths.iter().copied()), values, None))
    }

    fn structs(columns: Vec<(&str, ArrayRef)>) -> ArrayRef {
        let fields: Fields =
            columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
        Arc::new(StructArray::new(fields, columns.into_iter().map(|(_, column)| column).collect(), None))
    }

    /// Three rows: bands g and r, only g, and r and g. As a list of structs, and as a struct of lists.
    fn columns() -> [ArrayRef; 2] {
        let names: ArrayRef = Arc::new(StringArray::from(vec!["des-g", "des-r", "des-g", "des-r", "des-g"]));
        let scale: ArrayRef = Arc::new(Float32Array::from(vec![0.2; 5]));
        let of_structs = structs(vec![("band", names.clone()), ("flux", flux()), ("scale", scale.clone())]);
        let of_lists = [("band", names), ("flux", flux()), ("scale", scale)];
        let of_lists = of_lists.map(|(name, column)| (name, lists_of(column, &[2, 1, 2])));
        [lists_of(of_structs, &[2, 1, 2]), structs(of_lists.into())]
    }

    #[test]
    fn bands_are_found_by_their_names() {
        let declared = ImageColumn {
            bands: vec!["des-r".into(), "des-g".into()],
            size: None,
            axes: None,
            unit: Unit::NanoJansky,
            pixel_scale_arcsec: None,
        };
        for column in columns() {
            let field = Field::new("image", column.data_type().clone(), true);
            let error = declared.stored(&field).expect_err("its lists have no fixed lengths");
            assert!(error.contains("set `size`"), "{error}");
            let layout = ImageLayout::new(["des-r", "des-g"], 1, 2, Unit::NanoJansky);
            let stored = crate::source::parquet::stored_images::StoredImages::in_order(layout);
            let mut reasons = RejectReasons::new();
            let found = images("image", &column, &stored, &mut reasons).expect("images");
            let pixels = found.as_fixed_size_list().values().as_primitive::<Float32Type>().clone();
            assert_eq!(
                (&pixels.values()[..4], &pixels.values()[8..]),
                (&[2.0, 3.0, 0.0, 1.0][..], &[6.0, 7.0, 8.0, 9.0][..])
            );
            let expected = (1, "`image` has no band `des-r`, it has `des-g`".to_owned());
            assert_eq!(reasons.into_iter().collect::<Vec<_>>(), [expected]);
            // A slice of the rows has its own.
            let found = images("image", &column.slice(2, 1), &stored, &mut RejectReasons::new()).expect("images");
            let pixels = found.as_fixed_size_list().values().as_primitive::<Float32Type>().clone();
            assert_eq!(pixels.values()[..], [6.0, 7.0, 8.0, 9.0]);
        }
    }

    #[test]
    fn declared_structs_have_the_size_of_the_settings() {
        let declared = ImageColumn {
            bands: vec!["des-g".into()],
            size: Some(2),
            axes: None,
            unit: Unit::NanoJansky,
            pixel_scale_arcsec: Some(0.263),
        };
        for column in columns() {
            let field = Field::new("image", column.data_type().clone(), true);
            // Lines of two pixels fit; how many there are is found row by row.
            let stored = declared.stored(&field).expect("images");
            assert_eq!((stored.layout.height, stored.layout.width, stored.layout.bands.len()), (2, 2, 1));
            let mut reasons = RejectReasons::new();
            images("image", &column, &stored, &mut reasons).expect("rejects");
            assert_eq!(reasons.len(), 3, "{reasons:?}");
            let axes = Some(vec![crate::source::axis::Axis::Y, crate::source::axis::Axis::X]);
            assert!(
                ImageColumn { axes, ..declared.clone() }.stored(&field).is_err_and(|error| error.contains("`axes`"))
            );
        }
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
        assert_eq!(as_lists(&Field::new("image", structs(vec![("band", flags)]).data_type().clone(), true)), None);
    }
}
