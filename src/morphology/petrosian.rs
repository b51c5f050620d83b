//! Petrosian radius: the radius at which the mean flux on the rim is 0.2 of the mean flux inside.
//!
//! The rim is an annulus one pixel wide. The ratio is evaluated outwards in a hundred steps up to the diagonal of the
//! stamp until it falls below 0.2; the radius is the root in that step.

use super::{
    Point, Quality, aperture::Aperture, brent::find_root, pixel_plane::SecondMoments, row_prefix_sums::RowPrefixSums,
    stamp::Stamp,
};

/// The ratio of fluxes that defines the radius (Petrosian 1976).
pub(super) const ETA: f64 = 0.2;
/// Width of the rim, pixels.
pub(super) const RIM: f64 = 1.0;
/// Number of radii at which the ratio is evaluated.
const STEPS: usize = 100;

/// The shape of a source: centre, major over minor axis, and direction of the major axis in radians.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ellipse {
    pub(super) centre: Point,
    pub(super) elongation: f64,
    pub(super) angle: f64,
}

impl Ellipse {
    /// The ellipse with the second moments of a source about a point.
    pub(super) fn of(stamp: &Stamp, centre: Point, quality: &mut Quality) -> Self {
        let flux = stamp.flux();
        let SecondMoments { xx, xy, yy } = stamp.alone.second_moments(centre);
        let (mut xx, xy, mut yy) = (xx / flux, xy / flux, yy / flux);
        if xx <= 0.0 || yy <= 0.0 {
            quality.lower(Quality::Bad);
        }
        // A line of pixels has no width: it gets the variance of a pixel, as in SExtractor.
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

    /// The ellipse of a semi-major axis.
    pub(super) fn with(&self, semi_major: f64) -> Aperture {
        Aperture::ellipse(self.centre, [semi_major, semi_major / self.elongation], self.angle)
    }
}

/// The Petrosian radius of circles, pixels.
pub(super) fn circle(sums: &RowPrefixSums, centre: Point, quality: &mut Quality) -> f64 {
    let farthest = (sums.width as f64).hypot(sums.height as f64);
    search(sums, |radius| Aperture::circle(centre, radius), farthest, quality)
}

/// The semi-major axis of the Petrosian ellipse, pixels.
pub(super) fn ellipse(sums: &RowPrefixSums, ellipse: &Ellipse, quality: &mut Quality) -> f64 {
    let farthest = (sums.width as f64).hypot(sums.height as f64) * ellipse.elongation;
    search(sums, |semi_major| ellipse.with(semi_major), farthest, quality)
}

/// The first radius, from that of the rim up to `farthest`, at which the ratio falls below that of the definition.
fn search(sums: &RowPrefixSums, aperture: impl Fn(f64) -> Aperture, farthest: f64, quality: &mut Quality) -> f64 {
    let mut above_eta = |radius: f64| {
        let mean = |(flux, area): (f64, f64)| if area > 0.0 { (flux / area).abs() } else { 0.0 };
        let (outer, inner) = (aperture(radius + RIM / 2.0), aperture(radius - RIM / 2.0));
        let (outer, inner) = (sums.sums(&outer), sums.sums(&inner));
        let rim = mean((outer.0 - inner.0, outer.1 - inner.1));
        let within = mean(sums.sums(&aperture(radius)));
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
            return find_root(above_eta, last, radius, 1e-6);
        }
        last = Some(radius);
    }
    quality.lower(Quality::Bad);
    farthest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphology::{
        pixel_plane::PixelPlane,
        test_sources::{image, source, stamp},
    };

    #[test]
    fn an_exponential_disc_has_the_radius_of_the_formula() {
        // I = exp(-r/h): 0.2 = x^2 e^-x / (2 (1 - (1 + x) e^-x)) at x = r/h = 3.6224.
        let (h, centre) = (6.0, [60.3, 59.6]);
        let values = (0..120 * 120).map(|i| {
            let (x, y) = (f64::from(i % 120), f64::from(i / 120));
            (-(x - centre[0]).hypot(y - centre[1]) / h).exp()
        });
        let plane = PixelPlane { height: 120, width: 120, values: values.collect() };
        let sums = RowPrefixSums::new(&plane, &vec![false; 120 * 120]);
        let mut quality = Quality::Good;
        let radius = circle(&sums, centre, &mut quality);
        assert!((radius / h - 3.6224).abs() < 0.005, "{}", radius / h);
        let negative = PixelPlane { values: plane.values.iter().map(|value| -value).collect(), ..plane };
        let sums_of_negative = RowPrefixSums::new(&negative, &vec![false; 120 * 120]);
        assert_eq!(circle(&sums_of_negative, centre, &mut quality), radius);
        let round = Ellipse { centre, elongation: 1.0, angle: 0.7 };
        assert!((ellipse(&sums, &round, &mut quality) - radius).abs() < 1e-4);
        assert_eq!(quality, Quality::Good);
    }

