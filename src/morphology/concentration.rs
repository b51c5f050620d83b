//! Radii that contain a share of the light, for the concentration and for half-light radii.

use super::{Point, Quality, aperture::Aperture, brent::find_root, row_prefix_sums::RowPrefixSums};

/// Number of radii at which the light is evaluated.
const STEPS: usize = 100;

/// The radius of the circle with a share of the light inside of the circle of radius `total_radius`; `None` when there
/// is no such radius.
pub(super) fn radius(
    sums: &RowPrefixSums,
    centre: Point,
    total_radius: f64,
    share: f64,
    quality: &mut Quality,
) -> Option<f64> {
    radius_of(sums, |radius| Aperture::circle(centre, radius), total_radius, share, quality)
}

/// The same for apertures of any shape, which are scaled by a radius.
pub(super) fn radius_of(
    sums: &RowPrefixSums,
    aperture: impl Fn(f64) -> Aperture,
    total_radius: f64,
    share: f64,
    quality: &mut Quality,
) -> Option<f64> {
    if total_radius.is_nan() || total_radius <= 0.0 {
        return None;
    }
    let total = sums.sum(&aperture(total_radius));
    if total <= 0.0 {
        quality.lower(Quality::Bad);
    }
    if total == 0.0 {
        return Some(total_radius);
    }
    let above = |radius: f64| {
        let light = if radius == 0.0 { 0.0 } else { sums.sum(&aperture(radius)).abs() };
        light / total.abs() - share
    };
    // The first step at which the share is exceeded: with negative pixels the light does not grow everywhere.
    let at_step = |step: usize| total_radius * step as f64 / (STEPS - 1) as f64;
    let step = (1..STEPS).find(|step| above(at_step(*step)) > 0.0)?;
    let radius = find_root(above, at_step(step - 1), at_step(step), 1e-6);
    if radius > 0.0 {
        return Some(radius);
    }
    quality.lower(Quality::Bad);
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphology::pixel_plane::PixelPlane;

    #[test]
    fn a_flat_disc_has_a_concentration_of_5_log_2() {
        let plane = PixelPlane { height: 80, width: 80, values: vec![3.0; 6400] };
        let sums = RowPrefixSums::new(&plane, &vec![false; 6400]);
        let mut quality = Quality::Good;
        let found = [0.2, 0.8].map(|share| radius(&sums, [40.2, 39.1], 30.0, share, &mut quality).expect("a radius"));
        assert!((found[0] - 30.0 * 0.2f64.sqrt()).abs() < 1e-5, "{found:?}");
        assert!((5.0 * (found[1] / found[0]).log10() - 5.0 * 2f64.log10()).abs() < 1e-5);
        assert_eq!(quality, Quality::Good);
    }

    #[test]
    fn negative_light_lowers_the_quality_and_radius_zero_has_no_share() {
        let plane = PixelPlane { height: 20, width: 20, values: vec![-1.0; 400] };
        let sums = RowPrefixSums::new(&plane, &[false; 400]);
        let mut quality = Quality::Good;
        assert_eq!(radius(&sums, [10.0, 10.0], 0.0, 0.5, &mut quality), None);
        assert_eq!(quality, Quality::Good);
        assert!(radius(&sums, [10.0, 10.0], 5.0, 0.5, &mut quality).is_some());
        assert_eq!(quality, Quality::Bad);
    }

    #[test]
    fn light_that_sums_to_zero_has_the_total_radius() {
        let plane = PixelPlane { height: 20, width: 20, values: vec![0.0; 400] };
        let sums = RowPrefixSums::new(&plane, &[false; 400]);
        let mut quality = Quality::Good;
        assert_eq!(radius(&sums, [10.0, 10.0], 5.0, 0.5, &mut quality), Some(5.0));
        assert_eq!((radius(&sums, [10.0, 10.0], f64::NAN, 0.5, &mut quality), quality), (None, Quality::Bad));
    }

    #[test]
    fn a_ring_has_its_half_light_radius_inside_of_the_ring() {
        let values = (0..80 * 80).map(|i| f64::from(i % 80 - 40).hypot(f64::from(i / 80 - 40)));
        let values = values.map(|radius| f64::from(u8::from((10.0..12.0).contains(&radius)))).collect();
        let sums = RowPrefixSums::new(&PixelPlane { height: 80, width: 80, values }, &[false; 80 * 80]);
        let mut quality = Quality::Good;
        let half = radius(&sums, [40.0, 40.0], 30.0, 0.5, &mut quality).expect("a radius");
        assert!((half - 11.0).abs() < 0.2, "{half}");
        assert_eq!(quality, Quality::Good);
    }

    #[test]
    fn radii_below_a_pixel_are_found_and_radius_zero_is_bad() {
        let mut values = vec![0.0; 400];
        values[10 * 20 + 10] = 3.0;
        let sums = RowPrefixSums::new(&PixelPlane { height: 20, width: 20, values }, &[false; 400]);
        let mut quality = Quality::Good;
        let found = radius(&sums, [10.0, 10.0], 6.0, 0.01, &mut quality).expect("a radius");
        assert!((found - (0.01 / std::f64::consts::PI).sqrt()).abs() < 1e-5, "{found}");
        assert_eq!(quality, Quality::Good);
        assert_eq!((radius(&sums, [10.0, 10.0], 6.0, 0.0, &mut quality), quality), (None, Quality::Bad));
    }

    #[test]
    fn of_several_radii_with_a_share_the_smallest_is_returned() {
        // Light grows to about 50 at radius 4, falls to about 5 at radius 8 and grows again.
        let values = (0..60 * 60).map(|i| f64::from(i % 60 - 30).hypot(f64::from(i / 60 - 30)));
        let light = |radius: f64| {
            if radius < 4.0 {
                1.0
            } else if radius < 8.0 {
                -0.3
            } else {
                0.3
            }
        };
        let values = values.map(|radius| if radius < 10.0 { light(radius) } else { 0.0 }).collect();
        let sums = RowPrefixSums::new(&PixelPlane { height: 60, width: 60, values }, &[false; 60 * 60]);
        let total = sums.sum(&Aperture::circle([30.0, 30.0], 12.0));
        let found = radius(&sums, [30.0, 30.0], 12.0, 0.5, &mut Quality::Good).expect("a radius");
        assert!((found - (0.5 * total / std::f64::consts::PI).sqrt()).abs() < 0.01 && found < 3.0, "{found}");
    }
}
