//! Where a cutout lies in an image.

use std::ops::Range;

use super::PixelPosition;

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
}
