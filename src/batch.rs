//! The columns that flow: their names, their Arrow types, and views of the images in them.
//!
//! An image column is a fixed-size list of float32, the pixels of `[band, y, x]` in C order, with the extension name
//! `arrow.fixed_shape_tensor`; its field metadata says what the pixels mean ([`ImageLayout`]).

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, FixedSizeListArray, Float32Array, RecordBatch, StringArray},
    compute::filter_record_batch,
    datatypes::{DataType, Field, FieldRef, Float32Type, Schema, UInt64Type},
};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Number of the row in its split (uint64). Names that begin with `_` are internal: no sink keeps them.
pub const ROW: &str = "_row";
/// Identity of the object (utf8).
pub const OBJECT_ID: &str = "object_id";
/// Where the row came from: file, HDU, row (utf8).
pub const ORIGIN: &str = "origin";
/// True class (utf8, nullable).
pub const LABEL: &str = "label";
/// Right ascension, degrees (float64, nullable).
pub const RA: &str = "ra";
/// Declination, degrees (float64, nullable).
pub const DEC: &str = "dec";
/// Names that no label may take, besides those that begin with `_`.
pub const RESERVED: &[&str] = &[OBJECT_ID, ORIGIN, LABEL, RA, DEC, "objects", "rejects"];

const EXTENSION_NAME: &str = "ARROW:extension:name";
const EXTENSION_METADATA: &str = "ARROW:extension:metadata";
const TENSOR: &str = "arrow.fixed_shape_tensor";

/// What the numbers of an image are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Unit {
    /// Flux integrated over the pixel, in nanojansky (m_AB = 31.4 - 2.5 log10 f).
    #[serde(rename = "nJy")]
    NanoJansky,
    /// Electrons collected in an exposure, sky subtracted.
    #[serde(rename = "electron")]
    Electron,
    /// Arcsinh-stretched, about 0 to 1.
    #[serde(rename = "stretched")]
    Stretched,
    /// Whatever the file holds; no unit is known.
    #[serde(rename = "unknown")]
    Unknown,
}

impl Unit {
    /// The unit as written in metadata and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NanoJansky => "nJy",
            Self::Electron => "electron",
            Self::Stretched => "stretched",
            Self::Unknown => "unknown",
        }
    }

    fn parse(name: &str) -> Self {
        [Self::NanoJansky, Self::Electron, Self::Stretched]
            .into_iter()
            .find(|unit| unit.name() == name)
            .unwrap_or(Self::Unknown)
    }
}

/// The constants of an arcsinh stretch: y = (arcsinh(c clip(x, lo, hi)) + 1) / 2 with c = 0.85 / hi.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Stretch {
    /// Lower clip, in the unit of the image before the stretch.
    pub lo: f64,
    /// Upper clip, in the unit of the image before the stretch.
    pub hi: f64,
}

/// What an image column holds: shape, bands, unit, pixel scale, stretch.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageLayout {
    /// Band names, in the order of the planes.
    pub bands: Vec<String>,
    /// Rows of a plane, pixels.
    pub height: usize,
    /// Columns of a plane, pixels.
    pub width: usize,
    /// What the numbers are.
    pub unit: Unit,
    /// Side of a pixel, arcsec, where known.
    pub pixel_scale_arcsec: Option<f64>,
    /// The constants of the stretch, of stretched images whose constants are the same for every row.
    pub stretch: Option<Stretch>,
    /// Electrons that 1 nJy gives, per band, of images in electrons whose exposure is the same for every row.
    pub electrons_per_njy: Option<Vec<f64>>,
}

impl ImageLayout {
    /// Pixels of a plane.
    pub fn plane(&self) -> usize {
        self.height * self.width
    }

    /// Pixels of an image, all bands.
    pub fn pixels(&self) -> usize {
        self.bands.len() * self.plane()
    }

