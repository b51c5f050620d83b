//! Reads a card from an ONNX file and compares it with the graph.
//!
//! Neither ONNX Runtime nor the weights are needed: only the outermost messages of the file are decoded.

use std::{
    fs,
    io::{Error, ErrorKind},
    path::Path,
};

use prost::bytes::Bytes;
use serde::Deserialize;

use super::{Card, FORMAT, KEY, first_format};
use crate::{
    batch::{Stretch, Unit},
    onnx::{
        DecodeModelError, decode_model, external,
        wire::{GraphProto, ValueInfoProto},
    },
};

/// The most numbers of an image or a latent vector: 1 GiB.
const MAX_NUMBERS: usize = 1 << 28;

/// An ONNX file: its card and its digest.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ModelFile {
    /// The card.
    pub card: Card,
    /// The SHA-256 of the file, in hexadecimal. If it names other files for its numbers, it is the SHA-256 of the digests and names
    /// of all of them, each followed by a NUL.
    pub digest: String,
}

/// A model file without a usable card.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// The file cannot be read.
    #[error("cannot read the model `{path}`: {error}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The file is not an ONNX model.
    #[error("`{0}` is not an ONNX model")]
    NotOnnx(String),
    /// A file that the model names is missing, or not in its folder.
    #[error("cannot use the model `{path}`: {reason}")]
    Files {
        /// The model.
        path: String,
        /// What is wrong with the other file.
        reason: String,
    },
    /// The file would take too much memory.
    #[error("cannot use the model `{path}`: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What is too much.
        reason: String,
    },
    /// The metadata has no card.
    #[error("the model `{0}` has no card: its metadata has no key `{KEY}`")]
    NoCard(String),
    /// A newer version of lucarne wrote the card.
    #[error(
        "cannot use the model `{path}`: model card format {format} is newer than this version, which reads up to {FORMAT}"
    )]
    Newer {
        /// The file.
        path: String,
        /// The format of its card.
        format: u32,
    },
    /// The card is malformed, or does not match the graph.
    #[error("the card of the model `{path}` cannot be used: {reason}")]
    Unusable {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The one field that every format of the card has.
#[derive(Deserialize)]
struct CardVersion {
    #[serde(default = "first_format")]
    format: u32,
}

impl Card {
    /// Reads the card of an ONNX file.
    ///
    /// # Errors
    /// When the file cannot be read, is not an ONNX model, or has no usable card.
    pub fn read(path: &Path) -> Result<Self, CardError> {
        Self::of_bytes(path, &read_file(path)?, |_| ())
    }

    /// The card of a file in memory, changed before it is compared with the graph. The path is for messages.
    fn of_bytes(path: &Path, bytes: &Bytes, change: impl FnOnce(&mut Self)) -> Result<Self, CardError> {
        let name = path.display().to_string();
        let model = decode_model(bytes.clone()).map_err(|error| match error {
            DecodeModelError::NotOnnx(_) => CardError::NotOnnx(name.clone()),
            DecodeModelError::TooManyFields => CardError::Unreadable { path: name.clone(), reason: error.to_string() },
        })?;
        let graph = model.graph.ok_or_else(|| CardError::NotOnnx(name.clone()))?;
        let entry = model.metadata_props.into_iter().find(|entry| entry.key == KEY);
        let entry = entry.ok_or_else(|| CardError::NoCard(name.clone()))?;
        let mut card = Self::parse(&entry.value, &name)?;
        change(&mut card);
        card.verify(&graph).map_err(|reason| CardError::Unusable { path: name, reason })?;
        Ok(card)
    }

    /// Reads a card from JSON. The path is for messages.
    pub(crate) fn parse(text: &str, path: &str) -> Result<Self, CardError> {
        let unusable = |reason: String| CardError::Unusable { path: path.to_owned(), reason };
        let CardVersion { format } = serde_json::from_str(text).map_err(|error| unusable(error.to_string()))?;
        match format {
            0 => Err(unusable("model card formats begin at 1, found 0".into())),
            1..=FORMAT => serde_json::from_str(text).map_err(|error| unusable(error.to_string())),
            _ => Err(CardError::Newer { path: path.to_owned(), format }),
        }
    }

    /// Compares the card with the graph of its model.
    fn verify(&self, graph: &GraphProto) -> Result<(), String> {
        let has = |values: &[ValueInfoProto], name: &str| values.iter().any(|value| value.name == name);
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
        if let Some(reason) = super::class_mistake(&self.classes) {
            return Err(reason);
        }
        let numbers = self.size.checked_mul(self.size).and_then(|pixels| pixels.checked_mul(self.bands.len()));
        if numbers.is_none_or(|numbers| numbers > MAX_NUMBERS) {
            let (bands, size) = (self.bands.len(), self.size);
            return Err(format!(
                "images of {bands}x{size}x{size} numbers are too large, expected at most {MAX_NUMBERS}"
            ));
        }
        if let Some(length) = self.latent_size.filter(|length| !(1..=MAX_NUMBERS).contains(length)) {
            return Err(format!("`latent_size` is {length}, expected 1 to {MAX_NUMBERS}"));
        }
        if self.latent.is_some() != self.latent_size.is_some() {
            return Err("`latent` and `latent_size` must be given together".into());
        }
        if let Some(unit) =
            Some(self.unit).filter(|unit| ![Unit::Electron, Unit::NanoJansky, Unit::Unknown].contains(unit))
        {
            return Err(format!("its unit is `{}`, expected `electron`, `nJy` or `unknown`", unit.name()));
        }
        for (domain, electrons) in &self.electrons_per_njy {
            let are_usable =
                electrons.len() == self.bands.len() && electrons.iter().all(|one| one.is_finite() && *one > 0.0);
            if !are_usable || !self.domains.contains_key(domain) {
                let bands = self.bands.len();
                return Err(format!(
                    "`electrons_per_njy` of `{domain}` must be those of a domain, {bands} numbers above 0"
                ));
            }
        }
        if let Some((domain, _)) = self.domains.iter().find(|(_, Stretch { lo, hi })| !(lo < hi && *hi > 0.0)) {
            return Err(format!("the stretch of domain `{domain}` needs lo < hi and hi > 0"));
        }
        Ok(())
    }
}

impl ModelFile {
    /// Reads the card and the digest of an ONNX file.
    ///
    /// # Errors
    /// As [`Card::read`].
    pub fn read(path: &Path) -> Result<Self, CardError> {
        Self::read_with(path, |_| ())
    }

    /// The same, with the card changed before it is compared with the graph: for other names of input and outputs.
    ///
    /// # Errors
    /// As [`Card::read`].
    pub fn read_with(path: &Path, change: impl FnOnce(&mut Card)) -> Result<Self, CardError> {
        Self::of_bytes(path, &read_file(path)?, change)
    }

    /// Reads the card of a file in memory. Files that it names lie beside the path.
    pub(crate) fn of_bytes(path: &Path, bytes: &Bytes, change: impl FnOnce(&mut Card)) -> Result<Self, CardError> {
        let card = Card::of_bytes(path, bytes, change)?;
        let unusable = |reason| CardError::Files { path: path.display().to_string(), reason };
        Ok(Self { card, digest: external::digest(path, bytes).map_err(unusable)? })
    }
}

fn read_file(path: &Path) -> Result<Bytes, CardError> {
    let bytes = fs::metadata(path).and_then(|metadata| match metadata.is_file() {
        true => fs::read(path),
        // A pipe may block, and a device never end.
        false => Err(Error::new(ErrorKind::InvalidInput, "it is not an ordinary file")),
    });
    bytes.map(Bytes::from).map_err(|error| CardError::Read { path: path.display().to_string(), error })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::write_test_model, *};

    fn card() -> Value {
        json!({
            "classes": ["spiral", "merger"], "bands": ["g", "r"], "size": 4, "pixel_scale_arcsec": 0.2,
            "domains": { "y1": { "lo": -1.0, "hi": 2.0 } }, "metrics": { "accuracy": 0.9 },
        })
    }

    #[test]
    fn reads_the_cards_of_the_shipped_models_as_format_1() {
        for model in ["convnet-regular", "convnet-da", "resnet18-regular", "resnet18-da", "examples/lenet5"] {
            let file = ModelFile::read(Path::new(&format!("models/{model}.onnx"))).expect("a card");
            assert_eq!((file.card.format, file.card.size, file.card.classes.len()), (1, 100, 3), "{model}");
            assert_eq!(file.digest.len(), 64);
        }
    }

    #[test]
    fn a_card_without_a_number_equals_one_of_format_1() {
        let folder = tempfile::tempdir().expect("a folder");
        let without = Card::read(&write_test_model(folder.path(), &card())).expect("a card");
        let mut numbered = card();
        numbered["format"] = json!(1);
        assert_eq!(Card::read(&write_test_model(folder.path(), &numbered)).expect("a card"), without);
        assert_eq!(serde_json::to_value(&without).expect("written")["format"], 1);
    }

    #[test]
    fn refuses_newer_formats_by_name_even_when_other_keys_have_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = write_test_model(folder.path(), &json!({ "format": 3, "classes": { "head": "dirichlet" } }));
        let error = Card::read(&path).expect_err("refused");
        let expected = format!(
            "cannot use the model `{}`: model card format 3 is newer than this version, which reads up to 2",
            path.display()
        );
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn refuses_cards_that_cannot_be_used_with_a_reason() {
        let folder = tempfile::tempdir().expect("a folder");
        for (key, value, expected) in [
            ("format", json!(0), "formats begin at 1"),
            ("classes", json!(["spiral"]), "at least two classes"),
            ("classes", json!(["spiral", "spiral"]), "two classes are called `spiral`"),
            ("classes", json!(["spiral", ""]), "a class has an empty name"),
            ("classes", json!(["spiral", "all"]), "a class is called `all`"),
            ("logits", json!("scores"), "no output `scores`"),
            ("input", json!("pixels"), "no input `pixels`"),
            ("latent_size", json!(5), "must be given together"),
            ("domains", json!({ "y1": { "lo": 3.0, "hi": 2.0 } }), "the stretch of domain `y1`"),
            ("size", json!("large"), "invalid type: string"),
            ("unit", json!("stretched"), "its unit is `stretched`"),
            ("electrons_per_njy", json!({ "y1": [3.0] }), "`electrons_per_njy` of `y1`"),
            ("electrons_per_njy", json!({ "y2": [3.0, 4.0] }), "`electrons_per_njy` of `y2`"),
        ] {
            let mut changed = card();
            changed[key] = value;
            let error = Card::read(&write_test_model(folder.path(), &changed)).expect_err("refused").to_string();
            assert!(error.contains(expected), "{key}: {error}");
        }
    }
}
