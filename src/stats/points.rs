//! Points of a vector space, in a layout for all pairwise distances.
//!
//! |a - b|^2 = |a|^2 + |b|^2 - 2 a.b in double precision, where the products of single-precision numbers are exact. A
//! result that is small compared with |a|^2 + |b|^2 is computed again as sum (a_i - b_i)^2: so nothing is lost by
//! cancellation, and the distance of equal points is exactly zero. The sum over dimensions has one order, so a distance
//! does not depend on the block it is computed in.

use std::ops::Range;

use multiversion::{multiversion, target::target_cfg_f};

/// Points of a panel, which are processed side by side.
pub const WIDE: usize = 16;
/// Squared distances below this fraction of |a|^2 + |b|^2 are computed from differences.
const NEAR: f64 = 1e-3;

/// Points of equal dimension.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Points {
    dimension: usize,
    count: usize,
    /// `[panel][dimension][point of the panel]`, padded with zeros.
    panels: Vec<[f32; WIDE]>,
    /// |a|^2 of every point, padded with zeros.
    norms: Vec<f64>,
}

impl Points {
    /// The points of numbers `[n, dimension]`.
    pub fn new(numbers: &[f32], dimension: usize) -> Self {
        let mut points = Self::of_dimension(dimension);
        points.reserve(numbers.len() / dimension.max(1));
        numbers.chunks_exact(dimension.max(1)).for_each(|point| points.push(point));
        points
    }

    /// An empty set of points of a dimension.
    pub fn of_dimension(dimension: usize) -> Self {
        Self { dimension, ..Self::default() }
    }

    /// Adds a point.
    pub fn push(&mut self, point: &[f32]) {
        let (dimension, place) = (self.dimension, self.count % WIDE);
        if place == 0 {
            self.panels.resize(self.panels.len() + dimension, [0.0; WIDE]);
            self.norms.resize(self.norms.len() + WIDE, 0.0);
        }
        self.norms[self.count] = point.iter().map(|x| f64::from(*x).powi(2)).sum();
        let panel = &mut self.panels[self.count / WIDE * dimension..][..dimension];
        panel.iter_mut().zip(point).for_each(|(lanes, x)| lanes[place] = *x);
        self.count += 1;
    }

    /// The number of points.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are no points.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The number of coordinates of a point.
    pub const fn dimension(&self) -> usize {
        self.dimension
    }

    /// One coordinate of a point.
    pub fn number(&self, point: usize, dimension: usize) -> f32 {
        self.panels[point / WIDE * self.dimension + dimension][point % WIDE]
    }

    /// Copies the points of these indices.
    pub fn select(&self, points: impl IntoIterator<Item = usize>) -> Self {
        let mut selected = Self::of_dimension(self.dimension);
        for point in points {
            selected.push(&(0..self.dimension).map(|d| self.number(point, d)).collect::<Vec<_>>());
        }
        selected
    }

    /// Reserves memory for `count` points.
    pub fn reserve(&mut self, count: usize) {
        self.panels.reserve_exact(count.div_ceil(WIDE) * self.dimension);
        self.norms.reserve_exact(stride(count));
    }

    /// Squared distances of the points `rows` from the first `upto` points of another set of equal dimension:
    /// `[row][column]`. A row of `out` has [`stride`]`(upto)` numbers; those from `upto` on are padding.
    pub fn squared_distances(&self, rows: Range<usize>, other: &Self, upto: usize, out: &mut Vec<f64>) {
        let stride = stride(upto);
        out.resize(rows.len() * stride, 0.0);
        distances(self, rows, other, stride, out);
    }

    /// Products a.b of the points `rows` with those of another set of equal dimension, in the layout of
    /// [`Self::squared_distances`].
    pub fn products(&self, rows: Range<usize>, other: &Self, upto: usize, out: &mut Vec<f64>) {
        let stride = stride(upto);
        out.resize(rows.len() * stride, 0.0);
        dots(self, rows, other, stride, out);
    }

    /// `R` points from `first` on, `[dimension][point]`; the last one is repeated beyond `end`.
    fn side_by_side<const R: usize>(&self, first: usize, end: usize) -> Vec<[f64; R]> {
        let point = |r: usize| (first + r).min(end - 1);
        (0..self.dimension).map(|d| std::array::from_fn(|r| f64::from(self.number(point(r), d)))).collect()
    }
}

/// The length of a row of distances from `upto` points.
pub const fn stride(upto: usize) -> usize {
    upto.next_multiple_of(WIDE)
}

#[allow(clippy::ifs_same_cond, reason = "the conditions differ by the target they are compiled for")]
#[multiversion(targets = "simd")]
fn distances(points: &Points, rows: Range<usize>, other: &Points, stride: usize, out: &mut [f64]) {
    // As many rows at once as keep all sums in registers: there are 32 of 8 numbers, or 16 of 4 or fewer.
    if target_cfg_f!(target_feature = "avx512f") {
        tiles::<true, true, 6>(points, rows, other, stride, out);
    } else if target_cfg_f!(target_feature = "fma") {
        tiles::<true, true, 2>(points, rows, other, stride, out);
    } else {
        tiles::<true, false, 1>(points, rows, other, stride, out);
    }
}

