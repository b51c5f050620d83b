//! How images are grouped into batches so that results are bitwise independent of batch composition.
//!
//! The runtime may select different kernels for different batch sizes, which sum in a different order. The model itself is
//! tested when it is loaded, and the least restrictive grouping that passes is used.

use super::{
    probe::{noise, probe_image},
    session::{RunBatch, SessionPool},
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

/// A grouping of batches, and how it was found.
#[derive(Debug, Clone)]
pub(crate) struct BatchTrial {
    pub(crate) batching: Batching,
    /// Why less restrictive groupings are not used, for the log and the run record.
    pub(crate) passed_over: Vec<String>,
    /// The largest difference of an output, where the answer to an image depends on the images beside it by more than rounding.
    pub(crate) dependence: Option<f32>,
}

/// How much the outputs of one image differ between batches.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Steadiness {
    /// Not at all: all bits are equal.
    Same,
    /// By rounding.
    Rounded(f32),
    /// By more than rounding.
    Depends(f32),
}

/// The largest difference that another order of sums explains, in units of the largest output or 1.
pub(crate) const ROUNDING: f32 = 1e-4;

/// How many rows of a trial batch are run alone too.
const COMPARED_ROWS: usize = 8;

impl Batching {
    /// The least restrictive grouping that is safe for a model: any size, else one size, else single images.
    ///
    /// # Errors
    /// When the model answers one image in two ways, and when no grouping can be used.
    pub(crate) fn choose(pool: &SessionPool, largest: usize) -> Result<BatchTrial> {
        let row_length = pool.row_length();
        let candidates = match pool.fixed_batch {
            Some(size) if size.saturating_mul(row_length) > MAX_FIXED_PIXELS => {
                return Err(Error::data(format!(
                    "the model has a fixed batch of {size} images of {row_length} pixels, expected at most {MAX_FIXED_PIXELS} pixels in all: export it with a dynamic batch"
                )));
            }
            Some(size) => vec![Self::Padded(size)],
            None if largest == 1 => vec![Self::Any(1)],
            None => vec![Self::Any(largest), Self::Padded(largest), Self::Padded(1)],
        };
        let mut trial = None;
        pool.with_each_session(|model| {
            if trial.is_none() {
                trial = Some(Self::first_that_passes(&candidates, row_length, model)?);
            }
            let batching = trial.as_ref().map_or(Self::Any(1), |trial| trial.batching);
            batching.check_repeatable(row_length, model)
        })?;
        trial.ok_or_else(|| Error::bug("a pool without sessions"))
    }

    fn first_that_passes(candidates: &[Self], row_length: usize, model: &mut RunBatch) -> Result<BatchTrial> {
        let mut passed_over = Vec::new();
        let mut dependence = None;
        for (i, batching) in candidates.iter().enumerate() {
            let name = batching.description();
            match batching.steadiness(row_length, model) {
                Ok(Steadiness::Same) => return Ok(BatchTrial { batching: *batching, passed_over, dependence }),
                Ok(Steadiness::Rounded(by)) => passed_over.push(format!("{name}: outputs differ by {by:.2e}")),
                Ok(Steadiness::Depends(by)) => {
                    dependence = Some(by);
                    passed_over.push(format!("{name}: outputs depend on the other images, by up to {by:.2e}"));
                }
                // A graph may accept single images only, whatever it declares.
                Err(error) if i + 1 < candidates.len() => passed_over.push(format!("{name}: {}", error.report())),
                Err(error) => return Err(error),
            }
        }
        let tried = passed_over.join("; ");
        Err(Error::data(format!(
            "the model gives one image different outputs at different positions of a batch: export it in evaluation mode, with a \
             dynamic batch (tried: {tried})"
        )))
    }

    /// Fails when a session answers the same batch in two ways.
    fn check_repeatable(self, row_length: usize, model: &mut RunBatch) -> Result<()> {
        let probe = probe_image(row_length);
        let mut answers = [ModelOutputs::default(), ModelOutputs::default()];
        for answer in &mut answers {
            self.infer(row_length, &probe, &mut *model, answer)?;
        }
        let [first, second] = &answers;
        match difference_at(0, first, second) {
            Some(by) => Err(Error::data(format!(
                "the model gives one image other outputs when it is run again, by up to {by:.2e}: it draws random numbers; export it in \
                 evaluation mode"
            ))),
            None => Ok(()),
        }
    }

    /// Compares the outputs of the probe alone and at several positions of batches of several sizes.
    fn steadiness(self, row_length: usize, model: &mut RunBatch) -> Result<Steadiness> {
        let probe = probe_image(row_length);
        let mut alone = ModelOutputs::default();
        self.infer(row_length, &probe, &mut *model, &mut alone)?;
        let (Self::Any(largest) | Self::Padded(largest)) = self;
        let mut sizes = vec![2, 3, 5, 8, largest.saturating_sub(1), largest];
        sizes.retain(|&size| (1..=largest).contains(&size));
        sizes.dedup();
        let mut largest_difference = None;
        let mut compare = |size: usize, position: usize, others: Companions| {
            let mut batch: Vec<f32> = (0..size * row_length).map(|i| others.number(i)).collect();
            batch[position * row_length..][..row_length].copy_from_slice(&probe);
            let mut out = ModelOutputs::default();
            self.infer(row_length, &batch, &mut *model, &mut out)?;
            largest_difference = larger(largest_difference, difference_at(position, &alone, &out));
            Ok::<_, Error>(())
        };
        for size in sizes {
            let mut positions = vec![0, size / 2, size - 1];
            positions.dedup();
            for position in positions {
                compare(size, position, Companions::Noise)?;
            }
        }
        for others in [
            Companions::Constant(0.0),
            Companions::Constant(1.0),
            Companions::Constant(-1e3),
            Companions::Constant(1e6),
        ] {
            compare(largest, 0, others)?;
        }
        // Each row of a batch of noise beside itself alone: of some operators only some numbers are rounded in another way.
        let batch: Vec<f32> = (0..largest * row_length).map(|i| Companions::Noise.number(i)).collect();
        let mut together = ModelOutputs::default();
        self.infer(row_length, &batch, &mut *model, &mut together)?;
        for (row, image) in batch.chunks_exact(row_length).enumerate().take(COMPARED_ROWS) {
            let mut alone = ModelOutputs::default();
            self.infer(row_length, image, &mut *model, &mut alone)?;
            largest_difference = larger(largest_difference, difference_at(row, &alone, &together));
        }
        Ok(match largest_difference {
            None => Steadiness::Same,
            Some(by) if by <= ROUNDING => Steadiness::Rounded(by),
            Some(by) => Steadiness::Depends(by),
        })
    }

