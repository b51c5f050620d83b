//! The sky next to a source, from a box without sources.

use super::{
    Quality,
    pixel_plane::PixelPlane,
    sky_statistics::{mean, standard_deviation},
    stamp::Stamp,
};

/// What is known about the sky of an image, whose mean has been subtracted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sky {
    /// Nothing: its noise is measured in a box without sources.
    Measured,
    /// Its standard deviation per pixel.
    Known(f64),
    /// There is neither sky nor noise: the image is that of a galaxy alone.
    None,
}

/// Side of the box, pixels; halved until a box fits.
const BOX: usize = 32;

/// Statistics of the sky in a box of the stamp without sources.
pub(super) struct SkyBox {
    /// The indices of its pixels in the stamp.
    indices: Vec<usize>,
    /// The pixels.
    pub(super) plane: PixelPlane,
    mean: f64,
    /// Whether the image has no sky.
    pub(super) is_absent: bool,
    /// Standard deviation of a pixel; `None` when it is unknown.
    pub(super) sigma: Option<f64>,
    /// Mean absolute difference of a pixel and the one opposite to it.
    pub(super) asymmetry: f64,
}

impl SkyBox {
    pub(super) fn of(stamp: &Stamp, sky: Sky, quality: &mut Quality) -> Self {
        let empty = PixelPlane { height: 0, width: 0, values: Vec::new() };
        let is_absent = sky == Sky::None;
        let none = |sigma| Self { indices: Vec::new(), plane: empty, mean: 0.0, is_absent, sigma, asymmetry: 0.0 };
        if is_absent {
            return none(Some(0.0));
        }
        let known = if let Sky::Known(sigma) = sky { Some(sigma) } else { None };
        let Some((indices, side)) = find(&stamp.sky, stamp.image.width) else {
            quality.lower(Quality::Bad);
            return none(known);
        };
        let values: Vec<f64> = indices.iter().map(|index| stamp.image.values[*index]).collect();
        let mean = mean(&values);
        let sigma = known.or_else(|| Some(standard_deviation(&values)));
        let rotated = values.iter().zip(values.iter().rev());
        let asymmetry = rotated.map(|(a, b)| (a - b).abs()).sum::<f64>() / values.len() as f64;
        Self { indices, plane: PixelPlane { height: side, width: side, values }, mean, is_absent, sigma, asymmetry }
    }

    /// Whether the mean is farther from 0 than one standard deviation: the background was not subtracted well.
    pub(super) fn has_residual_background(&self) -> bool {
        !self.indices.is_empty() && self.sigma.is_some_and(|sigma| self.mean.abs() > sigma)
    }

    /// The indices of its pixels in the stamp.
    pub(super) fn indices(&self) -> &[usize] {
        &self.indices
    }
}

/// The indices of the first box that is all sky, and its side.
fn find(sky: &[bool], width: usize) -> Option<(Vec<usize>, usize)> {
    let height = sky.len() / width;
    // Summed area table of the pixels that are not sky.
    let mut taken = vec![0_u32; (height + 1) * (width + 1)];
    for y in 0..height {
        for x in 0..width {
            let at = (y + 1) * (width + 1) + x + 1;
            taken[at] = u32::from(!sky[y * width + x]) + taken[at - 1] + taken[at - width - 1] - taken[at - width - 2];
        }
    }
    let mut side = BOX;
    while side >= 2 {
        // As in statmorph, a box does not reach the last row and the last column.
        for y in 0..height.saturating_sub(side) {
            for x in 0..width.saturating_sub(side) {
                let corner = |y: usize, x: usize| taken[y * (width + 1) + x];
                if corner(y + side, x + side) + corner(y, x) == corner(y + side, x) + corner(y, x + side) {
                    let indices = (y..y + side).flat_map(|y| (x..x + side).map(move |x| y * width + x));
                    return Some((indices.collect(), side));
                }
            }
        }
        side /= 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphology::test_sources::{image, source, stamp};

    #[test]
    fn the_first_free_box_is_found_and_shrinks_until_it_fits() {
        let mut sky = vec![true; 50 * 40];
        sky[3 * 40 + 3] = false;
        let (indices, side) = find(&sky, 40).expect("a box");
        assert_eq!((indices[0], indices.len(), side), (4, 1024, 32));
        assert_eq!((indices[31], indices[32], indices[1023]), (35, 44, 31 * 40 + 35));
        let narrow: Vec<bool> = (0..50 * 40).map(|i| i % 40 > 30).collect();
        let (indices, side) = find(&narrow, 40).expect("a box");
        assert_eq!((indices[0], side), (31, 8));
        let low: Vec<bool> = (0..50 * 40).map(|i| i / 40 > 44).collect();
        let (indices, side) = find(&low, 40).expect("a box");
        assert_eq!((indices[0], side), (45 * 40, 4));
        assert!(find(&[false; 100], 10).is_none());
        assert!(find(&[true; 4], 2).is_none() && find(&[true; 9], 3).is_some_and(|(_, side)| side == 2));
    }

    #[test]
    fn a_box_measures_the_sky_or_takes_what_is_known() {
        // A source of 8 x 8 pixels in a corner, and a sky of 3, 5, 3, 5, ... along every row.
        let image = image(60, 60, |x, y| if x < 8.0 && y < 8.0 { 90.0 } else { 3.0 + 2.0 * (x % 2.0) });
        let segments: Vec<u32> = image.iter().map(|value| u32::from(*value > 50.0)).collect();
        let stamp = stamp(&source(&image, 60, &segments));
        let mut quality = Quality::Good;
        let measured = SkyBox::of(&stamp, Sky::Measured, &mut quality);
        // The stamp has 28 x 28 pixels, so the box has 16 x 16: as many of 3 as of 5.
        assert_eq!((measured.plane.width, measured.plane.height, measured.indices().len()), (16, 16, 256));
        assert_eq!((measured.mean, measured.sigma, measured.asymmetry), (4.0, Some(1.0), 2.0));
        assert!(measured.has_residual_background() && !measured.is_absent);
        let negative = SkyBox { mean: -4.0, ..measured };
        assert!(
            negative.has_residual_background() && !SkyBox { sigma: Some(4.0), ..negative }.has_residual_background()
        );
        let known = SkyBox::of(&stamp, Sky::Known(4.0), &mut quality);
        assert_eq!((known.mean, known.sigma, known.asymmetry), (4.0, Some(4.0), 2.0));
        assert!(!known.has_residual_background());
        let none = SkyBox::of(&stamp, Sky::None, &mut quality);
        assert_eq!((none.indices(), none.sigma, none.asymmetry), (&[] as &[usize], Some(0.0), 0.0));
        assert!(none.is_absent && !none.has_residual_background());
        assert_eq!(quality, Quality::Good);
    }

    #[test]
    fn a_stamp_without_room_for_a_box_is_bad() {
        let image = image(30, 30, |x, _| x);
        let stamp = stamp(&source(&image, 30, &[1; 900]));
        for (sky, sigma) in [(Sky::Measured, None), (Sky::Known(2.0), Some(2.0))] {
            let mut quality = Quality::Good;
            let found = SkyBox::of(&stamp, sky, &mut quality);
            assert_eq!((found.sigma, found.indices().len(), quality), (sigma, 0, Quality::Bad));
            assert!(!found.has_residual_background() && !found.is_absent);
        }
    }
}
