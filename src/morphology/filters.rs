//! Smoothing filters: Gaussian and boxcar.

use super::pixel_plane::PixelPlane;

/// Convolves with a Gaussian of standard deviation `sigma` pixels, truncated at 4 sigma. The plane is 0 beyond its
/// edge.
pub(super) fn gaussian(plane: &PixelPlane, sigma: f64) -> PixelPlane {
    let reach = (4.0 * sigma + 0.5) as usize;
    let half: Vec<f64> = (0..=reach).map(|i| (-0.5 * (i as f64 / sigma).powi(2)).exp()).collect();
    let total = half[0] + 2.0 * half[1..].iter().sum::<f64>();
    let half: Vec<f64> = half.iter().map(|weight| weight / total).collect();
    let (height, width) = (plane.height, plane.width);

    let mut down = PixelPlane { values: vec![0.0; height * width], ..*plane };
    for (y, out) in down.values.chunks_exact_mut(width).enumerate() {
        for other in y.saturating_sub(reach)..height.min(y + reach + 1) {
            let weight = half[other.abs_diff(y)];
            for (out, value) in out.iter_mut().zip(plane.row(other)) {
                *out += weight * value;
            }
        }
    }
    let mut out = PixelPlane { values: vec![0.0; height * width], ..*plane };
    let mut padded = vec![0.0; width + 2 * reach];
    for (y, out) in out.values.chunks_exact_mut(width).enumerate() {
        padded[reach..reach + width].copy_from_slice(down.row(y));
        for (shift, weight) in half.iter().enumerate() {
            let left = &padded[reach - shift..][..width];
            let right = &padded[reach + shift..][..width];
            let weight = if shift == 0 { weight / 2.0 } else { *weight };
            for ((out, left), right) in out.iter_mut().zip(left).zip(right) {
                *out += weight * (left + right);
            }
        }
    }
    out
}

/// The mean over a box with sides of `size` pixels. For an even size the box has one more pixel before the centre than
/// after it. Beyond the edge the plane is mirrored, edge pixels included, as `scipy.ndimage` does by default.
pub(super) fn boxcar(plane: &PixelPlane, size: usize) -> PixelPlane {
    if size <= 1 {
        return plane.clone();
    }
    let (height, width) = (plane.height, plane.width);
    let mut along = Vec::with_capacity(height * width);
    for row in plane.values.chunks_exact(width) {
        line(row.iter().copied(), size, &mut along);
    }
    let mut values = vec![0.0; height * width];
    let mut column = Vec::with_capacity(height);
    for x in 0..width {
        column.clear();
        line((0..height).map(|y| along[y * width + x]), size, &mut column);
        for (y, value) in column.iter().enumerate() {
            values[y * width + x] = *value;
        }
    }
    PixelPlane { values, ..*plane }
}

/// Appends the running means of a row or column.
fn line(values: impl ExactSizeIterator<Item = f64> + Clone, size: usize, out: &mut Vec<f64>) {
    let length = values.len();
    let values: Vec<f64> = values.collect();
    let mirrored = |i: isize| {
        let i = i.rem_euclid(2 * length as isize) as usize;
        values[if i < length { i } else { 2 * length - 1 - i }]
    };
    let before = (size / 2) as isize;
    let mut sum: f64 = (0..size as isize).map(|i| mirrored(i - before)).sum();
    for i in 0..length as isize {
        out.push(sum / size as f64);
        sum += mirrored(i + size as isize - before) - mirrored(i - before);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::pixel_plane::SecondMoments, *};

    fn plane(height: usize, width: usize, f: impl Fn(usize, usize) -> f64) -> PixelPlane {
        let values = (0..height * width).map(|i| f(i / width, i % width)).collect();
        PixelPlane { height, width, values }
    }

    #[test]
    fn a_gaussian_conserves_light_and_adds_its_variance() {
        let point = plane(41, 51, |y, x| f64::from(u8::from(y == 20 && x == 25)));
        let smooth = gaussian(&point, 2.0);
        let sum: f64 = smooth.values.iter().sum();
        let SecondMoments { xx, xy, yy } = smooth.second_moments([25.0, 20.0]);
        assert!((sum - 1.0).abs() < 1e-12 && xy.abs() < 1e-12);
        assert!((xx - 4.0).abs() < 0.02 && (yy - 4.0).abs() < 0.02, "{xx} {yy}");
    }

    #[test]
    fn a_boxcar_is_a_mean_that_mirrors_at_the_edge() {
        let ramp = plane(1, 5, |_, x| x as f64);
        let close = |found: &PixelPlane, expected: &[f64]| {
            assert!(found.values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {expected:?}");
        };
        close(&boxcar(&ramp, 3), &[1.0 / 3.0, 1.0, 2.0, 3.0, 11.0 / 3.0]);
        // Two before, one after.
        close(&boxcar(&ramp, 4), &[0.5, 0.75, 1.5, 2.5, 3.25]);
        assert_eq!(boxcar(&ramp, 1), ramp);
        // Wider than the plane, which is mirrored more than once.
        close(&boxcar(&ramp, 10), &[2.0; 5]);
    }

    #[test]
    fn a_gaussian_is_the_product_of_its_weights_and_zero_beyond_the_edge() {
        // Weights 1, e^-0.5, e^-2, e^-4.5 and e^-8 on either side.
        let weight = |d: usize| (-0.5 * (d * d) as f64).exp();
        let total = weight(0) + 2.0 * (1..=4).map(weight).sum::<f64>();
        let smooth = gaussian(&plane(9, 12, |y, x| f64::from(u8::from(y == 0 && x == 1))), 1.0);
        for (index, found) in smooth.values.iter().enumerate() {
            let (y, x) = (index / 12, usize::abs_diff(index % 12, 1));
            let expected = if y <= 4 && x <= 4 { weight(y) * weight(x) / (total * total) } else { 0.0 };
            assert!((found - expected).abs() < 1e-15, "{index}: {found} {expected}");
        }
    }

    #[test]
    fn a_boxcar_smooths_both_axes() {
        let board = plane(6, 7, |y, x| ((3 * y + 5 * x) % 7) as f64);
        let smooth = boxcar(&board, 3);
        for (y, x) in (1..5).flat_map(|y| (1..6).map(move |x| (y, x))) {
            let sum: f64 = (y - 1..y + 2).map(|y| board.row(y)[x - 1..x + 2].iter().sum::<f64>()).sum();
            assert!((smooth.row(y)[x] - sum / 9.0).abs() < 1e-12, "{y} {x}");
        }
    }
}
