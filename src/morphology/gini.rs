//! The Gini coefficient, and the pixels that it is measured on.

use super::{
    Point, Quality,
    filters::gaussian,
    petrosian::{Ellipse, RIM},
    regions::regions,
    stamp::Stamp,
};

/// Standard deviation of the Gaussian that smooths the image before the pixels are selected, in Petrosian semi-major
/// axes.
const SMOOTHING: f64 = 0.2;

/// The Gini segmentation map: the pixels that are, in the smoothed image, at least as bright as the mean on the rim of
/// the Petrosian ellipse about the centroid. Of several regions the one with the brightest pixel.
pub(super) fn pixels(
    stamp: &Stamp,
    ellipse: &Ellipse,
    centroid: Point,
    petrosian: f64,
    quality: &mut Quality,
) -> Vec<bool> {
    let smooth = gaussian(&stamp.image, SMOOTHING * petrosian);
    let about = Ellipse { centre: centroid, ..*ellipse };
    let (outer, inner) = (about.with(petrosian + RIM / 2.0), about.with(petrosian - RIM / 2.0));
    let threshold = (outer.sum(&smooth) - inner.sum(&smooth)) / (outer.area() - inner.area());
    let above: Vec<bool> = smooth.values.iter().map(|value| *value >= threshold).collect();
    let (labels, count) = regions(&above, smooth.width);
    if count == 0 || !above.contains(&false) {
        quality.lower(Quality::Bad);
        return above;
    }
    if count > 1 {
        quality.lower(Quality::Suspect);
    }
    let own = labels[smooth.brightest()];
    labels.into_iter().map(|label| label == own).collect()
}

/// G = sum over i of (2 i - n - 1) |x|_i / ((n - 1) sum |x|), the pixels in ascending order (Lotz et al. 2004).
pub(super) fn gini(stamp: &Stamp, pixels: &[bool], quality: &mut Quality) -> Option<f64> {
    let values = stamp.image.values.iter().zip(pixels).filter(|(_, own)| **own).map(|(value, _)| value.abs());
    let found = coefficient(values.collect());
    if found.is_none() {
        quality.lower(Quality::Bad);
    }
    found
}

fn coefficient(mut values: Vec<f64>) -> Option<f64> {
    let n = values.len() as f64;
    values.sort_unstable_by(f64::total_cmp);
    let total: f64 = values.iter().sum();
    let weighted: f64 = values.iter().enumerate().map(|(i, value)| (2.0 * (i + 1) as f64 - n - 1.0) * value).sum();
    (n > 1.0 && total > 0.0).then(|| weighted / ((n - 1.0) * total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphology::test_sources::{gaussian as blob, image, source, stamp};

    #[test]
    fn equal_values_give_zero_and_one_nonzero_value_gives_one() {
        assert_eq!(coefficient(vec![2.0; 10]), Some(0.0));
        let mut one = vec![0.0; 10];
        one[4] = 7.0;
        assert_eq!(coefficient(one), Some(1.0));
        // 1, 2, 3: (-2 * 1 + 0 + 2 * 3) / (2 * 6).
        assert_eq!(coefficient(vec![3.0, 1.0, 2.0]), Some(1.0 / 3.0));
        assert_eq!(coefficient(vec![1.0]), None);
        assert_eq!(coefficient(vec![0.0; 5]), None);
    }

    const WIDTH: usize = 60;

    /// The map and its quality for an image that is all source, with a Petrosian circle.
    fn map(light: impl Fn(f64, f64) -> f64, centroid: Point, petrosian: f64) -> (Vec<bool>, Quality) {
        let image = image(WIDTH, WIDTH, light);
        let stamp = stamp(&source(&image, WIDTH, &[1; WIDTH * WIDTH]));
        assert_eq!((stamp.image.width, stamp.image.height), (WIDTH, WIDTH));
        let mut quality = Quality::Good;
        // The map is about the centroid, wherever the centre of the ellipse is.
        let ellipse = Ellipse { centre: [0.0, 0.0], elongation: 1.0, angle: 0.0 };
        (pixels(&stamp, &ellipse, centroid, petrosian, &mut quality), quality)
    }

    #[test]
    fn a_map_in_two_pieces_keeps_the_brightest_one_and_is_suspect() {
        let (one, other) = ([16.0, 30.0], [44.0, 30.0]);
        for (first, second) in [(100.0, 60.0), (60.0, 100.0)] {
            let (found, quality) = map(|x, y| first * blob(x, y, one, 4.0) + second * blob(x, y, other, 4.0), one, 8.0);
            let at = |[x, y]: Point| found[y as usize * WIDTH + x as usize];
            assert_eq!((at(one), at(other)), (first > second, second > first));
            assert_eq!(quality, Quality::Suspect);
        }
    }

    #[test]
    fn a_map_in_one_piece_is_bounded_by_the_mean_on_the_rim() {
        let centroid = [29.0, 31.0];
        let (found, quality) = map(|x, y| 100.0 * blob(x, y, centroid, 4.0), centroid, 10.0);
        assert_eq!(quality, Quality::Good);
        // The light falls with the radius, so the map is the disc of the radius.
        let area = found.iter().filter(|own| **own).count() as f64;
        assert!((area / (std::f64::consts::PI * 100.0) - 1.0).abs() < 0.05, "{area}");
        for (index, own) in found.iter().enumerate() {
            let radius = ((index % WIDTH) as f64 - centroid[0]).hypot((index / WIDTH) as f64 - centroid[1]);
            assert!(if radius < 9.0 { *own } else { radius < 11.0 || !own }, "{index}");
        }
    }

    #[test]
    fn a_map_without_pixels_has_no_coefficient_and_is_bad() {
        let image = image(WIDTH, WIDTH, |x, _| x);
        let stamp = stamp(&source(&image, WIDTH, &[1; WIDTH * WIDTH]));
        let mut quality = Quality::Good;
        assert!(gini(&stamp, &[true; WIDTH * WIDTH], &mut quality).is_some_and(|gini| (gini - 1.0 / 3.0).abs() < 0.01));
        assert_eq!(quality, Quality::Good);
        assert_eq!((gini(&stamp, &[false; WIDTH * WIDTH], &mut quality), quality), (None, Quality::Bad));
    }

    #[test]
    fn a_map_of_all_pixels_or_none_is_bad() {
        let (found, quality) = map(|_, _| 0.0, [30.0, 30.0], 8.0);
        assert!(!found.contains(&false));
        assert_eq!(quality, Quality::Bad);
    }
}
