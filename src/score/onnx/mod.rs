//! The score kind `onnx`: scores images with an ONNX model.
//!
//! The class is that of the largest logit (the first of equals). The probability is
//! softmax(l)_k = exp(l_k - max l) / sum_j exp(l_j - max l), in double precision. A row is rejected when its pixels or its
//! outputs are not finite. Results are bitwise independent of batch composition: this is tested when the model is loaded, and
//! batches are padded to one size if ONNX Runtime does not provide it.

mod compatibility;

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use arrow::{
    array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Int32Type, Schema},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    batch::{ImageLayout, Images, list_column, list_type, with_columns},
    card::{Card, CardError, ModelFile},
    error::{Code, Diagnostic, Error, Result},
    onnx::{
        LoadOptions, LoadedModel, ModelSignature, VectorOutput,
        provider::{self, Provider},
    },
    stage::{ColumnRef, Model, ModelOutputs, Rejects, RunContext, Scorer, Settings},
    stats::{
        finite::first_non_finite,
        softmax::{argmax, softmax},
    },
};

/// Scores the images of a column with an ONNX model.
///
/// Adds `<label>_class`, `<label>_probability` and, if the model has a latent vector, `<label>_latent`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Onnx {
    /// The ONNX file, with a card in its metadata.
    #[schemars(extend("format" = "path"))]
    pub model: PathBuf,
    /// The image column. Its bands, size, pixel scale and stretch must be those of the model's card.
    pub image: String,
    /// The device to run on. `cuda` is an error where CUDA cannot be used; `auto` uses CUDA if it can be used, else the CPU.
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
    /// The input, if not the one that the card names.
    #[serde(default)]
    pub input: Option<String>,
    /// The output with the logits, if not the one that the card names.
    #[serde(default)]
    pub logits: Option<String>,
    /// The output with the latent vector, if not the one that the card names.
    #[serde(default)]
    pub latent: Option<String>,
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
}

impl Device {
    /// The execution providers to try, in order.
    fn providers(self) -> Vec<&'static Provider> {
        match self {
            Self::Auto => vec![&provider::CUDA, &provider::CPU],
            Self::Cpu => vec![&provider::CPU],
            Self::Cuda => vec![&provider::CUDA],
        }
    }
}

