//! Scorers: models that score images, and the queries that monitors make to them.

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema},
};

use super::{ColumnRef, Rejects, RunContext};
use crate::{
    error::{Diagnostic, Result},
    stats::softmax::argmax,
};

/// Scores images with a model.
pub trait Scorer: Send + Sync {
    /// The columns it reads.
    fn required_columns(&self) -> Vec<ColumnRef>;

    /// The columns it adds, such as `<label>_class`, `<label>_probability` and `<label>_latent`.
    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>>;

    /// Loads the model and tests that an image gets the same answer in any batch.
    fn start(&mut self, run: &RunContext) -> Result<()>;

    /// The batch with the new columns appended, without the rows passed to `rejects`.
    fn score(&self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch>;

    /// What it runs on and with, for the run record: device, library version.
    fn provenance(&self) -> serde_json::Value;

    /// What a reader of the results has to know of the model, once it is started. Each is a finding of the run.
    fn findings(&self) -> Vec<String> {
        Vec::new()
    }

    /// The digest of the model, weights included: a run is resumed only with the model it began with. A run with a scorer that
    /// has none cannot be resumed.
    fn digest(&self) -> Option<String> {
        None
    }

    /// The batch size it works best with, once started, where it matters: a GPU wants many rows.
    fn preferred_batch_rows(&self) -> Option<usize> {
        None
    }

    /// The started model, for monitors that query it with images of their own.
    fn model(&self) -> Option<&dyn Model> {
        None
    }
}

/// A started model that can be queried with images that are not in the stream. Results are bitwise independent of batch
/// composition.
pub trait Model: Send + Sync {
    /// Scores images `[n, band, y, x]`.
    fn evaluate(&self, images: &[f32]) -> Result<ModelOutputs>;

    /// Scores variants of one image `[band, y, x]` that differ from it in a few pixels.
    fn pixel_evaluator<'a>(&'a self, image: &[f32]) -> Result<Box<dyn PixelEvaluator + 'a>>;

    /// Logits `[n, class]` of latents `[n, D]`.
    fn head(&self, latents: &[f32]) -> Result<Vec<f32>>;

    /// The head as logits = weights latent + bias, if the graph has that form.
    fn affine_head(&self) -> Option<&AffineHead>;

    /// How far the logit of the second of two classes has to be above that of the first for it to be the answer. Zero, unless the
    /// probability of a positive class is compared with a threshold other than one half.
    fn threshold_logit(&self) -> f32 {
        0.0
    }

    /// The class that logits `[class]` mean: that of the greatest one (the first of equals), or by the threshold.
    fn class_of(&self, logits: &[f32]) -> usize {
        match logits {
            [negative, positive] => usize::from(positive - negative > self.threshold_logit()),
            logits => argmax(logits),
        }
    }
}

/// Scores variants of one image that differ from it in a few pixels.
pub trait PixelEvaluator: Send {
    /// Appends the logits `[n, class]` of n candidates to `logits`. A candidate replaces `pixels` pixels of the image in all
    /// bands: `places` `[n, pixels]` are row * width + column, `values` `[n, pixels, band]` the new pixels. If a candidate names
    /// a place twice, the last value holds.
    fn logits(&mut self, pixels: usize, places: &[u32], values: &[f32], logits: &mut Vec<f32>) -> Result<()>;

    /// Whether only what a pixel changes is computed, instead of whole images.
    fn is_incremental(&self) -> bool;

    /// How many candidates to pass at once: enough to fill a batch, few enough to notice a stop within a second.
    fn preferred_candidates(&self) -> usize;
}

/// Logits and latents of some images, row after row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ModelOutputs {
    /// Logits, `[n, class]`, or the numbers of another head; empty if the model has none.
    pub logits: Vec<f32>,
    /// Latent vectors, `[n, D]`; empty if the model has none.
    pub latents: Vec<f32>,
    /// Probabilities as the model gives them, of each class or of the positive one; empty where they are those of the logits in
    /// single precision.
    pub probabilities: Vec<f32>,
}

/// An affine map from latents to logits.
#[derive(Debug, Clone, PartialEq)]
pub struct AffineHead {
    /// `[class, D]`.
    pub weights: Vec<f32>,
    /// `[class]`.
    pub bias: Vec<f32>,
}
