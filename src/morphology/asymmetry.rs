//! Asymmetry under a rotation by 180 degrees.
//!
//! A = (sum |x - x180| - area * asymmetry of the sky per pixel) / sum |x|, over a circle of 1.5 Petrosian radii (about
//! the centroid) around the centre that minimises A (Conselice et al. 2000, Lotz et al. 2004). A rotation about a point
//! between pixels is interpolated linearly; a pixel is excluded when it or the one opposite to it is bad.

use super::{Point, Quality, aperture::Aperture, nelder_mead::minimise, sky::SkyBox, stamp::Stamp};

/// The value for the search where A is undefined.
const UNDEFINED: f64 = 100.0;
/// Tolerance of the minimum, in pixels and in A. It changes the other statistics by less than 1e-4.
const TOLERANCE: f64 = 1e-4;

/// The asymmetry of a source about any point.
pub(super) struct Asymmetry<'a> {
    stamp: &'a Stamp,
    skybox: &'a SkyBox,
    radius: f64,
    has_bad_pixels: bool,
    /// A lower bound of interpolated pixels, so that the zeros beyond the edge do not darken them: the faintest pixel.
    least: f64,
}

impl<'a> Asymmetry<'a> {
    pub(super) fn new(stamp: &'a Stamp, skybox: &'a SkyBox, radius: f64) -> Self {
        let has_bad_pixels = stamp.bad.contains(&true);
        let least = stamp.image.values.iter().copied().fold(f64::INFINITY, f64::min);
        Self { stamp, skybox, radius, has_bad_pixels, least: if least > 0.0 { least } else { f64::NEG_INFINITY } }
    }

    /// The centre of least asymmetry, searched from the centroid. If it is farther than `max_distance` away, it is
    /// searched again from the brightest pixel; if that is too far away too, the centre is the centroid.
    pub(super) fn centre(&self, centroid: Point, max_distance: f64, quality: &mut Quality) -> Point {
        let stamp = self.stamp;
        let far = |a: Point, b: Point| (a[0] - b[0]).hypot(a[1] - b[1]) > max_distance;
        let mut rows = RotatedRows::new(stamp.image.width);
        let mut search = |start, quality: &mut Quality| {
            minimise(|point| self.value(point, &mut rows, quality), start, TOLERANCE, TOLERANCE)
        };
        let mut centre = search(centroid, quality);
        if far(centre, centroid) {
            quality.lower(Quality::Suspect);
            let brightest = stamp.image.point(stamp.alone.brightest());
            centre = search(brightest, quality);
            if far(centre, brightest) {
                quality.lower(Quality::Bad);
                centre = centroid;
            }
        }
        if stamp.is_empty_at(centre) {
            quality.lower(Quality::Bad);
        }
        centre
    }

    /// The asymmetry about a point; `None` without light, or when the point is outside of the stamp.
    pub(super) fn at(&self, centre: Point, quality: &mut Quality) -> Option<f64> {
        let value = self.value(centre, &mut RotatedRows::new(self.stamp.image.width), quality);
        (value < UNDEFINED && value.is_finite()).then_some(value)
    }

    fn value(&self, centre: Point, rows: &mut RotatedRows, quality: &mut Quality) -> f64 {
        let image = &self.stamp.image;
        let [xc, yc] = centre;
        let inside = (0.0..image.width as f64).contains(&xc) && (0.0..image.height as f64).contains(&yc);
        if !inside {
            quality.lower(Quality::Suspect);
            return UNDEFINED;
        }
        let circle = Aperture::circle(centre, self.radius);
        let (mut light, mut difference, mut area) = (0.0, 0.0, 0.0);
        for span in circle.spans(image.height, image.width) {
            rows.rotate(self, span.y, centre);
            if self.has_bad_pixels {
                rows.select(self, span.y, centre);
            }
            let (row, rotated, keep) = (image.row(span.y), &rows.rotated, &rows.keep);
            let within = span.inside.clone();
            let sums = sums(&row[within.clone()], &rotated[within.clone()], &keep[within]);
            light += sums[0];
            difference += sums[1];
            area += sums[2];
            for x in span.rim() {
                let share = keep[x] * circle.overlap(x, span.y);
                light += share * row[x].abs();
                difference += share * (rotated[x] - row[x]).abs();
                area += share;
            }
        }
        if light == 0.0 {
            quality.lower(Quality::Suspect);
            return UNDEFINED;
        }
        (difference - area * self.skybox.asymmetry) / light
    }
}

