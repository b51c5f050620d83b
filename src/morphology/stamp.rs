//! The cutout around a source, and the masks of its pixels.

use super::{Point, Quality, SegmentedSource, pixel_plane::PixelPlane};

/// Size of the stamp relative to that of the source.
const EXTENT: f64 = 2.5;
/// Half the minimum size of a stamp, pixels.
const MIN_HALF: usize = 24;
/// A pixel is an outlier when it is farther from the mean of its eight neighbours than this many of their standard
/// deviations (Lotz et al. 2004).
const OUTLIER: f64 = 10.0;

/// The pixels around a source.
pub(super) struct Stamp {
    /// The column of its first pixel in the image.
    pub(super) x0: usize,
    /// The row of its first pixel in the image.
    pub(super) y0: usize,
    /// The image, with 0 for bad pixels.
    pub(super) image: PixelPlane,
    /// Other sources, masked pixels, outliers, and pixels that are not finite.
    pub(super) bad: Vec<bool>,
    /// Good pixels of the source.
    pub(super) source: Vec<bool>,
    /// Pixels of the sky that are not masked.
    pub(super) sky: Vec<bool>,
    /// The image, with 0 outside of the source.
    pub(super) alone: PixelPlane,
}

impl Stamp {
    /// Cuts out a square around the source, clipped to the image; `None` when no pixel has its label.
    pub(super) fn cut(source: &SegmentedSource) -> Option<Self> {
        let (height, width) = (source.height, source.width);
        let rows = source.segments.chunks_exact(width.max(1));
        let own = rows.enumerate().flat_map(|(y, row)| {
            row.iter().enumerate().filter(|(_, label)| **label == source.label).map(move |(x, _)| (x, y))
        });
        let box_of = |bounds: Option<[usize; 4]>, (x, y): (usize, usize)| {
            let [x0, x1, y0, y1] = bounds.unwrap_or([x, x, y, y]);
            Some([x0.min(x), x1.max(x), y0.min(y), y1.max(y)])
        };
        let [x0, x1, y0, y1] = own.fold(None, box_of)?;
        let (wide, high) = (x1 + 1 - x0, y1 + 1 - y0);
        let (xc, yc) = (x0 + wide / 2, y0 + high / 2);
        let half = ((wide.max(high) as f64 * EXTENT / 2.0) as usize).max(MIN_HALF);
        let columns = xc.saturating_sub(half)..width.min(xc + half);
        let rows = yc.saturating_sub(half)..height.min(yc + half);

        let indices: Vec<usize> = rows.clone().flat_map(|y| columns.clone().map(move |x| y * width + x)).collect();
        let raw: Vec<f64> = indices.iter().map(|index| f64::from(source.image[*index])).collect();
        let raw = PixelPlane { height: rows.len(), width: columns.len(), values: raw };
        let masked = |index: usize| source.mask.is_some_and(|mask| mask[index] != 0.0);
        let variance = |index: usize| source.variance.map_or(0.0, |variance| variance[index]);
        let mut bad = outliers(&raw);
        for ((bad, value), index) in bad.iter_mut().zip(&raw.values).zip(&indices) {
            let other = source.segments[*index] != 0 && source.segments[*index] != source.label;
            *bad |= other || masked(*index) || !value.is_finite() || !variance(*index).is_finite();
        }
        let values = raw.values.iter().zip(&bad).map(|(value, bad)| if *bad { 0.0 } else { *value }).collect();
        let image = PixelPlane { values, ..raw };
        let segment = |index: &usize| source.segments[*index];
        let own: Vec<bool> = indices.iter().zip(&bad).map(|(index, bad)| segment(index) != 0 && !bad).collect();
        let sky = indices.iter().map(|index| segment(index) == 0 && !masked(*index)).collect();
        let alone = image.only(&own);
        Some(Self { x0: columns.start, y0: rows.start, image, bad, source: own, sky, alone })
    }

    /// The light of the source.
    pub(super) fn flux(&self) -> f64 {
        self.alone.values.iter().sum()
    }

    /// The centroid of the source; the middle of the stamp when it is outside, which lowers the quality.
    pub(super) fn centroid(&self, quality: &mut Quality) -> Point {
        let (height, width) = (self.image.height as f64, self.image.width as f64);
        match self.alone.centroid() {
            Some([x, y]) if (0.0..width).contains(&x) && (0.0..height).contains(&y) => [x, y],
            // Negative pixels can push it outside.
            _ => {
                quality.lower(Quality::Bad);
                [width / 2.0, height / 2.0]
            }
        }
    }

