//! The images of flipped objects: the columns that keep them, and the one row that has them.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, UInt32Array},
    compute::take,
    datatypes::{Field, FieldRef, Schema},
};

use crate::{
    batch::{ImageLayout, column_of},
    error::{Code, Diagnostic, Result},
};

/// A mistake if the setting `images` names an image twice.
pub(super) fn named_twice(names: &[String]) -> Option<Diagnostic> {
    let twice = (1..names.len()).find(|&i| names[..i].contains(&names[i]))?;
    Some(Diagnostic::at("images", Code::Conflict, format!("`images` names `{}` twice", names[twice])))
}

/// The fields of the images in the stream, made nullable.
pub(super) fn fields(names: &[String], input: &Schema) -> Result<Vec<FieldRef>, Vec<Diagnostic>> {
    let (mut fields, mut mistakes) = (Vec::new(), Vec::new());
    for name in names {
        match input.field_with_name(name).ok().filter(|_| !name.starts_with('_')) {
            Some(field) if ImageLayout::of(field).is_some() => {
                fields.push(Arc::new(field.clone().with_nullable(true)));
            }
            found => mistakes.push(not_an_image(name, found, input)),
        }
    }
    if mistakes.is_empty() { Ok(fields) } else { Err(mistakes) }
}

/// A mistake if the table already has a column with the name of an image.
pub(super) fn taken(image: &Field, table: &Schema) -> Option<Diagnostic> {
    table.field_with_name(image.name()).ok()?;
    let message = format!("`images` names `{}`, but the table already has a column of that name", image.name());
    Some(Diagnostic::at("images", Code::Conflict, message).help("choose another label for the image"))
}

/// A column of length `rows` with the image of the one row of `subject` in row `row`, null elsewhere.
pub(super) fn column(subject: &RecordBatch, image: &str, row: Option<usize>, rows: usize) -> Result<ArrayRef> {
    let indices: UInt32Array = (0..rows).map(|at| (Some(at) == row).then_some(0)).collect();
    Ok(take(column_of(subject, image)?, &indices, None)?)
}

fn not_an_image(name: &str, found: Option<&Field>, input: &Schema) -> Diagnostic {
    let images = input.fields().iter().filter(|field| ImageLayout::of(field).is_some());
    let images = images.map(|field| field.name().as_str()).filter(|name| !name.starts_with('_'));
    let mistake = match found {
        Some(_) => Diagnostic::at("images", Code::WrongColumn, format!("the column `{name}` is not an image")),
        None => Diagnostic::at("images", Code::UnknownColumn, format!("no earlier step makes the column `{name}`")),
    };
    mistake.suggest(name, images, "images")
}
