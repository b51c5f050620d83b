//! Model cards: what a model was made for, and what its outputs are.
//!
//! A card is one JSON value in the metadata of an ONNX file under the key [`KEY`], or a YAML file beside it (`model.card.yaml` for
//! `model.onnx`). The trainer in `models/training` writes the first kind, `lucarne card` proposes the second;
//! `schemas/card.schema.json` describes both.

mod classes;
mod error;
mod explained;
mod file;
mod head;
mod input;
mod known_exposures;
mod verify;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::classes::{ALL_CLASSES, UNKNOWN, class_mistake};
#[cfg(any(test, fuzzing))]
pub(crate) use self::error::CardName;
#[cfg(any(feature = "onnx", fuzzing))]
pub(crate) use self::file::{GivenCard, read_file};
pub use self::{
    error::CardError,
    file::{CardPlace, ModelFile},
    head::{Head, OutputValues, Question},
    input::{ChannelOrder, ColumnsInput, ImageInput, ImageSize},
};
use crate::batch::{Stretch, Unit};

/// The metadata key of the card.
pub const KEY: &str = "lucarne_card";

/// The newest format of cards that this version reads. Cards without a number, such as those of the first models that were
/// shipped, have format 1. Format 2 says the unit of the constants, and the exposures that they are for. Format 3 says what the
/// outputs are (`head`, `output`), how pixels enter the graph, and which other inputs it has; it refuses keys that it does not know.
pub const FORMAT: u32 = 3;

/// What a model was made for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Card {
    /// The format of the card.
    #[serde(default = "first_format")]
    #[schemars(range(min = 1, max = 3))]
    pub format: u32,
    /// What the output of the model is.
    #[serde(default, skip_serializing_if = "Head::is_softmax")]
    pub head: Head,
    /// Class names, in the order of the logits; for `sigmoid` the negative class, then the positive one; for `multilabel` the labels;
    /// for `regression` the names of the values. A `dirichlet` head has `questions`, an `embedding` has neither.
    #[serde(default)]
    pub classes: Vec<String>,
    /// The questions of a `dirichlet` head, in the order of its output.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<Question>,
    /// Whether the output holds logits or probabilities, where the graph does not tell: one that ends in a softmax, a sigmoid or a
    /// sum of products does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputValues>,
    /// Bands, in the order of the input's planes.
    #[schemars(length(min = 1))]
    pub bands: Vec<String>,
    /// Rows and columns of an image, pixels: one number, or two.
    pub size: ImageSize,
    /// Side of a pixel, arcsec; `any` if the model takes images of any pixel scale.
    #[serde(with = "input::pixel_scale")]
    #[schemars(with = "input::PixelScale")]
    pub pixel_scale_arcsec: Option<f64>,
    /// The stretch of every domain that the model may be shown, whether it was trained on it or not. A model that takes images
    /// as they are has none.
    #[serde(default)]
    pub domains: BTreeMap<String, Stretch>,
    /// The unit of the constants of the domains: `electron` (cards of format 1 always), `nJy`, or `unknown`. Without domains, the
    /// unit of the pixels that the model takes: also `stretched`, by any stretch; `unknown` takes any.
    #[serde(default = "electrons")]
    pub unit: Unit,
    /// Electrons per nJy of each band, by domain: the exposures that the constants are for, where the unit is `electron`.
    #[serde(default)]
    pub electrons_per_njy: BTreeMap<String, Vec<f64>>,
    /// The domains whose images it was trained on.
    #[serde(default)]
    pub trained_on: Vec<String>,
    /// Name of the input with the image; needed if the graph has several inputs and none is called `image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Whether the input is `[N, band, y, x]` or `[N, y, x, band]`, where its declared shape does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<ChannelOrder>,
    /// A factor of pixels before they enter the graph: (scale x + offset - mean) / std. Required for integer inputs, whose values are
    /// rounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// A number that is added to scaled pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<f64>,
    /// The mean of each band, which is subtracted from scaled pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Vec<f64>>,
    /// The standard deviation of each band, by which pixels are divided last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<Vec<f64>>,
    /// Further inputs with images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageInput>,
    /// Further inputs with numbers of columns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnsInput>,
    /// Name of the output of the head; needed if the graph has several outputs and none is called `logits`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logits: Option<String>,
    /// Name of the output with the standard errors of a `regression`, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<String>,
    /// Name of the output with the latent vector, `[N, D]`, if the model has one.
    #[serde(default)]
    pub latent: Option<String>,
    /// Length D of the latent vector, if the model has one and the graph does not declare it.
    #[serde(default)]
    pub latent_size: Option<usize>,
    /// Anything else, for people: data set, seed, metrics. Ignored.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub notes: serde_json::Value,
}

const fn first_format() -> u32 {
    1
}

const fn electrons() -> Unit {
    Unit::Electron
}

/// The JSON Schema of cards.
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Card)
}

impl Card {
    /// The domain whose stretch has these constants.
    pub fn domain_of(&self, stretch: Stretch) -> Option<&str> {
        self.domains.iter().find(|(_, own)| own.is_near(stretch)).map(|(name, _)| name.as_str())
    }

    /// The names of what the head answers with: classes, labels, answers as `question/answer`, or values.
    pub fn names(&self) -> Vec<String> {
        match self.head {
            Head::Dirichlet => {
                let of = |question: &Question| {
                    let name = question.name.clone();
                    question.answers.clone().into_iter().map(move |answer| format!("{name}/{answer}"))
                };
                self.questions.iter().flat_map(of).collect()
            }
            _ => self.classes.clone(),
        }
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
    fn the_schema_requires_what_has_no_default() {
        let schema = schema().to_value();
        let required: Vec<&str> =
            schema["required"].as_array().expect("a list").iter().filter_map(serde_json::Value::as_str).collect();
        assert_eq!(required, ["bands", "size", "pixel_scale_arcsec"]);
        assert_eq!(schema["properties"]["format"]["default"], 1);
        assert!(schema.get("additionalProperties").is_none());
    }
}