    /// The field of a column of such images.
    pub fn field(&self, name: &str) -> Field {
        let mut metadata = tensor_metadata(&[self.bands.len(), self.height, self.width], &["band", "y", "x"]);
        metadata.insert("bands".into(), self.bands.join(","));
        metadata.insert("unit".into(), self.unit.name().into());
        if let Some(scale) = self.pixel_scale_arcsec {
            metadata.insert("pixel_scale_arcsec".into(), scale.to_string());
        }
        if let Some(Stretch { lo, hi }) = self.stretch {
            metadata.insert("stretch_lo".into(), lo.to_string());
            metadata.insert("stretch_hi".into(), hi.to_string());
        }
        if let Some(gain) = &self.electrons_per_njy {
            let gain: Vec<String> = gain.iter().map(ToString::to_string).collect();
            metadata.insert("electrons_per_njy".into(), gain.join(","));
        }
        Field::new(name, list_type(self.pixels()), false).with_metadata(metadata)
    }

    /// The layout that a field describes; `None` when it is no image.
    pub fn of(field: &Field) -> Option<Self> {
        let metadata = field.metadata();
        if metadata.get(EXTENSION_NAME)? != TENSOR {
            return None;
        }
        let shape: TensorShape = serde_json::from_str(metadata.get(EXTENSION_METADATA)?).ok()?;
        let &[depth, height, width] = shape.shape.as_slice() else { return None };
        let number = |key: &str| metadata.get(key).and_then(|text| text.parse::<f64>().ok());
        let layout = Self {
            bands: metadata.get("bands")?.split(',').map(str::to_owned).collect(),
            height,
            width,
            unit: Unit::parse(metadata.get("unit")?),
            pixel_scale_arcsec: number("pixel_scale_arcsec"),
            stretch: number("stretch_lo").zip(number("stretch_hi")).map(|(lo, hi)| Stretch { lo, hi }),
            electrons_per_njy: metadata
                .get("electrons_per_njy")
                .and_then(|text| text.split(',').map(|part| part.parse().ok()).collect()),
        };
        (layout.bands.len() == depth && *field.data_type() == list_type(layout.pixels())).then_some(layout)
    }
}

#[derive(Serialize, Deserialize)]
struct TensorShape {
    shape: Vec<usize>,
    #[serde(default)]
    dim_names: Option<Vec<String>>,
}

/// The metadata of a tensor column of any shape, as `arrow.fixed_shape_tensor` wants it.
pub fn tensor_metadata(shape: &[usize], dim_names: &[&str]) -> HashMap<String, String> {
    let extension = serde_json::json!({ "shape": shape, "dim_names": dim_names });
    HashMap::from([(EXTENSION_NAME.into(), TENSOR.into()), (EXTENSION_METADATA.into(), extension.to_string())])
}

/// The shape of a tensor column of any shape; `None` where the column is no tensor.
pub fn tensor_shape(field: &Field) -> Option<Vec<usize>> {
    let metadata = field.metadata();
    let is_tensor = metadata.get(EXTENSION_NAME).is_some_and(|name| name == TENSOR);
    let extension = metadata.get(EXTENSION_METADATA).filter(|_| is_tensor)?;
    Some(serde_json::from_str::<TensorShape>(extension).ok()?.shape)
}

/// The Arrow type of a list of `length` float32.
///
/// The child is nullable though it never is null: with a non-null child pyarrow shows a plain list, not a tensor.
pub fn list_type(length: usize) -> DataType {
    DataType::FixedSizeList(item(), i32::try_from(length).unwrap_or(i32::MAX))
}

fn item() -> FieldRef {
    Arc::new(Field::new("item", DataType::Float32, true))
}

/// A column of `values.len() / length` lists of `length` float32.
pub fn list_column(values: Vec<f32>, length: usize) -> Result<ArrayRef> {
    let length = i32::try_from(length).map_err(|_| Error::data(format!("a row of {length} numbers is too long")))?;
    Ok(Arc::new(FixedSizeListArray::try_new(item(), length, Arc::new(Float32Array::from(values)), None)?))
}

/// The numbers of a float32 list column, one row after the other, and the length of a row.
pub fn list_values<'a>(batch: &'a RecordBatch, column: &str) -> Result<(&'a [f32], usize)> {
    let array = column_of(batch, column)?;
    let wrong = || Error::bug(format!("column `{column}` is {}, not a list of float32", array.data_type()));
    let lists = array.as_fixed_size_list_opt().ok_or_else(wrong)?;
    let length = lists.value_length() as usize;
    let values = lists.values().as_primitive_opt::<Float32Type>().ok_or_else(wrong)?.values();
    let start = lists.value_offset(0) as usize;
    Ok((&values[start..start + lists.len() * length], length))
}

