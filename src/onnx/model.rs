//! A loaded model, and the quick ways that its graph allows.
//!
//! The graph is read only when somebody asks for images around one, or for the head: a run that scores rows alone does not
//! pay for it.

use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, OnceLock, PoisonError},
};

use ort::{session::Session, value::TensorRef};

use super::{
    around::{Patches, WholeImages},
    batching::Batching,
    graph::Graph,
    incremental::{Incremental, affine_head},
    library::Runtime,
    session::{Pool, failed},
};
use crate::{
    card::Card,
    error::{Error, Result},
    stage::{AffineHead, Model, ModelOutputs, PixelEvaluator},
};

/// A model that answers.
pub(super) struct Loaded {
    pub(super) pool: Pool,
    pub(super) batching: Batching,
    pub(super) runtime: &'static Runtime,
    pub(super) model: PathBuf,
    pub(super) card: Card,
    pub(super) incremental: OnceLock<Result<Option<Incremental>, String>>,
    pub(super) head: OnceLock<Result<Head, String>>,
}

/// From the latent vector to the logits.
pub(super) enum Head {
    Affine(AffineHead),
    /// Whatever it is, as a model of its own.
    Graph(Mutex<Session>),
}

impl Loaded {
    pub(super) fn new(runtime: &'static Runtime, model: PathBuf, card: Card, pool: Pool, batching: Batching) -> Self {
        Self { pool, batching, runtime, model, card, incremental: OnceLock::new(), head: OnceLock::new() }
    }

    /// The layers for images that differ in few pixels, where they are worth it and say what the runtime says.
    fn lay_out(&self) -> Result<Option<Incremental>> {
        let whole = |why: String| {
            tracing::info!(model = %self.model.display(), why, "candidates are scored as whole images by ONNX Runtime");
            Ok(None)
        };
        let incremental = self.bytes().and_then(|bytes| Graph::read(&bytes));
        let incremental = match incremental.and_then(|graph| Incremental::of(&graph, &self.card)) {
            Ok(incremental) => incremental,
            Err(why) => return whole(why),
        };
        let (most, all) = incremental.work();
        if !incremental.is_worth_it() {
            return whole(format!("a pixel changes {most} of {all} multiply-adds"));
        }
        if let Err(why) = incremental.trial(|images| self.evaluate(images))? {
            return whole(why);
        }
        tracing::info!(model = %self.model.display(), most, all, "candidates are scored by the multiply-adds that change");
        Ok(Some(incremental))
    }

    fn find_head(&self) -> Result<Head, String> {
        let Card { latent, latent_size, logits, classes, .. } = &self.card;
        let (Some(latent), Some(length)) = (latent, latent_size) else {
            return Err("the model has no latent vector".into());
        };
        let bytes = self.bytes()?;
        let affine = Graph::read(&bytes).and_then(|graph| affine_head(&graph, latent, *length, logits));
        if let Ok(affine) = affine {
            return Ok(Head::Affine(affine));
        }
        let cut = Graph::head(&bytes, (latent, *length), (logits, classes.len()))?;
        let session = Session::builder(&self.runtime.environment)
            .and_then(|builder| builder.with_intra_threads(1)?.commit_from_memory(&cut));
        Ok(Head::Graph(Mutex::new(session.map_err(|error| error.message().to_owned())?)))
    }

    fn head_of_model(&self) -> Result<&Head> {
        let head = self.head.get_or_init(|| self.find_head()).as_ref();
        head.map_err(|why| Error::data(format!("the head of `{}` cannot be used: {why}", self.model.display())))
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        fs::read(&self.model).map_err(|error| error.to_string())
    }
}

impl Model for Loaded {
    fn evaluate(&self, images: &[f32]) -> Result<ModelOutputs> {
        let mut out = ModelOutputs::default();
        self.batching.infer(self.pool.pixels(), images, |pixels, out| self.pool.run(pixels, out), &mut out)?;
        Ok(out)
    }

    fn pixel_evaluator<'a>(&'a self, image: &[f32]) -> Result<Box<dyn PixelEvaluator + 'a>> {
        let incremental = self.incremental.get_or_init(|| self.lay_out().map_err(|error| error.to_string()));
        Ok(match incremental {
            Ok(Some(incremental)) => Box::new(Patches::new(incremental, image)),
            Ok(None) => Box::new(WholeImages::new(self, image, self.batching.size())),
            Err(why) => return Err(Error::environment(why.clone())),
        })
    }

    fn head(&self, latents: &[f32]) -> Result<Vec<f32>> {
        let length = self.card.latent_size.unwrap_or(1);
        match self.head_of_model()? {
            Head::Affine(AffineHead { weights, bias }) => {
                let dot =
                    |w: &[f32], z: &[f32]| w.iter().zip(z).map(|(w, z)| f64::from(*w) * f64::from(*z)).sum::<f64>();
                let rows = latents.chunks_exact(length);
                let logits = rows.flat_map(|z| {
                    weights.chunks_exact(length).zip(bias).map(move |(w, b)| (dot(w, z) + f64::from(*b)) as f32)
                });
                Ok(logits.collect())
            }
            Head::Graph(session) => {
                let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
                let name = self.card.latent.as_deref().unwrap_or_default();
                let input = TensorRef::from_array_view(([latents.len() / length, length], latents)).map_err(failed)?;
                let outputs = session.run(ort::inputs![name => input]).map_err(failed)?;
                let missing = || Error::bug("the head gave no logits");
                let logits = outputs.get(&self.card.logits).ok_or_else(missing)?;
                Ok(logits.try_extract_tensor::<f32>().map_err(failed)?.1.to_vec())
            }
        }
    }

    fn affine_head(&self) -> Option<&AffineHead> {
        match self.head_of_model() {
            Ok(Head::Affine(head)) => Some(head),
            _ => None,
        }
    }
}
