//! Latents of some rows, with what else is compared of them.

use arrow::array::RecordBatch;

use super::super::columns::{latent_column, probability_column, text};
use crate::{batch::list_values, error::Result, stats::points::Points};

/// A sample: of the reference, of a window, of a segment of a window.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sample {
    pub(super) latents: Points,
    /// `[n, class]`; empty where classes are not compared.
    pub(super) probabilities: Vec<f32>,
    /// By row, where permutations stay within blocks; else empty.
    pub(super) blocks: Vec<String>,
}

/// Which columns of the stream make a sample.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    pub(super) score: String,
    pub(super) with_probabilities: bool,
    pub(super) block: Option<String>,
    pub(super) segment: Option<String>,
}

impl Columns {
    /// The samples of every segment, in the order in which they appear; one sample without a name where there are no segments.
    /// Each batch is let go of when it has been read: a window may be large.
    pub(super) fn samples(&self, batches: Vec<RecordBatch>) -> Result<Vec<(Option<String>, Sample)>> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let mut samples: Vec<(Option<String>, Sample)> = Vec::new();
        for batch in batches {
            let batch = &batch;
            let (latents, dimension) = list_values(batch, &latent_column(&self.score))?;
            let probabilities = self.with_probabilities.then(|| list_values(batch, &probability_column(&self.score)));
            let probabilities = probabilities.transpose()?;
            let blocks = self.block.as_ref().map(|block| text(&batch[block.as_str()])).transpose()?;
            let segments = self.segments(batch)?;
            for (row, segment) in segments.into_iter().enumerate() {
                let known = samples.iter().rposition(|(name, _)| *name == segment);
                let place = known.unwrap_or(samples.len());
                if known.is_none() {
                    let mut latents = Points::of_dimension(dimension);
                    if self.segment.is_none() {
                        latents.reserve(rows);
                    }
                    samples.push((segment, Sample { latents, ..Sample::default() }));
                }
                let sample = &mut samples[place].1;
                sample.latents.push(&latents[row * dimension..][..dimension]);
                if let Some((values, classes)) = probabilities {
                    sample.probabilities.extend_from_slice(&values[row * classes..][..classes]);
                }
                sample.blocks.extend(blocks.as_ref().map(|blocks| blocks.value(row).to_owned()));
            }
        }
        Ok(samples)
    }

    /// The segment of every row: its value as text, empty where it is null; none where there are no segments.
    pub(super) fn segments(&self, batch: &RecordBatch) -> Result<Vec<Option<String>>> {
        let Some(segment) = &self.segment else { return Ok(vec![None; batch.num_rows()]) };
        Ok(text(&batch[segment.as_str()])?.iter().map(|name| Some(name.unwrap_or_default().to_owned())).collect())
    }
}
