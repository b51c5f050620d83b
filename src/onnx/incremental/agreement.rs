//! Whether incremental logits agree with those of ONNX Runtime.

use super::{Candidates, IncrementalModel};
use crate::{error::Result, onnx::probe::noise, stage::ModelOutputs};

/// The largest difference that rounding explains, in units of the largest logit or 1.
const TOLERANCE: f32 = 1e-4;
/// How many base images are compared.
const IMAGES: u64 = 2;

/// The outcome of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::onnx) enum Agreement {
    Agrees,
    /// The reason says how far apart the logits are.
    Differs(String),
}

impl IncrementalModel {
    /// Compares the logits of seeded images, and of candidates around them, with those that `evaluate` returns for images
    /// `[n, band, y, x]`.
    ///
    /// # Errors
    /// When `evaluate` fails.
    pub(in crate::onnx) fn compare(
        &self,
        mut evaluate: impl FnMut(&[f32]) -> Result<ModelOutputs>,
    ) -> Result<Agreement> {
        let shape = self.image();
        let (bands, cells) = (shape.channels, shape.cells());
        let places = self.probe_places();
        let mut scratch = self.scratch();
        for seed in 0..IMAGES {
            let draw = |i: usize| noise((seed << 32) + i as u64);
            let image: Vec<f32> = (0..bands * cells).map(draw).collect();
            let base = self.base_image(&image);
            let mut incremental = base.logits.clone();
            let mut images = image.clone();
            let new_value = |i: usize| match i % 4 {
                0 => 0.0,
                1 => 1.0,
                _ => draw(bands * cells + i),
            };
            // Candidates of one pixel, then of three.
            for pixels in [1, 3] {
                let count = places.len() / pixels * pixels;
                let values: Vec<f32> = (0..count * bands).map(new_value).collect();
                let candidates = Candidates { pixels, places: &places[..count], values: &values };
                self.append_logits(&base, candidates, &mut scratch, &mut incremental);
                for (places, values) in places.chunks_exact(pixels).zip(values.chunks_exact(pixels * bands)) {
                    let start = images.len();
                    images.extend_from_slice(&image);
                    for (place, values) in places.iter().zip(values.chunks_exact(bands)) {
                        for (band, value) in values.iter().enumerate() {
                            images[start + band * cells + *place as usize] = *value;
                        }
                    }
                }
            }
            let agreement = agreement(&incremental, &evaluate(&images)?.logits);
            if agreement != Agreement::Agrees {
                return Ok(agreement);
            }
        }
        Ok(Agreement::Agrees)
    }

    /// Corners, edges, and the middle with its neighbours: every phase of a stride of two.
    fn probe_places(&self) -> Vec<u32> {
        let shape = self.image();
        let (right, bottom) = (shape.width as u32 - 1, shape.height as u32 - 1);
        let (middle_x, middle_y) = (right / 2, bottom / 2);
        let mut places: Vec<(u32, u32)> = [0, middle_y, middle_y + 1, bottom]
            .into_iter()
            .flat_map(|y| [0, middle_x, middle_x + 1, right].map(|x| (y.min(bottom), x.min(right))))
            .collect();
        places.dedup();
        places.into_iter().map(|(y, x)| y * shape.width as u32 + x).collect()
    }
}

fn agreement(incremental: &[f32], expected: &[f32]) -> Agreement {
    let largest = expected.iter().fold(1.0, |largest: f32, logit| largest.max(logit.abs()));
    let difference = incremental.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let finite = incremental.iter().chain(expected).all(|logit| logit.is_finite());
    if incremental.len() == expected.len() && finite && difference <= TOLERANCE * largest {
        Agreement::Agrees
    } else {
        Agreement::Differs(format!(
            "incremental logits differ by {difference:e} from those of ONNX Runtime, whose largest is {largest}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distant_or_non_finite_logits_do_not_agree() {
        assert_eq!(agreement(&[1.0, 300.0], &[1.01, 300.0]), Agreement::Agrees, "the largest logit is the scale");
        let Agreement::Differs(reason) = agreement(&[1.0, 300.0], &[1.1, 300.0]) else { panic!("they differ") };
        assert!(reason.contains("whose largest is 300"), "{reason}");
        assert_ne!(agreement(&[0.0], &[2e-4]), Agreement::Agrees);
        assert_ne!(agreement(&[f32::NAN], &[0.0]), Agreement::Agrees);
        assert_ne!(agreement(&[0.0], &[0.0, 0.0]), Agreement::Agrees);
    }
}
