//! The maximum mean discrepancy of two samples, and its permutation test (Gretton et al. 2012, "A kernel two-sample
//! test").
//!
//! For x_1..x_m and y_1..y_n the unbiased estimate is MMD^2 = sum_{i != j} k(x_i, x_j) / m(m-1) + sum_{i != j} k(y_i,
//! y_j) / n(n-1) - 2 sum_{i, j} k(x_i, y_j) / mn. The biased one includes i = j in the sums and divides by m^2 and n^2.
//! For equal distributions the unbiased one is zero on average, so it may be negative.
//!
//! **The test.** If the distributions are equal, any group of m points of the pooled sample is as likely to be the
//! first sample as any other. For such a group only the sum of k over its own pairs has to be computed: with the row
//! sums r_i = sum_{j != i} k_ij and the sum over all pairs, which no grouping changes, it gives the sums across and
//! outside too. So B groups of m points cost B m^2 / 2 additions for any n; m is the size of the smaller sample.
//!
//! Kernel values are computed in blocks of rows of the lower triangle, which all groups use at once, so memory does not
//! grow with their square. Those of a reference are stored if they fit into 128 MiB, so that a window costs only its
//! own rows.

mod kernel;
mod pair_distances;
pub mod random_features;

use std::ops::ControlFlow;

pub use self::{
    kernel::{GaussianKernelSum, PAPER},
    pair_distances::PairDistances,
};

use super::{
    permutation::{Groups, p_value},
    points::{Points, stride},
};

/// Kernel values in memory at once while rows are computed.
const BLOCK: usize = 1 << 20;
/// Maximum rows of a block.
const BLOCK_ROWS: usize = 96;
/// Maximum kernel values of a reference that are stored.
const MAX_STORED: usize = 1 << 24;
/// A test is blind if all its kernel values are within a range of this length.
const MIN_SPREAD: f64 = 0.001;

/// A sample with which other samples are compared.
#[derive(Debug, Clone)]
pub struct Reference {
    points: Points,
    kernel: GaussianKernelSum,
    /// sum_{j != i} k_ij of every point.
    row_sums: Vec<f64>,
    /// sum_{j < i} k_ij.
    pairs: f64,
    /// The range of k_ij of different points.
    range: KernelRange,
    /// k_ij of j < i: the rows of the lower triangle one after the other, unless they are too many.
    stored: Option<Vec<f64>>,
}

/// The squared maximum mean discrepancy of two samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Discrepancy {
    /// The unbiased estimate; may be negative.
    pub unbiased: f64,
    /// The biased estimate; not negative.
    pub biased: f64,
}

/// A discrepancy and its permutation null.
#[derive(Debug, Clone, PartialEq)]
pub struct MmdTest {
    /// That of the two samples.
    pub discrepancy: Discrepancy,
    /// The unbiased estimates for the random groups, in their order.
    pub null: Vec<f64>,
    /// The range of the kernel values of all pairs of different points.
    pub range: KernelRange,
}

/// The least and the greatest of some kernel values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KernelRange {
    least: f64,
    greatest: f64,
}

impl KernelRange {
    /// That of no values.
    const EMPTY: Self = Self { least: f64::INFINITY, greatest: f64::NEG_INFINITY };

    /// Whether all values are equal within 0.001. Then whatever the groups are, their discrepancies are 0 but for
    /// rounding errors: the kernels vanish between all points, or do not tell them apart.
    pub fn is_blind(&self) -> bool {
        self.greatest - self.least < MIN_SPREAD
    }

    /// Includes values.
    fn include(&mut self, values: &[f64]) {
        // Side by side, so that the loop is vectorised.
        let (eights, rest) = values.as_chunks::<8>();
        let (mut least, mut greatest) = ([self.least; 8], [self.greatest; 8]);
        for values in eights {
            for l in 0..8 {
                least[l] = if values[l] < least[l] { values[l] } else { least[l] };
                greatest[l] = if values[l] > greatest[l] { values[l] } else { greatest[l] };
            }
        }
        self.least = least.iter().chain(rest).copied().fold(self.least, f64::min);
        self.greatest = greatest.iter().chain(rest).copied().fold(self.greatest, f64::max);
    }
}

impl MmdTest {
    /// The p-value (k + 1)/(B + 1) of the unbiased estimate.
    pub fn p_value(&self) -> f64 {
        p_value(self.discrepancy.unbiased, &self.null)
    }
}

