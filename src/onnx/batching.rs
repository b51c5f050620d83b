//! How images are grouped into batches so that results are bitwise independent of batch composition.
//!
//! The runtime may select different kernels for different batch sizes, which sum in a different order. The model itself is
//! tested when it is loaded, and the least restrictive grouping that passes is used.

use super::{
    probe::{noise, probe_image},
    session::SessionPool,
};
use crate::{
    error::{Error, Result},
    stage::ModelOutputs,
};

/// How images are grouped into batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Batching {
    /// Batches of any size up to this one.
    Any(usize),
    /// Batches of exactly this size; the last is padded with zeros.
    Padded(usize),
}

/// The most pixels of a batch that a model may fix: 1 GiB of float32.
const MAX_FIXED_PIXELS: usize = 1 << 28;

impl Batching {
    /// The least restrictive grouping that is safe for a model: any size, else one size, else single images.
    pub(crate) fn choose(pool: &SessionPool, largest: usize) -> Result<Self> {
        let image_length = pool.image_length();
        let probe = probe_image(image_length);
        let candidates = match pool.fixed_batch {
            Some(size) if size.saturating_mul(image_length) > MAX_FIXED_PIXELS => {
                return Err(Error::data(format!(
                    "the model has a fixed batch of {size} images of {image_length} pixels, expected at most {MAX_FIXED_PIXELS} pixels in all: export it with a dynamic batch"
                )));
            }
            Some(size) => vec![Self::Padded(size)],
            None => vec![Self::Any(largest), Self::Padded(largest), Self::Padded(1)],
        };
        for batching in candidates {
            if batching.is_reproducible(image_length, &probe, |images, out| pool.run(images, out))? {
                return Ok(batching);
            }
        }
        Err(Error::environment("ONNX Runtime returns different logits for one image at different positions of a batch"))
    }

    /// Whether the outputs of the probe are bitwise equal alone and at several positions of batches of several sizes.
    fn is_reproducible(
        self,
        image_length: usize,
        probe: &[f32],
        mut model: impl FnMut(&[f32], &mut ModelOutputs) -> Result<()>,
    ) -> Result<bool> {
        let mut alone = ModelOutputs::default();
        self.infer(image_length, probe, &mut model, &mut alone)?;
        let (Self::Any(largest) | Self::Padded(largest)) = self;
        let mut sizes = vec![2, 3, 5, 8, largest.saturating_sub(1), largest];
        sizes.retain(|&size| (1..=largest).contains(&size));
        sizes.dedup();
        for size in sizes {
            let mut positions = vec![0, size / 2, size - 1];
            positions.dedup();
            for position in positions {
                // The other images differ from the probe and from each other.
                let mut batch: Vec<f32> = (0..size * image_length).map(|i| noise(i as u64 ^ 0xABCD)).collect();
                batch[position * image_length..][..image_length].copy_from_slice(probe);
                let mut out = ModelOutputs::default();
                self.infer(image_length, &batch, &mut model, &mut out)?;
                if !same(&alone.logits, &out.logits, position) || !same(&alone.latents, &out.latents, position) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Runs images through a model in such batches. Images are copied only where a batch is padded.
    pub(super) fn infer(
        self,
        image_length: usize,
        images: &[f32],
        mut model: impl FnMut(&[f32], &mut ModelOutputs) -> Result<()>,
        out: &mut ModelOutputs,
    ) -> Result<()> {
        let (Self::Any(size) | Self::Padded(size)) = self;
        for batch in images.chunks(size * image_length) {
            if self == Self::Any(size) || batch.len() == size * image_length {
                model(batch, out)?;
                continue;
            }
            let mut full = batch.to_vec();
            full.resize(size * image_length, 0.0);
            let mut padded = ModelOutputs::default();
            model(&full, &mut padded)?;
            let rows = batch.len() / image_length;
            out.logits.extend_from_slice(&padded.logits[..padded.logits.len() / size * rows]);
            out.latents.extend_from_slice(&padded.latents[..padded.latents.len() / size * rows]);
        }
        Ok(())
    }

    /// The name in the run record.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Any(_) => "any size",
            Self::Padded(1) => "one by one",
            Self::Padded(_) => "padded",
        }
    }

    /// The most images of a batch.
    pub(crate) const fn size(self) -> usize {
        let (Self::Any(size) | Self::Padded(size)) = self;
        size
    }
}

/// Whether the row at a position of a batch has the bits of the image alone.
fn same(alone: &[f32], batch: &[f32], position: usize) -> bool {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    batch.get(position * alone.len()..(position + 1) * alone.len()).is_some_and(|row| bits(row) == bits(alone))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE_LENGTH: usize = 3;

    /// A model of one logit, the sum of the image plus an error that depends on the batch.
    fn model(error: fn(size: usize, position: usize) -> f32) -> impl FnMut(&[f32], &mut ModelOutputs) -> Result<()> {
        move |images, out| {
            let size = images.len() / IMAGE_LENGTH;
            let rows = images.chunks(IMAGE_LENGTH).enumerate();
            out.logits.extend(rows.map(|(position, image)| image.iter().sum::<f32>() + error(size, position)));
            Ok(())
        }
    }

    fn is_reproducible(batching: Batching, error: fn(usize, usize) -> f32) -> bool {
        batching.is_reproducible(IMAGE_LENGTH, &probe_image(IMAGE_LENGTH), model(error)).expect("ran")
    }

    #[test]
    fn accepts_any_batch_size_for_a_model_that_ignores_the_batch() {
        assert!(is_reproducible(Batching::Any(32), |_, _| 0.0));
    }

    #[test]
    fn requires_padding_for_a_model_that_depends_on_the_batch_size() {
        let error = |size: usize, _: usize| if size == 32 { 0.0 } else { 1e-3 };
        assert!(!is_reproducible(Batching::Any(32), error));
        assert!(is_reproducible(Batching::Padded(32), error));
    }

    #[test]
    fn requires_single_images_for_a_model_that_depends_on_the_position() {
        let error = |_: usize, position: usize| if position == 31 { 1e-3 } else { 0.0 };
        assert!(!is_reproducible(Batching::Any(32), error));
        assert!(!is_reproducible(Batching::Padded(32), error));
        assert!(is_reproducible(Batching::Padded(1), error));
    }

    #[test]
    fn padding_adds_no_rows_to_the_output() {
        let images: Vec<f32> = (0..7 * IMAGE_LENGTH).map(|i| i as f32).collect();
        let mut sizes = Vec::new();
        let mut out = ModelOutputs::default();
        let mut sum = model(|_, _| 0.0);
        let counted = |images: &[f32], out: &mut ModelOutputs| {
            sizes.push(images.len() / IMAGE_LENGTH);
            sum(images, out)
        };
        Batching::Padded(4).infer(IMAGE_LENGTH, &images, counted, &mut out).expect("ran");
        assert_eq!(sizes, [4, 4]);
        assert_eq!(out.logits, [3.0, 12.0, 21.0, 30.0, 39.0, 48.0, 57.0]);
    }
}
