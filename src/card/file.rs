//! Finds and reads the card of an ONNX file.
//!
//! Neither ONNX Runtime nor the weights are needed: only the outermost messages of the file are decoded. Whether the card fits the
//! graph is found out by the scorer (`score/onnx`).

use std::{
    fs,
    io::{Error, ErrorKind},
    path::{Path, PathBuf},
};

use prost::bytes::Bytes;
use serde::Deserialize;

use super::{
    Card, FORMAT, KEY,
    error::{CardError, CardName},
    explained::read_value,
    first_format, known_exposures,
    verify::check_keys,
};
use crate::{
    error::quoted_list,
    io::digest::NamesDigest,
    onnx::{DecodeModelError, decode_model, external, promised_length, wire::ModelProto},
};

/// An ONNX file: its card and its digest.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ModelFile {
    /// The card.
    pub card: Card,
    /// Where the card is.
    pub place: CardPlace,
    /// The SHA-256 of the file, in hexadecimal. If it names other files for its numbers, it is the SHA-256 of the digests and names
    /// of all of them, each followed by a NUL; a card that is not in the file belongs to it in the same way.
    pub digest: String,
}

/// The one field that every format of the card has.
#[derive(Deserialize)]
struct CardVersion {
    #[serde(default = "first_format")]
    format: u32,
}

/// Where a card is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CardPlace {
    /// In the metadata of the ONNX file.
    Inside,
    /// In a YAML file: the one that the settings name, or one beside the model.
    File(PathBuf),
    /// In the document.
    Document,
}

impl Card {
    /// Reads the card of an ONNX file: that beside it, else that in its metadata.
    ///
    /// # Errors
    /// When the file cannot be read, is not an ONNX model, or has no usable card.
    pub fn read(path: &Path) -> Result<Self, CardError> {
        Ok(ModelFile::locate(path, &read_file(path)?, None)?.0)
    }

    /// Reads a card from JSON or YAML.
    pub(crate) fn parse(text: &str, name: CardName<'_>) -> Result<Self, CardError> {
        let unusable = |reason: String| CardError::Unusable { card: name.to_string(), reason };
        let value = serde_json::from_str(text).or_else(|json: serde_json::Error| {
            let of_yaml = |yaml: serde_saphyr::Error| match yaml.without_snippet() {
                serde_saphyr::Error::MultipleDocuments { .. } => {
                    "it has several YAML documents, expected one: a line `---` begins another".to_owned()
                }
                other => other.to_string(),
            };
            // A card in the metadata is JSON, one in a file YAML.
            let explained = |yaml| if text.starts_with("{\"") { json.to_string() } else { of_yaml(yaml) };
            // `y` is a band, not a boolean.
            let options = serde_saphyr::options! { strict_booleans: true };
            serde_saphyr::from_str_with_options(text, options).map_err(explained)
        });
        let value: serde_json::Value = value.map_err(unusable)?;
        Self::of_value(&value, name)
    }

    /// Reads a card from a value.
    pub(crate) fn of_value(value: &serde_json::Value, name: CardName<'_>) -> Result<Self, CardError> {
        let unusable = |reason: String| CardError::Unusable { card: name.to_string(), reason };
        let read: CardVersion = read_value(value).map_err(unusable)?;
        match read.format {
            0 => return Err(unusable("model card formats begin at 1, found 0".into())),
            1..=FORMAT => {}
            format => return Err(CardError::Newer { card: name.to_string(), format }),
        }
        check_keys(read.format, value).map_err(unusable)?;
        let card: Self = read_value(value).map_err(unusable)?;
        card.verify().map_err(unusable)?;
        Ok(card)
    }
}

impl ModelFile {
    /// Reads the card and the digest of an ONNX file.
    ///
    /// # Errors
    /// As [`Card::read`].
    pub fn read(path: &Path) -> Result<Self, CardError> {
        Self::of_bytes(path, &read_file(path)?, None)
    }

    /// Reads a file in memory. Files that it names, and its card, lie beside the path; `given` is a card from elsewhere.
    pub(crate) fn of_bytes(path: &Path, bytes: &Bytes, given: Option<&GivenCard>) -> Result<Self, CardError> {
        let (card, place) = Self::locate(path, bytes, given)?;
        let unusable = |reason| CardError::Files { path: path.display().to_string(), reason };
        let mut digest = external::digest(path, bytes).map_err(unusable)?;
        if place != CardPlace::Inside {
            // What the card says decides what the scores are.
            let mut all = NamesDigest::default();
            all.push(&digest);
            all.push(&serde_json::to_string(&card).unwrap_or_default());
            digest = all.hex();
        }
        Ok(Self { card, place, digest })
    }

