//! Changes of pixels: the settings that say what may be put into a pixel, and the decoder that turns genomes into pixels.

mod decoder;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::decoder::PixelDecoder;
use crate::error::{Code, Diagnostic};

/// What may be put into a pixel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// Replaces the pixel, in every band, by a value in stretched units.
    Stretched(Stretched),
    /// Adds electrons to the pixel before clip and stretch, as a hot pixel or a cosmic ray does; below zero, as a dead pixel does.
    Electrons(Electrons),
}

/// A range of stretched values. A flux of zero is 0.5, and no real flux exceeds 0.8856; the search of the paper uses 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stretched {
    /// The lowest value.
    #[serde(default)]
    pub low: f64,
    /// The highest value.
    #[serde(default = "one")]
    pub high: f64,
}

/// A range of electrons to add.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Electrons {
    /// The image before its stretch, in electrons.
    pub image: String,
    /// The fewest electrons.
    #[serde(default)]
    pub low: f64,
    /// The most electrons. A cosmic ray leaves several thousand electrons in a pixel.
    #[serde(default = "full_well")]
    pub high: f64,
    /// The bands that electrons are added to.
    #[serde(default)]
    pub add_to: AddTo,
}

/// The bands that electrons are added to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AddTo {
    /// One band, which the search chooses: a cosmic ray or a hot pixel affects one exposure.
    #[default]
    OneBand,
    /// The named band.
    Band(String),
    /// All bands, each with its own number of electrons.
    AllBands,
}

const fn one() -> f64 {
    1.0
}

/// Electrons that a CCD pixel holds before it saturates, in round numbers.
const fn full_well() -> f64 {
    50_000.0
}

impl Default for Values {
    fn default() -> Self {
        Self::Stretched(Stretched { low: 0.0, high: one() })
    }
}

impl Values {
    /// The image column that electrons are added to.
    pub(crate) fn image(&self) -> Option<&str> {
        match self {
            Self::Stretched(_) => None,
            Self::Electrons(electrons) => Some(&electrons.image),
        }
    }

    /// The lowest and the highest value, and the key of the setting.
    pub(crate) const fn range(&self) -> (f64, f64, &'static str) {
        match self {
            Self::Stretched(Stretched { low, high }) => (*low, *high, "values.stretched"),
            Self::Electrons(Electrons { low, high, .. }) => (*low, *high, "values.electrons"),
        }
    }

    /// Diagnostics of a range that is empty or not finite.
    pub(crate) fn mistakes(&self) -> Vec<Diagnostic> {
        let (low, high, key) = self.range();
        if low.is_finite() && high.is_finite() && low < high {
            return Vec::new();
        }
        let message = format!("`low` must be below `high`, found {low} and {high}");
        vec![Diagnostic::at(key, Code::OutOfRange, message)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_defaults_and_is_not_empty() {
        let read = |json: &str| serde_json::from_str::<Values>(json).expect("values");
        assert_eq!(read("{\"stretched\": {}}"), Values::default());
        let ray = read("{\"electrons\": {\"image\": \"sky\", \"low\": 100, \"add_to\": {\"band\": \"r\"}}}");
        assert_eq!((ray.image(), ray.range()), (Some("sky"), (100.0, 50_000.0, "values.electrons")));
        assert!(ray.mistakes().is_empty());
        let why = read("{\"stretched\": {\"low\": 2.0}}").mistakes();
        assert_eq!(why[0].message, "`low` must be below `high`, found 2 and 1");
    }
}
