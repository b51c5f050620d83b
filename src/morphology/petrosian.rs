//! Petrosian radius: where the mean flux on a rim is 0.2 of the mean flux within.
//!
//! The rim is an annulus of one pixel. The ratio is followed outwards in steps of a hundredth of the way to the stamp's
//! corner until it falls below 0.2, and the radius is refined there.

use super::{
    Point, Quality,
    aperture::{Aperture, Table},
    brent::root,
    stamp::Stamp,
};

/// The ratio that defines the radius (Petrosian 1976).
pub(super) const ETA: f64 = 0.2;
/// Width of the rim, pixels.
pub(super) const RIM: f64 = 1.0;
/// Places at which the ratio is looked at.
const STEPS: usize = 100;

/// The ellipse of a source: centre, major over minor axis, direction of the major axis in radians.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ellipse {
    pub(super) centre: Point,
    pub(super) elongation: f64,
    pub(super) angle: f64,
}

impl Ellipse {
    /// From the second moments of the source about a point.
    pub(super) fn of(stamp: &Stamp, centre: Point, quality: &mut Quality) -> Self {
        let flux = stamp.flux();
        let (xx, xy, yy) = stamp.alone.second_moments(centre);
        let (mut xx, xy, mut yy) = (xx / flux, xy / flux, yy / flux);
        if xx <= 0.0 || yy <= 0.0 {
            quality.lower(Quality::Bad);
        }
        // A line of pixels has no width: it gets that of a pixel, as in SExtractor.
        let pixel = 1.0 / 12.0;
        while (xx * yy - xy * xy).abs() < pixel * pixel {
            xx += if xx >= 0.0 { pixel } else { -pixel };
            yy += if yy >= 0.0 { pixel } else { -pixel };
        }
        let (middle, apart) = (f64::midpoint(xx, yy), ((xx - yy) / 2.0).hypot(xy));
        let (one, other) = ((middle + apart).abs(), (middle - apart).abs());
        let elongation = (one.max(other) / one.min(other)).sqrt();
        Self { centre, elongation, angle: 0.5 * (2.0 * xy).atan2(xx - yy) }
    }

    /// The ellipse with a semi-major axis.
    pub(super) fn with(&self, semi_major: f64) -> Aperture {
        Aperture::ellipse(self.centre, [semi_major, semi_major / self.elongation], self.angle)
    }
}

/// The Petrosian radius of circles, pixels.
pub(super) fn circle(table: &Table, centre: Point, quality: &mut Quality) -> f64 {
    let farthest = (table.width as f64).hypot(table.height as f64);
    search(table, |radius| Aperture::circle(centre, radius), farthest, quality)
}

/// The semi-major axis of the Petrosian ellipse, pixels.
pub(super) fn ellipse(table: &Table, ellipse: &Ellipse, quality: &mut Quality) -> f64 {
    let farthest = (table.width as f64).hypot(table.height as f64) * ellipse.elongation;
    search(table, |semi_major| ellipse.with(semi_major), farthest, quality)
}

fn search(table: &Table, aperture: impl Fn(f64) -> Aperture, farthest: f64, quality: &mut Quality) -> f64 {
    let mut above_eta = |radius: f64| {
        let mean = |(flux, area): (f64, f64)| if area > 0.0 { (flux / area).abs() } else { 0.0 };
        let (outer, inner) = (aperture(radius + RIM / 2.0), aperture(radius - RIM / 2.0));
        let (outer, inner) = (table.sums(&outer), table.sums(&inner));
        let rim = mean((outer.0 - inner.0, outer.1 - inner.1));
        let within = mean(table.sums(&aperture(radius)));
        let ratio = if within == 0.0 {
            quality.lower(Quality::Bad);
            f64::from(u8::from(rim != 0.0))
        } else {
            rim / within
        };
        ratio - ETA
    };
    let mut last = None;
    for step in 0..STEPS {
        let radius = RIM + (farthest - RIM) * step as f64 / (STEPS - 1) as f64;
        let value = above_eta(radius);
        if value == 0.0 {
            return radius;
        }
        if value < 0.0 {
            let Some(last) = last else {
                quality.lower(Quality::Bad);
                return RIM;
            };
            return root(above_eta, last, radius, 1e-6);
        }
        last = Some(radius);
    }
    quality.lower(Quality::Bad);
    farthest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphology::plane::Plane;

    #[test]
    fn an_exponential_disc_has_the_radius_of_its_formula() {
        // I = exp(-r/h): 0.2 = x^2 e^-x / (2 (1 - (1 + x) e^-x)) at x = r/h = 3.6402.
        let (h, centre) = (6.0, [60.3, 59.6]);
        let values = (0..120 * 120).map(|i| {
            let (x, y) = (f64::from(i % 120), f64::from(i / 120));
            (-(x - centre[0]).hypot(y - centre[1]) / h).exp()
        });
        let plane = Plane { height: 120, width: 120, values: values.collect() };
        let table = Table::new(&plane, &vec![false; 120 * 120]);
        let mut quality = Quality::Good;
        let radius = circle(&table, centre, &mut quality);
        assert!((radius / h - 3.6402).abs() < 0.02, "{}", radius / h);
        let round = Ellipse { centre, elongation: 1.0, angle: 0.7 };
        assert!((ellipse(&table, &round, &mut quality) - radius).abs() < 1e-4);
        assert_eq!(quality, Quality::Good);
    }

    #[test]
    fn a_plain_has_no_radius_and_says_so() {
        let plane = Plane { height: 20, width: 20, values: vec![1.0; 400] };
        let table = Table::new(&plane, &[false; 400]);
        let mut quality = Quality::Good;
        circle(&table, [10.0, 10.0], &mut quality);
        assert_eq!(quality, Quality::Good, "beyond the edge the mean is 0");
        let dark = Plane { values: vec![0.0; 400], ..plane };
        circle(&Table::new(&dark, &[false; 400]), [10.0, 10.0], &mut quality);
        assert_eq!(quality, Quality::Bad);
    }
}
