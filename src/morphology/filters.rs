//! Smoothing: by a Gaussian, by a box.

use super::plane::Plane;

/// Convolves with a Gaussian of a standard deviation in pixels, cut off at 4 of them; beyond the edge there is nothing.
pub(super) fn gaussian(plane: &Plane, sigma: f64) -> Plane {
    let reach = (4.0 * sigma + 0.5) as usize;
    let half: Vec<f64> = (0..=reach).map(|i| (-0.5 * (i as f64 / sigma).powi(2)).exp()).collect();
    let total = half[0] + 2.0 * half[1..].iter().sum::<f64>();
    let half: Vec<f64> = half.iter().map(|weight| weight / total).collect();
    let (height, width) = (plane.height, plane.width);

    let mut down = Plane { values: vec![0.0; height * width], ..*plane };
    for (y, out) in down.values.chunks_exact_mut(width).enumerate() {
        for other in y.saturating_sub(reach)..height.min(y + reach + 1) {
            let weight = half[other.abs_diff(y)];
            for (out, value) in out.iter_mut().zip(plane.row(other)) {
                *out += weight * value;
            }
        }
    }
    let mut out = Plane { values: vec![0.0; height * width], ..*plane };
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

/// The mean over a box of `size` pixels a side, one more before than after where the size is even. Beyond the edge the
/// plane is mirrored, the edge pixel twice.
pub(super) fn boxcar(plane: &Plane, size: usize) -> Plane {
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
    Plane { values, ..*plane }
}

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
    use super::*;

    fn plane(height: usize, width: usize, f: impl Fn(usize, usize) -> f64) -> Plane {
        let values = (0..height * width).map(|i| f(i / width, i % width)).collect();
        Plane { height, width, values }
    }

    #[test]
    fn a_gaussian_keeps_the_light_and_widens_it() {
        let point = plane(41, 51, |y, x| f64::from(u8::from(y == 20 && x == 25)));
        let smooth = gaussian(&point, 2.0);
        let sum: f64 = smooth.values.iter().sum();
        let (xx, xy, yy) = smooth.second_moments([25.0, 20.0]);
        assert!((sum - 1.0).abs() < 1e-12 && xy.abs() < 1e-12);
        assert!((xx - 4.0).abs() < 0.02 && (yy - 4.0).abs() < 0.02, "{xx} {yy}");
    }

    #[test]
    fn a_box_is_the_mean_and_mirrors_at_the_edge() {
        let ramp = plane(1, 5, |_, x| x as f64);
        let close = |found: &Plane, expected: &[f64]| {
            assert!(found.values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {expected:?}");
        };
        close(&boxcar(&ramp, 3), &[1.0 / 3.0, 1.0, 2.0, 3.0, 11.0 / 3.0]);
        // As numpy's: two before, one after.
        close(&boxcar(&ramp, 4), &[0.5, 0.75, 1.5, 2.5, 3.25]);
        assert_eq!(boxcar(&ramp, 1), ramp);
        // Wider than the plane: it is mirrored more than once.
        close(&boxcar(&ramp, 10), &[2.0; 5]);
    }
}
