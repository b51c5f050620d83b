//! The part of an image around a source, and which of its pixels count.

use super::{Point, Quality, Source, plane::Plane};

/// The stamp is so many times as large as the source.
const EXTENT: f64 = 2.5;
/// Half the least size of a stamp, pixels.
const LEAST_HALF: usize = 24;
/// A pixel so many standard deviations of its eight neighbours away from their mean is an outlier (Lotz et al. 2004).
const OUTLIER: f64 = 10.0;

/// The pixels around a source.
pub(super) struct Stamp {
    /// The place of its first pixel in the image.
    pub(super) x0: usize,
    pub(super) y0: usize,
    /// The image; 0 where pixels are bad.
    pub(super) image: Plane,
    /// Other sources, masked pixels, outliers, and what is not finite.
    pub(super) bad: Vec<bool>,
    /// Good pixels of the source.
    pub(super) source: Vec<bool>,
    /// Sky that no mask covers.
    pub(super) sky: Vec<bool>,
    /// The image on the source, else 0.
    pub(super) alone: Plane,
}

impl Stamp {
    /// Cuts out a square around the source, smaller where the image ends; `None` when no pixel has its label.
    pub(super) fn cut(source: &Source) -> Option<Self> {
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
        let reach = ((wide.max(high) as f64 * EXTENT / 2.0) as usize).max(LEAST_HALF);
        let columns = xc.saturating_sub(reach)..width.min(xc + reach);
        let rows = yc.saturating_sub(reach)..height.min(yc + reach);

        let places: Vec<usize> = rows.clone().flat_map(|y| columns.clone().map(move |x| y * width + x)).collect();
        let raw: Vec<f64> = places.iter().map(|place| f64::from(source.image[*place])).collect();
        let raw = Plane { height: rows.len(), width: columns.len(), values: raw };
        let masked = |place: usize| source.mask.is_some_and(|mask| mask[place] != 0.0);
        let variance = |place: usize| source.variance.map_or(0.0, |variance| variance[place]);
        let mut bad = outliers(&raw);
        for ((bad, value), place) in bad.iter_mut().zip(&raw.values).zip(&places) {
            let other = source.segments[*place] != 0 && source.segments[*place] != source.label;
            *bad |= other || masked(*place) || !value.is_finite() || !variance(*place).is_finite();
        }
        let values = raw.values.iter().zip(&bad).map(|(value, bad)| if *bad { 0.0 } else { *value }).collect();
        let image = Plane { values, ..raw };
        let segment = |place: &usize| source.segments[*place];
        let own: Vec<bool> = places.iter().zip(&bad).map(|(place, bad)| segment(place) != 0 && !bad).collect();
        let sky = places.iter().map(|place| segment(place) == 0 && !masked(*place)).collect();
        let alone = image.only(&own);
        Some(Self { x0: columns.start, y0: rows.start, image, bad, source: own, sky, alone })
    }

    /// The light of the source.
    pub(super) fn flux(&self) -> f64 {
        self.alone.values.iter().sum()
    }

    /// The centre of light of the source.
    pub(super) fn centroid(&self, quality: &mut Quality) -> Point {
        let (height, width) = (self.image.height as f64, self.image.width as f64);
        match self.alone.centroid() {
            Some([x, y]) if (0.0..width).contains(&x) && (0.0..height).contains(&y) => [x, y],
            // Negative pixels can push it out.
            _ => {
                quality.lower(Quality::Bad);
                [width / 2.0, height / 2.0]
            }
        }
    }

    /// Whether the pixel of a point, in the stamp, has nothing in it: it is masked.
    pub(super) fn is_empty_at(&self, [x, y]: Point) -> bool {
        let inside = x > -1.0 && y > -1.0 && (x as usize) < self.image.width && (y as usize) < self.image.height;
        !inside || self.image.row(y as usize)[x as usize] == 0.0
    }
}

/// Pixels that stand out from their eight neighbours; beyond the edge the edge goes on.
fn outliers(raw: &Plane) -> Vec<bool> {
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
                        let near = value(row, column);
                        sum += near;
                        squares += near * near;
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

    #[test]
    fn a_hot_pixel_stands_out_and_a_steep_slope_does_not() {
        let mut values: Vec<f64> = (0..100).map(|i| f64::from((i * 37) % 11)).collect();
        values[44] = 500.0;
        let raw = Plane { height: 10, width: 10, values };
        let found = outliers(&raw);
        assert_eq!((0..100).filter(|i| found[*i]).collect::<Vec<_>>(), [44]);
    }

    #[test]
    fn a_stamp_is_around_the_source_and_leaves_out_what_does_not_count() {
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
        let source = Source { image: &image, height, width, segments: &segments, label: 7, mask: Some(&mask), ..NONE };
        let stamp = Stamp::cut(&source).expect("a source");
        // Half a side is 24, and the image ends at 80.
        assert_eq!((stamp.x0, stamp.y0, stamp.image.width, stamp.image.height), (38, 21, 42, 48));
        let place = |x: usize, y: usize| (y - 21) * 42 + x - 38;
        assert!(stamp.bad[place(70, 45)] && stamp.bad[place(61, 45)] && !stamp.bad[place(61, 46)]);
        assert_eq!(stamp.source.iter().filter(|own| **own).count(), 39);
        assert!(stamp.sky[place(39, 22)] && !stamp.sky[place(61, 46)]);
        assert!(Stamp::cut(&Source { label: 3, ..source }).is_none());
    }

    const NONE: Source<'static> = Source {
        image: &[],
        height: 0,
        width: 0,
        segments: &[],
        label: 0,
        mask: None,
        variance: None,
        gain: None,
        sky: super::super::Sky::Measured,
        psf_fwhm_pixels: None,
    };
}
