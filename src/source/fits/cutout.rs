//! Crops or pads a plane to the size of the column, and finds its non-finite pixels.

use crate::fits::Image;

/// Where a plane lies in an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlaneView {
    /// The number of its first pixel.
    pub start: usize,
    /// Rows and columns, pixels.
    pub shape: [usize; 2],
    /// Pixels of the image from a row to the next, and from a column to the next.
    pub strides: [usize; 2],
}

/// Copies a plane into the middle of `out` (`rows` by `columns`): pixel n/2 stays pixel n/2. Pixels of `out` outside the plane keep
/// their values.
pub(super) fn copy(image: &Image<'_>, plane: PlaneView, out: &mut [f32], [rows, columns]: [usize; 2]) {
    let PlaneView { start, shape: [height, width], strides } = plane;
    if strides != [width, 1] {
        let mut pixels = vec![0.0; (height - 1) * strides[0] + (width - 1) * strides[1] + 1];
        image.copy(start, &mut pixels);
        return place(&pixels, plane, out, [rows, columns]);
    }
    if plane.shape == [rows, columns] {
        return image.copy(start, out);
    }
    let (from_y, to_y, count_y) = overlap(height, rows);
    let (from_x, to_x, count_x) = overlap(width, columns);
    for y in 0..count_y {
        let at = (to_y + y) * columns + to_x;
        image.copy(start + (from_y + y) * width + from_x, &mut out[at..at + count_x]);
    }
}

/// The same for pixels in memory, which begin with the first one of the plane.
pub(super) fn place<T: Copy>(pixels: &[T], plane: PlaneView, out: &mut [T], [rows, columns]: [usize; 2]) {
    let (from_y, to_y, count_y) = overlap(plane.shape[0], rows);
    let (from_x, to_x, count_x) = overlap(plane.shape[1], columns);
    for y in 0..count_y {
        let out = &mut out[(to_y + y) * columns + to_x..][..count_x];
        let from = (from_y + y) * plane.strides[0] + from_x * plane.strides[1];
        let pixels = pixels[from..].iter().step_by(plane.strides[1]);
        out.iter_mut().zip(pixels).for_each(|(out, pixel)| *out = *pixel);
    }
}

/// Whether a pixel of `rows` by `columns` comes from a plane of a shape, rather than from padding.
pub(super) fn inside(shape: [usize; 2], [rows, columns]: [usize; 2]) -> impl Fn(usize) -> bool + Clone {
    let within = |have, want| {
        let (_, to, count) = overlap(have, want);
        to..to + count
    };
    let (y, x) = (within(shape[0], rows), within(shape[1], columns));
    move |index| y.contains(&(index / columns % rows)) && x.contains(&(index % columns))
}

/// The first common pixel of axes of `have` and `want` pixels with the same middle, counted in either axis, and their number.
fn overlap(have: usize, want: usize) -> (usize, usize, usize) {
    let (from, to) = ((have / 2).saturating_sub(want / 2), (want / 2).saturating_sub(have / 2));
    (from, to, (have - from).min(want - to))
}

/// Pixels that are NaN or infinite.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::source) struct NonFinite {
    pub count: usize,
    /// The index of the first one.
    pub first: usize,
}

/// The NaN and infinite pixels, if there are any.
pub(in crate::source) fn non_finite(pixels: &[f32]) -> Option<NonFinite> {
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
        let whole = PlaneView { start: 0, shape: plane, strides: [plane[1], 1] };
        copy(&fits.image(0).expect("an image"), whole, &mut cutout, out);
        let mut placed = vec![-1.0; out[0] * out[1]];
        place(&pixels, whole, &mut placed, out);
        assert_eq!(placed, cutout);
        let inside = inside(plane, out);
        assert!(cutout.iter().enumerate().all(|(index, pixel)| inside(index) == (*pixel >= 0.0)));
        cutout
    }

    #[test]
    fn planes_whose_bands_are_interleaved_are_taken_apart() {
        let mut file = Writer::new();
        let pixels: Vec<f32> = (0..24).map(|pixel| pixel as f32).collect();
        file.image(&[3, 4, 2], &pixels, &[]);
        let fits = FitsFile::from_bytes("memory", file.into_bytes(), &Limits::default()).expect("a file");
        let mut cutout = vec![-1.0; 6];
        let second = PlaneView { start: 1, shape: [3, 4], strides: [8, 2] };
        copy(&fits.image(0).expect("an image"), second, &mut cutout, [3, 2]);
        assert_eq!(cutout, [3.0, 5.0, 11.0, 13.0, 19.0, 21.0]);
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
