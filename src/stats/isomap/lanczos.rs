//! The largest eigenvalues of K = -D^2 / 2 minus its means, by a restarted block Lanczos method.
//!
//! From a block of start vectors, each block is multiplied by K and orthogonalised against all before it. The
//! eigenvalues of K on the basis are those of a small matrix, with residuals |K y - l y| that the last block gives.
//! When the basis is full it restarts from the best vectors. It ends when the residuals are below 1e-11 of the largest
//! eigenvalue.

use multiversion::{multiversion, target::target_cfg_f};

use super::{geodesics::Geodesics, jacobi::eigen};

/// Vectors multiplied at once.
const BLOCK: usize = 8;
/// Vectors of a full basis.
const FULL: usize = 5 * BLOCK;
/// Vectors kept at a restart.
const KEPT: usize = 2 * BLOCK;
/// The residual at which the iteration ends, relative to the eigenvalue of the largest size.
const RESIDUAL: f64 = 1e-11;
/// Numbers below this fraction of the largest are rounding errors.
const NEGLIGIBLE: f64 = 1e-12;
/// Maximum number of restarts.
const MAX_RESTARTS: usize = 300;
/// Numbers summed side by side.
const WIDE: usize = 16;

/// An eigenvalue, zero if it is not positive, and its unit eigenvector, by vertex.
#[derive(Debug, Clone)]
pub(super) struct EmbeddingAxis {
    pub(super) value: f64,
    pub(super) vector: Vec<f64>,
}

/// The `count` largest eigenvalues, the largest first.
pub(super) fn largest(geodesics: &Geodesics, count: usize) -> Vec<EmbeddingAxis> {
    let mut basis = Basis { vectors: Vec::new(), small: vec![0.0; FULL * FULL] };
    let mut block = start(geodesics.len());
    orthonormal(&[], &mut block);
    for begun in 1.. {
        while basis.vectors.len() < FULL {
            block = basis.extend(block, geodesics);
        }
        let (values, vectors) = eigen(basis.small.clone(), FULL);
        let size = values[0].abs().max(values[FULL - 1].abs());
        let found = |i: usize| sum_of(&vectors[i * FULL..][..FULL], &basis.vectors);
        let residual = |i: usize| {
            let rest = sum_of(&vectors[(i + 1) * FULL - BLOCK..][..BLOCK], &block);
            dot(&rest, &rest).sqrt()
        };
        if begun == MAX_RESTARTS || (0..count).all(|i| residual(i) <= RESIDUAL * size) {
            let value = |i: usize| if values[i] > NEGLIGIBLE * size { values[i] } else { 0.0 };
            return (0..count).map(|i| EmbeddingAxis { value: value(i), vector: found(i) }).collect();
        }
        basis.vectors = (0..KEPT).map(found).collect();
        basis.small.fill(0.0);
        (0..KEPT).for_each(|i| basis.small[i * FULL + i] = values[i]);
        orthonormal(&basis.vectors, &mut block);
    }
    Vec::new()
}

/// The column means of -D^2 / 2.
pub(super) fn means(geodesics: &Geodesics) -> Vec<f64> {
    let n = geodesics.len() as f64;
    let sums = multiply(geodesics, &[vec![1.0; geodesics.len()]]).swap_remove(0);
    sums.into_iter().map(|sum| sum / n).collect()
}

/// Orthonormal vectors of mean zero, and K on them.
struct Basis {
    vectors: Vec<Vec<f64>>,
    /// K in the basis, `[FULL, FULL]`.
    small: Vec<f64>,
}

impl Basis {
    /// Appends an orthonormal block. Returns the part of its product with K that is orthogonal to the basis:
    /// orthonormalised as the next block, or unchanged when the basis is full, for the residuals.
    fn extend(&mut self, block: Vec<Vec<f64>>, geodesics: &Geodesics) -> Vec<Vec<f64>> {
        let mut next = multiply(geodesics, &block);
        let first = self.vectors.len();
        self.vectors.extend(block);
        for (vector, j) in next.iter_mut().zip(first..) {
            centre(vector);
            for _ in 0..2 {
                for (other, i) in self.vectors.iter().zip(0..) {
                    let product = dot(other, vector);
                    add(vector, -product, other);
                    self.small[i * FULL + j] += product;
                }
            }
        }
        for j in first..first + BLOCK {
            (0..first).for_each(|i| self.small[j * FULL + i] = self.small[i * FULL + j]);
            for i in first..j {
                let mean = 0.5 * (self.small[j * FULL + i] + self.small[i * FULL + j]);
                (self.small[j * FULL + i], self.small[i * FULL + j]) = (mean, mean);
            }
        }
        if self.vectors.len() < FULL {
            orthonormal(&self.vectors, &mut next);
        }
        next
    }
}