impl Reference {
    /// A reference with the kernel of its comparisons.
    pub fn new(points: Points, kernel: GaussianKernelSum) -> Self {
        match Self::new_unless(points, kernel, &|| false) {
            ControlFlow::Continue(reference) => reference,
            ControlFlow::Break(()) => unreachable!("nothing stops it"),
        }
    }

    /// The same, which breaks off once `stopped` returns true.
    pub fn new_unless(points: Points, kernel: GaussianKernelSum, stopped: &dyn Fn() -> bool) -> ControlFlow<(), Self> {
        let n = points.len();
        let (row_sums, range) = (vec![0.0; n], KernelRange::EMPTY);
        let reference = Self { points, kernel, row_sums, pairs: 0.0, range, stored: None };
        let values = n * n.saturating_sub(1) / 2;
        let mut stored = (values <= MAX_STORED).then(|| Vec::with_capacity(values));
        let (mut row_sums, mut pairs, mut range) = (vec![0.0; n], 0.0, KernelRange::EMPTY);
        reference.each_row(&Points::default(), stopped, &mut |i, row| {
            pairs += add_row(i, row, &mut row_sums);
            range.include(row);
            stored.iter_mut().for_each(|stored| stored.extend_from_slice(row));
        })?;
        ControlFlow::Continue(Self { row_sums, pairs, range, stored, ..reference })
    }

    /// The number of points.
    pub const fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether there are no points.
    pub const fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The kernel.
    pub const fn kernel(&self) -> &GaussianKernelSum {
        &self.kernel
    }

    /// The points.
    pub const fn points(&self) -> &Points {
        &self.points
    }

    /// The discrepancy of a sample from the reference; `None` unless both have at least two points.
    pub fn discrepancy(&self, sample: &Points) -> Option<Discrepancy> {
        Some(self.test(sample, &Groups::of_size(self.group_size(sample)))?.discrepancy)
    }

    /// The size of the groups of a test: that of the smaller sample.
    pub fn group_size(&self, sample: &Points) -> usize {
        sample.len().min(self.len())
    }

    /// The discrepancy of a sample from the reference, and those of groups of the pooled sample, whose indices begin
    /// with the reference. `None` unless both have at least two points and the groups have [`Self::group_size`].
    pub fn test(&self, sample: &Points, groups: &Groups) -> Option<MmdTest> {
        match self.test_unless(sample, groups, &|| false) {
            ControlFlow::Continue(test) => test,
            ControlFlow::Break(()) => unreachable!("nothing stops it"),
        }
    }

