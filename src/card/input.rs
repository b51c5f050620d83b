//! What the inputs of a model are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::batch::Unit;

/// Rows and columns of an image, pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number of pixels, or `[ROWS, COLUMNS]`")]
pub enum ImageSize {
    /// A square.
    Square(usize),
    /// Rows and columns.
    Rectangle(usize, usize),
}

/// The order of the axes of an input with images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChannelOrder {
    /// `[N, band, y, x]`, as PyTorch has it.
    First,
    /// `[N, y, x, band]`, as Keras has it.
    Last,
}

/// A further input with images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageInput {
    /// Name of the input. The score names the image column for it in `images`.
    pub input: String,
    /// Bands, in the order of the input's planes.
    #[schemars(length(min = 1))]
    pub bands: Vec<String>,
    /// Rows and columns of an image, pixels: one number, or two.
    pub size: ImageSize,
    /// The unit of the pixels; `unknown` takes any.
    pub unit: Unit,
    /// The order of the axes, where the declared shape does not tell.
    #[serde(default)]
    pub channels: Option<ChannelOrder>,
    /// A factor of pixels: (scale x + offset - mean) / std.
    #[serde(default)]
    pub scale: Option<f64>,
    /// A number that is added to scaled pixels.
    #[serde(default)]
    pub offset: Option<f64>,
    /// The mean of each band.
    #[serde(default)]
    pub mean: Option<Vec<f64>>,
    /// The standard deviation of each band.
    #[serde(default)]
    pub std: Option<Vec<f64>>,
}

/// A further input with numbers of columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnsInput {
    /// Name of the input.
    pub input: String,
    /// The columns, in the order of the input. The score may name others in `columns`. An input of integers takes whole numbers that
    /// fit its type, up to 2^24 in size; rows with others are rejected.
    #[schemars(length(min = 1))]
    pub columns: Vec<String>,
    /// The mean of each column, which is subtracted.
    #[serde(default)]
    pub mean: Option<Vec<f64>>,
    /// The standard deviation of each column, by which numbers are divided.
    #[serde(default)]
    pub std: Option<Vec<f64>>,
}

impl ImageSize {
    /// Rows.
    pub const fn height(self) -> usize {
        match self {
            Self::Square(height) | Self::Rectangle(height, _) => height,
        }
    }

    /// Columns.
    pub const fn width(self) -> usize {
        match self {
            Self::Square(width) | Self::Rectangle(_, width) => width,
        }
    }
}

/// A pixel scale as written: a number, or `any`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number, or `any`")]
pub(super) enum PixelScale {
    /// Side of a pixel, arcsec.
    Arcsec(f64),
    /// Images of any pixel scale.
    Any(AnyScale),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum AnyScale {
    Any,
}

/// Reads and writes an optional pixel scale; `None` is `any`.
pub(super) mod pixel_scale {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{AnyScale, PixelScale};

    pub(in crate::card) fn serialize<S: Serializer>(scale: &Option<f64>, out: S) -> Result<S::Ok, S::Error> {
        scale.map_or(PixelScale::Any(AnyScale::Any), PixelScale::Arcsec).serialize(out)
    }

    pub(in crate::card) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<f64>, D::Error> {
        match PixelScale::deserialize(input)? {
            PixelScale::Arcsec(scale) => Ok(Some(scale)),
            PixelScale::Any(AnyScale::Any) => Ok(None),
        }
    }
}
