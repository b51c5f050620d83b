//! Where a cutout lies in an image.

use std::ops::Range;

use super::PixelPosition;
use crate::fits::{FitsError, Section, SectionReader};

/// The place of a cutout around a position: its size, and the pixel of the image that is its first one.
///
/// The rule is that of `Cutout2D` of astropy: along an axis the first pixel is the smallest one at or above `centre - size / 2`. For
/// an odd size the pixel of the position is in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutoutPlace {
    /// Rows and columns of the cutout.
    pub size: [usize; 2],
    /// Row and column of its first pixel in the image, from 0. Both may be negative.
    pub first: [i64; 2],
}

/// What a cutout has of an image. Its other pixels lie outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// Rows of the image.
    pub rows: Range<usize>,
    /// Columns of the image.
    pub columns: Range<usize>,
    /// Row and column of the cutout at which they begin.
    pub offset: [usize; 2],
}

impl CutoutPlace {
    /// The place of a cutout of `[rows, columns]` around a position; `None` if the position or the size has no place among the
    /// pixels of any file.
    pub fn around(centre: PixelPosition, size: [usize; 2]) -> Option<Self> {
        // Far beyond any image, and exact in both types.
        let most = (1_u64 << 52) as f64;
        let mut first = [0; 2];
        for (first, (centre, size)) in first.iter_mut().zip([(centre.y, size[0]), (centre.x, size[1])]) {
            let start = (centre - size as f64 / 2.0).ceil();
            (start.abs() < most && (size as f64) < most).then_some(())?;
            *first = start as i64;
        }
        Some(Self { size, first })
    }

    /// The part of the cutout within an image of `[rows, columns]`; `None` if there is none.
    pub fn overlap(&self, shape: [usize; 2]) -> Option<Overlap> {
        let along = |axis: usize| {
            let (first, size) = (self.first[axis], self.size[axis] as i64);
            let length = i64::try_from(shape[axis]).unwrap_or(i64::MAX);
            let (start, end) = (first.clamp(0, length), (first + size).clamp(0, length));
            (start < end).then_some((start as usize..end as usize, (start - first) as usize))
        };
        let ((rows, row), (columns, column)) = (along(0)?, along(1)?);
        Some(Overlap { rows, columns, offset: [row, column] })
    }

    /// Reads the cutout of a plane, row by row; pixels outside of the image are NaN. Returns how many are within it.
    ///
    /// # Errors
    /// When the image has no such plane, or cannot be read.
    ///
    /// # Panics
    /// When `out` has another number of pixels than the cutout.
    pub fn read(&self, image: &mut SectionReader<'_>, plane: usize, out: &mut [f32]) -> Result<usize, FitsError> {
        let [height, width] = self.size;
        assert_eq!(out.len(), height * width, "pixels of a cutout of {height} rows and {width} columns");
        let [_, rows, columns] = image.shape();
        let Some(Overlap { rows, columns, offset: [row, column] }) = self.overlap([rows, columns]) else {
            out.fill(f32::NAN);
            return Ok(0);
        };
        let within = rows.len() * columns.len();
        if within < out.len() {
            out.fill(f32::NAN);
        }
        image.read(&Section { plane, rows, columns }, &mut out[row * width + column..], width)?;
        Ok(within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fits::{FitsFile, Limits, Writer};

    #[test]
    fn pixels_outside_of_the_image_are_nan() {
        // Two planes of 3 rows and 4 columns.
        let pixels: Vec<f32> = (0..24_u8).map(f32::from).collect();
        let mut file = Writer::new();
        file.image(&[2, 3, 4], &pixels, &[]);
        let file = FitsFile::from_bytes("memory", file.into_bytes(), &Limits::default()).expect("a file");
        let mut image = file.sections(0).expect("sections");
        for y in -4..7_i16 {
            for x in -4..8_i16 {
                let centre = PixelPosition { x: f64::from(x), y: f64::from(y) };
                for size in [[1, 1], [3, 3], [2, 5], [9, 9]] {
                    let place = CutoutPlace::around(centre, size).expect("a place");
                    let mut out = vec![-1.0; size[0] * size[1]];
                    let within = place.read(&mut image, 1, &mut out).expect("a cutout");
                    let mut inside = 0;
                    for (at, found) in out.iter().enumerate() {
                        let row = place.first[0] + (at / size[1]) as i64;
                        let column = place.first[1] + (at % size[1]) as i64;
                        if (0..3).contains(&row) && (0..4).contains(&column) {
                            assert_eq!(*found, pixels[12 + (row * 4 + column) as usize], "{x} {y} {size:?}");
                            inside += 1;
                        } else {
                            assert!(found.is_nan(), "{x} {y} {size:?}");
                        }
                    }
                    assert_eq!(within, inside);
                }
            }
        }
        assert!(CutoutPlace { size: [1, 1], first: [0, 0] }.read(&mut image, 2, &mut [0.0]).is_err());
    }

    #[test]
    fn positions_far_from_any_image_have_no_place() {
        for x in [f64::NAN, f64::INFINITY, -1e300, 1e18] {
            assert_eq!(CutoutPlace::around(PixelPosition { x, y: 0.0 }, [64, 64]), None);
        }
        assert_eq!(CutoutPlace::around(PixelPosition { x: 0.0, y: 0.0 }, [64, usize::MAX]), None);
        let far = CutoutPlace::around(PixelPosition { x: 1e15, y: 0.0 }, [64, 64]).expect("a place");
        assert_eq!(far.overlap([100, 100]), None);
        assert_eq!(CutoutPlace { size: [0, 5], first: [0, 0] }.overlap([100, 100]), None);
    }
}
