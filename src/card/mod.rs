//! The card of a model: what its ONNX file says of classes, bands, size, pixel scale and stretch.
//!
//! The card is one JSON value in the model's metadata, under the key [`KEY`]. Reading it needs neither ONNX Runtime nor
//! the weights: the file's outermost protobuf message is decoded, and the graph in it only as far as input and outputs.

use std::{collections::BTreeMap, fs, path::Path};

use prost::Message;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::batch::Stretch;

/// The metadata key of the card.
pub const KEY: &str = "lucarne_card";

/// What a model was made for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Class names, in the order of the logits.
    pub classes: Vec<String>,
    /// Bands, in the order of the input's planes.
    pub bands: Vec<String>,
    /// Rows and columns of an image, pixels.
    pub size: usize,
    /// Side of a pixel, arcsec.
    pub pixel_scale_arcsec: f64,
    /// The stretch of every domain that the model may be shown, trained on or not.
    pub domains: BTreeMap<String, Stretch>,
    /// The domains whose images it was trained on.
    #[serde(default)]
    pub trained_on: Vec<String>,
    /// Name of the input, `[N, band, y, x]` float32.
    #[serde(default = "image")]
    pub input: String,
    /// Name of the output with the logits, `[N, class]` float32.
    #[serde(default = "logits")]
    pub logits: String,
    /// Name of the output with the latent vector, `[N, D]` float32; a model may have none.
    #[serde(default)]
    pub latent: Option<String>,
    /// Length of the latent vector, where there is one.
    #[serde(default)]
    pub latent_size: Option<usize>,
}

fn image() -> String {
    "image".into()
}

fn logits() -> String {
    "logits".into()
}

/// A model file that has no usable card.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// The file cannot be read.
    #[error("cannot read the model `{path}`: {error}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The file is no ONNX model.
    #[error("`{0}` is not an ONNX model")]
    NotOnnx(String),
    /// No card in it.
    #[error("the model `{0}` has no card: its metadata has no key `{KEY}`")]
    NoCard(String),
    /// A card that cannot be used.
    #[error("the card of the model `{path}` cannot be used: {reason}")]
    Unusable {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Card {
    /// Reads the card of an ONNX file.
    ///
    /// # Errors
    /// When the file cannot be read, is no ONNX model, or has no usable card.
    pub fn read(path: &Path) -> Result<Self, CardError> {
        Ok(Self::read_with_digest(path)?.0)
    }

    /// Reads the card of an ONNX file, and the SHA-256 of the file in hexadecimal.
    ///
    /// # Errors
    /// As [`Card::read`].
    pub fn read_with_digest(path: &Path) -> Result<(Self, String), CardError> {
        Self::read_adjusted(path, |_| ())
    }

    /// The same, with the card altered before it is compared with the graph: for other names of input and outputs.
    ///
    /// # Errors
    /// As [`Card::read`].
    pub fn read_adjusted(path: &Path, adjust: impl FnOnce(&mut Self)) -> Result<(Self, String), CardError> {
        let name = path.display().to_string();
        let bytes = fs::read(path).map_err(|error| CardError::Read { path: name.clone(), error })?;
        let model = Model::decode(bytes.as_slice()).map_err(|_| CardError::NotOnnx(name.clone()))?;
        let graph = model.graph.ok_or_else(|| CardError::NotOnnx(name.clone()))?;
        let entry = model.metadata_props.into_iter().find(|entry| entry.key == KEY);
        let entry = entry.ok_or_else(|| CardError::NoCard(name.clone()))?;
        let unusable = |reason: String| CardError::Unusable { path: name.clone(), reason };
        let mut card: Self = serde_json::from_str(&entry.value).map_err(|error| unusable(error.to_string()))?;
        adjust(&mut card);
        card.verify(&graph).map_err(unusable)?;
        let digest = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((card, digest))
    }

    fn verify(&self, graph: &Graph) -> Result<(), String> {
        let has = |values: &[Value], name: &str| values.iter().any(|value| value.name == name);
        let outputs = [Some(&self.logits), self.latent.as_ref()];
        if !has(&graph.input, &self.input) {
            return Err(format!("the graph has no input `{}`", self.input));
        }
        if let Some(name) = outputs.into_iter().flatten().find(|name| !has(&graph.output, name)) {
            return Err(format!("the graph has no output `{name}`"));
        }
        if self.classes.len() < 2 || self.bands.is_empty() || self.size == 0 {
            return Err("it needs at least two classes, one band and a size".into());
        }
        if self.latent.is_some() != self.latent_size.is_some() {
            return Err("`latent` and `latent_size` go together".into());
        }
        if let Some((domain, _)) = self.domains.iter().find(|(_, Stretch { lo, hi })| !(lo < hi && *hi > 0.0)) {
            return Err(format!("the stretch of domain `{domain}` needs lo < hi and hi > 0"));
        }
        Ok(())
    }

    /// The domain whose stretch has these constants.
    pub fn domain_of(&self, stretch: Stretch) -> Option<&str> {
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
        let mut domains = self.domains.iter();
        domains.find(|(_, own)| near(own.lo, stretch.lo) && near(own.hi, stretch.hi)).map(|(name, _)| name.as_str())
    }
}

/// The parts of `onnx.ModelProto` that a card needs; field numbers from onnx.proto3.
#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "14")]
    metadata_props: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(message, repeated, tag = "11")]
    input: Vec<Value>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}
