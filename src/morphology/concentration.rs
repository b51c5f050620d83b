//! Radii that hold a share of the light: what concentration is made of.

use super::{
    Point, Quality,
    aperture::{Aperture, Table},
    brent::root,
};

/// Places at which the light is looked at.
const STEPS: usize = 100;

/// The radius of the circle with a share of the light within `whole`; `None` when there is no such radius.
pub(super) fn radius(table: &Table, centre: Point, whole: f64, share: f64, quality: &mut Quality) -> Option<f64> {
    radius_of(table, |radius| Aperture::circle(centre, radius), whole, share, quality)
}

/// The same of apertures of any form.
pub(super) fn radius_of(
    table: &Table,
    aperture: impl Fn(f64) -> Aperture,
    whole: f64,
    share: f64,
    quality: &mut Quality,
) -> Option<f64> {
    if whole.is_nan() || whole <= 0.0 {
        return None;
    }
    let total = table.sum(&aperture(whole));
    if total <= 0.0 {
        quality.lower(Quality::Bad);
    }
    if total == 0.0 {
        return Some(whole);
    }
    let above = |radius: f64| {
        let light = if radius == 0.0 { 0.0 } else { table.sum(&aperture(radius)).abs() };
        light / total.abs() - share
    };
    // The first step at which the share is exceeded: light need not grow outwards everywhere.
    let place = |step: usize| whole * step as f64 / (STEPS - 1) as f64;
    let step = (1..STEPS).find(|step| above(place(*step)) > 0.0)?;
    let radius = root(above, place(step - 1), place(step), 1e-6);
    if radius > 0.0 {
        return Some(radius);
    }
    quality.lower(Quality::Bad);
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphology::plane::Plane;

    #[test]
    fn a_flat_disc_has_concentration_five_log_two() {
        let plane = Plane { height: 80, width: 80, values: vec![3.0; 6400] };
        let table = Table::new(&plane, &vec![false; 6400]);
        let mut quality = Quality::Good;
        let found = [0.2, 0.8].map(|share| radius(&table, [40.2, 39.1], 30.0, share, &mut quality).expect("a radius"));
        assert!((found[0] - 30.0 * 0.2f64.sqrt()).abs() < 1e-5, "{found:?}");
        assert!((5.0 * (found[1] / found[0]).log10() - 5.0 * 2f64.log10()).abs() < 1e-5);
        assert_eq!(quality, Quality::Good);
    }

    #[test]
    fn without_light_or_room_there_is_no_radius() {
        let plane = Plane { height: 20, width: 20, values: vec![-1.0; 400] };
        let table = Table::new(&plane, &[false; 400]);
        let mut quality = Quality::Good;
        assert_eq!(radius(&table, [10.0, 10.0], 0.0, 0.5, &mut quality), None);
        assert_eq!(quality, Quality::Good);
        assert!(radius(&table, [10.0, 10.0], 5.0, 0.5, &mut quality).is_some());
        assert_eq!(quality, Quality::Bad);
    }
}