/// The start vectors: numbers of a linear congruential generator (Steele and Vigna 2022), always the same.
fn start(n: usize) -> Vec<Vec<f64>> {
    let mut state: u64 = 1;
    let mut number = || {
        state = state.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
        (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    (0..BLOCK).map(|_| (0..n).map(|_| number()).collect()).collect()
}

fn centre(vector: &mut [f64]) {
    let mean = vector.iter().sum::<f64>() / vector.len() as f64;
    vector.iter_mut().for_each(|x| *x -= mean);
}

/// Orthonormalises a block, against a basis too, with means of zero. A vector of which only rounding errors remain
/// becomes zero.
fn orthonormal(basis: &[Vec<f64>], block: &mut [Vec<f64>]) {
    for j in 0..block.len() {
        let (before, from) = block.split_at_mut(j);
        let vector = &mut from[0];
        let mut length = dot(vector, vector).sqrt();
        let least = NEGLIGIBLE * length;
        loop {
            centre(vector);
            for other in before.iter().chain(basis) {
                let product = dot(other, vector);
                add(vector, -product, other);
            }
            let rest = dot(vector, vector).sqrt();
            if rest <= least {
                vector.fill(0.0);
                break;
            }
            // Little was subtracted, so the rest is orthogonal but for rounding.
            if rest > 0.7 * length {
                vector.iter_mut().for_each(|x| *x /= rest);
                break;
            }
            length = rest;
        }
    }
}

/// A linear combination of vectors.
fn sum_of(factors: &[f64], vectors: &[Vec<f64>]) -> Vec<f64> {
    let mut sum = vec![0.0; vectors[0].len()];
    factors.iter().zip(vectors).for_each(|(x, vector)| add(&mut sum, *x, vector));
    sum
}

fn multiply(geodesics: &Geodesics, block: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let numbers: Vec<[f64; BLOCK]> =
        (0..geodesics.len()).map(|v| std::array::from_fn(|b| block.get(b).map_or(0.0, |vector| vector[v]))).collect();
    let mut products = vec![[0.0; BLOCK]; geodesics.len()];
    for (first, squares) in geodesics.panels() {
        add_panel(squares, &numbers[first..], &mut products[first..]);
    }
    (0..block.len()).map(|b| products.iter().map(|product| -0.5 * product[b]).collect()).collect()
}

/// Adds the products with the rows of a panel, and by symmetry those with its columns outside of the panel.
#[allow(clippy::ifs_same_cond, reason = "the conditions differ by the target they are compiled for")]
#[multiversion(targets = "simd")]
fn add_panel(squares: &[f64], numbers: &[[f64; BLOCK]], products: &mut [[f64; BLOCK]]) {
    // As many rows at once as keep all sums in registers.
    if target_cfg_f!(target_feature = "avx512f") {
        add_rows::<true, 4>(squares, numbers, products);
    } else if target_cfg_f!(target_feature = "fma") {
        add_rows::<true, 2>(squares, numbers, products);
    } else {
        add_rows::<false, 1>(squares, numbers, products);
    }
}

#[inline(always)]
fn add_rows<const FUSED: bool, const R: usize>(
    squares: &[f64],
    numbers: &[[f64; BLOCK]],
    products: &mut [[f64; BLOCK]],
) {
    let times_plus = |a: f64, b: f64, c: f64| if FUSED { a.mul_add(b, c) } else { a * b + c };
    let width = numbers.len();
    let many = squares.len() / width;
    for first in (0..many).step_by(R) {
        // Rows beyond the last are copies of it with factor zero.
        let row = |r: usize| &squares[(first + r).min(many - 1) * width..][..width];
        let rows: [&[f64]; R] = std::array::from_fn(row);
        let own: [[f64; BLOCK]; R] =
            std::array::from_fn(|r| if first + r < many { numbers[first + r] } else { [0.0; BLOCK] });
        let mut sums = [[0.0; BLOCK]; R];
        for v in 0..many {
            for r in 0..R {
                for b in 0..BLOCK {
                    sums[r][b] = times_plus(rows[r][v], numbers[v][b], sums[r][b]);
                }
            }
        }
        for v in many..width {
            let (x, mut product) = (numbers[v], products[v]);
            for r in 0..R {
                let square = rows[r][v];
                for b in 0..BLOCK {
                    sums[r][b] = times_plus(square, x[b], sums[r][b]);
                    product[b] = times_plus(square, own[r][b], product[b]);
                }
            }
            products[v] = product;
        }
        for (product, sums) in products[first..many].iter_mut().zip(sums) {
            product.iter_mut().zip(sums).for_each(|(product, sum)| *product += sum);
        }
    }
}

#[multiversion(targets = "simd")]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<WIDE>(), b.as_chunks::<WIDE>());
    let mut sums = [0.0; WIDE];
    for (a, b) in a.iter().zip(b) {
        for l in 0..WIDE {
            sums[l] += a[l] * b[l];
        }
    }
    sums.iter().sum::<f64>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f64>()
}

/// Adds x b to a.
#[multiversion(targets = "simd")]
fn add(a: &mut [f64], x: f64, b: &[f64]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += x * b);
}

