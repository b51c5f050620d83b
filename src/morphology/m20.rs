//! M20: the second moment of the brightest fifth of the light.

use super::{
    Quality,
    pixel_plane::{PixelPlane, SecondMoments},
    stamp::Stamp,
};

/// M20 = log10(second moment of the brightest pixels with 20 % of the flux / second moment of all pixels), both about
/// the centroid of all pixels (Lotz et al. 2004).
pub(super) fn m20(stamp: &Stamp, pixels: &[bool], quality: &mut Quality) -> Option<f64> {
    if !pixels.contains(&true) {
        return None;
    }
    let found = m20_of(&stamp.image.only(pixels));
    if found.is_none() {
        quality.lower(Quality::Bad);
    }
    found
}

fn m20_of(image: &PixelPlane) -> Option<f64> {
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

fn second_moment(plane: &PixelPlane, centre: [f64; 2]) -> f64 {
    let SecondMoments { xx, yy, .. } = plane.second_moments(centre);
    xx + yy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphology::test_sources::{image, source, stamp};

    #[test]
    fn bright_pixels_far_from_the_centre_have_most_of_the_second_moment() {
        // A row of pixels: 1.5 at a distance of 4, 1 at 1 and 1.2 in the centre. The brightest two have more than 20 %
        // of 6.2.
        let mut values = vec![0.0; 81];
        for (x, flux) in [(0, 1.5), (3, 1.0), (4, 1.2), (5, 1.0), (8, 1.5)] {
            values[4 * 9 + x] = flux;
        }
        let plane = PixelPlane { height: 9, width: 9, values };
        let (bright, total) = (2.0 * 1.5 * 16.0, 2.0 * 1.5 * 16.0 + 2.0);
        assert!((m20_of(&plane).expect("a value") - f64::log10(bright / total)).abs() < 1e-12);
    }

    #[test]
    fn light_in_the_centroid_alone_has_no_second_moment() {
        let mut values = vec![0.0; 25];
        [7, 11, 13, 17].iter().for_each(|index| values[*index] = 1.0);
        values[12] = 9.0;
        assert_eq!(m20_of(&PixelPlane { height: 5, width: 5, values }), None);
    }

    #[test]
    fn an_empty_map_has_no_value_and_a_map_without_light_is_bad() {
        let image = image(50, 50, |x, _| if x == 25.0 { 9.0 } else { -1.0 });
        let stamp = stamp(&source(&image, 50, &[1; 2500]));
        let mut quality = Quality::Good;
        assert_eq!((m20(&stamp, &[false; 2500], &mut quality), quality), (None, Quality::Good));
        assert_eq!((m20(&stamp, &[true; 2500], &mut quality), quality), (None, Quality::Bad));
    }

    #[test]
    fn a_single_pixel_has_no_second_moment() {
        let mut values = vec![0.0; 25];
        values[12] = 1.0;
        assert_eq!(m20_of(&PixelPlane { height: 5, width: 5, values: values.clone() }), None);
        values[12] = -1.0;
        assert_eq!(m20_of(&PixelPlane { height: 5, width: 5, values }), None);
    }
}