    /// Whether the pixel of a point is 0, as bad pixels are, or outside of the stamp.
    pub(super) fn is_empty_at(&self, [x, y]: Point) -> bool {
        let inside = x > -1.0 && y > -1.0 && (x as usize) < self.image.width && (y as usize) < self.image.height;
        !inside || self.image.row(y as usize)[x as usize] == 0.0
    }
}

/// Pixels that are outliers among their eight neighbours. Beyond the edge the edge pixels are repeated.
fn outliers(raw: &PixelPlane) -> Vec<bool> {
    let (height, width) = (raw.height, raw.width);
    let value = |y: usize, x: usize| {
        let value = raw.values[y * width + x];
        if value.is_finite() { value } else { 0.0 }
    };
    let mut found = Vec::with_capacity(height * width);
    for y in 0..height {
        let rows = [y.saturating_sub(1), y, (y + 1).min(height - 1)];
        for x in 0..width {
            let columns = [x.saturating_sub(1), x, (x + 1).min(width - 1)];
            let (mut sum, mut squares) = (0.0, 0.0);
            for (i, row) in rows.into_iter().enumerate() {
                for (j, column) in columns.into_iter().enumerate() {
                    if (i, j) != (1, 1) {
                        let neighbour = value(row, column);
                        sum += neighbour;
                        squares += neighbour * neighbour;
                    }
                }
            }
            let mean = sum / 8.0;
            let deviation = (squares / 8.0 - mean * mean).sqrt();
            found.push((raw.values[y * width + x] - mean).abs() > OUTLIER * deviation);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphology::test_sources::source;

    #[test]
    fn a_hot_pixel_is_an_outlier_and_rough_ones_are_not() {
        let mut values: Vec<f64> = (0..100).map(|i| f64::from((i * 37) % 11)).collect();
        values[44] = 500.0;
        let raw = PixelPlane { height: 10, width: 10, values };
        let found = outliers(&raw);
        assert_eq!((0..100).filter(|i| found[*i]).collect::<Vec<_>>(), [44]);
    }

    #[test]
    fn a_stamp_is_centred_on_the_source_and_marks_pixels() {
        let (height, width) = (100, 80);
        let image: Vec<f32> = (0..height * width).map(|i| 5.0 + ((i * 31) % 7) as f32).collect();
        let mut segments = vec![0; height * width];
        for y in 40..50 {
            for x in 60..64 {
                segments[y * width + x] = 7;
            }
        }
        segments[45 * width + 70] = 2;
        let mut mask = vec![0.0; height * width];
        mask[45 * width + 61] = 1.0;
        let source = SegmentedSource { label: 7, mask: Some(&mask), ..source(&image, width, &segments) };
        let stamp = Stamp::cut(&source).expect("a source");
        // Half a side is 24, and the image has 80 columns.
        assert_eq!((stamp.x0, stamp.y0, stamp.image.width, stamp.image.height), (38, 21, 42, 48));
        let at = |x: usize, y: usize| (y - 21) * 42 + x - 38;
        assert!(stamp.bad[at(70, 45)] && stamp.bad[at(61, 45)] && !stamp.bad[at(61, 46)]);
        assert_eq!(stamp.source.iter().filter(|own| **own).count(), 39);
        assert!(stamp.sky[at(39, 22)] && !stamp.sky[at(61, 46)]);
        assert!(Stamp::cut(&SegmentedSource { label: 3, ..source }).is_none());
        // A source of 30 columns and 4 rows has a stamp of 2.5 times 30.
        let mut wide = vec![0; height * width];
        (0..4).for_each(|y| wide[(48 + y) * width + 20..][..30].fill(7));
        let stamp = Stamp::cut(&SegmentedSource { segments: &wide, mask: None, ..source }).expect("a source");
        assert_eq!((stamp.x0, stamp.y0, stamp.image.width, stamp.image.height), (0, 13, 72, 74));
    }

    #[test]
    fn pixels_without_data_are_bad() {
        let (height, width) = (60, 60);
        let mut image: Vec<f32> = (0..height * width).map(|i| 5.0 + ((i * 31) % 7) as f32).collect();
        let mut segments = vec![0; height * width];
        (28..32).for_each(|y| segments[y * width + 28..][..4].fill(1));
        let mut variance = vec![1.0; height * width];
        (image[30 * width + 30], image[20 * width + 20]) = (f32::NAN, f32::INFINITY);
        variance[29 * width + 29] = f32::INFINITY;
        let variance = Some(variance.as_slice());
        let source = SegmentedSource { variance, ..source(&image, width, &segments) };
        let stamp = Stamp::cut(&source).expect("a source");
        let bad: Vec<usize> = (0..stamp.bad.len()).filter(|i| stamp.bad[*i]).collect();
        let at = |x: usize, y: usize| (y - stamp.y0) * stamp.image.width + x - stamp.x0;
        assert_eq!(bad, [at(20, 20), at(29, 29), at(30, 30)]);
        assert!(bad.iter().all(|i| stamp.image.values[*i] == 0.0));
        assert_eq!(stamp.source.iter().filter(|own| **own).count(), 14);
        let good = (0..16).map(|i| (28 + i / 4, 28 + i % 4)).filter(|at| *at != (29, 29) && *at != (30, 30));
        assert_eq!(stamp.flux(), good.map(|(y, x)| f64::from(image[y * width + x])).sum::<f64>());
        assert!(stamp.is_empty_at([-1.0, 3.0]) && stamp.is_empty_at([3.0, 48.0]) && stamp.is_empty_at([-1.5, -1.5]));
        assert!(stamp.is_empty_at([0.0, -1.0]) && stamp.is_empty_at([48.0, 3.0]) && !stamp.is_empty_at([-0.5, 47.9]));
    }

    #[test]
    fn a_centroid_outside_of_the_stamp_is_replaced_by_the_middle() {
        let (height, width) = (50, 50);
        // Smooth enough for no outliers; the negative wing pushes the centroid beyond the other side.
        let image: Vec<f32> = (0..height * width).map(|i| 20.0 - (i % width) as f32 + (i % 3) as f32 / 10.0).collect();
        let mut segments = vec![0; height * width];
        segments[25 * width + 5..][..31].fill(1);
        let source = source(&image, width, &segments);
        let stamp = Stamp::cut(&source).expect("a source");
        let mut quality = Quality::Good;
        assert!(stamp.flux() > 0.0 && stamp.alone.centroid().is_some_and(|[x, _]| x < 0.0));
        let middle = [stamp.image.width as f64 / 2.0, stamp.image.height as f64 / 2.0];
        assert_eq!((stamp.centroid(&mut quality), quality), (middle, Quality::Bad));
    }

    #[test]
    fn outliers_are_those_of_the_definition_at_the_edge_too() {
        // A rough image with hot pixels, also in corners and at edges.
        let (height, width) = (13, 11);
        let mut values: Vec<f64> = (0..height * width).map(|i| ((i * i * 31) % 19) as f64 / 10.0).collect();
        for index in [0, 5, 10, 44, 60, 76, height * width - 11, height * width - 5, height * width - 1] {
            values[index] += 90.0;
        }
        let raw = PixelPlane { height, width, values };
        let found = outliers(&raw);
        assert!(found.contains(&true) && found.contains(&false));
        for (index, found) in found.into_iter().enumerate() {
            let (y, x) = ((index / width) as isize, (index % width) as isize);
            let neighbours: Vec<f64> = (0..9)
                .filter(|at| *at != 4)
                .map(|at| (y + at / 3 - 1, x + at % 3 - 1))
                .map(|(y, x)| raw.row(y.clamp(0, 12) as usize)[x.clamp(0, 10) as usize])
                .collect();
            let mean = neighbours.iter().sum::<f64>() / 8.0;
            let variance = neighbours.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 8.0;
            assert_eq!(found, (raw.values[index] - mean).abs() > 10.0 * variance.sqrt(), "{y} {x}");
        }
    }

    #[test]
    fn a_pixel_ten_standard_deviations_away_is_an_outlier() {
        // The neighbours have mean 0 and standard deviation 1.
        for (value, expected) in [(10.01, true), (9.99, false), (-10.01, true), (-9.99, false)] {
            let values = vec![1.0, -1.0, 1.0, -1.0, value, 1.0, -1.0, 1.0, -1.0];
            assert_eq!(outliers(&PixelPlane { height: 3, width: 3, values })[4], expected, "{value}");
        }
    }
}
