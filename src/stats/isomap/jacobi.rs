//! Eigenvalues of a small symmetric matrix, by Jacobi rotations.
//!
//! Written here because the matrices are 40 x 40, where any method is fast, and nothing else in the crate needs linear
//! algebra.

use multiversion::multiversion;

/// The eigenvalues of a symmetric matrix `[n, n]`, the largest first, and the unit eigenvectors: row i belongs to
/// eigenvalue i.
pub(super) fn eigen(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut vectors = vec![0.0; n * n];
    (0..n).for_each(|i| vectors[i * n + i] = 1.0);
    let size = a.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    let negligible = size * f64::EPSILON * 0.01;
    for _ in 0..64 {
        let mut is_diagonal = true;
        for p in 0..n {
            for q in p + 1..n {
                let apq = a[p * n + q];
                if apq.abs() <= negligible {
                    continue;
                }
                is_diagonal = false;
                let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let cosine = 1.0 / (t * t + 1.0).sqrt();
                let rotation = Rotation { p, q, cosine, sine: t * cosine };
                let (app, aqq) = (a[p * n + p] - t * apq, a[q * n + q] + t * apq);
                rotate(&mut a, n, &rotation);
                for i in 0..n {
                    (a[i * n + p], a[i * n + q]) = (a[p * n + i], a[q * n + i]);
                }
                (a[p * n + p], a[q * n + q], a[p * n + q], a[q * n + p]) = (app, aqq, 0.0, 0.0);
                rotate(&mut vectors, n, &rotation);
            }
        }
        if is_diagonal {
            break;
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|i, j| a[j * n + j].total_cmp(&a[i * n + i]));
    let values = order.iter().map(|i| a[i * n + i]).collect();
    (values, order.iter().flat_map(|i| &vectors[i * n..][..n]).copied().collect())
}

/// A rotation of rows p and q, p < q.
struct Rotation {
    p: usize,
    q: usize,
    cosine: f64,
    sine: f64,
}

#[multiversion(targets = "simd")]
fn rotate(a: &mut [f64], n: usize, rotation: &Rotation) {
    let &Rotation { p, q, cosine: c, sine: s } = rotation;
    let (above, below) = a.split_at_mut(q * n);
    for (x, y) in above[p * n..][..n].iter_mut().zip(&mut below[..n]) {
        (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvalues_and_vectors_are_those_of_a_known_matrix() {
        // 2 on the diagonal and -1 next to it has the eigenvalues 2 - 2 cos(pi k / (n + 1)).
        let n = 12;
        let entry = |i: usize, j: usize| [2.0, -1.0].get(i.abs_diff(j)).copied().unwrap_or(0.0);
        let a: Vec<f64> = (0..n * n).map(|at| entry(at / n, at % n)).collect();
        let (values, vectors) = eigen(a.clone(), n);
        for i in 0..n {
            let expected = 2.0 - 2.0 * (std::f64::consts::PI * (n - i) as f64 / (n + 1) as f64).cos();
            assert!((values[i] - expected).abs() < 1e-14, "{} {expected}", values[i]);
            let vector = &vectors[i * n..][..n];
            for row in 0..n {
                let product: f64 = (0..n).map(|j| a[row * n + j] * vector[j]).sum();
                assert!((product - values[i] * vector[row]).abs() < 1e-14);
            }
            assert!((vector.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-14);
        }
    }

    #[test]
    fn a_zero_matrix_has_zero_eigenvalues() {
        assert_eq!(eigen(vec![0.0; 4], 2), (vec![0.0, 0.0], vec![1.0, 0.0, 0.0, 1.0]));
    }
}
