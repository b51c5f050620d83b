//! Samples of latents, with the class probabilities and blocks that are compared or permuted with them.

use arrow::array::RecordBatch;

use super::members::ReferenceMembers;
use crate::{
    batch::{list_values, object_id},
    error::{Error, Result},
    monitor::kit::{
        grace::GracefulStop,
        score::{latent_column, probability_column, text},
    },
    stats::points::Points,
};

/// A sample: of the reference, of a window, or of a segment of a window.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct LatentSample {
    pub(super) latents: Points,
    /// `[n, class]`; empty if classes are not compared.
    pub(super) probabilities: Vec<f32>,
    /// The block of every row; empty if permutations are not restricted to blocks.
    pub(super) blocks: Vec<String>,
    /// How many of its rows are rows of the reference.
    pub(super) in_reference: u64,
}

/// The columns of the stream that make a sample.
#[derive(Debug, Clone)]
pub(super) struct SampleColumns {
    pub(super) score: String,
    pub(super) with_probabilities: bool,
    pub(super) block: Option<String>,
    pub(super) segment: Option<String>,
}

impl SampleColumns {
    /// The sample of every segment, in the order in which segments appear; one sample without a name if there are no segments.
    /// Takes the batches to drop each once it has been read: a window may be large.
    pub(super) fn samples(
        &self,
        batches: Vec<RecordBatch>,
        members: &ReferenceMembers,
        stop: &GracefulStop,
    ) -> Result<Vec<(Option<String>, LatentSample)>> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let mut samples: Vec<(Option<String>, LatentSample)> = Vec::new();
        for batch in batches {
            if stop.is_due() {
                return Err(Error::Interrupted);
            }
            let batch = &batch;
            let (latents, dimension) = list_values(batch, &latent_column(&self.score))?;
            let probabilities = self.with_probabilities.then(|| list_values(batch, &probability_column(&self.score)));
            let probabilities = probabilities.transpose()?;
            let blocks = self.block.as_ref().map(|block| text(&batch[block.as_str()])).transpose()?;
            for (row, segment) in self.segments(batch)?.into_iter().enumerate() {
                let known = samples.iter().rposition(|(name, _)| *name == segment);
                let index = known.unwrap_or(samples.len());
                if known.is_none() {
                    let mut latents = Points::of_dimension(dimension);
                    if self.segment.is_none() {
                        latents.reserve(rows);
                    }
                    samples.push((segment, LatentSample { latents, ..LatentSample::default() }));
                }
                let sample = &mut samples[index].1;
                let latent = &latents[row * dimension..][..dimension];
                sample.latents.push(latent);
                sample.in_reference += u64::from(members.contain(object_id(batch, row)?, latent));
                if let Some((values, classes)) = probabilities {
                    sample.probabilities.extend_from_slice(&values[row * classes..][..classes]);
                }
                sample.blocks.extend(blocks.as_ref().map(|blocks| blocks.value(row).to_owned()));
            }
        }
        Ok(samples)
    }

    /// The segment of every row as text, empty for null; `None` if there are no segments.
    pub(super) fn segments(&self, batch: &RecordBatch) -> Result<Vec<Option<String>>> {
        let Some(segment) = &self.segment else { return Ok(vec![None; batch.num_rows()]) };
        Ok(text(&batch[segment.as_str()])?.iter().map(|name| Some(name.unwrap_or_default().to_owned())).collect())
    }
}
