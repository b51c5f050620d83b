//! Scores candidates, that is, variants of one image that differ from it in a few pixels: by the patches of layers that they
//! change, or as complete images where a pixel changes most of the network.

use super::incremental::{BaseImage, CandidateScratch, Candidates, IncrementalModel};
use crate::{
    error::Result,
    stage::{Model, PixelEvaluator},
};

/// How many candidates to pass at once, unless a batch is larger: half a second of a ResNet18 on a CPU.
const PREFERRED_CANDIDATES: usize = 64;

/// Scores candidates as complete images, a batch at a time.
pub(super) struct WholeImageEvaluator<'a> {
    model: &'a dyn Model,
    image: Vec<f32>,
    batch_rows: usize,
    images: Vec<f32>,
}

impl<'a> WholeImageEvaluator<'a> {
    /// For variants of one image `[band, y, x]`; `batch_rows` of them are in memory at once.
    pub(super) fn new(model: &'a dyn Model, image: &[f32], batch_rows: usize) -> Self {
        Self { model, image: image.to_vec(), batch_rows: batch_rows.max(1), images: Vec::new() }
    }
}

impl PixelEvaluator for WholeImageEvaluator<'_> {
    fn logits(&mut self, pixels: usize, places: &[u32], values: &[f32], logits: &mut Vec<f32>) -> Result<()> {
        let Some(bands) = values.len().checked_div(places.len()) else { return Ok(()) };
        let plane = self.image.len() / bands;
        let batches = places.chunks(pixels * self.batch_rows).zip(values.chunks(pixels * bands * self.batch_rows));
        for (places, values) in batches {
            self.images.clear();
            for (places, values) in places.chunks(pixels).zip(values.chunks(pixels * bands)) {
                let start = self.images.len();
                self.images.extend_from_slice(&self.image);
                for (place, values) in places.iter().zip(values.chunks(bands)) {
                    for (band, value) in values.iter().enumerate() {
                        self.images[start + band * plane + *place as usize] = *value;
                    }
                }
            }
            logits.extend(self.model.evaluate(&self.images)?.logits);
        }
        Ok(())
    }

    fn is_incremental(&self) -> bool {
        false
    }

    fn preferred_candidates(&self) -> usize {
        PREFERRED_CANDIDATES.next_multiple_of(self.batch_rows)
    }
}

/// Scores candidates by what they change in every layer.
pub(super) struct IncrementalEvaluator<'a> {
    model: &'a IncrementalModel,
    base: BaseImage,
    scratch: CandidateScratch,
}

impl<'a> IncrementalEvaluator<'a> {
    /// For variants of one image `[band, y, x]`.
    pub(super) fn new(model: &'a IncrementalModel, image: &[f32]) -> Self {
        Self { model, base: model.base_image(image), scratch: model.scratch() }
    }
}

impl PixelEvaluator for IncrementalEvaluator<'_> {
    fn logits(&mut self, pixels: usize, places: &[u32], values: &[f32], logits: &mut Vec<f32>) -> Result<()> {
        let candidates = Candidates { pixels, places, values };
        self.model.append_logits(&self.base, candidates, &mut self.scratch, logits);
        Ok(())
    }

    fn is_incremental(&self) -> bool {
        true
    }

    fn preferred_candidates(&self) -> usize {
        PREFERRED_CANDIDATES
    }
}