    fn locate(path: &Path, bytes: &Bytes, given: Option<&GivenCard>) -> Result<(Card, CardPlace), CardError> {
        let name = path.display().to_string();
        let model = check_model(path, bytes)?;
        match given {
            Some(GivenCard::Value(value)) => {
                return Ok((Card::of_value(value, CardName::OfModel(&name))?, CardPlace::Document));
            }
            Some(GivenCard::File(card)) => return Ok((read_card(card)?, CardPlace::File(card.clone()))),
            None => {}
        }
        let beside = beside(path);
        // Also what is not a file: that it cannot be read is said then.
        let found: Vec<&PathBuf> = beside.iter().filter(|card| card.symlink_metadata().is_ok()).collect();
        match found.as_slice() {
            [] => {}
            [card] => return Ok((read_card(card)?, CardPlace::File((*card).clone()))),
            several => {
                let cards: Vec<String> = several.iter().map(|card| card.display().to_string()).collect();
                return Err(CardError::SeveralCards { path: name, cards: quoted_list(&cards) });
            }
        }
        let entry = model.metadata_props.into_iter().find(|entry| entry.key == KEY);
        let card = beside.first().map_or_else(String::new, |card| card.display().to_string());
        let entry = entry.ok_or_else(|| CardError::NoCard { path: name.clone(), card })?;
        let mut card = Card::parse(&entry.value, CardName::OfModel(&name))?;
        known_exposures::add(&mut card, &entry.value);
        Ok((card, CardPlace::Inside))
    }
}

/// A card that does not come from the model.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(not(feature = "onnx"), expect(dead_code, reason = "given by scores of the kind `onnx`"))]
pub(crate) enum GivenCard {
    /// A YAML file.
    File(PathBuf),
    /// A value of the document.
    Value(serde_json::Value),
}

/// The names that a card beside a model may have: `model.card.yaml` or `model.onnx.card.yaml` for `model.onnx`, or the same with `.yml`.
fn beside(model: &Path) -> Vec<PathBuf> {
    let name = model.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stems = [name.strip_suffix(".onnx"), Some(name)];
    let stems = stems.into_iter().flatten();
    stems.flat_map(|stem| ["yaml", "yml"].map(|end| model.with_file_name(format!("{stem}.card.{end}")))).collect()
}

fn read_card(path: &Path) -> Result<Card, CardError> {
    let shown = path.display().to_string();
    let name = CardName::File(&shown);
    let bytes = read_ordinary(path).map_err(|error| CardError::ReadCard { path: shown.clone(), error })?;
    let not_text = |_| CardError::Unusable { card: name.to_string(), reason: "it is not UTF-8 text".into() };
    Card::parse(std::str::from_utf8(&bytes).map_err(not_text)?, name)
}

/// Decodes the outer messages of an ONNX file. What is often found in its place is named.
fn check_model(path: &Path, bytes: &Bytes) -> Result<ModelProto, CardError> {
    let name = path.display().to_string();
    let other = |what: String| CardError::NotOnnx { path: name.clone(), what };
    if let Some(what) = impostor(bytes) {
        return Err(other(what));
    }
    let model = decode_model(bytes.clone()).map_err(|error| match error {
        DecodeModelError::NotOnnx(_) => other(cut_off(bytes).unwrap_or_default()),
        DecodeModelError::TooManyFields => CardError::Unreadable { path: name.clone(), reason: error.to_string() },
    })?;
    if model.graph.is_none() {
        return Err(other("; it has no graph".into()));
    }
    Ok(model)
}

/// What a file is that is often found in place of a model.
fn impostor(bytes: &[u8]) -> Option<String> {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(512)]);
    let text = start.trim_start().to_ascii_lowercase();
    if bytes.is_empty() {
        return Some(": it is empty".into());
    }
    if text.starts_with("version https://git-lfs") {
        let size = text.lines().find_map(|line| line.strip_prefix("size "));
        let of = size.map_or_else(String::new, |size| format!(" of {} bytes", size.trim()));
        return Some(format!(": it is a git-LFS pointer to a file{of}; run `git lfs pull`"));
    }
    if text.starts_with("<!doctype html") || text.starts_with("<html") {
        return Some(": it is an HTML page; download the file itself, not the page about it".into());
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return Some(": it is a ZIP archive, such as a PyTorch file or a packed model; export or unpack it".into());
    }
    let is_hdf5 = bytes.starts_with(b"\x89HDF\r\n");
    is_hdf5.then(|| ": it is an HDF5 file, such as Keras weights; convert it with tf2onnx".into())
}

