//! Asymmetry: the light that does not come back after half a turn.
//!
//! A = (sum |x - x180| - area * that of the sky per pixel) / sum |x|, over a circle of 1.5 Petrosian radii (about the
//! centroid) around the centre that makes A least (Conselice et al. 2000, Lotz et al. 2004). Half a turn about a point
//! between pixels is interpolated linearly; a pixel is left out when it or the one opposite to it is bad.

use super::{Point, Quality, aperture::Aperture, minimum::minimum, sky::SkyBox, stamp::Stamp};

/// What the search is told where A has no meaning.
const NOWHERE: f64 = 100.0;
/// How near the minimum is found, pixels, and how flat A is there. The other statistics move by less than 1e-4 with it.
const TOLERANCE: f64 = 1e-4;

/// A source that can be turned about any point.
pub(super) struct Asymmetry<'a> {
    stamp: &'a Stamp,
    skybox: &'a SkyBox,
    radius: f64,
    any_bad: bool,
    /// Interpolation against the nothing beyond the edge gives no less than the faintest pixel.
    least: f64,
}

impl<'a> Asymmetry<'a> {
    pub(super) fn new(stamp: &'a Stamp, skybox: &'a SkyBox, radius: f64) -> Self {
        let any_bad = stamp.bad.contains(&true);
        let least = stamp.image.values.iter().copied().fold(f64::INFINITY, f64::min);
        Self { stamp, skybox, radius, any_bad, least: if least > 0.0 { least } else { f64::NEG_INFINITY } }
    }

    /// The centre of least asymmetry, searched from the centroid; from the brightest pixel when it drifts off farther than
    /// `leash`, and the centroid when that does not help.
    pub(super) fn centre(&self, centroid: Point, leash: f64, quality: &mut Quality) -> Point {
        let stamp = self.stamp;
        let far = |a: Point, b: Point| (a[0] - b[0]).hypot(a[1] - b[1]) > leash;
        let mut rows = Rows::new(stamp.image.width);
        let mut search = |start, quality: &mut Quality| {
            minimum(|point| self.value(point, &mut rows, quality), start, TOLERANCE, TOLERANCE)
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

    /// The asymmetry about a point; `None` when there is no light or the point is outside.
    pub(super) fn at(&self, centre: Point, quality: &mut Quality) -> Option<f64> {
        let value = self.value(centre, &mut Rows::new(self.stamp.image.width), quality);
        (value < NOWHERE && value.is_finite()).then_some(value)
    }

    fn value(&self, centre: Point, rows: &mut Rows, quality: &mut Quality) -> f64 {
        let image = &self.stamp.image;
        let [xc, yc] = centre;
        let inside = (0.0..image.width as f64).contains(&xc) && (0.0..image.height as f64).contains(&yc);
        if !inside {
            quality.lower(Quality::Suspect);
            return NOWHERE;
        }
        let circle = Aperture::circle(centre, self.radius);
        let (mut light, mut difference, mut area) = (0.0, 0.0, 0.0);
        for span in circle.spans(image.height, image.width) {
            rows.turn(self, span.y, centre);
            if self.any_bad {
                rows.good(self, span.y, centre);
            }
            let (row, turned) = (image.row(span.y), &rows.turned);
            if self.any_bad {
                let mut add = |x: usize, share: f64| {
                    if rows.good[x] {
                        light += share * row[x].abs();
                        difference += share * (turned[x] - row[x]).abs();
                        area += share;
                    }
                };
                span.inside.clone().for_each(|x| add(x, 1.0));
                span.rim().for_each(|x| add(x, circle.overlap(x, span.y)));
            } else {
                for (value, turned) in row[span.inside.clone()].iter().zip(&turned[span.inside.clone()]) {
                    light += value.abs();
                    difference += (turned - value).abs();
                }
                area += span.inside.len() as f64;
                for x in span.rim() {
                    let share = circle.overlap(x, span.y);
                    light += share * row[x].abs();
                    difference += share * (turned[x] - row[x]).abs();
                    area += share;
                }
            }
        }
        if light == 0.0 {
            quality.lower(Quality::Suspect);
            return NOWHERE;
        }
        (difference - area * self.skybox.asymmetry) / light
    }
}

/// Rows under way, kept from one evaluation to the next.
struct Rows {
    /// A row of the turned image before it is interpolated along x.
    mixed: Vec<f64>,
    /// A row of the turned image.
    turned: Vec<f64>,
    /// Whether a pixel and the one opposite to it are good.
    good: Vec<bool>,
}

impl Rows {
    fn new(width: usize) -> Self {
        Self { mixed: vec![0.0; width + 2], turned: vec![0.0; width], good: vec![true; width] }
    }

    /// Row y of the image turned about a point.
    fn turn(&mut self, of: &Asymmetry, y: usize, [xc, yc]: Point) {
        let image = &of.stamp.image;
        let width = image.width;
        let from = 2.0 * yc - y as f64;
        let (row, part) = (from.floor(), from - from.floor());
        // Mixed of two rows, with a 0 on either side.
        self.mixed.fill(0.0);
        for (row, weight) in [(row, 1.0 - part), (row + 1.0, part)] {
            if row >= 0.0 && row < image.height as f64 {
                for (mixed, value) in self.mixed[1..].iter_mut().zip(image.row(row as usize)) {
                    *mixed += weight * value;
                }
            }
        }
        // Column x comes from 2 xc - x: between `first - x` and the one after.
        let first = (2.0 * xc).floor();
        let part = 2.0 * xc - first;
        let first = first as isize;
        let lowest = (first - width as isize + 1).clamp(0, width as isize) as usize;
        let highest = (first + 2).clamp(0, width as isize) as usize;
        self.turned[..lowest].fill(0.0);
        self.turned[highest..].fill(0.0);
        if lowest >= highest {
            return;
        }
        // In `mixed`, which begins one pixel before the row, the place is one more.
        let end = (first + 1 - lowest as isize) as usize;
        let length = highest - lowest;
        let source = &self.mixed[end + 1 - length..end + 2];
        let turned = &mut self.turned[lowest..highest];
        for (out, pair) in turned.iter_mut().zip(source.windows(2).rev()) {
            *out = (1.0 - part) * pair[0] + part * pair[1];
        }
        if of.least > 0.0 {
            turned.iter_mut().filter(|value| **value != 0.0).for_each(|value| *value = value.max(of.least));
        }
    }

    /// Which pixels of row y count.
    fn good(&mut self, of: &Asymmetry, y: usize, [xc, yc]: Point) {
        let (width, height) = (of.stamp.image.width as isize, of.stamp.image.height as isize);
        let row = (2.0 * yc).round() as isize - y as isize;
        let first = (2.0 * xc).round() as isize;
        for x in 0..width {
            let column = first - x;
            let opposite = (0..height).contains(&row)
                && (0..width).contains(&column)
                && of.stamp.bad[(row * width + column) as usize];
            self.good[x as usize] = !opposite && !of.stamp.bad[y * width as usize + x as usize];
        }
    }
}
