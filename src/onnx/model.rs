//! A model loaded into ONNX Runtime, and the faster paths that its graph allows.
//!
//! The graph is read only when a monitor queries the head or scores variants of an image; a run that only scores rows does not
//! read it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use ort::{session::Session, value::TensorRef};
use prost::bytes::Bytes;

use super::{
    batching::{BatchTrial, Batching, difference_at},
    external,
    graph::{Adapter, HEAD_INPUT, ModelGraph, cut_head},
    incremental::{Agreement, IncrementalModel, affine_head},
    pixel_patch::{IncrementalEvaluator, WholeImageEvaluator},
    provider::Provider,
    runtime::{self, Runtime},
    session::{ModelSource, PoolUse, SessionPool, failed, reason},
    signature::ModelSignature,
};
use crate::{
    error::{Error, Result},
    stage::{AffineHead, Model, ModelOutputs, PixelEvaluator},
};

/// A model that is ready to score images.
pub(crate) struct LoadedModel {
    path: PathBuf,
    adapter: Adapter,
    signature: ModelSignature,
    /// The library that runs it.
    pub(crate) runtime: &'static Runtime,
    /// Its sessions.
    pub(crate) pool: SessionPool,
    /// How images are grouped into batches.
    pub(crate) trial: BatchTrial,
    threshold_logit: f32,
    incremental: OnceLock<Result<Option<IncrementalModel>, Arc<Error>>>,
    head: OnceLock<Result<ModelHead, String>>,
}

/// How to load a model.
pub(crate) struct LoadOptions {
    /// The providers to try, in order.
    pub(crate) providers: Vec<&'static Provider>,
    /// How many workers share the model.
    pub(crate) workers: usize,
    /// The most images of a batch, if not the default of the provider.
    pub(crate) max_batch_size: Option<usize>,
    /// The probability of the second of two classes above which it is the answer.
    pub(crate) threshold: f64,
    /// Whether to count where the nodes of the graph run.
    pub(crate) count_nodes: bool,
}

/// The map from latent vectors to logits.
enum ModelHead {
    Affine(AffineHead),
    /// Any other graph, as a separate model.
    Session(Mutex<Session>),
}

impl LoadedModel {
    /// Loads a model and tests that its results are bitwise independent of batch composition.
    pub(crate) fn load(path: &Path, adapter: Adapter, options: &LoadOptions) -> Result<Self> {
        let runtime = runtime::runtime()?;
        let signature = adapter.signature();
        let adapted = adapted(path, &adapter).map_err(|reason| unusable(path, reason))?;
        let source = ModelSource { path, adapted: adapted.as_deref() };
        let pool_use = PoolUse { workers: options.workers, count_nodes: options.count_nodes };
        let pool = SessionPool::load(runtime, &source, &signature, &options.providers, pool_use)?;
        let largest = options.max_batch_size.unwrap_or(pool.provider.batch_rows).max(1);
        let trial = Batching::choose(&pool, largest)?;
        let (incremental, head) = (OnceLock::new(), OnceLock::new());
        let threshold_logit = (options.threshold / (1.0 - options.threshold)).ln() as f32;
        let path = path.to_owned();
        Ok(Self { path, adapter, signature, runtime, pool, trial, threshold_logit, incremental, head })
    }

    /// The answers to some rows; `rows` makes them from the length of a row.
    pub(crate) fn answers(&self, rows: impl FnOnce(usize) -> Vec<f32>) -> Result<ModelOutputs> {
        self.evaluate(&rows(self.signature.row_length()))
    }

    /// Scores one row alone as well as `scored` has it, and compares: the trial at the start saw seeded rows only. Returns the
    /// largest difference, unless all bits are equal.
    pub(crate) fn compare_alone(&self, row: usize, numbers: &[f32], scored: &ModelOutputs) -> Result<Option<f32>> {
        let length = self.signature.row_length();
        if self.trial.batching.size() == 1 || numbers.len() <= length {
            return Ok(None);
        }
        Ok(difference_at(row, &self.evaluate(&numbers[row * length..][..length])?, scored))
    }

    /// The incremental form of the model, if it pays and agrees with ONNX Runtime.
    fn incremental_form(&self) -> Result<Option<IncrementalModel>> {
        let model = self.path.display();
        let fall_back = |reason: String| {
            tracing::info!(%model, reason, "candidates are scored as complete images by ONNX Runtime");
            Ok(None)
        };
        let graph = self.file().and_then(ModelGraph::read);
        let incremental = match graph.and_then(|graph| IncrementalModel::of(&graph, &self.signature)) {
            Ok(incremental) => incremental,
            Err(reason) => return fall_back(reason),
        };
        let work = incremental.work;
        if !work.pays() {
            return fall_back(format!("a pixel changes {} of {} multiply-adds", work.pixel, work.image));
        }
        if let Agreement::Differs(reason) = incremental.compare(|images| self.evaluate(images))? {
            return fall_back(reason);
        }
        let (pixel, image) = (work.pixel, work.image);
        tracing::info!(%model, pixel, image, "candidates are scored by the multiply-adds that change");
        Ok(Some(incremental))
    }

