//! How images are put into batches, so that an image gets the same bits whatever shares its batch.
//!
//! The runtime may choose other kernels for other batch sizes, and sum in another order. Whether it does is tried at
//! the start with the model itself, and the freest way that gave the same bits everywhere is taken.

use super::session::Pool;
use crate::{
    error::{Error, Result},
    stage::ModelOutputs,
};

/// The way that images are put into batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Batching {
    /// Batches of any size up to this one.
    Any(usize),
    /// Batches of this size, the last filled up with zeros.
    Padded(usize),
}

impl Batching {
    /// The freest way that is safe for a model: any size, else one size, else one by one.
    pub(super) fn choose(pool: &Pool, largest: usize) -> Result<Self> {
        let probe = probe(pool.pixels());
        let ways = match pool.fixed_batch {
            Some(size) => vec![Self::Padded(size)],
            None => vec![Self::Any(largest), Self::Padded(largest), Self::Padded(1)],
        };
        for way in ways {
            if way.is_steady(pool.pixels(), &probe, |pixels, out| pool.run(pixels, out))? {
                return Ok(way);
            }
        }
        Err(Error::environment("the runtime gives one image different logits at different places of a batch"))
    }

    /// Whether an image gets the same bits alone, and in batches of several sizes at several places.
    fn is_steady(
        self,
        pixels: usize,
        probe: &[f32],
        mut model: impl FnMut(&[f32], &mut ModelOutputs) -> Result<()>,
    ) -> Result<bool> {
        let mut alone = ModelOutputs::default();
        self.infer(pixels, probe, &mut model, &mut alone)?;
        let (Self::Any(largest) | Self::Padded(largest)) = self;
        let mut sizes = vec![2, 3, 5, 8, largest.saturating_sub(1), largest];
        sizes.retain(|&size| (1..=largest).contains(&size));
        sizes.dedup();
        for size in sizes {
            let mut places = vec![0, size / 2, size - 1];
            places.dedup();
            for place in places {
                // The other images differ from the probe and from each other.
                let mut batch: Vec<f32> = (0..size * pixels).map(|i| noise(i as u64 ^ 0xABCD)).collect();
                batch[place * pixels..][..pixels].copy_from_slice(probe);
                let mut out = ModelOutputs::default();
                self.infer(pixels, &batch, &mut model, &mut out)?;
                if !same(&alone.logits, &out.logits, place) || !same(&alone.latents, &out.latents, place) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Runs images through a model in batches of this way. Pixels are copied only to fill a batch up.
    pub(super) fn infer(
        self,
        pixels: usize,
        images: &[f32],
        mut model: impl FnMut(&[f32], &mut ModelOutputs) -> Result<()>,
        out: &mut ModelOutputs,
    ) -> Result<()> {
        let (Self::Any(size) | Self::Padded(size)) = self;
        for batch in images.chunks(size * pixels) {
            if self == Self::Any(size) || batch.len() == size * pixels {
                model(batch, out)?;
                continue;
            }
            let mut full = batch.to_vec();
            full.resize(size * pixels, 0.0);
            let mut padded = ModelOutputs::default();
            model(&full, &mut padded)?;
            let rows = batch.len() / pixels;
            out.logits.extend_from_slice(&padded.logits[..padded.logits.len() / size * rows]);
            out.latents.extend_from_slice(&padded.latents[..padded.latents.len() / size * rows]);
        }
        Ok(())
    }

    /// The name in the run record.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Any(_) => "any size",
            Self::Padded(1) => "one by one",
            Self::Padded(_) => "padded",
        }
    }

    /// The most images of a batch.
    pub(super) const fn size(self) -> usize {
        let (Self::Any(size) | Self::Padded(size)) = self;
        size
    }
}

fn same(alone: &[f32], batch: &[f32], place: usize) -> bool {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    batch.get(place * alone.len()..(place + 1) * alone.len()).is_some_and(|found| bits(found) == bits(alone))
}

/// An image like a stretched one: around 0.5, most pixels near it.
fn probe(pixels: usize) -> Vec<f32> {
    (0..pixels).map(|i| noise(i as u64)).collect()
}

/// A number of [0, 1) from a counter: the finaliser of SplitMix64 (Steele, Lea, Flood 2014), cubed around one half.
pub(super) fn noise(counter: u64) -> f32 {
    let mut z = counter.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let uniform = ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32;
    0.5 + 4.0 * (uniform - 0.5).powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIXELS: usize = 3;

    /// A model of one logit, the sum of an image, with a fault: what it adds depends on the batch.
    fn model(fault: fn(size: usize, place: usize) -> f32) -> impl FnMut(&[f32], &mut ModelOutputs) -> Result<()> {
        move |pixels, out| {
            let size = pixels.len() / PIXELS;
            let sums = pixels.chunks(PIXELS).enumerate();
            out.logits.extend(sums.map(|(place, image)| image.iter().sum::<f32>() + fault(size, place)));
            Ok(())
        }
    }

    fn steady(way: Batching, fault: fn(usize, usize) -> f32) -> bool {
        way.is_steady(PIXELS, &probe(PIXELS), model(fault)).expect("ran")
    }

    #[test]
    fn a_model_without_fault_takes_batches_of_any_size() {
        assert!(steady(Batching::Any(32), |_, _| 0.0));
    }

    #[test]
    fn a_model_that_minds_the_size_of_its_batch_is_steady_only_when_padded() {
        let fault = |size: usize, _: usize| if size == 32 { 0.0 } else { 1e-3 };
        assert!(!steady(Batching::Any(32), fault));
        assert!(steady(Batching::Padded(32), fault));
    }

    #[test]
    fn a_model_that_minds_the_place_is_steady_only_one_by_one() {
        let fault = |_: usize, place: usize| if place == 31 { 1e-3 } else { 0.0 };
        assert!(!steady(Batching::Any(32), fault));
        assert!(!steady(Batching::Padded(32), fault));
        assert!(steady(Batching::Padded(1), fault));
    }

    #[test]
    fn padding_gives_every_image_one_row_and_no_more() {
        let images: Vec<f32> = (0..7 * PIXELS).map(|i| i as f32).collect();
        let mut sizes = Vec::new();
        let mut out = ModelOutputs::default();
        let mut sum = model(|_, _| 0.0);
        let counted = |pixels: &[f32], out: &mut ModelOutputs| {
            sizes.push(pixels.len() / PIXELS);
            sum(pixels, out)
        };
        Batching::Padded(4).infer(PIXELS, &images, counted, &mut out).expect("ran");
        assert_eq!(sizes, [4, 4]);
        assert_eq!(out.logits, [3.0, 12.0, 21.0, 30.0, 39.0, 48.0, 57.0]);
    }
}