impl Onnx {
    /// A model and its image column; everything else has its default.
    pub fn new(model: impl Into<PathBuf>, image: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            image: image.into(),
            device: Device::default(),
            max_batch_size: None,
            any_stretch: false,
            input: None,
            logits: None,
            latent: None,
        }
    }

    /// The file of the model; in its card, the names that the settings override.
    fn read_model_file(&self) -> Result<ModelFile, CardError> {
        ModelFile::read_with(&self.model, |card| {
            card.input = self.input.clone().unwrap_or_else(|| card.input.clone());
            card.logits = self.logits.clone().unwrap_or_else(|| card.logits.clone());
            card.latent = self.latent.clone().or_else(|| card.latent.clone());
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
        Ok(Box::new(OnnxScorer::new(label, self)))
    }
}

/// The scorer of the kind `onnx`.
pub struct OnnxScorer {
    label: String,
    settings: Onnx,
    bound: Option<BoundModel>,
    loaded: Option<LoadedModel>,
}

/// A model that was compared with an image column.
struct BoundModel {
    file: ModelFile,
    domain: Option<String>,
    layout: ImageLayout,
    classes: Arc<StringArray>,
}

impl OnnxScorer {
    /// A scorer under a label, to be bound and started.
    pub fn new(label: &str, settings: Onnx) -> Self {
        Self { label: label.to_owned(), settings, bound: None, loaded: None }
    }

    /// The card of the model, once bound.
    pub fn card(&self) -> Option<&Card> {
        self.bound.as_ref().map(|bound| &bound.file.card)
    }

    /// Fails when the file has changed since it was bound: the run record would name another model.
    fn check_unchanged(&self, digest: &str) -> Result<()> {
        let model = self.settings.model.display();
        let now = self.settings.read_model_file();
        let now =
            now.map_err(|error| Error::data(format!("cannot read the model `{model}` again")).caused_by(error))?;
        if now.digest == digest {
            Ok(())
        } else {
            Err(Error::data(format!("the model `{model}` has changed since the pipeline was checked")))
        }
    }

    fn unready(&self, state: &str) -> Error {
        Error::bug(format!("the scorer `{}` was not {state}", self.label))
    }

    fn loaded(&self) -> Result<&LoadedModel> {
        self.loaded.as_ref().ok_or_else(|| self.unready("started"))
    }

    fn bound(&self) -> Result<&BoundModel> {
        self.bound.as_ref().ok_or_else(|| self.unready("bound"))
    }

    fn fields(&self, ModelFile { card, digest, .. }: &ModelFile) -> Vec<Field> {
        let label = &self.label;
        let path = self.settings.model.display().to_string();
        let (classes, image, model) =
            (("classes", card.classes.join(",")), ("image", self.settings.image.clone()), ("model", path));
        let metadata = |entries: &[&(&str, String)]| {
            entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect::<HashMap<_, _>>()
        };
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let mut fields = vec![
            Field::new(format!("{label}_class"), dictionary, false)
                .with_metadata(metadata(&[&classes, &image, &model])),
            Field::new(format!("{label}_probability"), list_type(card.classes.len()), false)
                .with_metadata(metadata(&[&classes])),
        ];
        if let Some(length) = card.latent_size {
            let latent = Field::new(format!("{label}_latent"), list_type(length), false);
            fields.push(latent.with_metadata(metadata(&[&image, &model, &("model_sha256", digest.clone())])));
        }
        fields
    }
}

impl Scorer for OnnxScorer {
    fn required_columns(&self) -> Vec<ColumnRef> {
        vec![ColumnRef::new("image", &self.settings.image)]
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        let layout = layout_of(input, &self.settings.image);
        let file = self.settings.read_model_file().map_err(card_diagnostic);
        let (layout, file) = match (layout, file) {
            (Ok(layout), Ok(file)) => (layout, file),
            (layout, file) => return Err(layout.err().into_iter().chain(file.err()).collect()),
        };
        let Onnx { image, any_stretch, .. } = &self.settings;
        let domain = compatibility::check(&file.card, &layout, image, *any_stretch)?;
        let fields = self.fields(&file);
        let classes = Arc::new(StringArray::from_iter_values(&file.card.classes));
        self.bound = Some(BoundModel { file, domain, layout, classes });
        Ok(fields)
    }

    fn start(&mut self, run: &RunContext) -> Result<()> {
        let ModelFile { card, digest, .. } = &self.bound()?.file;
        self.check_unchanged(digest)?;
        let Onnx { model, device, max_batch_size, .. } = &self.settings;
        let options =
            LoadOptions { providers: device.providers(), workers: run.threads, max_batch_size: *max_batch_size };
        let loaded = LoadedModel::load(model, signature(card), &options)?;
        tracing::info!(
            score = self.label,
            model = %model.display(),
            device = loaded.pool.provider.name,
            why = loaded.pool.why,
            sessions = loaded.pool.sessions,
            batches = loaded.batching.name(),
            "model loaded"
        );
        self.loaded = Some(loaded);
        Ok(())
    }

    fn score(&self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let bound = self.bound()?;
        let images = Images::of(&batch, &self.settings.image)?;
        if images.layout != bound.layout {
            let Onnx { image, .. } = &self.settings;
            return Err(Error::bug(format!("column `{image}` is not the one that `{}` was bound to", self.label)));
        }
        let outputs = self.loaded()?.evaluate(images.pixels)?;
        let card = &bound.file.card;
        let classes = card.classes.len();
        let bad = bad_rows(images.rows(), &outputs, card);
        let keys: Int32Array = outputs.logits.chunks_exact(classes).map(|logits| argmax(logits) as i32).collect();
        let probabilities = outputs.logits.chunks_exact(classes).flat_map(softmax).map(|p| p as f32).collect();
        let class = DictionaryArray::<Int32Type>::try_new(keys, bound.classes.clone())?;
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(class), list_column(probabilities, classes)?];
        if let Some(length) = card.latent_size {
            arrays.push(list_column(outputs.latents, length)?);
        }
        let scored = with_columns(&batch, self.fields(&bound.file).into_iter().zip(arrays))?;
        rejects.take(scored, &self.label, &bad)
    }

    fn provenance(&self) -> serde_json::Value {
        let (Some(bound), Some(loaded)) = (&self.bound, &self.loaded) else { return serde_json::Value::Null };
        json!({
            "model": self.settings.model,
            "sha256": bound.file.digest,
            "image": self.settings.image,
            "domain": bound.domain,
            "trained_on": bound.file.card.trained_on,
            "device": loaded.pool.provider.name,
            "why": loaded.pool.why,
            "sessions": loaded.pool.sessions,
            "max_batch_size": loaded.batching.size(),
            "batches": loaded.batching.name(),
            "library": loaded.runtime.path,
            "onnxruntime": loaded.runtime.version,
            "build": loaded.runtime.build,
        })
    }

    fn digest(&self) -> Option<String> {
        self.bound.as_ref().map(|bound| bound.file.digest.clone())
    }

    fn preferred_batch_rows(&self) -> Option<usize> {
        let loaded = self.loaded.as_ref()?;
        loaded.pool.provider.is_accelerator.then(|| loaded.batching.size())
    }

    fn model(&self) -> Option<&dyn Model> {
        self.loaded.as_ref().map(|loaded| loaded as &dyn Model)
    }
}