    /// The same, which breaks off once `stopped` returns true: a large sample takes minutes.
    pub fn test_unless(
        &self,
        sample: &Points,
        groups: &Groups,
        stopped: &dyn Fn() -> bool,
    ) -> ControlFlow<(), Option<MmdTest>> {
        let (n, m, size) = (self.len(), sample.len(), self.group_size(sample));
        if m < 2 || n < 2 || groups.size() != size {
            return ControlFlow::Continue(None);
        }
        let mut observed = Groups::of_size(size);
        observed.push_range(if m <= n { n..n + m } else { 0..n });
        let mut row_sums = self.row_sums.clone();
        row_sums.resize(n + m, 0.0);
        let (mut pairs, mut range) = (self.pairs, self.range);
        let mut groups: Vec<GroupPairs<'_>> = observed.iter().chain(groups.iter()).map(GroupPairs::of).collect();
        self.each_row(sample, stopped, &mut |i, row| {
            if i >= n {
                pairs += add_row(i, row, &mut row_sums);
                range.include(row);
            }
            groups.iter_mut().for_each(|group| group.add_row(i as u32, row));
        })?;
        let sums = |group: &GroupPairs<'_>| {
            let rows: f64 = group.members.iter().map(|i| row_sums[*i as usize]).sum();
            let across = rows - 2.0 * group.pairs;
            KernelSums { within: 2.0 * group.pairs, across, outside: 2.0 * (pairs - group.pairs - across) }
        };
        let all: Vec<KernelSums> = groups.iter().map(sums).collect();
        let discrepancy = all[0].discrepancy(size, n + m - size, self.kernel.at_zero());
        let null = all[1..].iter().map(|sums| sums.discrepancy(size, n + m - size, 0.0).unbiased).collect();
        ControlFlow::Continue(Some(MmdTest { discrepancy, null, range }))
    }

    /// Calls with every row of the lower triangle of the pooled sample, in order: its index i, and k_ij for all j < i.
    /// Breaks off between two rows.
    fn each_row(
        &self,
        sample: &Points,
        stopped: &dyn Fn() -> bool,
        call: &mut dyn FnMut(usize, &[f64]),
    ) -> ControlFlow<()> {
        let n = self.len();
        let (mut own, mut cross) = (Vec::new(), Vec::new());
        let check = || if stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        if let Some(stored) = &self.stored {
            for i in 0..n {
                check()?;
                call(i, &stored[i * i.saturating_sub(1) / 2..][..i]);
            }
        } else {
            self.each_block(n, &mut |rows| {
                self.points.squared_distances(rows.clone(), &self.points, rows.end, &mut own);
                for (i, row) in rows.clone().zip(own.chunks_exact_mut(stride(rows.end))) {
                    check()?;
                    self.kernel.apply(row);
                    call(i, &row[..i]);
                }
                ControlFlow::Continue(())
            })?;
        }
        let mut row = vec![0.0; n + sample.len()];
        self.each_block(sample.len(), &mut |rows| {
            sample.squared_distances(rows.clone(), &self.points, n, &mut cross);
            sample.squared_distances(rows.clone(), sample, rows.end, &mut own);
            let pairs = cross.chunks_exact_mut(stride(n)).zip(own.chunks_exact_mut(stride(rows.end)));
            for (i, (cross, own)) in rows.clone().zip(pairs) {
                check()?;
                self.kernel.apply(cross);
                self.kernel.apply(own);
                row[..n].copy_from_slice(&cross[..n]);
                row[n..n + i].copy_from_slice(&own[..i]);
                call(n + i, &row[..n + i]);
            }
            ControlFlow::Continue(())
        })
    }

    /// Calls with blocks of rows whose kernel values fit into memory.
    fn each_block(
        &self,
        rows: usize,
        call: &mut dyn FnMut(std::ops::Range<usize>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let block = (BLOCK / stride(self.len().max(rows)).max(1)).clamp(1, BLOCK_ROWS);
        (0..rows).step_by(block).try_for_each(|first| call(first..(first + block).min(rows)))
    }
}

/// Adds a row of the lower triangle to the row sums. Returns its sum.
fn add_row(i: usize, row: &[f64], row_sums: &mut [f64]) -> f64 {
    let sum = row.iter().sum::<f64>();
    row_sums[i] += sum;
    row_sums.iter_mut().zip(row).for_each(|(sum, k)| *sum += k);
    sum
}

/// A group, and the sum of k over the pairs of its members in the rows so far.
struct GroupPairs<'a> {
    /// Sorted.
    members: &'a [u32],
    /// How many members are in the rows so far.
    seen: usize,
    pairs: f64,
}

impl<'a> GroupPairs<'a> {
    const fn of(members: &'a [u32]) -> Self {
        Self { members, seen: 0, pairs: 0.0 }
    }

    /// Adds the row of point i. The partners of a member in its row are the members seen before it.
    fn add_row(&mut self, i: u32, row: &[f64]) {
        if self.members.get(self.seen) == Some(&i) {
            self.pairs += gather(row, &self.members[..self.seen]);
            self.seen += 1;
        }
    }
}

/// The sum of the numbers of a row at some indices.
fn gather(row: &[f64], indices: &[u32]) -> f64 {
    let number = |index: &u32| row.get(*index as usize).copied().unwrap_or(0.0);
    let (eights, rest) = indices.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for indices in eights {
        for (sum, index) in sums.iter_mut().zip(indices) {
            *sum += number(index);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(number).sum::<f64>()
}

/// Sums of k over ordered pairs of different points: within a group, between it and the others, and among the others.
struct KernelSums {
    within: f64,
    across: f64,
    outside: f64,
}

impl KernelSums {
    fn discrepancy(&self, inside: usize, outside: usize, at_zero: f64) -> Discrepancy {
        let (m, n) = (inside as f64, outside as f64);
        let across = 2.0 * self.across / (m * n);
        Discrepancy {
            unbiased: self.within / (m * (m - 1.0)) + self.outside / (n * (n - 1.0)) - across,
            biased: ((self.within + m * at_zero) / (m * m) + (self.outside + n * at_zero) / (n * n) - across).max(0.0),
        }
    }
}

/// The discrepancy of two samples of equal dimension; `None` unless both have at least two points.
pub fn mmd2(x: Points, y: &Points, kernel: GaussianKernelSum) -> Option<Discrepancy> {
    Reference::new(x, kernel).discrepancy(y)
}

#[cfg(test)]
mod tests;
