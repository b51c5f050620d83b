//! M20: how far out the brightest fifth of the light is.

use super::{Quality, plane::Plane, stamp::Stamp};

/// M20 = log10(second moment of the brightest pixels that make 20 % of the flux / second moment of all), both about the
/// centroid of these pixels (Lotz et al. 2004).
pub(super) fn m20(stamp: &Stamp, pixels: &[bool], quality: &mut Quality) -> Option<f64> {
    if !pixels.contains(&true) {
        return None;
    }
    let found = of(&stamp.image.only(pixels));
    if found.is_none() {
        quality.lower(Quality::Bad);
    }
    found
}

fn of(image: &Plane) -> Option<f64> {
    let centre = image.centroid()?;
    let total = second_moment(image, centre);
    let mut sorted = image.values.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let flux: f64 = sorted.iter().sum();
    let mut below = 0.0;
    let threshold = sorted.into_iter().find(|value| {
        below += value;
        below / flux >= 0.8
    })?;
    let bright: Vec<bool> = image.values.iter().map(|value| *value >= threshold).collect();
    let of_bright = second_moment(&image.only(&bright), centre);
    (total > 0.0 && of_bright > 0.0).then(|| (of_bright / total).log10())
}

fn second_moment(plane: &Plane, centre: [f64; 2]) -> f64 {
    let (xx, _, yy) = plane.second_moments(centre);
    xx + yy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bright_pixels_far_out_have_all_of_the_second_moment_they_have() {
        // A row: 1 at +-4 (a tenth of the flux each), and at +-1 and 0 the rest.
        let mut values = vec![0.0; 81];
        for (x, flux) in [(0, 1.5), (3, 1.0), (4, 1.2), (5, 1.0), (8, 1.5)] {
            values[4 * 9 + x] = flux;
        }
        let plane = Plane { height: 9, width: 9, values };
        let (bright, total) = (2.0 * 1.5 * 16.0, 2.0 * 1.5 * 16.0 + 2.0);
        assert!((of(&plane).expect("a value") - f64::log10(bright / total)).abs() < 1e-12);
    }

    #[test]
    fn a_single_pixel_has_no_second_moment() {
        let mut values = vec![0.0; 25];
        values[12] = 1.0;
        assert_eq!(of(&Plane { height: 5, width: 5, values: values.clone() }), None);
        values[12] = -1.0;
        assert_eq!(of(&Plane { height: 5, width: 5, values }), None);
    }
}
