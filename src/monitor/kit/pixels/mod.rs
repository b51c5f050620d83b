//! Changes of pixels: the settings that say what may be put into a pixel, and the decoder that turns genomes into pixels.

mod bands;
mod decoder;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::decoder::PixelDecoder;
use crate::error::{Code, Diagnostic};

/// How the pixels of an attack lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrangement {
    /// Each anywhere, with values that the search chooses for each.
    #[default]
    Anywhere,
    /// In a straight line at any angle, all with the same values: the track of a cosmic ray. Its middle is in the image; what would lie
    /// beyond the edge is left out.
    Track,
}

impl Arrangement {
    pub(crate) fn is_anywhere(&self) -> bool {
        *self == Self::Anywhere
    }
}

/// What may be put into a pixel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// Replaces the pixel, in every band, by a value in stretched units.
    Stretched(Stretched),
    /// Adds electrons to the pixel before clip and stretch, as a hot pixel or a cosmic ray does; below zero, as a dead pixel does.
    Electrons(Electrons),
    /// Adds one flux in nJy to the pixel in the named bands of an image that is not stretched, as a cosmic ray does to the science stamp
    /// of an alert and to its difference. The other bands stay.
    Flux(AddedFlux),
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

/// A range of fluxes to add.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddedFlux {
    /// The bands that get the flux, all the same.
    #[schemars(length(min = 1))]
    pub bands: Vec<String>,
    /// The lowest flux, nJy.
    #[serde(default)]
    pub low_njy: f64,
    /// The highest flux, nJy.
    pub high_njy: f64,
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
            Self::Stretched(_) | Self::Flux(_) => None,
            Self::Electrons(electrons) => Some(&electrons.image),
        }
    }

    /// The lowest and the highest value, and the key of the setting.
    pub(crate) const fn range(&self) -> (f64, f64, &'static str) {
        match self {
            Self::Stretched(Stretched { low, high }) => (*low, *high, "values.stretched"),
            Self::Electrons(Electrons { low, high, .. }) => (*low, *high, "values.electrons"),
            Self::Flux(AddedFlux { low_njy, high_njy, .. }) => (*low_njy, *high_njy, "values.flux"),
        }
    }

    /// Diagnostics of a range that is empty or not finite, and of bands that are missing or named twice.
    pub(crate) fn mistakes(&self) -> Vec<Diagnostic> {
        let (low, high, key) = self.range();
        let mut mistakes = Vec::new();
        if !(low.is_finite() && high.is_finite() && low < high) {
            let [lowest, highest] = match self {
                Self::Flux(_) => ["low_njy", "high_njy"],
                Self::Stretched(_) | Self::Electrons(_) => ["low", "high"],
            };
            let message = format!("`{lowest}` must be below `{highest}`, found {low} and {high}");
            mistakes.push(Diagnostic::at(key, Code::OutOfRange, message));
        }
        if let Self::Flux(AddedFlux { bands, .. }) = self {
            let mut refuse = |code, message: String| mistakes.push(Diagnostic::at("values.flux.bands", code, message));
            if bands.is_empty() {
                refuse(Code::OutOfRange, "`bands` is empty, expected the bands that the flux is added to".to_owned());
            }
            if let Some(twice) = (1..bands.len()).find(|i| bands[..*i].contains(&bands[*i])) {
                refuse(Code::Conflict, format!("`bands` names `{}` twice", bands[twice]));
            }
        }
        mistakes
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
        let why = |json: &str| read(json).mistakes().into_iter().map(|mistake| mistake.message).collect::<Vec<_>>();
        assert_eq!(why("{\"stretched\": {\"low\": 2.0}}"), ["`low` must be below `high`, found 2 and 1"]);
        let flux = read("{\"flux\": {\"bands\": [\"science\", \"difference\"], \"high_njy\": 5000}}");
        assert_eq!((flux.image(), flux.range()), (None, (0.0, 5000.0, "values.flux")));
        assert!(flux.mistakes().is_empty());
        assert_eq!(
            why("{\"flux\": {\"bands\": [], \"low_njy\": 9, \"high_njy\": 9}}"),
            [
                "`low_njy` must be below `high_njy`, found 9 and 9",
                "`bands` is empty, expected the bands that the flux is added to"
            ]
        );
        assert_eq!(why("{\"flux\": {\"bands\": [\"a\", \"b\", \"a\"], \"high_njy\": 1}}"), ["`bands` names `a` twice"]);
    }
}
