//! Cropping and padding of a plane around its centre.
//!
//! The centre of n pixels is pixel n/2, rounded down, in the input and in the output. So padding and cropping back is the identity,
//! and a source on the centre pixel stays there.

/// The pixels of an axis that are copied: `length` of them, starting at `input` in the input and at `output` in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CopiedSpan {
    input: usize,
    output: usize,
    length: usize,
}

impl CopiedSpan {
    fn centred(from: usize, to: usize) -> Self {
        let (input, output) = ((from / 2).saturating_sub(to / 2), (to / 2).saturating_sub(from / 2));
        Self { input, output, length: (from - input).min(to - output) }
    }
}

/// Copies the centre of a plane of the size `from` = (height, width) into one of the size `to`. Output pixels without an input
/// pixel become `pad`.
pub fn centre<T: Copy>(plane: &[T], from: (usize, usize), to: (usize, usize), pad: T, out: &mut [T]) {
    let ((from_height, from_width), (to_height, to_width)) = (from, to);
    let rows = CopiedSpan::centred(from_height, to_height);
    let columns = CopiedSpan::centred(from_width, to_width);
    out.fill(pad);
    for row in 0..rows.length {
        let input = (rows.input + row) * from_width + columns.input;
        let output = (rows.output + row) * to_width + columns.output;
        out[output..output + columns.length].copy_from_slice(&plane[input..input + columns.length]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbered(from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
        let plane: Vec<f32> = (0..from.0 * from.1).map(|i| i as f32).collect();
        let mut out = vec![0.0; to.0 * to.1];
        centre(&plane, from, to, -1.0, &mut out);
        out
    }

    #[test]
    fn crops_around_the_centre_pixel() {
        assert_eq!(numbered((4, 6), (2, 2)), [8.0, 9.0, 14.0, 15.0]);
        assert_eq!(numbered((5, 5), (3, 1)), [7.0, 12.0, 17.0]);
    }

    #[test]
    fn pads_pixels_that_have_no_input() {
        assert_eq!(numbered((1, 2), (3, 4)), [-1., -1., -1., -1., -1., 0., 1., -1., -1., -1., -1., -1.]);
        assert_eq!(numbered((3, 1), (1, 3)), [-1.0, 1.0, -1.0]);
    }

    proptest! {
        #[test]
        fn padding_and_cropping_back_is_the_identity(h in 1usize..9, w in 1usize..9, dh in 0usize..7, dw in 0usize..7) {
            let plane: Vec<f32> = (0..h * w).map(|i| i as f32).collect();
            let (mut padded, mut back) = (vec![0.0; (h + dh) * (w + dw)], vec![0.0; h * w]);
            centre(&plane, (h, w), (h + dh, w + dw), f32::NAN, &mut padded);
            prop_assert_eq!(padded.iter().filter(|x| !x.is_nan()).count(), h * w);
            centre(&padded, (h + dh, w + dw), (h, w), f32::NAN, &mut back);
            prop_assert_eq!(back, plane);
        }

        #[test]
        fn the_centre_pixel_stays_the_centre_pixel(h in 1usize..12, w in 1usize..12, th in 1usize..12, tw in 1usize..12) {
            let out = numbered((h, w), (th, tw));
            prop_assert_eq!(out[th / 2 * tw + tw / 2], (h / 2 * w + w / 2) as f32);
        }
    }
}