#[cfg(test)]
mod tests {
    use super::{
        super::{super::points::Points, neighbours::NeighbourGraph},
        *,
    };

    #[test]
    fn a_panel_is_added_on_every_instruction_set() {
        // Three rows of a symmetric 5 x 5 matrix of integers, so that sums are exact.
        let entry = |i: usize, j: usize| ((i + 1) * (j + 1) + i.abs_diff(j)) as f64;
        let squares: Vec<f64> = (0..15).map(|at| entry(at / 5, at % 5)).collect();
        let rows = |factor: usize| -> Vec<[f64; BLOCK]> {
            (0..5).map(|v| std::array::from_fn(|b| (v * factor + b * b + 1) as f64)).collect()
        };
        let (numbers, before) = (rows(7), rows(2));
        for add in [add_rows::<false, 1>, add_rows::<true, 2>, add_rows::<true, 4>, add_panel] {
            let mut products = before.clone();
            add(&squares, &numbers, &mut products);
            for (v, b) in (0..5).flat_map(|v| (0..BLOCK).map(move |b| (v, b))) {
                // Columns outside of the panel have only its three rows.
                let others = if v < 3 { 0..5 } else { 0..3 };
                let expected = before[v][b] + others.map(|u| entry(v, u) * numbers[u][b]).sum::<f64>();
                assert_eq!(products[v][b], expected, "{v} {b}");
            }
        }
    }

    #[test]
    fn start_vectors_are_those_of_the_generator() {
        // The first states, from 1, times 2^-64, minus one half; computed in Python.
        let expected = [0.317_201_928_205_132_7, 0.011_443_719_382_492_89, 0.463_067_624_141_878_63];
        assert_eq!(start(3)[0], expected);
        assert!(start(1000).iter().flatten().all(|x| (-0.5..0.5).contains(x)));
    }

    #[test]
    fn a_vector_of_rounding_errors_becomes_zero_at_any_scale() {
        for scale in [1e-9, 1.0, 1e9] {
            let mut block: Vec<Vec<f64>> =
                [1.0, 3.0].iter().map(|x| start(50)[0].iter().map(|y| x * scale * y).collect()).collect();
            block.push(start(50)[1].iter().map(|x| scale * x).collect());
            orthonormal(&[], &mut block);
            let product = |i: usize, j: usize| dot(&block[i], &block[j]);
            assert!(block[1].iter().all(|x| *x == 0.0), "{scale}");
            assert!((product(0, 0) - 1.0).abs() < 1e-14 && (product(2, 2) - 1.0).abs() < 1e-14, "{scale}");
            assert!(product(0, 2).abs() < 1e-14 && block[2].iter().sum::<f64>().abs() < 1e-13, "{scale}");
        }
    }

    #[test]
    fn eigenvalues_are_those_of_the_dense_matrix() {
        for n in [2, 3, 9, 47, 130] {
            let numbers: Vec<f32> = (0..3 * n).map(|i| (i * i * 7919 % 1009) as f32 / 100.0).collect();
            let mut graph = NeighbourGraph::of(&Points::new(&numbers, 3), 4.min(n - 1)).expect("a graph");
            graph.join(&Points::new(&numbers, 3));
            let geodesics = Geodesics::of(&graph);
            let means = means(&geodesics);
            let mean = means.iter().sum::<f64>() / n as f64;
            let centred = |i: usize, j: usize| -0.5 * geodesics.squared(i, j) - means[i] - means[j] + mean;
            let (values, vectors) = eigen((0..n * n).map(|at| centred(at / n, at % n)).collect(), n);
            for (i, axis) in largest(&geodesics, 3.min(n)).iter().enumerate() {
                assert!((axis.value - values[i]).abs() <= 1e-12 * values[0], "{n}: {} {}", axis.value, values[i]);
                let cosine = dot(&axis.vector, &vectors[i * n..][..n]).abs();
                assert!((cosine - 1.0).abs() < 1e-9 || axis.value <= 1e-12 * values[0], "{n}: {cosine}");
            }
        }
    }
}
