//! The columns that a score adds to the stream, by name and by what their metadata holds.

use arrow::{
    array::{ArrayRef, AsArray, StringArray},
    compute::cast,
    datatypes::{DataType, Field, Schema},
};

use crate::{
    batch::{ImageLayout, metadata_names},
    error::{Code, Diagnostic, Result},
};

/// The column with the predicted class.
pub(crate) fn class_column(score: &str) -> String {
    format!("{score}_class")
}

/// The column with the probabilities of the classes.
pub(crate) fn probability_column(score: &str) -> String {
    format!("{score}_probability")
}

/// The column with the latent vector.
pub(crate) fn latent_column(score: &str) -> String {
    format!("{score}_latent")
}

/// The classes of a score, in the order of its logits.
pub(crate) fn classes_of(input: &Schema, score: &str) -> Option<Vec<String>> {
    let field: &Field = input.field_with_name(&class_column(score)).ok()?;
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let classes = field.metadata().get("classes").filter(|_| *field.data_type() == dictionary)?;
    Some(metadata_names(classes))
}

/// The image column that a score reads, and its layout.
pub(crate) fn image_of(input: &Schema, key: &str, score: &str) -> Result<(String, ImageLayout), Diagnostic> {
    let field = input.field_with_name(&class_column(score)).ok();
    let image = field.and_then(|field| field.metadata().get("image"));
    if image.is_some_and(String::is_empty) {
        let message =
            format!("the model of `{score}` takes several inputs: images that differ in a few pixels cannot be scored");
        return Err(Diagnostic::at(key, Code::WrongColumn, message).help("name a score of a model of one image"));
    }
    let layout = image.and_then(|image| ImageLayout::of(input.field_with_name(image).ok()?));
    image.cloned().zip(layout).ok_or_else(|| {
        let message = format!("the metadata of `{}` does not name an image column", class_column(score));
        Diagnostic::at(key, Code::WrongColumn, message).help("name a score of a model that reads images")
    })
}

/// Why the logits of a score cannot be computed from its latents, if they cannot.
pub(crate) fn no_head<'a>(input: &'a Schema, score: &str) -> Option<&'a str> {
    input.field_with_name(&class_column(score)).ok()?.metadata().get("no_head").map(String::as_str)
}

/// The model that computed a column, if its metadata names one.
pub(crate) fn model_of<'a>(input: &'a Schema, column: &str) -> Option<&'a str> {
    input.field_with_name(column).ok()?.metadata().get("model").map(String::as_str)
}

/// The length of the latent vectors of a score.
pub(crate) fn latent_size(input: &Schema, score: &str) -> Option<usize> {
    list_length(input, &latent_column(score))
}

/// The number of classes that a score has probabilities of.
pub(crate) fn probabilities_of(input: &Schema, score: &str) -> Option<usize> {
    list_length(input, &probability_column(score))
}

/// A diagnostic unless a score has probabilities of all classes.
pub(crate) fn no_probabilities(input: &Schema, score: &str, classes: usize) -> Option<Diagnostic> {
    (probabilities_of(input, score) != Some(classes)).then(|| {
        let column = probability_column(score);
        let message = format!("`{column}` does not hold the probabilities of the {classes} classes of `{score}`");
        Diagnostic::at("score", Code::WrongColumn, message)
    })
}

/// The length of the lists of a column; `None` if it does not hold lists of float32 of one length.
pub(crate) fn list_length(input: &Schema, column: &str) -> Option<usize> {
    match input.field_with_name(column).ok()?.data_type() {
        DataType::FixedSizeList(item, length) if *item.data_type() == DataType::Float32 => {
            usize::try_from(*length).ok()
        }
        _ => None,
    }
}

/// Whether a type is text, dictionaries of text included.
pub(super) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

/// A column cast to plain text.
pub(crate) fn text(column: &ArrayRef) -> Result<StringArray> {
    Ok(cast(column, &DataType::Utf8)?.as_string::<i32>().clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Unit, list_type};

    fn input() -> Schema {
        let layout = ImageLayout {
            bands: vec!["g".into()],
            height: 2,
            width: 3,
            unit: Unit::Stretched,
            pixel_scale_arcsec: None,
            stretch: None,
            electrons_per_njy: None,
            wcs: None,
        };
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let class = [pair("classes", r#"["spiral","merger, late"]"#), pair("image", "y10"), pair("model", "m.onnx")];
        Schema::new(vec![
            layout.field("y10"),
            Field::new("a_class", dictionary.clone(), false).with_metadata(class.into()),
            Field::new("b_class", dictionary, false),
            Field::new("c_class", DataType::Utf8, true).with_metadata([pair("classes", "x")].into()),
            Field::new("a_probability", list_type(2), false),
            Field::new("a_latent", list_type(5), false),
        ])
    }

    #[test]
    fn reads_classes_image_model_and_lengths_from_the_columns_of_a_score() {
        let input = input();
        assert_eq!(classes_of(&input, "a"), Some(vec!["spiral".to_owned(), "merger, late".to_owned()]));
        assert_eq!((classes_of(&input, "b"), classes_of(&input, "c"), classes_of(&input, "d")), (None, None, None));
        let (image, layout) = image_of(&input, "score", "a").expect("an image");
        assert_eq!((image.as_str(), layout.height, layout.width), ("y10", 2, 3));
        let error = image_of(&input, "score", "b").expect_err("a diagnostic").to_string();
        assert!(error.contains("`b_class` does not name an image column"), "{error}");
        assert_eq!((model_of(&input, "a_class"), model_of(&input, "b_class")), (Some("m.onnx"), None));
        assert_eq!((latent_size(&input, "a"), probabilities_of(&input, "a")), (Some(5), Some(2)));
        assert_eq!((latent_size(&input, "b"), list_length(&input, "a_class")), (None, None));
    }
}