#[allow(clippy::ifs_same_cond, reason = "the conditions differ by the target they are compiled for")]
#[multiversion(targets = "simd")]
fn dots(points: &Points, rows: Range<usize>, other: &Points, stride: usize, out: &mut [f64]) {
    if target_cfg_f!(target_feature = "avx512f") {
        tiles::<false, true, 6>(points, rows, other, stride, out);
    } else if target_cfg_f!(target_feature = "fma") {
        tiles::<false, true, 2>(points, rows, other, stride, out);
    } else {
        tiles::<false, false, 1>(points, rows, other, stride, out);
    }
}

#[inline(always)]
fn tiles<const DISTANCES: bool, const FUSED: bool, const R: usize>(
    points: &Points,
    rows: Range<usize>,
    other: &Points,
    stride: usize,
    out: &mut [f64],
) {
    let dimension = points.dimension;
    let blocks: Vec<(usize, Vec<[f64; R]>)> =
        rows.clone().step_by(R).map(|first| (first, points.side_by_side(first, rows.end))).collect();
    for panel in 0..stride / WIDE {
        let lanes = &other.panels[panel * dimension..][..dimension];
        let norms = &other.norms[panel * WIDE..][..WIDE];
        let others = Panel { lanes, norms };
        for (first, block) in &blocks {
            let products = products::<FUSED, R>(block, lanes);
            for (r, products) in products.iter().enumerate().take(rows.end - first) {
                let own = points.norms[first + r];
                let row = &mut out[(first + r - rows.start) * stride + panel * WIDE..][..WIDE];
                if !DISTANCES {
                    row.copy_from_slice(products);
                    continue;
                }
                let mut is_near = false;
                for l in 0..WIDE {
                    let both = own + norms[l];
                    row[l] = both - 2.0 * products[l];
                    is_near |= row[l] < NEAR * both;
                }
                if is_near {
                    from_differences(block, r, own, &others, row);
                }
            }
        }
    }
}

#[inline(always)]
fn times_plus<const FUSED: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
fn products<const FUSED: bool, const R: usize>(block: &[[f64; R]], lanes: &[[f32; WIDE]]) -> [[f64; WIDE]; R] {
    let mut sums = [[0.0; WIDE]; R];
    for (row, lanes) in block.iter().zip(lanes) {
        let lanes = lanes.map(f64::from);
        for (sums, a) in sums.iter_mut().zip(row) {
            for l in 0..WIDE {
                sums[l] = times_plus::<FUSED>(*a, lanes[l], sums[l]);
            }
        }
    }
    sums
}

/// The coordinates `[dimension][point]` and the squared norms of the points of a panel.
struct Panel<'a> {
    lanes: &'a [[f32; WIDE]],
    norms: &'a [f64],
}