/// The layout of an image column.
fn layout_of(input: &Schema, image: &str) -> Result<ImageLayout, Diagnostic> {
    let Ok(field) = input.field_with_name(image) else {
        let message = format!("no earlier step makes a column `{image}`");
        let known = input.fields().iter().map(|field| field.name().as_str());
        return Err(Diagnostic::at("image", Code::UnknownColumn, message).suggest(image, known, "columns"));
    };
    let wrong = || Diagnostic::at("image", Code::WrongColumn, format!("column `{image}` does not hold images"));
    ImageLayout::of(field).ok_or_else(wrong)
}

#[allow(clippy::needless_pass_by_value, reason = "the signature that `map_err` takes")]
fn card_diagnostic(error: CardError) -> Diagnostic {
    match error {
        CardError::Read { .. } => Diagnostic::at("model", Code::MissingFile, error.to_string())
            .help("check the path; it is relative to the current directory"),
        _ => Diagnostic::at("model", Code::ModelMismatch, error.to_string()),
    }
}

/// The input and the outputs that a card declares.
fn signature(card: &Card) -> ModelSignature {
    let output = |name: &String, length| VectorOutput { name: name.clone(), length };
    ModelSignature {
        input: card.input.clone(),
        bands: card.bands.len(),
        size: card.size,
        logits: output(&card.logits, card.classes.len()),
        latent: card.latent.as_ref().zip(card.latent_size).map(|(name, length)| output(name, length)),
    }
}

/// The rows that cannot be scored, and why.
fn bad_rows<'a>(images: impl Iterator<Item = &'a [f32]>, outputs: &ModelOutputs, card: &Card) -> Vec<(usize, String)> {
    let (classes, length) = (card.classes.len(), card.latent_size.unwrap_or(0));
    let reason = |row: usize, image: &[f32]| {
        if first_non_finite(image).is_some() {
            return Some("a pixel is not finite".to_owned());
        }
        let logits = &outputs.logits[row * classes..][..classes];
        if first_non_finite(logits).is_some() {
            return Some(format!("the model gave logits that are not finite: {logits:?}"));
        }
        let index = first_non_finite(&outputs.latents[row * length..][..length])?;
        Some(format!("the model gave a latent vector that is not finite, at {index}"))
    };
    images.enumerate().filter_map(|(row, image)| Some((row, reason(row, image)?))).collect()
}
