//! Images around one: by the patches of layers that change, or made whole for the runtime where a pixel changes all.

use super::incremental::{Base, Incremental, Scratch};
use crate::{
    error::Result,
    stage::{Model, PixelEvaluator},
};

/// Candidates that are asked about at once, where a batch is not larger: half a second of a ResNet18 on a CPU.
const AT_ONCE: usize = 64;

/// Candidates as whole images, a batch at a time.
pub(super) struct WholeImages<'a> {
    model: &'a dyn Model,
    image: Vec<f32>,
    batch: usize,
    images: Vec<f32>,
}

impl<'a> WholeImages<'a> {
    /// The images around one `[band, y, x]`; so many are made at once.
    pub(super) fn new(model: &'a dyn Model, image: &[f32], batch: usize) -> Self {
        Self { model, image: image.to_vec(), batch: batch.max(1), images: Vec::new() }
    }
}

impl PixelEvaluator for WholeImages<'_> {
    fn logits(&mut self, pixels: usize, places: &[u32], values: &[f32], logits: &mut Vec<f32>) -> Result<()> {
        let Some(bands) = values.len().checked_div(places.len()) else { return Ok(()) };
        let plane = self.image.len() / bands;
        let batches = places.chunks(pixels * self.batch).zip(values.chunks(pixels * bands * self.batch));
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
        AT_ONCE.next_multiple_of(self.batch)
    }
}

/// Candidates by what changes in every layer.
pub(super) struct Patches<'a> {
    incremental: &'a Incremental,
    base: Base,
    scratch: Scratch,
}

impl<'a> Patches<'a> {
    /// The images around one `[band, y, x]`.
    pub(super) fn new(incremental: &'a Incremental, image: &[f32]) -> Self {
        Self { incremental, base: incremental.base(image), scratch: incremental.scratch() }
    }
}

impl PixelEvaluator for Patches<'_> {
    fn logits(&mut self, pixels: usize, places: &[u32], values: &[f32], logits: &mut Vec<f32>) -> Result<()> {
        self.incremental.logits(&self.base, &mut self.scratch, places, values, pixels, logits);
        Ok(())
    }

    fn is_incremental(&self) -> bool {
        true
    }

    fn preferred_candidates(&self) -> usize {
        AT_ONCE
    }
}
