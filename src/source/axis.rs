//! The axes of an image, by the words of settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An axis of the images in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// An entry for each object.
    Object,
    /// A plane for each band.
    Band,
    /// The rows of a plane.
    Y,
    /// The columns of a plane.
    X,
    /// An axis of length one, such as that of the polarisation.
    Single,
}

impl Axis {
    /// The word of the settings.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Band => "band",
            Self::Y => "y",
            Self::X => "x",
            Self::Single => "single",
        }
    }

    /// The axis that a name of a dimension stands for, in the words of numpy, xarray, Keras and PyTorch.
    pub(super) fn of_dimension(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "band" | "bands" | "channel" | "channels" | "c" | "filter" | "filters" => Self::Band,
            "y" | "row" | "rows" | "height" | "h" => Self::Y,
            "x" | "col" | "cols" | "column" | "columns" | "width" | "w" => Self::X,
            _ => return None,
        })
    }
}

/// Axes as settings write them: `[y, x, band]`.
pub(super) fn list_of_axes(axes: &[Axis]) -> String {
    format!("[{}]", axes.iter().map(|axis| axis.name()).collect::<Vec<_>>().join(", "))
}