/// Replaces the squared distances of a row that are small compared with the norms by those from differences.
#[inline(always)]
fn from_differences<const R: usize>(block: &[[f64; R]], r: usize, own: f64, others: &Panel, row: &mut [f64]) {
    let mut sums = [0.0; WIDE];
    for (numbers, lanes) in block.iter().zip(others.lanes) {
        for l in 0..WIDE {
            let difference = numbers[r] - f64::from(lanes[l]);
            sums[l] += difference * difference;
        }
    }
    for l in 0..WIDE {
        if row[l] < NEAR * (own + others.norms[l]) {
            row[l] = sums[l];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers like those of latents: their spread differs between dimensions, and all have an offset.
    fn numbers(n: usize, dimension: usize, offset: f32) -> Vec<f32> {
        let number = |i: usize| ((i * 7919 % 1009) as f32 / 100.0 - 5.0) * (i % dimension) as f32 / 10.0;
        (0..n * dimension).map(|i| number(i) + offset).collect()
    }

    fn by_definition(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
    }

    #[test]
    fn squared_distances_are_those_of_the_definition_for_any_block_size() {
        for (n, dimension, offset) in [(37, 5, 0.0), (50, 256, 0.0), (33, 16, 1e4)] {
            let (a, b) = (numbers(n, dimension, offset), numbers(21, dimension, offset - 0.5));
            let (rows, columns) = (Points::new(&a, dimension), Points::new(&b, dimension));
            for block in [1, 7, 20, n] {
                for first in (0..n).step_by(block) {
                    let mut out = Vec::new();
                    let end = (first + block).min(n);
                    rows.squared_distances(first..end, &columns, 21, &mut out);
                    for i in first..end {
                        for j in 0..21 {
                            let expected =
                                by_definition(&a[i * dimension..][..dimension], &b[j * dimension..][..dimension]);
                            let found = out[(i - first) * stride(21) + j];
                            assert!((found - expected).abs() <= 1e-11 * expected, "{found} {expected}");
                        }
                    }
                }
            }
        }
    }

    /// Points whose squared norms are about 9e10 times the scale, and whose squared distances from each other are about 1e-5 to 10 times
    /// it: less than the norms are rounded by.
    fn near_each_other(n: usize, scale: f32) -> Vec<f32> {
        let small = |i: usize| (i as f32 * 0.618_034).fract() * if i.is_multiple_of(3) { 1e-3 } else { 1.0 };
        (0..n).flat_map(|i| [3e5, small(3 * i), small(7 * i + 1), 3e-3 * small(i + 2)].map(|x| x * scale)).collect()
    }

    #[test]
    fn distances_that_the_norms_round_away_are_those_of_the_definition_on_every_instruction_set() {
        // Powers of two, so that the numbers keep their bits: norms far above 1 and far below it.
        for scale in [1.0, 2f32.powi(-60)] {
            let numbers = near_each_other(40, scale);
            let (points, mut out) = (Points::new(&numbers, 4), vec![0.0; 40 * stride(40)]);
            let variants = [tiles::<true, false, 1>, tiles::<true, true, 2>, tiles::<true, true, 6>, distances];
            for (variant, tiles) in variants.into_iter().enumerate() {
                out.fill(f64::NAN);
                tiles(&points, 0..40, &points, stride(40), &mut out);
                for (i, j) in (0..40).flat_map(|i| (0..40).map(move |j| (i, j))) {
                    let expected = by_definition(&numbers[4 * i..][..4], &numbers[4 * j..][..4]);
                    let found = out[i * stride(40) + j];
                    assert!((found - expected).abs() <= 1e-12 * expected, "{variant}: {i}, {j}: {found} {expected}");
                }
            }
        }
    }

    #[test]
    fn products_are_those_of_the_definition_on_every_instruction_set() {
        let (a, b) = (numbers(9, 12, 0.5), numbers(20, 12, -0.25));
        let (rows, columns) = (Points::new(&a, 12), Points::new(&b, 12));
        for tiles in [tiles::<false, false, 1>, tiles::<false, true, 2>, tiles::<false, true, 6>, dots] {
            let mut out = vec![f64::NAN; 9 * stride(20)];
            tiles(&rows, 0..9, &columns, stride(20), &mut out);
            for (i, j) in (0..9).flat_map(|i| (0..20).map(move |j| (i, j))) {
                let pairs = a[12 * i..][..12].iter().zip(&b[12 * j..][..12]);
                let expected: f64 = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                assert!((out[i * stride(20) + j] - expected).abs() <= 1e-10, "{i}, {j}");
            }
        }
    }

    #[test]
    fn equal_points_far_from_the_origin_are_at_distance_zero() {
        let a = numbers(40, 256, 1e6);
        let points = Points::new(&a, 256);
        let mut out = Vec::new();
        points.squared_distances(0..40, &points, 40, &mut out);
        assert!((0..40).all(|i| out[i * stride(40) + i] == 0.0));
    }

    #[test]
    fn empty_sets_have_no_distances() {
        let (none, some) = (Points::new(&[], 3), Points::new(&[1.0; 6], 3));
        let mut out = vec![1.0];
        none.squared_distances(0..0, &some, 2, &mut out);
        assert!(out.is_empty() && none.is_empty() && some.len() == 2 && some.dimension() == 3);
    }

    #[test]
    fn products_and_norms_are_those_of_the_definition_for_any_block_size() {
        for (n, dimension) in [(1, 3), (16, 5), (37, 12)] {
            let (a, b) = (numbers(n, dimension, 0.5), numbers(33, dimension, -0.25));
            let (rows, columns) = (Points::new(&a, dimension), Points::new(&b, dimension));
            for block in [1, 5, n] {
                for first in (0..n).step_by(block) {
                    let (mut out, end) = (Vec::new(), (first + block).min(n));
                    rows.products(first..end, &columns, 33, &mut out);
                    assert_eq!(out.len(), (end - first) * stride(33));
                    for (i, j) in (first..end).flat_map(|i| (0..33).map(move |j| (i, j))) {
                        let pairs = a[i * dimension..][..dimension].iter().zip(&b[j * dimension..][..dimension]);
                        let expected: f64 = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        let found = out[(i - first) * stride(33) + j];
                        assert!((found - expected).abs() <= 1e-12 * expected.abs().max(100.0), "{found} {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn points_are_selected_by_index() {
        let points = Points::new(&numbers(40, 3, 0.0), 3);
        let selected = points.select([39, 0, 17]);
        assert_eq!((selected.len(), selected.dimension()), (3, 3));
        for (i, point) in [39, 0, 17].into_iter().enumerate() {
            assert!((0..3).all(|d| selected.number(i, d) == points.number(point, d)));
        }
        assert_eq!(selected, Points::new(&[39, 0, 17].map(|i| [0, 1, 2].map(|d| points.number(i, d))).concat(), 3));
    }
}
