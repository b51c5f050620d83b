//! Where the pixels of an image lie in a list: what a column says of its shape, and what the settings say.
//!
//! Of the two, neither is believed where they differ. A tensor names its dimensions or has an order of them; nested lists of fixed
//! lengths have a shape; other lists have none until their rows are read.

use arrow::datatypes::{DataType, Field};

use super::{ImageColumn, band_structs};
use crate::{
    batch::{ImageLayout, TensorType, is_tensor_of_variable_shape, tensor_type},
    source::axis::{Axis, list_of_axes},
};

/// The deepest lists of a column, and one more for each axis of length one that `axes` names.
const MAX_DEPTH: usize = 3;
const DEFAULT_AXES: [Axis; 3] = [Axis::Band, Axis::Y, Axis::X];

/// How the images of a column lie in the lists of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StoredImages {
    pub layout: ImageLayout,
    /// The lengths of the axes, as the numbers of a list follow each other, the slowest first.
    pub shape: Vec<usize>,
    /// Numbers from a band, a row and a column of an image to the next.
    strides: [usize; 3],
}

impl StoredImages {
    /// Images whose numbers follow each other as in a batch: `[band, y, x]`.
    pub(super) fn in_order(layout: ImageLayout) -> Self {
        let shape = vec![layout.bands.len(), layout.height, layout.width];
        let strides = [layout.plane(), layout.width, 1];
        Self { layout, shape, strides }
    }

    /// Whether the numbers follow each other as in a batch.
    pub(super) fn are_in_order(&self) -> bool {
        let ImageLayout { bands, height, width, .. } = &self.layout;
        let own = [height * width, *width, 1];
        // The stride of an axis of length one is never used.
        let axes = [bands.len(), *height, *width].into_iter().zip(self.strides.into_iter().zip(own));
        axes.into_iter().all(|(length, (stride, own))| length == 1 || stride == own)
    }

    /// Copies the numbers of a row in the order of a batch.
    pub(super) fn arrange<T: Copy>(&self, row: &[T], image: &mut [T]) {
        if self.are_in_order() {
            return image.copy_from_slice(row);
        }
        let [band_stride, y_stride, x_stride] = self.strides;
        let (height, width) = (self.layout.height, self.layout.width);
        for (index, line) in image.chunks_exact_mut(width).enumerate() {
            let first = index / height * band_stride + index % height * y_stride;
            for (x, pixel) in line.iter_mut().enumerate() {
                *pixel = row[first + x * x_stride];
            }
        }
    }

    /// Whether lists of some lengths hold an image: one list for each axis, one list of all numbers, or one list for each band.
    pub(super) fn accepts(&self, lengths: &[usize]) -> bool {
        let ImageLayout { bands, height, width, .. } = &self.layout;
        // An axis of length one changes nothing about the order of the numbers.
        let long = |lengths: &[usize]| lengths.iter().copied().filter(|length| *length != 1).collect::<Vec<_>>();
        match lengths {
            [] => false,
            [all] => *all == self.layout.pixels(),
            [outer, inner] if self.are_in_order() && [*outer, *inner] == [bands.len(), height * width] => true,
            _ => long(lengths) == long(&self.shape),
        }
    }

    /// What to do about lists of some lengths that hold no image, if that is known.
    pub(super) fn hint(&self, lengths: &[usize]) -> Option<&'static str> {
        let ImageLayout { bands, height, width, .. } = &self.layout;
        (self.are_in_order() && lengths == [*height, *width, bands.len()])
            .then_some("set `axes: [y, x, band]` if they are")
    }
}

/// The lists of a column.
struct ListShape<'a> {
    number: &'a DataType,
    /// Their lengths, the outermost first, where the type fixes them.
    lengths: Vec<Option<usize>>,
}

impl<'a> ListShape<'a> {
    fn of(kind: &'a DataType) -> Self {
        let (mut number, mut lengths) = (kind, Vec::new());
        loop {
            let (item, length) = match number {
                DataType::FixedSizeList(item, length) => (item, usize::try_from(*length).ok()),
                DataType::List(item)
                | DataType::LargeList(item)
                | DataType::ListView(item)
                | DataType::LargeListView(item) => (item, None),
                _ => return Self { number, lengths },
            };
            lengths.push(length);
            number = item.data_type();
        }
    }

