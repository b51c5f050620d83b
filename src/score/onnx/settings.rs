//! The settings of the kind `onnx`.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OnnxScorer;
use crate::{
    card::{Card, GivenCard},
    error::{Code, Diagnostic},
    onnx::provider::{self, Provider},
    stage::{Scorer, Settings},
};

/// Scores images with an ONNX model.
///
/// What it adds depends on the head of the model (see `card`): `<label>_class` and `<label>_probability` for classes;
/// `<label>_probability` for labels that do not exclude each other; `<label>_fraction` and `<label>_fraction_std` for votes;
/// `<label>_value` and `<label>_error` for a regression; and `<label>_latent` if the model has a latent vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Onnx {
    /// The ONNX file. Its card is in its metadata, or in a file beside it (`model.card.yaml` for `model.onnx`).
    #[schemars(extend("format" = "path"))]
    pub model: PathBuf,
    /// The image column. Its bands, size, pixel scale and stretch must be those of the model's card.
    pub image: String,
    /// The card: a YAML file, or its keys. It comes before one in or beside the file.
    #[serde(default)]
    pub card: Option<CardSource>,
    /// The image columns of further inputs, by input.
    #[serde(default)]
    pub images: BTreeMap<String, String>,
    /// The columns of the stream that the card calls otherwise, by the name in the card.
    #[serde(default)]
    pub columns: BTreeMap<String, String>,
    /// The device to run on. `auto` uses CUDA if it can be used, else the CPU. `cuda`, `tensorrt` and `openvino` are errors where they
    /// cannot be used, and where a part of the model would run on the CPU. The run record has how many nodes run on which (`nodes`).
    #[serde(default)]
    pub device: Device,
    /// The most images of a batch. The default is 8 on a CPU (a batch stays in its cache) and 200 on a GPU (two batches are a
    /// population of `one_pixel`, so neither is padded).
    #[serde(default)]
    #[schemars(range(min = 1, max = 4096))]
    pub max_batch_size: Option<usize>,
    /// Accepts stretched images whose constants are not those of a domain of the card, or vary from image to image.
    #[serde(default)]
    pub any_stretch: bool,
    /// The probability above which the class of a `sigmoid` head is the positive one; 0.5 by default. Classes, accuracies, attacks,
    /// pixel maps and church windows go by it, probabilities do not.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub threshold: Option<f64>,
    /// The input, if not the one that the card names.
    #[serde(default)]
    pub input: Option<String>,
    /// The output of the head, if not the one that the card names.
    #[serde(default)]
    pub logits: Option<String>,
    /// The output with the latent vector, if not the one that the card names. A model without a card is an encoder: this output
    /// is all that is read.
    #[serde(default)]
    pub latent: Option<String>,
}

/// A card that is not in the model's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CardSource {
    /// A YAML file.
    File(#[schemars(extend("format" = "path"))] PathBuf),
    /// The keys of the card.
    Keys(#[schemars(with = "Card")] serde_json::Value),
}

/// The device that a model runs on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// CUDA if it can be used, else the CPU; the run record has which, and why.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU; an error if it cannot be used.
    Cuda,
    /// An NVIDIA GPU by TensorRT, which needs a library and a build of lucarne with it. Its products may be rounded (TF32).
    #[serde(rename = "tensorrt")]
    TensorRt,
    /// A processor of Intel by OpenVINO, which needs a library and a build of lucarne with it.
    #[serde(rename = "openvino")]
    OpenVino,
}

impl Device {
    /// The execution providers to try, in order.
    pub(super) fn providers(self) -> Vec<&'static Provider> {
        match self {
            Self::Auto => vec![&provider::CUDA, &provider::CPU],
            Self::Cpu => vec![&provider::CPU],
            Self::Cuda => vec![&provider::CUDA],
            Self::TensorRt => vec![&provider::TENSORRT],
            Self::OpenVino => vec![&provider::OPENVINO],
        }
    }
}

impl Onnx {
    /// A model and its image column; everything else has its default.
    pub fn new(model: impl Into<PathBuf>, image: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            image: image.into(),
            card: None,
            images: BTreeMap::new(),
            columns: BTreeMap::new(),
            device: Device::default(),
            max_batch_size: None,
            any_stretch: false,
            threshold: None,
            input: None,
            logits: None,
            latent: None,
        }
    }

    /// The card that the settings give.
    pub(super) fn given_card(&self) -> Option<GivenCard> {
        self.card.as_ref().map(|card| match card {
            CardSource::File(path) => GivenCard::File(path.clone()),
            CardSource::Keys(keys) => GivenCard::Value(keys.clone()),
        })
    }
}

impl Settings<dyn Scorer> for Onnx {
    const NAME: &'static str = "onnx";

    fn examples() -> &'static [&'static str] {
        &[
            "{ model: models/convnet-da.onnx, image: y10 }",
            "model: models/resnet18-da.onnx\nimage: y1\ndevice: cpu\nmax_batch_size: 8\n",
            "model: models/examples/lenet5.onnx\nimage: y10\nany_stretch: true\ninput: image\nlogits: logits\nlatent: latent\n",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Scorer>, Vec<Diagnostic>> {
        if let Some(CardSource::Keys(keys)) = &self.card
            && !keys.is_object()
        {
            let message = format!("`card` is `{keys}`, expected a file or the keys of a card");
            return Err(vec![Diagnostic::at("card", Code::WrongType, message)]);
        }
        if let Some(threshold) = self.threshold.filter(|threshold| !(*threshold > 0.0 && *threshold < 1.0)) {
            let message = format!("`threshold` is {threshold}, expected a probability between 0 and 1");
            return Err(vec![Diagnostic::at("threshold", Code::OutOfRange, message)]);
        }
        Ok(Box::new(OnnxScorer::new(label, self)))
    }
}