    #[test]
    fn a_dark_plane_has_no_radius_and_lowers_the_quality() {
        let plane = PixelPlane { height: 20, width: 20, values: vec![1.0; 400] };
        let sums = RowPrefixSums::new(&plane, &[false; 400]);
        let mut quality = Quality::Good;
        circle(&sums, [10.0, 10.0], &mut quality);
        assert_eq!(quality, Quality::Good, "a flat plane ends at its edge, beyond which the mean is 0");
        let dark = PixelPlane { values: vec![0.0; 400], ..plane };
        circle(&RowPrefixSums::new(&dark, &[false; 400]), [10.0, 10.0], &mut quality);
        assert_eq!(quality, Quality::Bad);
    }

    #[test]
    fn a_source_that_fades_within_the_rim_has_the_radius_of_the_rim() {
        let mut plane = PixelPlane { height: 20, width: 20, values: vec![0.0; 400] };
        plane.values[10 * 20 + 10] = 5.0;
        let mut quality = Quality::Good;
        let radius = circle(&RowPrefixSums::new(&plane, &[false; 400]), [10.0, 10.0], &mut quality);
        assert_eq!((radius, quality), (RIM, Quality::Bad));
    }

    #[test]
    fn an_ellipse_has_the_shape_of_the_second_moments() {
        // Variances 64 and 16 along axes rotated by 30 degrees.
        let (sin, cos) = 30f64.to_radians().sin_cos();
        let image = image(120, 120, |x, y| {
            let (dx, dy) = (x - 61.0, y - 58.0);
            let (along, across) = (dx * cos + dy * sin, dy * cos - dx * sin);
            (-along * along / 128.0 - across * across / 32.0).exp()
        });
        let stamp = stamp(&source(&image, 120, &[1; 120 * 120]));
        let mut quality = Quality::Good;
        let ellipse = Ellipse::of(&stamp, [61.0, 58.0], &mut quality);
        assert!(
            (ellipse.elongation - 2.0).abs() < 1e-3 && (ellipse.angle - 30f64.to_radians()).abs() < 1e-3,
            "{ellipse:?}"
        );
        assert_eq!((ellipse.centre, quality), ([61.0, 58.0], Quality::Good));
    }

    #[test]
    fn a_line_of_pixels_gets_the_width_of_a_pixel() {
        let mut segments = vec![0; 60 * 60];
        segments[30 * 60 + 20..][..21].fill(1);
        let image = image(60, 60, |_, _| 1.0);
        let stamp = stamp(&source(&image, 60, &segments));
        let mut quality = Quality::Good;
        let ellipse = Ellipse::of(&stamp, [30.0 - stamp.x0 as f64, 30.0 - stamp.y0 as f64], &mut quality);
        // 21 pixels have variance 440 / 12, a pixel 1 / 12.
        assert!((ellipse.elongation - 441f64.sqrt()).abs() < 1e-9 && ellipse.angle == 0.0, "{ellipse:?}");
        assert_eq!(quality, Quality::Bad);
    }

    #[test]
    fn negative_second_moments_are_bad() {
        // Positive in the centre, negative far away along x or y.
        for (dx, dy) in [(8_usize, 0_usize), (0, 8)] {
            let image = image(60, 60, |x, y| {
                let far = ((x - 30.0).abs(), (y - 30.0).abs()) == (dx as f64, dy as f64);
                if far { -1.0 } else { f64::from(u8::from(x == 30.0 && y == 30.0)) * 9.0 }
            });
            let segments: Vec<u32> = image.iter().map(|value| u32::from(*value != 0.0)).collect();
            let mut stamp = stamp(&source(&image, 60, &segments));
            // Single pixels are outliers: as they are the source here, put them back.
            let at = |x: usize, y: usize| (y - stamp.y0) * stamp.image.width + x - stamp.x0;
            let (middle, ends) = (at(30, 30), [at(30 - dx, 30 - dy), at(30 + dx, 30 + dy)]);
            stamp.alone.values.fill(0.0);
            stamp.alone.values[middle] = 9.0;
            ends.iter().for_each(|index| stamp.alone.values[*index] = -1.0);
            let mut quality = Quality::Good;
            Ellipse::of(&stamp, [30.0 - stamp.x0 as f64, 30.0 - stamp.y0 as f64], &mut quality);
            assert_eq!(quality, Quality::Bad, "{dx} {dy}");
        }
    }
}