    /// All lengths, if the type fixes all of them.
    fn fixed(&self) -> Option<Vec<usize>> {
        self.lengths.iter().copied().collect()
    }
}

/// Whether numbers of a type are converted to pixels. Doubles, and integers beyond 2^24, are rounded to the nearest float32.
const fn is_pixel(kind: &DataType) -> bool {
    use DataType::{Float16, Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    matches!(kind, Float16 | Float32 | Float64 | Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64)
}

/// The images that a column describes itself, as the `parquet` sink writes them, also where another program has written them again: the
/// name of the items and the type of the numbers may then be others.
pub(super) fn described(field: &Field) -> Option<StoredImages> {
    let layout = ImageLayout::described_by(field)?;
    let lists = ListShape::of(field.data_type());
    let fits = lists.fixed() == Some(vec![layout.pixels()]) && is_pixel(lists.number);
    fits.then(|| StoredImages::in_order(layout))
}

/// The shape that a column says its images have.
struct DeclaredShape {
    /// As the numbers lie in a list.
    stored: Vec<usize>,
    /// Which entry of `stored` each dimension is.
    order: Vec<usize>,
    /// Their names, in the order of `stored`.
    names: Option<Vec<String>>,
}

impl DeclaredShape {
    /// The shape of a tensor or of nested lists of fixed lengths; `None` if the column has none.
    fn of(field: &Field, lists: &ListShape<'_>) -> Result<Option<Self>, String> {
        let fixed = lists.fixed();
        match tensor_type(field) {
            Some(Ok(TensorType { shape, dim_names, permutation })) => {
                let pixels = shape.iter().try_fold(1, |all: usize, length| all.checked_mul(*length));
                if pixels.is_none() || fixed != pixels.map(|pixels| vec![pixels]) {
                    let found = field.data_type();
                    return Err(format!("is a tensor of shape {shape:?}, which its lists do not have: {found}"));
                }
                let order = permutation.unwrap_or_else(|| (0..shape.len()).collect());
                Ok(Some(Self { stored: shape, order, names: dim_names }))
            }
            Some(Err(reason)) => Err(format!("is a tensor whose metadata cannot be read: {reason}")),
            None => Ok(fixed.filter(|lengths| lengths.len() > 1).map(|stored| {
                let order = (0..stored.len()).collect();
                Self { stored, order, names: None }
            })),
        }
    }

    /// The lengths of the dimensions, in their order.
    fn shape(&self) -> Vec<usize> {
        self.order.iter().map(|dimension| self.stored[*dimension]).collect()
    }

    /// The axes by the names of the dimensions, in their order: `None` for a name that stands for none.
    fn named(&self) -> Vec<Option<Axis>> {
        let axis = |dimension: &usize| {
            let axis = Axis::of_dimension(&self.names.as_ref()?[*dimension]);
            axis.or_else(|| (self.stored[*dimension] == 1).then_some(Axis::Single))
        };
        self.order.iter().map(axis).collect()
    }

    /// The axes by their names and by the settings, which have to agree.
    fn axes(&self, column: &ImageColumn) -> Result<Vec<Axis>, String> {
        let (shape, named) = (self.shape(), self.named());
        let is_named = named.iter().copied().collect::<Option<Vec<Axis>>>().is_some_and(|axes| is_image(&axes));
        // pyarrow writes the inverse of the permutation that the specification defines; most are their own inverse.
        let is_own_inverse = self.order.iter().enumerate().all(|(index, dimension)| self.order[*dimension] == index);
        if !is_own_inverse && !is_named {
            return Err(format!(
                "has tensors with the permutation {:?}, which programs read in two ways: name their dimensions \
                 (`dim_names`), or write them without a permutation",
                self.order
            ));
        }
        let names = || {
            let names = self.names.as_deref().unwrap_or_default();
            format!(
                "[{}]",
                self.order.iter().map(|dimension| names[*dimension].as_str()).collect::<Vec<_>>().join(", ")
            )
        };
        if let Some(axes) = &column.axes {
            if axes.len() != shape.len() {
                let (found, count) = (shape.len(), axes.len());
                return Err(format!("has images of shape {shape:?}, {found} axes, and `axes` names {count}"));
            }
            let differ = |(axis, named): (&Axis, &Option<Axis>)| {
                named.is_some_and(|named| named != *axis && ![named, *axis].contains(&Axis::Single))
            };
            if axes.iter().zip(&named).any(differ) {
                return Err(format!("names its dimensions {}, and `axes` is {}", names(), list_of_axes(axes)));
            }
            return Ok(axes.clone());
        }
        // Names such as `dim0` say nothing. Names of which some are understood say something else than what is known here.
        if named.iter().any(|axis| matches!(axis, Some(Axis::Band | Axis::Y | Axis::X))) {
            let axes: Option<Vec<Axis>> = named.into_iter().collect();
            return axes.filter(|axes| is_image(axes)).ok_or_else(|| {
                format!("names its dimensions {}, expected y, x and band: set `axes` to what they are", names())
            });
        }
        let depth = column.bands.len();
        match *shape {
            [_, _] if depth == 1 => Ok(vec![Axis::Y, Axis::X]),
            [bands, _, _] if bands == depth => Ok(DEFAULT_AXES.to_vec()),
            // Of one band, the pixels are the same in any case.
            [_, _, 1] if depth == 1 => Ok(vec![Axis::Y, Axis::X, Axis::Band]),
            [_, _, bands] if bands == depth => {
                Err(format!("has images of shape {shape:?}, which looks like [y, x, band]: set `axes: [y, x, band]`"))
            }
            _ => Err(format!("has images of shape {shape:?}, expected {depth} bands")),
        }
    }
}

/// Whether axes are those of an image: rows and columns once, bands at most once, and no objects.
pub(super) fn is_image(axes: &[Axis]) -> bool {
    let count = |axis: Axis| axes.iter().filter(|own| **own == axis).count();
    [Axis::Y, Axis::X].map(count) == [1, 1] && count(Axis::Band) <= 1 && count(Axis::Object) == 0
}

impl ImageColumn {
    /// How the images of a column of a file lie in its lists; the error is the reason why the column does not fit.
    pub(super) fn stored(&self, field: &Field) -> Result<StoredImages, String> {
        self.stored_in(field).map_err(|reason| format!("column `{}` {reason}", field.name()))
    }

    fn stored_in(&self, field: &Field) -> Result<StoredImages, String> {
        if let Some(lists) = band_structs::as_lists(field) {
            if self.axes.is_some() {
                return Err("has a struct for each band, so `axes` has no effect: leave it out".into());
            }
            return self.stored_in(&lists);
        }
        if is_tensor_of_variable_shape(field) {
            return Err(
                "has tensors of a variable shape (`arrow.variable_shape_tensor`), expected images of one shape: \
                        write it as `arrow.fixed_shape_tensor`, or as lists of numbers"
                    .into(),
            );
        }
        let lists = ListShape::of(field.data_type());
        if lists.lengths.is_empty() {
            return Err(format!("is {}, expected lists of numbers", field.data_type()));
        }
        if !is_pixel(lists.number) {
            return Err(format!("has lists of {}, expected lists of numbers", lists.number));
        }
        let deepest = self.axes.as_ref().map_or(MAX_DEPTH, |axes| axes.len().max(MAX_DEPTH));
        if lists.lengths.len() > deepest {
            let depth = lists.lengths.len();
            return Err(format!("has lists {depth} deep, expected at most {deepest}: [band][y][x]"));
        }
        let is_tensor = tensor_type(field).is_some();
        let by_settings = self.size.map(|size| self.of_shape(size));
        // Lists that hold an image as the settings describe it need no shape; `[band][pixel]` is one.
        if let (false, Some(stored), Some(lengths)) = (is_tensor, &by_settings, lists.fixed())
            && lengths.len() > 1
            && stored.accepts(&lengths)
        {
            return Ok(stored.clone());
        }
        if let Some(shape) = DeclaredShape::of(field, &lists)? {
            return self.of_declared(&shape);
        }
        let stored = by_settings.ok_or("does not give the shape of its images: set `size`")?;
        let (bands, size, pixels) = (self.bands.len(), stored.layout.height, stored.layout.pixels());
        if pixels == 0 || i32::try_from(pixels).is_err() {
            return Err(format!("is declared to have {bands} x {size} x {size} numbers per row, which no list has"));
        }
        match lists.lengths.as_slice() {
            [Some(found)] if *found != pixels => {
                Err(format!("has {found} numbers per row, expected {bands} x {size} x {size}"))
            }
            lengths if lengths.len() == stored.shape.len() => {
                let differ = |(found, own): (&Option<usize>, &usize)| found.is_some_and(|found| found != *own);
                if lengths.len() > 1 && lengths.iter().zip(&stored.shape).any(differ) {
                    let found: Vec<String> =
                        lengths.iter().map(|length| length.map_or("any".into(), |length| length.to_string())).collect();
                    return Err(format!("has lists of lengths [{}], expected {:?}", found.join(", "), stored.shape));
                }
                Ok(stored)
            }
            _ => Ok(stored),
        }
    }

    /// Images of the declared size, in the order of `axes`.
    fn of_shape(&self, size: usize) -> StoredImages {
        let axes = self.axes.as_deref().unwrap_or(&DEFAULT_AXES);
        let length = |axis: &Axis| match axis {
            Axis::Y | Axis::X => size,
            Axis::Band => self.bands.len(),
            Axis::Object | Axis::Single => 1,
        };
        let shape: Vec<usize> = axes.iter().map(length).collect();
        let order: Vec<usize> = (0..shape.len()).collect();
        self.of_axes(&shape, &order, axes)
    }

    /// Images of the shape that a column says they have.
    fn of_declared(&self, declared: &DeclaredShape) -> Result<StoredImages, String> {
        let axes = declared.axes(self)?;
        let shape = declared.shape();
        let found = format!("has images of shape {shape:?}, {}", list_of_axes(&axes));
        if axes.iter().zip(&shape).any(|(axis, length)| *axis == Axis::Single && *length != 1) {
            return Err(format!("{found}, where `single` is not an axis of length one"));
        }
        let stored = self.of_axes(&declared.stored, &declared.order, &axes);
        let bands = axes.iter().zip(&shape).find(|(axis, _)| **axis == Axis::Band).map_or(1, |(_, length)| *length);
        let ImageLayout { height, width, .. } = stored.layout;
        if bands != self.bands.len() {
            return Err(format!("{found}, and `bands` names {}", self.bands.len()));
        }
        if height == 0 || width == 0 {
            return Err(format!("{found}, without pixels"));
        }
        match self.size {
            Some(size) if (height, width) != (size, size) => Err(format!("{found}, and `size` is {size}")),
            _ => Ok(stored),
        }
    }

    /// Images of a shape, whose dimensions in some order have these axes.
    fn of_axes(&self, shape: &[usize], order: &[usize], axes: &[Axis]) -> StoredImages {
        // The length of an axis, and the numbers from an entry to the next; an axis that is missing has length one.
        let of = |axis: Axis| {
            let index = axes.iter().position(|own| *own == axis);
            index.map_or((1, 0), |index| {
                let dimension = order[index];
                (
                    shape[dimension],
                    shape[dimension + 1..].iter().fold(1, |all: usize, length| all.saturating_mul(*length)),
                )
            })
        };
        let ((_, band_stride), (height, y_stride), (width, x_stride)) = (of(Axis::Band), of(Axis::Y), of(Axis::X));
        StoredImages {
            layout: ImageLayout::new(self.bands.clone(), height, width, self.unit)
                .with_pixel_scale(self.pixel_scale_arcsec),
            shape: shape.to_vec(),
            strides: [band_stride, y_stride, x_stride],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::Arc};

    use super::*;
    use crate::batch::{Unit, list_type};

    fn column() -> ImageColumn {
        let bands = ["g", "r"].map(str::to_owned).to_vec();
        ImageColumn { bands, size: None, axes: None, unit: Unit::Unknown, pixel_scale_arcsec: None }
    }

    fn tensor(name: &str, metadata: &str, kind: DataType) -> Field {
        let extension = [("ARROW:extension:name", name), ("ARROW:extension:metadata", metadata)];
        let metadata: HashMap<String, String> = extension.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        Field::new("image", kind, false).with_metadata(metadata)
    }

    #[test]
    fn numbers_are_put_into_the_order_of_a_batch() {
        let fixed =
            tensor("arrow.fixed_shape_tensor", r#"{"shape":[3,2,4],"dim_names":["x","c","row"]}"#, list_type(24));
        let stored = column().stored(&fixed).expect("images");
        assert_eq!((stored.layout.height, stored.layout.width), (4, 3));
        let row: Vec<usize> = (0..24).collect();
        let mut image = vec![0; 24];
        stored.arrange(&row, &mut image);
        let expected: Vec<usize> =
            (0..2).flat_map(|band| (0..4).flat_map(move |y| (0..3).map(move |x| x * 8 + band * 4 + y))).collect();
        assert_eq!(image, expected);
    }

    #[test]
    fn axes_of_length_one_and_missing_bands_are_read() {
        let one = ImageColumn { bands: vec!["r".into()], ..column() };
        for (shape, axes) in [
            ("[4,3]", None),
            ("[4,3,1]", None),
            ("[1,4,3]", None),
            ("[1,4,3,1]", Some(vec![Axis::Single, Axis::Y, Axis::X, Axis::Band])),
        ] {
            let fixed = tensor("arrow.fixed_shape_tensor", &format!("{{\"shape\":{shape}}}"), list_type(12));
            let stored = ImageColumn { axes, ..one.clone() }.stored(&fixed).expect(shape);
            assert_eq!((stored.layout.height, stored.layout.width), (4, 3));
            assert!(stored.are_in_order(), "{shape}");
        }
        let fixed = tensor("arrow.fixed_shape_tensor", r#"{"shape":[2,1,4,3]}"#, list_type(24));
        let wrong = vec![Axis::Band, Axis::Y, Axis::Single, Axis::X];
        let error = ImageColumn { axes: Some(wrong), ..column() }.stored(&fixed).expect_err("not single");
        assert!(error.ends_with("where `single` is not an axis of length one"), "{error}");
    }

    #[test]
    fn columns_that_contradict_themselves_are_refused() {
        let item = Arc::new(Field::new("data", DataType::Float32, true));
        let sizes = Arc::new(Field::new("shape", DataType::Int32, true));
        let fields = [
            Field::new("data", DataType::List(item), true),
            Field::new("shape", DataType::FixedSizeList(sizes, 3), true),
        ];
        let variable = DataType::Struct(fields.into_iter().collect());
        for (field, expected) in [
            (
                tensor("arrow.fixed_shape_tensor", r#"{"shape":[2,4,4]}"#, list_type(16)),
                "is a tensor of shape [2, 4, 4], which",
            ),
            (
                tensor("arrow.fixed_shape_tensor", "{}", list_type(16)),
                "is a tensor whose metadata cannot be read: missing field",
            ),
            (
                tensor("arrow.fixed_shape_tensor", r#"{"shape":[2,2,4],"dim_names":["y","x"]}"#, list_type(16)),
                "is a tensor whose metadata cannot be read: the shape [2, 2, 4] has names for another number",
            ),
            (
                tensor("arrow.fixed_shape_tensor", r#"{"shape":[2,2,4],"permutation":[0,1,1]}"#, list_type(16)),
                "is a tensor whose metadata cannot be read: [0, 1, 1] is not a permutation",
            ),
            (
                tensor("arrow.fixed_shape_tensor", r#"{"shape":[2,2,4],"dim_names":["band","u","v"]}"#, list_type(16)),
                "names its dimensions [band, u, v], expected y, x and band",
            ),
            (tensor("arrow.variable_shape_tensor", "{}", variable), "has tensors of a variable shape"),
            (Field::new("image", DataType::Utf8, false), "is Utf8, expected lists of numbers"),
        ] {
            let error = column().stored(&field).expect_err(expected);
            assert!(error.starts_with(&format!("column `image` {expected}")), "{error}");
        }
    }
}
