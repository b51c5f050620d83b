//! Crops or pads a plane to the size of the column, and finds its non-finite pixels.

use crate::fits::Image;

/// How the pixels of a plane become those of a cutout: one of them becomes its pixel n/2. Rows, then columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) struct Placement {
    /// Of the plane, pixels.
    pub(in crate::source) shape: [usize; 2],
    /// The pixel of the plane that becomes pixel n/2 of the cutout.
    pub(in crate::source) middle: [usize; 2],
    /// Of the cutout, pixels.
    pub(in crate::source) cutout: [usize; 2],
}

impl Placement {
    /// Pixel n/2 stays pixel n/2.
    pub(in crate::source) fn centred(shape: [usize; 2], cutout: [usize; 2]) -> Self {
        Self { shape, middle: shape.map(|length| length / 2), cutout }
    }

    /// Whether the cutout has pixels that the plane does not have.
    pub(in crate::source) fn pads(self) -> bool {
        (0..2).any(|axis| self.overlap(axis).2 < self.cutout[axis])
    }

    /// Whether a pixel of the cutout comes from the plane, rather than from padding.
    pub(in crate::source) fn inside(self) -> impl Fn(usize) -> bool + Clone {
        let within = |axis| {
            let (_, to, count) = self.overlap(axis);
            to..to + count
        };
        let ([rows, columns], y, x) = (self.cutout, within(0), within(1));
        move |index| y.contains(&(index / columns % rows)) && x.contains(&(index % columns))
    }

    /// The first common pixel along an axis, counted in the plane and in the cutout, and how many there are.
    fn overlap(self, axis: usize) -> (usize, usize, usize) {
        let (have, want, middle) = (self.shape[axis], self.cutout[axis], self.middle[axis]);
        let (from, to) = (middle.saturating_sub(want / 2), (want / 2).saturating_sub(middle));
        (from, to, have.saturating_sub(from).min(want.saturating_sub(to)))
    }
}

/// Where a plane lies in an image, and where it goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlaneView {
    /// The number of its first pixel.
    pub start: usize,
    /// Pixels of the image from a row to the next, and from a column to the next.
    pub strides: [usize; 2],
    pub placement: Placement,
}

/// Copies a plane into a cutout. Pixels outside the plane keep their values.
pub(super) fn copy(image: &Image<'_>, plane: PlaneView, out: &mut [f32]) {
    let PlaneView { start, strides, placement } = plane;
    let ([height, width], [_, columns]) = (placement.shape, placement.cutout);
    if strides != [width, 1] {
        let mut pixels = vec![0.0; (height - 1) * strides[0] + (width - 1) * strides[1] + 1];
        image.copy(start, &mut pixels);
        return place(&pixels, plane, out);
    }
    if placement == Placement::centred(placement.cutout, placement.cutout) {
        return image.copy(start, out);
    }
    let (from_y, to_y, count_y) = placement.overlap(0);
    let (from_x, to_x, count_x) = placement.overlap(1);
    for y in 0..count_y {
        let at = (to_y + y) * columns + to_x;
        image.copy(start + (from_y + y) * width + from_x, &mut out[at..at + count_x]);
    }
}

/// The same for pixels in memory, which begin with the first one of the plane.
pub(super) fn place<T: Copy>(pixels: &[T], plane: PlaneView, out: &mut [T]) {
    let PlaneView { strides, placement, .. } = plane;
    let columns = placement.cutout[1];
    let (from_y, to_y, count_y) = placement.overlap(0);
    let (from_x, to_x, count_x) = placement.overlap(1);
    for y in 0..count_y {
        let out = &mut out[(to_y + y) * columns + to_x..][..count_x];
        let from = (from_y + y) * strides[0] + from_x * strides[1];
        let pixels = pixels[from..].iter().step_by(strides[1]);
        out.iter_mut().zip(pixels).for_each(|(out, pixel)| *out = *pixel);
    }
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
        cut_about(plane, plane.map(|length| length / 2), out)
    }

    fn cut_about(plane: [usize; 2], middle: [usize; 2], out: [usize; 2]) -> Vec<f32> {
        let mut file = Writer::new();
        let pixels: Vec<f32> = (0..plane[0] * plane[1]).map(|pixel| pixel as f32).collect();
        file.image(&plane, &pixels, &[]);
        let fits = FitsFile::from_bytes("memory", file.into_bytes(), &Limits::default()).expect("a file");
        let mut cutout = vec![-1.0; out[0] * out[1]];
        let placement = Placement { shape: plane, middle, cutout: out };
        let whole = PlaneView { start: 0, strides: [plane[1], 1], placement };
        copy(&fits.image(0).expect("an image"), whole, &mut cutout);
        let mut placed = vec![-1.0; out[0] * out[1]];
        place(&pixels, whole, &mut placed);
        assert_eq!(placed, cutout);
        let inside = placement.inside();
        assert_eq!(placement.pads(), cutout.contains(&-1.0));
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
        let second = PlaneView { start: 1, strides: [8, 2], placement: Placement::centred([3, 4], [3, 2]) };
        copy(&fits.image(0).expect("an image"), second, &mut cutout);
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
    fn any_pixel_may_become_the_middle() {
        for (y, x) in (0..5).flat_map(|y| (0..6).map(move |x| (y, x))) {
            for (rows, columns) in [(3, 3), (4, 2), (9, 8), (1, 1)] {
                let cutout = cut_about([5, 6], [y, x], [rows, columns]);
                assert_eq!(cutout[rows / 2 * columns + columns / 2], (y * 6 + x) as f32);
            }
        }
        assert_eq!(cut_about([3, 3], [0, 0], [3, 3]), [-1.0, -1.0, -1.0, -1.0, 0.0, 1.0, -1.0, 3.0, 4.0]);
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