    fn find_head(&self) -> Result<ModelHead, String> {
        let logits = self.signature.logits.as_ref().ok_or("the model has no logits")?;
        let file = self.file()?;
        let graph = ModelGraph::read(file.clone())?;
        let start = self.adapter.head_start(&graph).ok_or("the model has no latent vector")?;
        if self.signature.of_probabilities.is_none()
            && let Ok(affine) = affine_head(&graph, &start, logits)
        {
            return Ok(ModelHead::Affine(affine));
        }
        let head = cut_head(file, &start, logits)?;
        let session = Session::builder(&self.runtime.environment)
            .and_then(|builder| builder.with_intra_threads(1)?.commit_from_memory(&head));
        Ok(ModelHead::Session(Mutex::new(session.map_err(|error| reason(&error))?)))
    }

    fn model_head(&self) -> Result<&ModelHead> {
        let head = self.head.get_or_init(|| self.find_head()).as_ref();
        head.map_err(|reason| {
            Error::data(format!("the head of `{}` cannot be used", self.path.display())).caused_by(reason.clone())
        })
    }

    /// The bytes of the model as it runs, with all numbers inside.
    fn file(&self) -> Result<Bytes, String> {
        match adapted(&self.path, &self.adapter)? {
            Some(adapted) => Ok(adapted),
            None => inlined(&self.path),
        }
    }
}

/// The bytes of a model after it was adapted, with all numbers inside; `None` if it runs as it is.
fn adapted(path: &Path, adapter: &Adapter) -> Result<Option<Bytes>, String> {
    if adapter.is_plain() {
        return Ok(None);
    }
    adapter.adapt(inlined(path)?).map(Some)
}

fn inlined(path: &Path) -> Result<Bytes, String> {
    let file = fs::read(path).map_err(|error| error.to_string())?;
    external::inlined(path, file.into())
}

fn unusable(path: &Path, reason: String) -> Error {
    Error::data(format!("cannot use the model `{}`", path.display())).caused_by(reason)
}

impl Model for LoadedModel {
    fn evaluate(&self, images: &[f32]) -> Result<ModelOutputs> {
        let mut outputs = ModelOutputs::default();
        let run = |images: &[f32], outputs: &mut ModelOutputs| self.pool.run(images, outputs);
        self.trial.batching.infer(self.signature.row_length(), images, run, &mut outputs)?;
        Ok(outputs)
    }

    fn pixel_evaluator<'a>(&'a self, image: &[f32]) -> Result<Box<dyn PixelEvaluator + 'a>> {
        match self.incremental.get_or_init(|| self.incremental_form().map_err(Arc::new)) {
            Ok(Some(incremental)) => Ok(Box::new(IncrementalEvaluator::new(incremental, image))),
            Ok(None) => Ok(Box::new(WholeImageEvaluator::new(self, image, self.trial.batching.size()))),
            Err(error) => {
                let message = format!("cannot prepare `{}` for variants of an image", self.path.display());
                Err(Error::environment(message).caused_by(error.clone()))
            }
        }
    }

    fn head(&self, latents: &[f32]) -> Result<Vec<f32>> {
        let head = self.model_head()?;
        let length = self.signature.latent.as_ref().ok_or_else(no_latent)?.length;
        let logits = self.signature.logits.as_ref().ok_or_else(no_latent)?;
        match head {
            ModelHead::Affine(head) => Ok(apply(head, latents, length)),
            ModelHead::Session(session) => {
                let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
                let input = TensorRef::from_array_view(([latents.len() / length, length], latents)).map_err(failed)?;
                let outputs = session.run(ort::inputs![HEAD_INPUT => input]).map_err(failed)?;
                let missing = || Error::bug("the head returned no logits");
                let logits = outputs.get(&logits.name).ok_or_else(missing)?;
                let numbers = logits.try_extract_tensor::<f32>().map_err(failed)?.1;
                Ok(self.signature.of_probabilities.map_or_else(|| numbers.to_vec(), |kind| kind.logits(numbers)))
            }
        }
    }

    fn affine_head(&self) -> Option<&AffineHead> {
        match self.model_head() {
            Ok(ModelHead::Affine(head)) => Some(head),
            _ => None,
        }
    }

    fn threshold_logit(&self) -> f32 {
        self.threshold_logit
    }
}

fn no_latent() -> Error {
    Error::bug("a model without a latent vector has a head")
}

/// Logits of latents `[n, length]`, summed in double precision.
fn apply(AffineHead { weights, bias }: &AffineHead, latents: &[f32], length: usize) -> Vec<f32> {
    let dot = |w: &[f32], z: &[f32]| w.iter().zip(z).map(|(w, z)| f64::from(*w) * f64::from(*z)).sum::<f64>();
    let logits = latents
        .chunks_exact(length)
        .flat_map(|z| weights.chunks_exact(length).zip(bias).map(move |(w, b)| (dot(w, z) + f64::from(*b)) as f32));
    logits.collect()
}
