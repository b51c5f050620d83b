//! Crops or pads a plane to the size of the column, and finds its non-finite pixels.

use crate::fits::Image;

/// Copies a plane of `height` by `width` pixels that begins at pixel `start` of an image into the middle of `out` (`rows` by
/// `columns`): pixel n/2 stays pixel n/2. Pixels of `out` outside the plane keep their values.
pub(super) fn copy(image: &Image<'_>, start: usize, plane: [usize; 2], out: &mut [f32], [rows, columns]: [usize; 2]) {
    let [height, width] = plane;
    if plane == [rows, columns] {
        return image.copy(start, out);
    }
    let (from_y, to_y, count_y) = overlap(height, rows);
    let (from_x, to_x, count_x) = overlap(width, columns);
    for y in 0..count_y {
        let at = (to_y + y) * columns + to_x;
        image.copy(start + (from_y + y) * width + from_x, &mut out[at..at + count_x]);
    }
}

/// The first common pixel of axes of `have` and `want` pixels with the same middle, counted in either axis, and their number.
fn overlap(have: usize, want: usize) -> (usize, usize, usize) {
    let (from, to) = ((have / 2).saturating_sub(want / 2), (want / 2).saturating_sub(have / 2));
    (from, to, (have - from).min(want - to))
}

/// Pixels that are NaN or infinite.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NonFinite {
    pub count: usize,
    /// The index of the first one.
    pub first: usize,
}

/// The NaN and infinite pixels, if there are any.
pub(super) fn non_finite(pixels: &[f32]) -> Option<NonFinite> {
    const EXPONENT: u32 = 0x7f80_0000;
    let bad = |pixel: &f32| pixel.to_bits() & EXPONENT == EXPONENT;
    // Most images have none; without a branch per pixel the compiler vectorises this loop.
    if !pixels.chunks(4096).any(|piece| piece.iter().fold(false, |any, pixel| any | bad(pixel))) {
        return None;
    }
    Some(NonFinite { count: pixels.iter().filter(|pixel| bad(pixel)).count(), first: pixels.iter().position(bad)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fits::{FitsFile, Limits, Writer};

    fn cut(plane: [usize; 2], out: [usize; 2]) -> Vec<f32> {
        let mut file = Writer::new();
        let pixels: Vec<f32> = (0..plane[0] * plane[1]).map(|pixel| pixel as f32).collect();
        file.image(&plane, &pixels, &[]);
        let fits = FitsFile::from_bytes("memory", file.into_bytes(), &Limits::default()).expect("a file");
        let mut cutout = vec![-1.0; out[0] * out[1]];
        copy(&fits.image(0).expect("an image"), 0, plane, &mut cutout, out);
        cutout
    }

    #[test]
    fn the_middle_pixel_stays_in_the_middle() {
        for have in 1..9 {
            for want in 1..9 {
                let middle = (have / 2 * have + have / 2) as f32;
                assert_eq!(cut([have, have], [want, want])[want / 2 * want + want / 2], middle, "{have} to {want}");
            }
        }
    }

    #[test]
    fn crops_the_inside_and_keeps_what_is_outside_a_smaller_plane() {
        assert_eq!(cut([4, 4], [2, 2]), [5.0, 6.0, 9.0, 10.0]);
        assert_eq!(cut([1, 2], [3, 4]), [-1.0, -1.0, -1.0, -1.0, -1.0, 0.0, 1.0, -1.0, -1.0, -1.0, -1.0, -1.0]);
    }

    #[test]
    fn counts_non_finite_pixels() {
        assert_eq!(non_finite(&[1.0, -0.0, f32::MAX, f32::MIN_POSITIVE / 4.0]), None);
        assert_eq!(non_finite(&[1.0, f32::NEG_INFINITY, 2.0, f32::NAN]), Some(NonFinite { count: 2, first: 1 }));
    }
}
