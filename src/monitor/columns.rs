//! The columns of a score and of the truth, as monitors read them.

use arrow::{
    array::{ArrayRef, AsArray, StringArray},
    compute::cast,
    datatypes::{DataType, Field, Schema},
};

use crate::{
    batch::ImageLayout,
    error::{Code, Diagnostic, Result},
};

/// The column with the class that a score gives.
pub(super) fn class_column(score: &str) -> String {
    format!("{score}_class")
}

/// The column with the probabilities of the classes.
pub(super) fn probability_column(score: &str) -> String {
    format!("{score}_probability")
}

/// The column with the latent vector.
pub(super) fn latent_column(score: &str) -> String {
    format!("{score}_latent")
}

/// The classes that a score tells apart, in the order of its logits.
pub(super) fn classes_of(input: &Schema, score: &str) -> Option<Vec<String>> {
    let field: &Field = input.field_with_name(&class_column(score)).ok()?;
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let classes = field.metadata().get("classes").filter(|_| *field.data_type() == dictionary)?;
    Some(classes.split(',').map(str::to_owned).collect())
}

/// The image column that a score is of, and its layout.
pub(super) fn image_of(input: &Schema, key: &str, score: &str) -> Result<(String, ImageLayout), Diagnostic> {
    let field = input.field_with_name(&class_column(score)).ok();
    let image = field.and_then(|field| field.metadata().get("image"));
    let layout = image.and_then(|image| ImageLayout::of(input.field_with_name(image).ok()?));
    image.cloned().zip(layout).ok_or_else(|| {
        let message = format!("`{score}` does not say in `{}` which image it is of", class_column(score));
        Diagnostic::at(key, Code::WrongColumn, message).help("name a score of a model that looks at images")
    })
}

/// The model that a column is of, where it says so.
pub(super) fn model_of<'a>(input: &'a Schema, column: &str) -> Option<&'a str> {
    input.field_with_name(column).ok()?.metadata().get("model").map(String::as_str)
}

/// The length of the latent vectors of a score.
pub(super) fn latent_size(input: &Schema, score: &str) -> Option<usize> {
    list_length(input, &latent_column(score))
}

/// How many classes a score gives probabilities of.
pub(super) fn probabilities_of(input: &Schema, score: &str) -> Option<usize> {
    list_length(input, &probability_column(score))
}

pub(super) fn list_length(input: &Schema, column: &str) -> Option<usize> {
    match input.field_with_name(column).ok()?.data_type() {
        DataType::FixedSizeList(item, length) if *item.data_type() == DataType::Float32 => {
            usize::try_from(*length).ok()
        }
        _ => None,
    }
}

/// A mistake unless a column holds text.
pub(super) fn needs_text(input: &Schema, key: &str, column: &str) -> Option<Diagnostic> {
    match input.field_with_name(column) {
        Ok(field) if is_text(field.data_type()) => None,
        found => {
            let found = found.map_or_else(|_| "not there".to_owned(), |field| field.data_type().to_string());
            Some(Diagnostic::at(key, Code::WrongColumn, format!("`{key}` takes a text column, `{column}` is {found}")))
        }
    }
}

/// Whether a column holds text, in whatever form.
fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

/// A column of text, in one form.
pub(super) fn text(column: &ArrayRef) -> Result<StringArray> {
    Ok(cast(column, &DataType::Utf8)?.as_string::<i32>().clone())
}
