//! Model cards: the classes, bands, size, pixel scale and stretch that a model was made for.
//!
//! A card is one JSON value in the metadata of an ONNX file, under the key [`KEY`]. The trainer in `models/training` writes it,
//! [`Card::read`] and [`ModelFile::read`] read it; `schemas/card.schema.json` describes it. Keys that are not listed here are
//! allowed and ignored: the trainer notes its data set, its seed and its metrics there.

mod classes;
mod file;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::classes::{ALL_CLASSES, class_mistake};
pub use self::file::{CardError, ModelFile};
use crate::batch::{Stretch, Unit};

/// The metadata key of the card.
pub const KEY: &str = "lucarne_card";

/// The newest format of cards that this version reads. Cards without a number, such as those of the first models that were
/// shipped, have format 1. Format 2 says the unit of the constants, and the exposures that they are for.
pub const FORMAT: u32 = 2;

/// What a model was made for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Card {
    /// The format of the card.
    #[serde(default = "first_format")]
    #[schemars(range(min = 1, max = 2))]
    pub format: u32,
    /// Class names, in the order of the logits.
    #[schemars(length(min = 2))]
    pub classes: Vec<String>,
    /// Bands, in the order of the input's planes.
    #[schemars(length(min = 1))]
    pub bands: Vec<String>,
    /// Rows and columns of an image, pixels.
    #[schemars(range(min = 1))]
    pub size: usize,
    /// Side of a pixel, arcsec.
    pub pixel_scale_arcsec: f64,
    /// The stretch of every domain that the model may be shown, whether it was trained on it or not.
    pub domains: BTreeMap<String, Stretch>,
    /// The unit of the constants of the domains: `electron` (cards of format 1 always), `nJy`, or `unknown`.
    #[serde(default = "electrons")]
    pub unit: Unit,
    /// Electrons per nJy of each band, by domain: the exposures that the constants are for, where the unit is `electron`.
    #[serde(default)]
    pub electrons_per_njy: BTreeMap<String, Vec<f64>>,
    /// The domains whose images it was trained on.
    #[serde(default)]
    pub trained_on: Vec<String>,
    /// Name of the input, `[N, band, y, x]` float32.
    #[serde(default = "default_input")]
    pub input: String,
    /// Name of the output with the logits, `[N, class]` float32.
    #[serde(default = "default_logits")]
    pub logits: String,
    /// Name of the output with the latent vector, `[N, D]` float32, if the model has one.
    #[serde(default)]
    pub latent: Option<String>,
    /// Length D of the latent vector, if the model has one.
    #[serde(default)]
    pub latent_size: Option<usize>,
}

const fn first_format() -> u32 {
    1
}

const fn electrons() -> Unit {
    Unit::Electron
}

fn default_input() -> String {
    "image".into()
}

fn default_logits() -> String {
    "logits".into()
}

/// The JSON Schema of cards.
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Card)
}

impl Card {
    /// The domain whose stretch has these constants.
    pub fn domain_of(&self, stretch: Stretch) -> Option<&str> {
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
        let mut domains = self.domains.iter();
        domains.find(|(_, own)| near(own.lo, stretch.lo) && near(own.hi, stretch.hi)).map(|(name, _)| name.as_str())
    }
}

/// Writes an ONNX file with an input `image`, an output `logits` and a card, for tests.
#[cfg(test)]
pub(crate) fn write_test_model(folder: &std::path::Path, card: &serde_json::Value) -> std::path::PathBuf {
    use prost::Message;

    use crate::onnx::wire::{GraphProto, ModelProto, StringStringEntryProto, ValueInfoProto};

    let value = |name: &str| ValueInfoProto { name: name.into(), ..ValueInfoProto::default() };
    let graph = GraphProto { input: vec![value("image")], output: vec![value("logits")], ..GraphProto::default() };
    let entry = StringStringEntryProto { key: KEY.into(), value: card.to_string() };
    let model = ModelProto { graph: Some(graph), metadata_props: vec![entry], ..ModelProto::default() };
    let path = folder.join("model.onnx");
    std::fs::write(&path, model.encode_to_vec()).expect("written");
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_found_by_their_constants() {
        let card: Card = serde_json::from_value(serde_json::json!({
            "classes": ["a", "b"], "bands": ["g"], "size": 4, "pixel_scale_arcsec": 0.2,
            "domains": { "y1": { "lo": -1.0, "hi": 2.0 }, "y10": { "lo": -10.0, "hi": 20.0 } },
        }))
        .expect("a card");
        assert_eq!(card.domain_of(Stretch { lo: -10.0, hi: 20.000_000_001 }), Some("y10"));
        assert_eq!(card.domain_of(Stretch { lo: -10.0, hi: 20.1 }), None);
    }

    #[test]
    fn the_schema_requires_what_has_no_default_and_allows_other_keys() {
        let schema = schema().to_value();
        let required: Vec<&str> =
            schema["required"].as_array().expect("a list").iter().filter_map(serde_json::Value::as_str).collect();
        assert_eq!(required, ["classes", "bands", "size", "pixel_scale_arcsec", "domains"]);
        assert_eq!(schema["properties"]["format"]["default"], 1);
        assert!(schema.get("additionalProperties").is_none());
    }
}
