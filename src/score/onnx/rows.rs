//! The numbers of a row as a model takes them: the pixels of one image, or of several images and columns one after another.

use std::borrow::Cow;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Schema},
};

use crate::{
    batch::{ImageLayout, Images, column_of},
    card::{Card, ColumnsInput},
    error::{Code, Diagnostic, Error, Result},
    stats::finite::first_non_finite,
};

/// An image column, and its layout.
pub(super) type BoundImage = (String, ImageLayout);

/// What a row consists of, in the order of the model's inputs.
pub(super) struct ModelRows {
    /// The image columns and their layouts.
    images: Vec<BoundImage>,
    columns: Vec<ScaledColumn>,
}

/// The numbers of some rows.
pub(super) struct RowNumbers<'a> {
    /// All rows, one after another.
    pub(super) numbers: Cow<'a, [f32]>,
    /// The rows that cannot be used, and why.
    pub(super) bad: Vec<(usize, String)>,
}

/// A column of numbers, as (x - mean) / std.
struct ScaledColumn {
    column: String,
    mean: f64,
    std: f64,
    /// The range of an input of integers.
    whole: Option<[f64; 2]>,
}

impl ModelRows {
    /// The columns of all inputs of a card; `renamed` gives the column in the stream for a name in the card, `whole_numbers` the range
    /// of an input of integers.
    ///
    /// # Errors
    /// Columns that are missing or do not hold numbers.
    pub(super) fn bind(
        images: Vec<BoundImage>,
        card: &Card,
        renamed: impl Fn(&str) -> String,
        whole_numbers: impl Fn(&str) -> Option<[f64; 2]>,
        input: &Schema,
    ) -> Result<Self, Vec<Diagnostic>> {
        let (mut columns, mut diagnostics) = (Vec::new(), Vec::new());
        for ColumnsInput { input: of_model, columns: names, mean, std } in &card.columns {
            let whole = whole_numbers(of_model);
            for (i, name) in names.iter().enumerate() {
                let column = renamed(name);
                diagnostics.extend(not_a_number(input, name, &column));
                let of = |numbers: &Option<Vec<f64>>, default| numbers.as_ref().map_or(default, |numbers| numbers[i]);
                columns.push(ScaledColumn { column, mean: of(mean, 0.0), std: of(std, 1.0), whole });
            }
        }
        if diagnostics.is_empty() { Ok(Self { images, columns }) } else { Err(diagnostics) }
    }

    /// Whether a row is one image, so that its pixels can be changed.
    pub(super) fn is_one_image(&self) -> bool {
        self.images.len() == 1 && self.columns.is_empty()
    }

    /// The layout of the first image.
    pub(super) fn main_layout(&self) -> Option<&ImageLayout> {
        self.images.first().map(|(_, layout)| layout)
    }

    /// The columns of numbers.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.column.as_str())
    }

    /// The numbers of all rows.
    pub(super) fn read<'a>(&self, batch: &'a RecordBatch) -> Result<RowNumbers<'a>> {
        let mut bad = Vec::new();
        let mut images = Vec::new();
        for (column, layout) in &self.images {
            let found = Images::of(batch, column)?;
            if found.layout != *layout {
                return Err(Error::bug(format!("column `{column}` is not the one that was bound")));
            }
            let not_finite = |image: &[f32]| first_non_finite(image).is_some();
            let rows = found.rows().enumerate().filter(|(_, image)| not_finite(image));
            bad.extend(rows.map(|(row, _)| (row, "a pixel is not finite".to_owned())));
            images.push(found);
        }
        if self.is_one_image() {
            return Ok(RowNumbers { numbers: Cow::Borrowed(images[0].pixels), bad });
        }
        let columns: Vec<Vec<f32>> =
            self.columns.iter().map(|column| column.read(batch, &mut bad)).collect::<Result<_>>()?;
        let mut numbers = Vec::new();
        for row in 0..batch.num_rows() {
            for image in &images {
                let length = image.layout.pixels();
                numbers.extend_from_slice(&image.pixels[row * length..][..length]);
            }
            numbers.extend(columns.iter().map(|column| column[row]));
        }
        Ok(RowNumbers { numbers: Cow::Owned(numbers), bad })
    }
}

impl ScaledColumn {
    /// The scaled numbers of all rows; 0 in the place of what cannot be used.
    fn read(&self, batch: &RecordBatch, bad: &mut Vec<(usize, String)>) -> Result<Vec<f32>> {
        let Self { column, mean, std, whole } = self;
        let numbers = cast(column_of(batch, column)?, &DataType::Float64)?;
        let numbers = numbers.as_primitive::<Float64Type>();
        let mut read = |row: usize| {
            let number = numbers.is_valid(row).then(|| numbers.value(row));
            let entering = number.and_then(|number| match whole {
                None => Some(((number - mean) / std) as f32).filter(|number| number.is_finite()),
                // Within the range, float32 has all whole numbers, and float64 all that a column may hold.
                Some([low, high]) => {
                    (number.fract() == 0.0 && (*low..=*high).contains(&number)).then_some(number as f32)
                }
            });
            if entering.is_none() {
                let found = number.map_or_else(|| "null".to_owned(), |number| number.to_string());
                let expected = match whole {
                    Some([low, high]) => format!("a whole number from {low} to {high}"),
                    None => "a finite number".to_owned(),
                };
                bad.push((row, format!("column `{column}` is {found}, expected {expected}")));
            }
            entering.unwrap_or(0.0)
        };
        Ok((0..batch.num_rows()).map(&mut read).collect())
    }
}

/// A diagnostic unless a column holds numbers.
fn not_a_number(input: &Schema, name: &str, column: &str) -> Option<Diagnostic> {
    let key = format!("columns.{name}");
    let Ok(field) = input.field_with_name(column) else {
        let message = format!("the model takes a column `{column}`, which no earlier step makes");
        let known = input.fields().iter().map(|field| field.name().as_str());
        return Some(Diagnostic::at(&key, Code::UnknownColumn, message).suggest(column, known, "columns"));
    };
    let kind = field.data_type();
    (!kind.is_numeric() && *kind != DataType::Boolean).then(|| {
        let message = format!("the model takes numbers from column `{column}`, which is {kind}");
        Diagnostic::at(&key, Code::WrongColumn, message)
    })
}