/// Buffers for one row, reused by all evaluations.
struct RotatedRows {
    /// The row of the rotated image before its interpolation along x, with a 0 on either side.
    mixed: Vec<f64>,
    /// The row of the rotated image.
    rotated: Vec<f64>,
    /// 1 where a pixel and the one opposite to it are good, else 0.
    keep: Vec<f64>,
}

impl RotatedRows {
    fn new(width: usize) -> Self {
        Self { mixed: vec![0.0; width + 2], rotated: vec![0.0; width], keep: vec![1.0; width] }
    }

    /// Fills in row y of the image rotated about a point.
    fn rotate(&mut self, of: &Asymmetry, y: usize, [xc, yc]: Point) {
        let image = &of.stamp.image;
        let width = image.width;
        let from = 2.0 * yc - y as f64;
        let (row, part) = (from.floor(), from - from.floor());
        // Interpolated between two rows.
        self.mixed.fill(0.0);
        for (row, weight) in [(row, 1.0 - part), (row + 1.0, part)] {
            if row >= 0.0 && row < image.height as f64 {
                for (mixed, value) in self.mixed[1..].iter_mut().zip(image.row(row as usize)) {
                    *mixed += weight * value;
                }
            }
        }
        // Column x is interpolated at 2 xc - x, between the columns `first - x` and `first - x + 1`.
        let first = (2.0 * xc).floor();
        let part = 2.0 * xc - first;
        let first = first as isize;
        let lowest = (first - width as isize + 1).clamp(0, width as isize) as usize;
        let highest = (first + 2).clamp(0, width as isize) as usize;
        self.rotated[..lowest].fill(0.0);
        self.rotated[highest..].fill(0.0);
        if lowest >= highest {
            return;
        }
        // `mixed` begins one pixel before the row.
        let end = (first + 1 - lowest as isize) as usize;
        let length = highest - lowest;
        let source = &self.mixed[end + 1 - length..end + 2];
        let rotated = &mut self.rotated[lowest..highest];
        for (out, pair) in rotated.iter_mut().zip(source.windows(2).rev()) {
            *out = (1.0 - part) * pair[0] + part * pair[1];
        }
        if of.least > 0.0 {
            rotated.iter_mut().filter(|value| **value != 0.0).for_each(|value| *value = value.max(of.least));
        }
    }

    /// Fills in which pixels of row y are used.
    fn select(&mut self, of: &Asymmetry, y: usize, [xc, yc]: Point) {
        let (width, height) = (of.stamp.image.width, of.stamp.image.height);
        let share = |bad: &bool| f64::from(u8::from(!bad));
        for (keep, bad) in self.keep.iter_mut().zip(&of.stamp.bad[y * width..]) {
            *keep = share(bad);
        }
        let row = (2.0 * yc).round() - y as f64;
        if row < 0.0 || row >= height as f64 {
            return;
        }
        // Column x is opposite to `first` - x, if that is in the row.
        let opposite = &of.stamp.bad[row as usize * width..][..width];
        let first = (2.0 * xc).round() as usize;
        let lowest = (first + 1).saturating_sub(width);
        if lowest >= width {
            return;
        }
        for (keep, bad) in self.keep[lowest..].iter_mut().zip(opposite[..=(first - lowest).min(width - 1)].iter().rev())
        {
            *keep *= share(bad);
        }
    }
}