/// Says where a file ends that promises more bytes than it has: a download that broke off.
fn cut_off(bytes: &[u8]) -> Option<String> {
    let promised = promised_length(bytes)?;
    let found = bytes.len();
    (promised > found).then(|| format!(": it ends after {found} of {promised} bytes; the download may have broken off"))
}

/// Reads a model.
pub(crate) fn read_file(path: &Path) -> Result<Bytes, CardError> {
    read_ordinary(path).map(Bytes::from).map_err(|error| CardError::Read { path: path.display().to_string(), error })
}

/// Reads an ordinary file.
fn read_ordinary(path: &Path) -> std::io::Result<Vec<u8>> {
    fs::metadata(path).and_then(|metadata| match metadata.is_file() {
        true => fs::read(path),
        // A pipe may block, and a device never end.
        false => Err(Error::new(ErrorKind::InvalidInput, "it is not an ordinary file")),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        super::{Head, ImageSize, write_test_model},
        *,
    };

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
            assert_eq!(
                (file.card.format, file.card.size, file.card.classes.len()),
                (1, ImageSize::Square(100), 3),
                "{model}"
            );
            assert_eq!(file.place, CardPlace::Inside);
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
        let path = write_test_model(folder.path(), &json!({ "format": 4, "classes": { "head": "dirichlet" } }));
        let error = Card::read(&path).expect_err("refused");
        let expected = format!(
            "the card of the model `{}` cannot be used: its format 4 is newer than this version, which reads up to 3",
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
            ("latent_size", json!(5), "without `latent`"),
            ("head", json!("sigmoid"), "add `format: 3`"),
            ("domains", json!({ "y1": { "lo": 3.0, "hi": 2.0 } }), "the stretch of domain `y1`"),
            ("size", json!("large"), "`size` is `large`, expected a number of pixels, or `[ROWS, COLUMNS]`"),
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

    #[test]
    fn a_card_beside_the_model_comes_before_the_one_inside_and_changes_the_digest() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = write_test_model(folder.path(), &card());
        let inside = ModelFile::read(&path).expect("a card");
        let text = "format: 3\nhead: sigmoid\nclasses: [bogus, real]\nbands: [g]\nsize: [4, 6]\npixel_scale_arcsec: any\nunit: nJy\n";
        let beside = folder.path().join("model.card.yaml");
        fs::write(&beside, text).expect("written");
        let found = ModelFile::read(&path).expect("a card");
        assert_eq!((found.place, found.card.head), (CardPlace::File(beside.clone()), Head::Sigmoid));
        assert_eq!((found.card.size.height(), found.card.size.width(), found.card.pixel_scale_arcsec), (4, 6, None));
        assert_ne!(found.digest, inside.digest);
        fs::write(&beside, text.replace("any", "0.2")).expect("written");
        assert_ne!(ModelFile::read(&path).expect("a card").digest, found.digest);
    }

    #[test]
    fn format_3_knows_its_keys() {
        let text = "format: 3\nclasses: [a, b]\nbands: [g]\nsize: 4\npixel_scale_arcsec: 0.2\nunit: nJy\n";
        let why = |more: &str| {
            Card::parse(&format!("{text}{more}"), CardName::OfModel("m")).expect_err("refused").to_string()
        };
        assert!(why("chanels: last\n").contains("unknown key `chanels`: did you mean `channels`?"));
        assert!(why("mean: [1, 2]\n").contains("`mean` of the bands must be 1 numbers"), "{}", why("mean: [1, 2]\n"));
        assert!(why("std: [0]\n").contains("numbers above 0"));
        let without_unit = text.replace("unit: nJy\n", "");
        let why = Card::parse(&without_unit, CardName::OfModel("m")).expect_err("refused").to_string();
        assert!(why.contains("`unit` is missing"), "{why}");
        assert_eq!(
            Card::parse(&format!("{text}notes: {{ seed: 3 }}\n"), CardName::OfModel("m")).expect("a card").notes["seed"],
            3
        );
    }

    #[test]
    fn a_value_that_does_not_fit_is_named_by_its_key() {
        let text = "format: 3\nclasses: [a, b]\nbands: [g]\nsize: 4\npixel_scale_arcsec: 0.2\nunit: nJy\n";
        let why = |text: &str| Card::parse(text, CardName::File("c.yaml")).expect_err("refused").to_string();
        for (from, to, expected) in [
            ("size: 4", "size: [4]", "`size` is `[4]`, expected a number of pixels, or `[ROWS, COLUMNS]`"),
            ("scale_arcsec: 0.2", "scale_arcsec: all", "`pixel_scale_arcsec` is `all`, expected a number, or `any`"),
            ("bands: [g]", "bands: g", "`bands` is `g`, expected a list"),
            ("[a, b]", "[a, 7]", "`classes[1]` is `7`, expected a string"),
            ("unit: nJy", "unit: njy", "`unit` is `njy`, expected one of "),
            (
                "unit: nJy",
                "unit: nJy\nhead: sofmax",
                "`multilabel`, `dirichlet`, `regression`, `embedding`: did you mean `softmax`?",
            ),
            ("unit: nJy", "unit: nJy\nmean: [one]", "`mean[0]` is `one`, expected a number"),
            ("unit: nJy", "unit: nJy\ndomains: { y1: 3 }", "`domains.y1` is `3`, expected `{ lo: LO, hi: HI }`"),
            (
                "unit: nJy",
                "unit: nJy\nimages: [{ input: t, bands: [g], size: no, unit: nJy }]",
                "`images[0].size` is `no`",
            ),
            ("unit: nJy", "unit: nJy\nimages: [{ input: t, bands: [g], size: 4 }]", "`images[0]` lacks the key `unit`"),
            (
                "unit: nJy",
                "unit: nJy\nimages: [{ imput: t }]",
                "unknown key `images[0].imput`, expected one of `input`",
            ),
            ("bands: [g]\n", "", "the key `bands` is missing"),
            ("format: 3", "format: three", "`format` is `three`, expected a whole number from 0 on"),
        ] {
            let found = why(&text.replace(from, to));
            assert!(
                found.starts_with("the card `c.yaml` cannot be used: ") && found.contains(expected),
                "{to}: {found}"
            );
        }
        assert!(why("").ends_with("it is empty, expected the keys of a card"), "{}", why(""));
        assert!(why("- a\n").contains("it is a list"), "{}", why("- a\n"));
        let two = why(&format!("{text}---\n{text}"));
        assert!(two.contains("it has several YAML documents, expected one"), "{two}");
    }

    #[test]
    fn a_card_beside_a_model_is_not_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = write_test_model(folder.path(), &card());
        let at = |name: &str| folder.path().join(name);
        let text = "format: 3\nclasses: [a, b]\nbands: [g]\nsize: 4\npixel_scale_arcsec: any\nunit: nJy\n";
        fs::write(at("model.card.yml"), text).expect("written");
        let found = ModelFile::read(&path).expect("a card");
        assert_eq!((found.place, found.card.pixel_scale_arcsec), (CardPlace::File(at("model.card.yml")), None));
        fs::write(at("model.onnx.card.yaml"), text).expect("written");
        let several = ModelFile::read(&path).expect_err("refused").to_string();
        assert!(several.contains("has several cards beside it, `") && several.contains("model.card.yml`"), "{several}");
        for name in ["model.card.yml", "model.onnx.card.yaml"] {
            fs::remove_file(at(name)).expect("removed");
        }
        fs::create_dir(at("model.card.yaml")).expect("made");
        let folder = ModelFile::read(&path).expect_err("refused").to_string();
        assert!(folder.starts_with("cannot read the card `") && folder.ends_with("not an ordinary file"), "{folder}");
    }

    #[test]
    fn what_is_often_found_in_place_of_a_model_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.onnx");
        let model = fs::read("models/examples/lenet5.onnx").expect("a model");
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4242\n";
        for (bytes, expected) in [
            (&b""[..], "it is empty"),
            (pointer, "a git-LFS pointer to a file of 4242 bytes; run `git lfs pull`"),
            (b"<!DOCTYPE html><html>", "an HTML page"),
            (b"PK\x03\x04rest", "a ZIP archive"),
            (&model[..model.len() / 2], "bytes; the download may have broken off"),
            (b"import onnx", "is not an ONNX model"),
        ] {
            fs::write(&path, bytes).expect("written");
            let error = Card::read(&path).expect_err("refused").to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
