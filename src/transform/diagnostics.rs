//! Checks of settings that several kinds share, and the diagnostics that they report.

use arrow::datatypes::{Field, Schema};

use crate::{
    batch::{ImageLayout, Unit},
    error::{Code, Diagnostic, Error, Result, quoted_list},
    survey::preset::{self, Survey},
};

/// The field of the column that a setting names.
pub(super) fn column<'a>(input: &'a Schema, key: &str, name: &str) -> Result<&'a Field, Diagnostic> {
    input.field_with_name(name).map_err(|_| {
        let message = format!("no step above makes the column `{name}`");
        Diagnostic::at(key, Code::UnknownColumn, message).suggest(
            name,
            visible(input).map(|field| field.name().as_str()),
            "columns",
        )
    })
}

/// The layout of the image column that a setting names.
pub(super) fn image_layout(input: &Schema, key: &str, name: &str) -> Result<ImageLayout, Diagnostic> {
    let field = column(input, key, name)?;
    ImageLayout::of(field).ok_or_else(|| {
        let message = format!("column `{name}` is not an image: it holds {}", field.data_type());
        let images = visible(input).filter(|field| ImageLayout::of(field).is_some());
        let images: Vec<&str> = images.map(|field| field.name().as_str()).collect();
        let help = match images.as_slice() {
            [] => "no step above makes an image".to_owned(),
            images => format!("images here: {}", quoted_list(images)),
        };
        Diagnostic::at(key, Code::WrongColumn, message).help(help)
    })
}

/// The fields that a pipeline may name: those that begin with `_` are internal.
fn visible(input: &Schema) -> impl Iterator<Item = &Field> {
    input.fields().iter().map(AsRef::as_ref).filter(|field: &&Field| !field.name().starts_with('_'))
}

/// The survey that the setting `survey` names.
pub(super) fn load_survey(name: &str) -> Result<Survey, Diagnostic> {
    Survey::load(name).map_err(|error| match error {
        Error::Environment { .. } => {
            let meant = preset::nearest_preset(name);
            let meant = meant.map(|meant| format!("did you mean `{meant}`? ")).unwrap_or_default();
            let presets = quoted_list(&preset::names());
            Diagnostic::at("survey", Code::MissingFile, error.report())
                .help(format!("{meant}the presets are {presets}; any other value is the path of a file"))
        }
        error => Diagnostic::at("survey", Code::OutOfRange, error.report()),
    })
}

/// A band of an image that its survey does not have.
pub(super) fn band_not_in_survey(survey: &Survey, band: &str) -> Diagnostic {
    let known: Vec<&str> = survey.bands.keys().map(String::as_str).collect();
    let message =
        format!("the survey has no band `{band}`, which the image has; its bands are {}", quoted_list(&known));
    Diagnostic::at("survey", Code::OutOfRange, message)
}

/// A band of a setting that the image does not have.
pub(super) fn band_not_in_image(key: &str, band: &str, bands: &[String]) -> Diagnostic {
    let message = format!("the image has no band `{band}`; its bands are {}", quoted_list(bands));
    Diagnostic::at(key, Code::OutOfRange, message).suggest(band, bands.iter().map(String::as_str), "bands")
}

/// An image in another unit than a kind reads.
pub(super) fn wrong_unit(image: &str, layout: &ImageLayout, expected: &str) -> Diagnostic {
    let message = format!("image `{image}` is in unit `{}`; expected {expected}", layout.unit.name());
    Diagnostic::at("image", Code::WrongColumn, message)
}

/// A variance in another unit than the square of that of its image. One whose unit is not known is believed.
pub(super) fn check_variance(
    key: &str,
    name: &str,
    variance: &ImageLayout,
    image: &ImageLayout,
) -> Result<(), Diagnostic> {
    let expected = image.unit.squared();
    if variance.unit == expected || variance.unit == Unit::Unknown || expected == Unit::Unknown {
        return Ok(());
    }
    let (found, expected) = (variance.unit.name(), expected.name());
    let message = format!("`{name}` is in unit `{found}`; expected `{expected}`, the square of the unit of the image");
    Err(Diagnostic::at(key, Code::WrongColumn, message))
}

/// An image whose pixel scale is needed and not known.
pub(super) fn unknown_pixel_scale(key: &str, image: &str) -> Diagnostic {
    Diagnostic::at(key, Code::WrongColumn, format!("the pixel scale of image `{image}` is not known"))
}

/// A stage that was applied before it was bound.
pub(super) fn not_bound(label: &str) -> Error {
    Error::bug(format!("`{label}` was applied before it was bound and started"))
}