/// The images of a column.
pub struct Images<'a> {
    /// What they are.
    pub layout: ImageLayout,
    /// All pixels, row after row.
    pub pixels: &'a [f32],
}

impl<'a> Images<'a> {
    /// The images of a column of a batch.
    pub fn of(batch: &'a RecordBatch, column: &str) -> Result<Self> {
        let schema = batch.schema_ref();
        let field = schema.field_with_name(column).map_err(|_| missing(column))?;
        let layout = ImageLayout::of(field).ok_or_else(|| Error::bug(format!("column `{column}` is no image")))?;
        let (pixels, _) = list_values(batch, column)?;
        Ok(Self { layout, pixels })
    }

    /// The images one by one, each `[band, y, x]`.
    pub fn rows(&self) -> std::slice::ChunksExact<'a, f32> {
        self.pixels.chunks_exact(self.layout.pixels())
    }

    /// One band of one image, `[y, x]`.
    pub fn plane(&self, row: usize, band: usize) -> &'a [f32] {
        let plane = self.layout.plane();
        &self.pixels[row * self.layout.pixels() + band * plane..][..plane]
    }
}

/// A column by name.
pub fn column_of<'a>(batch: &'a RecordBatch, column: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(column).ok_or_else(|| missing(column))
}

fn missing(column: &str) -> Error {
    Error::bug(format!("no column `{column}` in the batch"))
}

/// A text column by name.
pub fn text_column<'a>(batch: &'a RecordBatch, column: &str) -> Result<&'a StringArray> {
    column_of(batch, column)?.as_string_opt().ok_or_else(|| Error::bug(format!("column `{column}` is not utf8")))
}

/// The identity of a row.
pub fn object_id(batch: &RecordBatch, row: usize) -> Result<&str> {
    Ok(text_column(batch, OBJECT_ID)?.value(row))
}

/// Where a row came from.
pub fn origin(batch: &RecordBatch, row: usize) -> Result<&str> {
    Ok(text_column(batch, ORIGIN)?.value(row))
}

/// The number of a row in its split.
pub fn row_number(batch: &RecordBatch, row: usize) -> Result<u64> {
    let rows = column_of(batch, ROW)?.as_primitive_opt::<UInt64Type>();
    Ok(rows.ok_or_else(|| Error::bug(format!("column `{ROW}` is not uint64")))?.value(row))
}

/// The batch with columns appended.
pub fn with_columns(batch: &RecordBatch, columns: impl IntoIterator<Item = (Field, ArrayRef)>) -> Result<RecordBatch> {
    let mut fields = batch.schema().fields().to_vec();
    let mut arrays = batch.columns().to_vec();
    for (field, array) in columns {
        fields.push(Arc::new(field));
        arrays.push(array);
    }
    let schema = Schema::new_with_metadata(fields, batch.schema().metadata().clone());
    Ok(RecordBatch::try_new(Arc::new(schema), arrays)?)
}

/// The batch with some rows only.
pub fn keep_rows(batch: &RecordBatch, keep: Vec<bool>) -> Result<RecordBatch> {
    Ok(filter_record_batch(batch, &BooleanArray::from(keep))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> ImageLayout {
        ImageLayout {
            bands: vec!["g".into(), "r".into()],
            height: 2,
            width: 3,
            unit: Unit::Electron,
            pixel_scale_arcsec: Some(0.2),
            stretch: Some(Stretch { lo: -1.5, hi: 1.0 / 3.0 }),
            electrons_per_njy: Some(vec![0.1, 1e-3]),
        }
    }

    #[test]
    fn a_layout_survives_its_field() {
        assert_eq!(ImageLayout::of(&layout().field("image")), Some(layout()));
    }

    #[test]
    fn a_plain_list_is_no_image() {
        assert_eq!(ImageLayout::of(&Field::new("latent", list_type(12), false)), None);
    }

    #[test]
    fn images_of_a_sliced_batch_are_those_of_the_slice() {
        let field = layout().field("image");
        let column = list_column((0..36).map(|i| i as f32).collect(), 12).expect("a column");
        let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).expect("a batch");
        let slice = batch.slice(1, 2);
        let images = Images::of(&slice, "image").expect("images");
        let first: Vec<f32> = images.rows().map(|row| row[0]).collect();
        assert_eq!(first, [12.0, 24.0]);
    }
}
