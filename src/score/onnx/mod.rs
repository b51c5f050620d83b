//! The score kind `onnx`: asks an ONNX model about images.
//!
//! The class is that of the greatest logit (the first of equals), the probability is
//! softmax(l)_k = exp(l_k - max l) / sum_j exp(l_j - max l) in double precision. A row whose pixels or whose output are
//! not finite is rejected. An image gets the same bits in whatever batch it is; whether the runtime keeps that by
//! itself is tried when the model is loaded, and batches are padded to one size where it does not.

mod around;
mod batching;
mod fit;
mod graph;
mod incremental;
mod library;
mod loaded;
mod session;

use std::{path::PathBuf, sync::Arc};

use arrow::{
    array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Int32Type, Schema},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::{batching::Batching, loaded::Loaded, session::Pool};
use crate::{
    batch::{ImageLayout, Images, list_column, list_type, with_columns},
    card::{Card, CardError},
    error::{Code, Diagnostic, Error, Result},
    stage::{ColumnRef, Model, ModelOutputs, Rejects, RunContext, Scorer, Settings},
    stats::{
        finite::first_non_finite,
        softmax::{argmax, softmax},
    },
};

/// Asks an ONNX model about the images of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Onnx {
    /// The ONNX file, with a card in its metadata.
    pub model: PathBuf,
    /// The image column. Bands, size, pixel scale and stretch have to be those of the model's card.
    pub image: String,
    /// What to run on. `cuda` is an error where there is none; `auto` takes it where it can be used.
    #[serde(default)]
    pub device: Device,
    /// The most images that the model sees at once: 8 on a CPU (they stay in its cache) and 200 on a GPU (two of them are a
    /// population of `one_pixel`, so none is filled up with nothing).
    #[serde(default)]
    #[schemars(range(min = 1, max = 4096))]
    pub max_batch_size: Option<usize>,
    /// Takes stretched images whose constants are of no domain of the card, or change from image to image.
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

/// What a model runs on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// CUDA where it can be used, else the CPU; the run record says which and why.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU; an error where there is none.
    Cuda,
}

impl Onnx {
    /// A model and its image column, all else by default.
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

    fn read_card(&self) -> Result<(Card, String), Diagnostic> {
        let adjust = |card: &mut Card| {
            card.input = self.input.clone().unwrap_or_else(|| card.input.clone());
            card.logits = self.logits.clone().unwrap_or_else(|| card.logits.clone());
            card.latent = self.latent.clone().or_else(|| card.latent.clone());
        };
        Card::read_adjusted(&self.model, adjust).map_err(|error| match error {
            CardError::Read { .. } => Diagnostic::at("model", Code::MissingFile, error.to_string())
                .help("check the path; it counts from the current directory"),
            _ => Diagnostic::at("model", Code::ModelMismatch, error.to_string()),
        })
    }
}

impl Settings<dyn Scorer> for Onnx {
    const NAME: &'static str = "onnx";

    fn build(self, label: &str) -> Result<Box<dyn Scorer>, Vec<Diagnostic>> {
        Ok(Box::new(OnnxScorer::new(label, self)))
    }
}

/// The scorer of the kind `onnx`.
pub struct OnnxScorer {
    label: String,
    settings: Onnx,
    bound: Option<Bound>,
    loaded: Option<Loaded>,
}

struct Bound {
    card: Card,
    digest: String,
    domain: Option<String>,
    layout: ImageLayout,
    classes: Arc<StringArray>,
}

impl OnnxScorer {
    /// A scorer under a label; it still has to be bound and started.
    pub fn new(label: &str, settings: Onnx) -> Self {
        Self { label: label.to_owned(), settings, bound: None, loaded: None }
    }

    /// The card of the model, once bound.
    pub fn card(&self) -> Option<&Card> {
        self.bound.as_ref().map(|bound| &bound.card)
    }

    /// An error when the file is no longer the one that was bound: the run record would name another model.
    fn check_unchanged(&self, digest: &str) -> Result<()> {
        let (_, now) = self.settings.read_card().map_err(|mistake| Error::data(mistake.message))?;
        let model = self.settings.model.display();
        if now == digest {
            Ok(())
        } else {
            Err(Error::data(format!("the model `{model}` has changed since the check")))
        }
    }

    fn unready(&self, what: &str) -> Error {
        Error::bug(format!("the scorer `{}` was not {what}", self.label))
    }

    fn loaded(&self) -> Result<&Loaded> {
        self.loaded.as_ref().ok_or_else(|| self.unready("started"))
    }

    fn bound(&self) -> Result<&Bound> {
        self.bound.as_ref().ok_or_else(|| self.unready("bound"))
    }

    fn fields(&self, card: &Card, digest: &str) -> Vec<Field> {
        let label = &self.label;
        let classes = card.classes.join(",");
        let metadata = |entries: &[(&str, &str)]| {
            entries
                .iter()
                .map(|&(key, value)| (key.to_owned(), value.to_owned()))
                .collect::<std::collections::HashMap<_, _>>()
        };
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let model = self.settings.model.display().to_string();
        let named = [("classes", classes.as_str()), ("image", &self.settings.image), ("model", &model)];
        let mut fields = vec![
            Field::new(format!("{label}_class"), dictionary, false).with_metadata(metadata(&named)),
            Field::new(format!("{label}_probability"), list_type(card.classes.len()), false)
                .with_metadata(metadata(&named[..1])),
        ];
        if let Some(length) = card.latent_size {
            let latent = Field::new(format!("{label}_latent"), list_type(length), false);
            let of = [named[1], named[2], ("model_sha256", digest)];
            fields.push(latent.with_metadata(metadata(&of)));
        }
        fields
    }
}