    /// Runs rows through a model in such batches. They are copied only where a batch is padded.
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
            out.probabilities.extend_from_slice(&padded.probabilities[..padded.probabilities.len() / size * rows]);
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

    fn description(self) -> String {
        match self {
            Self::Any(size) => format!("batches of any size up to {size}"),
            Self::Padded(1) => "single images".into(),
            Self::Padded(size) => format!("batches of {size}"),
        }
    }

    /// The most images of a batch.
    pub(crate) const fn size(self) -> usize {
        let (Self::Any(size) | Self::Padded(size)) = self;
        size
    }
}

/// The other images of a trial batch.
#[derive(Debug, Clone, Copy)]
enum Companions {
    /// They differ from the probe and from each other.
    Noise,
    /// All pixels have one value, far from those of the probe: what depends on the batch shows.
    Constant(f32),
}

impl Companions {
    fn number(self, i: usize) -> f32 {
        match self {
            Self::Noise => noise(i as u64 ^ 0xABCD),
            Self::Constant(value) => value,
        }
    }
}

/// The largest difference between the outputs of one image alone and those of a row of a batch, unless all bits are equal.
pub(super) fn difference_at(row: usize, alone: &ModelOutputs, batch: &ModelOutputs) -> Option<f32> {
    let of = |alone: &[f32], batch: &[f32]| match batch.get(row * alone.len()..(row + 1) * alone.len()) {
        Some(of_row) => difference(alone, of_row),
        None => Some(f32::INFINITY),
    };
    larger(of(&alone.logits, &batch.logits), of(&alone.latents, &batch.latents))
}

fn larger(a: Option<f32>, b: Option<f32>) -> Option<f32> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

/// The largest difference in units of the largest number or 1, unless all bits are equal.
fn difference(a: &[f32], b: &[f32]) -> Option<f32> {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    if bits(a) == bits(b) {
        return None;
    }
    let largest =
        a.iter().chain(b).filter(|value| value.is_finite()).fold(1.0, |most: f32, value| most.max(value.abs()));
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs() / largest);
    // What is not finite in one of them differs by more than any number.
    Some(differences.fold(0.0, |most: f32, by| if by.is_nan() { f32::INFINITY } else { most.max(by) }))
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
        batching.steadiness(IMAGE_LENGTH, &mut model(error)).expect("ran") == Steadiness::Same
    }

    fn choose(candidates: &[Batching], model: &mut RunBatch) -> BatchTrial {
        Batching::first_that_passes(candidates, IMAGE_LENGTH, model).expect("a grouping")
    }

    #[test]
    fn a_model_that_fails_on_larger_batches_is_run_image_by_image_and_the_reason_is_kept() {
        let mut single = |images: &[f32], out: &mut ModelOutputs| match images.len() {
            IMAGE_LENGTH => model(|_, _| 0.0)(images, out),
            _ => Err(Error::environment("cannot be reshaped")),
        };
        let trial = choose(&[Batching::Any(4), Batching::Padded(4), Batching::Padded(1)], &mut single);
        assert_eq!((trial.batching, trial.dependence), (Batching::Padded(1), None));
        assert!(trial.passed_over[0].contains("up to 4: cannot be reshaped"), "{:?}", trial.passed_over);
    }

    #[test]
    fn dependence_on_the_other_images_is_told_from_rounding() {
        let mut of_batch = |images: &[f32], out: &mut ModelOutputs| {
            let mean = images.iter().sum::<f32>() / images.len() as f32;
            out.logits.extend(images.chunks(IMAGE_LENGTH).map(|image| image[0] - mean));
            Ok(())
        };
        let trial = choose(&[Batching::Any(4), Batching::Padded(1)], &mut of_batch);
        assert_eq!(trial.batching, Batching::Padded(1));
        assert!(trial.dependence.is_some_and(|by| by > 0.1), "{trial:?}");
        let mut rounded = model(|size, _| if size == 4 { 1e-6 } else { 0.0 });
        let trial = choose(&[Batching::Any(4), Batching::Padded(4)], &mut rounded);
        assert_eq!((trial.batching, trial.dependence), (Batching::Padded(4), None));
    }

    #[test]
    fn a_model_that_answers_in_two_ways_is_refused() {
        let mut calls = 0;
        let mut random = |images: &[f32], out: &mut ModelOutputs| {
            calls += 1;
            out.logits.extend(images.chunks(IMAGE_LENGTH).map(|_| calls as f32));
            Ok(())
        };
        let error = Batching::Any(1).check_repeatable(IMAGE_LENGTH, &mut random).expect_err("refused");
        assert!(error.to_string().contains("draws random numbers"), "{error}");
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
