//! Whether the layers say what ONNX Runtime says.

use super::Incremental;
use crate::{error::Result, score::onnx::batching::noise, stage::ModelOutputs};

/// The greatest difference that is put down to rounding, in units of the greatest logit or one.
const TOLERANCE: f32 = 1e-4;
const IMAGES: u64 = 2;

impl Incremental {
    /// Compares the logits of seeded images and of candidates with those of `ask`, which is given images `[n, band, y,
    /// x]`. The inner error says how far apart they are.
    ///
    /// # Errors
    /// When `ask` fails.
    pub(in super::super) fn trial(
        &self,
        mut ask: impl FnMut(&[f32]) -> Result<ModelOutputs>,
    ) -> Result<Result<(), String>> {
        let shape = self.image();
        let (bands, cells) = (shape.channels, shape.cells());
        let (right, bottom) = (shape.width as u32 - 1, shape.height as u32 - 1);
        let (middle_x, middle_y) = (right / 2, bottom / 2);
        // Corners, edges, and the middle with its neighbours: every phase of a stride of two.
        let mut places: Vec<(u32, u32)> = [0, middle_y, middle_y + 1, bottom]
            .into_iter()
            .flat_map(|y| [0, middle_x, middle_x + 1, right].map(|x| (y.min(bottom), x.min(right))))
            .collect();
        places.dedup();
        let places: Vec<u32> = places.into_iter().map(|(y, x)| y * shape.width as u32 + x).collect();
        let mut scratch = self.scratch();
        for seed in 0..IMAGES {
            let draw = |i: usize| noise((seed << 32) + i as u64);
            let image: Vec<f32> = (0..bands * cells).map(draw).collect();
            let base = self.base(&image);
            let mut found = base.logits.clone();
            let mut asked = image.clone();
            let values = |i: usize| match i % 4 {
                0 => 0.0,
                1 => 1.0,
                _ => draw(bands * cells + i),
            };
            // One pixel each, then three at once.
            for k in [1, 3] {
                let count = places.len() / k * k;
                let values: Vec<f32> = (0..count * bands).map(values).collect();
                self.logits(&base, &mut scratch, &places[..count], &values, k, &mut found);
                for (places, values) in places.chunks_exact(k).zip(values.chunks_exact(k * bands)) {
                    let start = asked.len();
                    asked.extend_from_slice(&image);
                    for (place, values) in places.iter().zip(values.chunks_exact(bands)) {
                        for (band, value) in values.iter().enumerate() {
                            asked[start + band * cells + *place as usize] = *value;
                        }
                    }
                }
            }
            let expected = ask(&asked)?.logits;
            if let Err(reason) = compare(&found, &expected) {
                return Ok(Err(reason));
            }
        }
        Ok(Ok(()))
    }
}

fn compare(found: &[f32], expected: &[f32]) -> Result<(), String> {
    let largest = expected.iter().fold(1.0, |largest: f32, logit| largest.max(logit.abs()));
    let farthest = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let alike = found.len() == expected.len() && found.iter().chain(expected).all(|logit| logit.is_finite());
    if alike && farthest <= TOLERANCE * largest {
        Ok(())
    } else {
        Err(format!("its logits differ by {farthest:e} from those of ONNX Runtime, of up to {largest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_that_are_far_or_not_finite_are_not_alike() {
        assert!(compare(&[1.0, 300.0], &[1.01, 300.0]).is_ok(), "the greatest logit is the scale");
        assert!(compare(&[1.0, 300.0], &[1.1, 300.0]).unwrap_err().contains("of up to 300"));
        assert!(compare(&[0.0], &[2e-4]).is_err());
        assert!(compare(&[f32::NAN], &[0.0]).is_err());
        assert!(compare(&[0.0], &[0.0, 0.0]).is_err());
    }
}