impl Scorer for OnnxScorer {
    fn required_columns(&self) -> Vec<ColumnRef> {
        vec![ColumnRef::new("image", &self.settings.image)]
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        let image = &self.settings.image;
        let layout = input.field_with_name(image).ok().map(ImageLayout::of);
        let layout = match layout {
            Some(Some(layout)) => Ok(layout),
            Some(None) => Err(Diagnostic::at("image", Code::WrongColumn, format!("`{image}` is no image column"))),
            None => {
                Err(Diagnostic::at("image", Code::UnknownColumn, format!("no step above makes a column `{image}`")))
            }
        };
        let (layout, card) = match (layout, self.settings.read_card()) {
            (Ok(layout), Ok(card)) => (layout, card),
            (layout, card) => return Err(layout.err().into_iter().chain(card.err()).collect()),
        };
        let (card, digest) = card;
        let (domain, mistakes) = fit::fit(&card, &layout, image, self.settings.any_stretch);
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let fields = self.fields(&card, &digest);
        let classes = Arc::new(StringArray::from_iter_values(&card.classes));
        self.bound = Some(Bound { card, digest, domain, layout, classes });
        Ok(fields)
    }

    fn start(&mut self, run: &RunContext) -> Result<()> {
        let bound = self.bound()?;
        let runtime = library::runtime()?;
        let Onnx { model, device, max_batch_size, .. } = &self.settings;
        self.check_unchanged(&bound.digest)?;
        let pool = Pool::load(runtime, model, &bound.card, *device, run.threads)?;
        let usual = if pool.taken.device == Device::Cuda { 200 } else { 8 };
        let batching = Batching::choose(&pool, max_batch_size.unwrap_or(usual).max(1))?;
        tracing::info!(
            score = self.label,
            model = %model.display(),
            device = ?pool.taken.device,
            why = pool.taken.why,
            sessions = pool.sessions,
            batches = batching.name(),
            "model loaded"
        );
        let (model, card) = (model.clone(), bound.card.clone());
        self.loaded = Some(Loaded::new(runtime, model, card, pool, batching));
        Ok(())
    }

    fn score(&self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let bound = self.bound()?;
        let images = Images::of(&batch, &self.settings.image)?;
        if images.layout != bound.layout {
            return Err(Error::bug(format!(
                "column `{}` is not what `{}` was bound to",
                self.settings.image, self.label
            )));
        }
        let outputs = self.loaded()?.evaluate(images.pixels)?;
        let classes = bound.card.classes.len();
        let bad = bad_rows(images.rows(), &outputs, classes, bound.card.latent_size);
        let keys: Int32Array = outputs.logits.chunks_exact(classes).map(|logits| argmax(logits) as i32).collect();
        let probabilities = outputs.logits.chunks_exact(classes).flat_map(softmax).map(|p| p as f32).collect();
        let class = DictionaryArray::<Int32Type>::try_new(keys, bound.classes.clone())?;
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(class), list_column(probabilities, classes)?];
        if let Some(length) = bound.card.latent_size {
            arrays.push(list_column(outputs.latents, length)?);
        }
        let scored = with_columns(&batch, self.fields(&bound.card, &bound.digest).into_iter().zip(arrays))?;
        rejects.take(scored, &self.label, &bad)
    }

    fn provenance(&self) -> serde_json::Value {
        let (Some(bound), Some(loaded)) = (&self.bound, &self.loaded) else { return serde_json::Value::Null };
        json!({
            "model": self.settings.model,
            "sha256": bound.digest,
            "image": self.settings.image,
            "domain": bound.domain,
            "trained_on": bound.card.trained_on,
            "device": loaded.pool.taken.device,
            "why": loaded.pool.taken.why,
            "sessions": loaded.pool.sessions,
            "max_batch_size": loaded.batching.size(),
            "batches": loaded.batching.name(),
            "library": loaded.runtime.path,
            "onnxruntime": loaded.runtime.version,
            "build": loaded.runtime.build,
        })
    }

    fn preferred_batch_rows(&self) -> Option<usize> {
        let loaded = self.loaded.as_ref()?;
        (loaded.pool.taken.device == Device::Cuda).then(|| loaded.batching.size())
    }

    fn model(&self) -> Option<&dyn Model> {
        self.loaded.as_ref().map(|loaded| loaded as &dyn Model)
    }
}

/// The rows that cannot be scored, and why.
fn bad_rows<'a>(
    images: impl Iterator<Item = &'a [f32]>,
    outputs: &ModelOutputs,
    classes: usize,
    latent: Option<usize>,
) -> Vec<(usize, String)> {
    let reason = |row: usize, image: &[f32]| {
        if first_non_finite(image).is_some() {
            return Some("a pixel is not finite".to_owned());
        }
        let logits = &outputs.logits[row * classes..][..classes];
        if first_non_finite(logits).is_some() {
            return Some(format!("the model gave logits that are not finite: {logits:?}"));
        }
        let length = latent.unwrap_or(0);
        let place = first_non_finite(&outputs.latents[row * length..][..length])?;
        Some(format!("the model gave a latent vector that is not finite, at {place}"))
    };
    images.enumerate().filter_map(|(row, image)| Some((row, reason(row, image)?))).collect()
}
