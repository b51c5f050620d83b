//! The columns that flow through a pipeline: their names, their Arrow types, and views of the images in them.
//!
//! An image column is a fixed-size list of float32, the pixels of `[band, y, x]` in C order, with the extension name
//! `arrow.fixed_shape_tensor`. The metadata of its field describe the pixels ([`ImageLayout`]). The mask of an image has the same
//! shape and holds uint64: bits go through no float.

mod columns;
mod identity;
mod images;
mod latent_layout;
mod layout;
mod metadata_lists;
mod tensor;
#[cfg(any(feature = "fits", feature = "sql"))]
mod text_types;
mod world_coordinates;

pub(crate) use self::identity::{IDENTITY_HELP, identity_mistake};
pub(crate) use self::latent_layout::{LATENT_LAYOUT, LatentDifferences};
pub(crate) use self::layout::is_same_exposure;
#[cfg(feature = "onnx")]
pub(crate) use self::layout::is_same_pixel_scale;
pub(crate) use self::tensor::{TensorType, is_tensor_of_variable_shape, tensor_type};
#[cfg(any(feature = "fits", feature = "sql"))]
pub(crate) use self::text_types::{Declared, is_null_word, real, typed, without_nulls};
pub use self::{
    columns::{column_of, keep_rows, object_id, origin, row_number, text_column, with_columns},
    identity::{identity_columns, identity_fields},
    images::{Images, Masks},
    latent_layout::{LatentLayout, ScoredImage},
    layout::{ImageLayout, Stretch, Unit},
    metadata_lists::{metadata_list, metadata_names, metadata_numbers},
    tensor::{list_column, list_type, list_values, mask_column, mask_type, mask_values, tensor_metadata, tensor_shape},
    world_coordinates::WorldCoordinates,
};

/// The columns that are unsigned integers, or lists of them: among results, only masks may be, because SQL has no unsigned integers
/// and differences of them wrap around. Internal columns are no results.
#[cfg(test)]
pub(crate) fn unsigned_columns(schema: &arrow::datatypes::Schema) -> Vec<String> {
    use arrow::datatypes::DataType;
    let is_unsigned = |field: &arrow::datatypes::Field| match field.data_type() {
        DataType::FixedSizeList(item, _) => item.data_type().is_unsigned_integer(),
        kind => kind.is_unsigned_integer(),
    };
    let results = schema.fields().iter().filter(|field| !field.name().starts_with('_'));
    let counts = results.filter(|field| is_unsigned(field) && ImageLayout::of_masks(field).is_none());
    counts.map(|field| field.name().clone()).collect()
}

/// Number of the row in its split (uint64). Names that begin with `_` are internal: no sink keeps them.
pub const ROW: &str = "_row";
/// Identity of the object (utf8).
pub const OBJECT_ID: &str = "object_id";
/// Where the row came from: file, HDU, row (utf8).
pub const ORIGIN: &str = "origin";
/// True class (utf8, or an integer that counts classes; nullable).
pub const LABEL: &str = "label";
/// Right ascension, degrees (float64, nullable).
pub const RA: &str = "ra";
/// Declination, degrees (float64, nullable).
pub const DEC: &str = "dec";
/// Names that no label may take, besides those that begin with `_`.
pub const RESERVED: &[&str] = &[OBJECT_ID, ORIGIN, LABEL, RA, DEC, "objects", "rejects"];