/// Sums over the pixels that are kept: of light, of its difference from the rotated image, and of their number. Eight
/// lanes make the sum vectorisable and fix its order.
fn sums(row: &[f64], rotated: &[f64], keep: &[f64]) -> [f64; 3] {
    const LANES: usize = 8;
    let mut lanes = [[0.0; LANES]; 3];
    let mut add = |row: &[f64], rotated: &[f64], keep: &[f64]| {
        for (lane, ((value, rotated), keep)) in row.iter().zip(rotated).zip(keep).enumerate() {
            lanes[0][lane] += keep * value.abs();
            lanes[1][lane] += keep * (rotated - value).abs();
            lanes[2][lane] += keep;
        }
    };
    let (rows, row) = row.as_chunks::<LANES>();
    let (rotations, rotated) = rotated.as_chunks::<LANES>();
    let (keeps, keep) = keep.as_chunks::<LANES>();
    for ((row, rotated), keep) in rows.iter().zip(rotations).zip(keeps) {
        add(row, rotated, keep);
    }
    add(row, rotated, keep);
    lanes.map(|lanes| lanes.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphology::{
        SegmentedSource, Sky,
        test_sources::{above, image, source, stamp},
    };

    /// The centre and the asymmetry of a source without sky, whose pixels are those of `light`.
    fn measured(light: impl Fn(f64, f64) -> f64, mask: Option<&[f32]>) -> (Point, Option<f64>, Quality) {
        let image = image(50, 60, light);
        let segments = above(&image, 1.0);
        let stamp = stamp(&SegmentedSource { mask, ..source(&image, 60, &segments) });
        let mut quality = Quality::Good;
        let skybox = SkyBox::of(&stamp, Sky::None, &mut quality);
        let asymmetry = Asymmetry::new(&stamp, &skybox, 18.0);
        let centre = asymmetry.centre(stamp.centroid(&mut quality), 3.0, &mut quality);
        let value = asymmetry.at(centre, &mut quality);
        ([centre[0] + stamp.x0 as f64, centre[1] + stamp.y0 as f64], value, quality)
    }

    #[test]
    fn centres_in_any_corner_of_a_stamp_with_bad_pixels_have_an_asymmetry() {
        let (height, width) = (7, 12);
        let image: Vec<f32> = (0..height * width).map(|i| 1.0 + (i * 29 % 17) as f32).collect();
        let mask: Vec<f32> = (0..height * width).map(|i| f32::from(u8::from(i % 5 == 0))).collect();
        let segments = vec![1; height * width];
        let stamp = stamp(&SegmentedSource { mask: Some(&mask), ..source(&image, width, &segments) });
        let mut quality = Quality::Good;
        let skybox = SkyBox::of(&stamp, Sky::None, &mut quality);
        let asymmetry = Asymmetry::new(&stamp, &skybox, 4.0);
        for x in [0.0, 0.3, 5.5, 11.2, 11.8, 11.999_999] {
            for y in [0.0, 0.2, 3.0, 6.3, 6.8, 6.999_999] {
                let value = asymmetry.at([x, y], &mut quality).expect("a value");
                assert!((0.0..=2.0).contains(&value), "{x} {y}: {value}");
            }
        }
        assert_eq!(asymmetry.at([12.0, 3.0], &mut quality), None);
    }

    fn blob(x: f64, y: f64, [xc, yc]: Point) -> f64 {
        100.0 * (-((x - xc).powi(2) / 32.0 + (y - yc).powi(2) / 50.0)).exp()
    }

    #[test]
    fn a_symmetric_galaxy_has_asymmetry_zero_about_its_centre() {
        let centre = [31.0, 24.5];
        let (found, value, quality) = measured(|x, y| blob(x, y, centre), None);
        assert!((found[0] - centre[0]).hypot(found[1] - centre[1]) < 0.01, "{found:?}");
        assert!(value.expect("a value") < 1e-3, "{value:?}");
        assert_eq!(quality, Quality::Good);
    }

    #[test]
    fn light_without_a_counterpart_counts_twice_and_masked_light_does_not_count() {
        let centre = [30.0, 25.0];
        let with_spot =
            |x: f64, y: f64| blob(x, y, centre) + if (x - 39.0).abs() + (y - 25.0).abs() < 1.5 { 40.0 } else { 0.0 };
        let (_, value, _) = measured(with_spot, None);
        let total: f64 = (0..3000).map(|i| with_spot(f64::from(i % 60), f64::from(i / 60))).sum();
        assert!((value.expect("a value") - 2.0 * 5.0 * 40.0 / total).abs() < 2e-3, "{value:?}");
        let mask: Vec<f32> = (0..3000)
            .map(|i| f32::from(u8::from((f64::from(i % 60) - 39.0).abs() + (f64::from(i / 60) - 25.0).abs() < 1.5)))
            .collect();
        let (_, value, _) = measured(with_spot, Some(&mask));
        assert!(value.expect("a value") < 1e-3, "{value:?}");
    }

    /// The asymmetry by the definition, pixel by pixel.
    fn by_definition(stamp: &Stamp, [xc, yc]: Point, radius: f64) -> f64 {
        let least = stamp.image.values.iter().copied().fold(f64::INFINITY, f64::min);
        let (width, height) = (stamp.image.width as isize, stamp.image.height as isize);
        let inside = |x: isize, y: isize| (0..width).contains(&x) && (0..height).contains(&y);
        let pixel = |x: isize, y: isize| if inside(x, y) { stamp.image.row(y as usize)[x as usize] } else { 0.0 };
        let circle = Aperture::circle([xc, yc], radius);
        let (mut light, mut difference) = (0.0, 0.0);
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let (u, v) = (2.0 * xc - x as f64, 2.0 * yc - y as f64);
            let (i, j) = (u.floor() as isize, v.floor() as isize);
            let (p, q) = (u - u.floor(), v - v.floor());
            let rotated = (1.0 - q) * ((1.0 - p) * pixel(i, j) + p * pixel(i + 1, j))
                + q * ((1.0 - p) * pixel(i, j + 1) + p * pixel(i + 1, j + 1));
            let rotated = if least > 0.0 && rotated != 0.0 { rotated.max(least) } else { rotated };
            let bad = |x: isize, y: isize| inside(x, y) && stamp.bad[(y * width + x) as usize];
            let opposite = ((2.0 * xc).round() as isize - x, (2.0 * yc).round() as isize - y);
            if bad(x, y) || bad(opposite.0, opposite.1) {
                continue;
            }
            let share = circle.overlap(x as usize, y as usize);
            light += share * pixel(x, y).abs();
            difference += share * (rotated - pixel(x, y)).abs();
        }
        difference / light
    }

    #[test]
    fn values_are_those_of_the_definition_about_any_point() {
        // The faintest pixel is a bound of interpolated ones if it is positive.
        let images = [-3.0, 4.0].map(|faintest| image(31, 26, |x, y| (7.0 * x + 13.0 * y) % 17.0 + faintest + x));
        let mask: Vec<f32> = (0..31 * 26).map(|i| f32::from(u8::from(i % 23 == 4))).collect();
        for (image, mask) in images.iter().flat_map(|image| [(image, None), (image, Some(mask.as_slice()))]) {
            let stamp = stamp(&SegmentedSource { mask, ..source(image, 26, &[1; 31 * 26]) });
            let mut quality = Quality::Good;
            let skybox = SkyBox::of(&stamp, Sky::None, &mut quality);
            let asymmetry = Asymmetry::new(&stamp, &skybox, 9.0);
            for centre in [[13.0, 15.0], [12.3, 14.8], [0.0, 0.4], [25.6, 30.2], [3.5, 27.5], [24.9, 2.0]] {
                let found = asymmetry.at(centre, &mut quality).expect("a value");
                let expected = by_definition(&stamp, centre, 9.0);
                assert!((found - expected).abs() < 1e-12, "{centre:?}: {found} {expected}");
            }
            assert_eq!(quality, Quality::Good);
        }
    }

    #[test]
    fn the_sky_is_subtracted_by_area() {
        let image = image(31, 26, |x, y| (7.0 * x + 13.0 * y) % 17.0 - 3.0 + x);
        let stamp = stamp(&source(&image, 26, &[1; 31 * 26]));
        let mut quality = Quality::Good;
        let dark = SkyBox::of(&stamp, Sky::None, &mut quality);
        let mut noisy = SkyBox::of(&stamp, Sky::None, &mut quality);
        noisy.asymmetry = 0.25;
        let [dark, noisy] =
            [&dark, &noisy].map(|sky| Asymmetry::new(&stamp, sky, 9.0).at([13.2, 15.1], &mut Quality::Good));
        let circle = Aperture::circle([13.2, 15.1], 9.0);
        let absolute = crate::morphology::pixel_plane::PixelPlane {
            values: stamp.image.values.iter().map(|value| value.abs()).collect(),
            ..stamp.image
        };
        let expected = dark.expect("a value") - 0.25 * circle.area() / circle.sum(&absolute);
        assert!((noisy.expect("a value") - expected).abs() < 1e-9);
    }

    #[test]
    fn a_centre_on_a_masked_pixel_is_bad() {
        let light = |x: f64, y: f64| blob(x, y, [30.0, 25.0]);
        let mask = image(50, 60, |x, y| f64::from(u8::from(x == 30.0 && y == 25.0)));
        assert_eq!((measured(light, Some(&mask)).2, measured(light, None).2), (Quality::Bad, Quality::Good));
    }

    #[test]
    fn an_image_without_light_has_no_asymmetry_and_is_suspect() {
        let image = image(50, 60, |x, y| if x > 40.0 && y > 40.0 { 9.0 } else { 0.0 });
        let stamp = stamp(&source(&image, 60, &[1; 50 * 60]));
        let skybox = SkyBox::of(&stamp, Sky::None, &mut Quality::Good);
        let asymmetry = Asymmetry::new(&stamp, &skybox, 5.0);
        for centre in [[10.0, 10.0], [-0.1, 10.0], [10.0, 50.0]] {
            let mut quality = Quality::Good;
            assert_eq!((asymmetry.at(centre, &mut quality), quality), (None, Quality::Suspect), "{centre:?}");
        }
        assert!(asymmetry.at([45.0, 45.0], &mut Quality::Good).is_some());
    }

    #[test]
    fn a_centre_that_drifts_away_is_searched_from_the_brightest_pixel() {
        // A bright and a faint blob; near the faint one that is the symmetric one.
        let (bright, faint) = ([18.0, 25.0], [42.0, 25.0]);
        let image = image(50, 60, |x, y| blob(x, y, bright) + 0.5 * blob(x, y, faint));
        let stamp = stamp(&source(&image, 60, &[1; 50 * 60]));
        let skybox = SkyBox::of(&stamp, Sky::None, &mut Quality::Good);
        let asymmetry = Asymmetry::new(&stamp, &skybox, 8.0);
        let search = |max_distance: f64| {
            let mut quality = Quality::Good;
            (asymmetry.centre([40.0, 25.0], max_distance, &mut quality), quality)
        };
        let near = |found: Point, expected: Point| (found[0] - expected[0]).hypot(found[1] - expected[1]) < 0.05;
        let (found, quality) = search(3.0);
        assert!(near(found, faint) && quality == Quality::Good, "{found:?} {quality:?}");
        let (found, quality) = search(1.0);
        assert!(near(found, bright) && quality == Quality::Suspect, "{found:?} {quality:?}");
    }

    #[test]
    fn a_centre_that_drifts_away_from_the_brightest_pixel_too_is_the_centroid() {
        // The brightest pixel is 4 pixels from the centre of symmetry.
        let centre = [30.0, 25.0];
        let image = image(50, 60, |x, y| blob(x, y, centre) + if x == 34.0 && y == 25.0 { 45.0 } else { 0.0 });
        let stamp = stamp(&source(&image, 60, &[1; 50 * 60]));
        assert_eq!(stamp.image.point(stamp.alone.brightest()), [34.0, 25.0]);
        let skybox = SkyBox::of(&stamp, Sky::None, &mut Quality::Good);
        let asymmetry = Asymmetry::new(&stamp, &skybox, 10.0);
        let mut quality = Quality::Good;
        assert_eq!(asymmetry.centre([27.0, 25.0], 1.0, &mut quality), [27.0, 25.0]);
        assert_eq!(quality, Quality::Bad);
    }

    #[test]
    fn buffers_do_not_leak_from_one_centre_to_the_next() {
        let image = image(31, 26, |x, y| (7.0 * x + 13.0 * y) % 17.0 - 3.0 + x);
        let mask: Vec<f32> = (0..31 * 26).map(|i| f32::from(u8::from(i % 23 == 4))).collect();
        let stamp = stamp(&SegmentedSource { mask: Some(&mask), ..source(&image, 26, &[1; 31 * 26]) });
        let skybox = SkyBox::of(&stamp, Sky::None, &mut Quality::Good);
        let asymmetry = Asymmetry::new(&stamp, &skybox, 12.0);
        let mut rows = RotatedRows::new(26);
        for centre in [[13.0, 15.0], [2.0, 3.0], [24.3, 28.4], [12.5, 1.0], [25.9, 15.0], [0.0, 15.0]] {
            let fresh = asymmetry.at(centre, &mut Quality::Good);
            assert_eq!(Some(asymmetry.value(centre, &mut rows, &mut Quality::Good)), fresh, "{centre:?}");
        }
    }
}
