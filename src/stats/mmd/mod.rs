//! The maximum mean discrepancy of two samples, and its permutation test (Gretton et al. 2012, "A kernel two-sample test").
//!
//! For x_1..x_m and y_1..y_n, unbiased: MMD^2 = sum_{i != j} k(x_i, x_j) / m(m-1) + sum_{i != j} k(y_i, y_j) / n(n-1) -
//! 2 sum_{i, j} k(x_i, y_j) / mn; biased: with i = j in the sums, over m^2 and n^2. It is zero for equal distributions (unbiased:
//! on average, so it may be negative).
//!
//! **The test.** In the pooled sample any m could have been the first one, if the distributions are equal. Of such a group only the
//! sum of k over its own pairs has to be found: with row sums r_i = sum_{j != i} k_ij and the sum of all, which no grouping changes,
//! that gives the sums across and outside too. So B groups of m cost B m^2 / 2 additions, whatever n is; m is the smaller sample.
//!
//! Kernels are worked out in rows of the lower triangle, some at a time, and used by all groups at once: memory does not grow with
//! their square. Those of a reference are kept if they fit into 128 MiB, so that each window costs its own rows alone.

mod kernel;
pub mod random_features;

pub use kernel::{Kernel, PAPER};

use super::{
    permutation::{Groups, p_value},
    points::{Points, stride},
};

/// Kernel values that are held at once while rows are worked out.
const BLOCK: usize = 1 << 20;
/// The most rows of a block.
const BLOCK_ROWS: usize = 96;
/// The most kernel values of a reference that are kept.
const KEPT: usize = 1 << 24;

/// A sample that many others are compared with.
#[derive(Debug, Clone)]
pub struct Reference {
    points: Points,
    kernel: Kernel,
    /// sum_{j != i} k_ij of every point.
    row_sums: Vec<f64>,
    /// sum_{j < i} k_ij.
    pairs: f64,
    /// The rows of the lower triangle one after the other, where they are few enough: k_ij of j < i.
    kept: Option<Vec<f64>>,
}

/// The discrepancy of two samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Discrepancy {
    /// Without bias; may be negative.
    pub unbiased: f64,
    /// With bias; not negative.
    pub biased: f64,
}

/// A discrepancy and what it would be for random groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Tested {
    /// Of the two samples.
    pub discrepancy: Discrepancy,
    /// Unbiased, of the random groups, in their order.
    pub null: Vec<f64>,
}

impl Tested {
    /// (k + 1)/(B + 1), by the unbiased form.
    pub fn p_value(&self) -> f64 {
        p_value(self.discrepancy.unbiased, &self.null)
    }
}

impl Reference {
    /// A sample, and the kernel that it is compared with.
    pub fn new(points: Points, kernel: Kernel) -> Self {
        let n = points.len();
        let mut reference = Self { points, kernel, row_sums: vec![0.0; n], pairs: 0.0, kept: None };
        let values = n * n.saturating_sub(1) / 2;
        let mut kept = (values <= KEPT).then(|| Vec::with_capacity(values));
        let (mut row_sums, mut pairs) = (vec![0.0; n], 0.0);
        reference.each_row(&Points::default(), &mut |i, row| {
            pairs += add_row(i, row, &mut row_sums);
            kept.iter_mut().for_each(|kept| kept.extend_from_slice(row));
        });
        (reference.row_sums, reference.pairs, reference.kept) = (row_sums, pairs, kept);
        reference
    }

    /// How many points it has.
    pub const fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The kernel.
    pub const fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// The points.
    pub const fn points(&self) -> &Points {
        &self.points
    }

    /// The discrepancy of a sample from this one; `None` unless both have two points.
    pub fn discrepancy(&self, sample: &Points) -> Option<Discrepancy> {
        Some(self.test(sample, &Groups::of_size(self.group_size(sample)))?.discrepancy)
    }

    /// Of how many members the groups of a test are: as many as the smaller of the two.
    pub fn group_size(&self, sample: &Points) -> usize {
        sample.len().min(self.len())
    }

    /// The discrepancy of a sample, and those of groups of the pooled sample: the indices 0.. are this reference, what follows is the
    /// sample. `None` unless both have two points and the groups are of [`Self::group_size`].
    pub fn test(&self, sample: &Points, groups: &Groups) -> Option<Tested> {
        let (n, m, size) = (self.len(), sample.len(), self.group_size(sample));
        if m < 2 || n < 2 || groups.size() != size {
            return None;
        }
        let mut observed = Groups::of_size(size);
        observed.push_range(if m <= n { n..n + m } else { 0..n });
        let mut row_sums = self.row_sums.clone();
        row_sums.resize(n + m, 0.0);
        let mut pairs = self.pairs;
        let mut members: Vec<Member<'_>> = observed.iter().chain(groups.iter()).map(Member::of).collect();
        self.each_row(sample, &mut |i, row| {
            if i >= n {
                pairs += add_row(i, row, &mut row_sums);
            }
            members.iter_mut().for_each(|member| member.meet(i as u32, row));
        });
        let sums = |member: &Member<'_>| {
            let rows: f64 = member.group.iter().map(|i| row_sums[*i as usize]).sum();
            let across = rows - 2.0 * member.pairs;
            Sums { within: 2.0 * member.pairs, across, outside: 2.0 * (pairs - member.pairs - across) }
        };
        let all: Vec<Sums> = members.iter().map(sums).collect();
        let discrepancy = all[0].discrepancy(size, n + m - size, self.kernel.at_zero());
        let null = all[1..].iter().map(|sums| sums.discrepancy(size, n + m - size, 0.0).unbiased).collect();
        Some(Tested { discrepancy, null })
    }

    /// Calls with every row of the lower triangle of the pooled sample, in order: its index i, and k_ij of all j < i.
    fn each_row(&self, sample: &Points, call: &mut dyn FnMut(usize, &[f64])) {
        let n = self.len();
        let (mut own, mut cross) = (Vec::new(), Vec::new());
        if let Some(kept) = &self.kept {
            (0..n).for_each(|i| call(i, &kept[i * i.saturating_sub(1) / 2..][..i]));
        } else {
            self.each_block(n, &mut |rows| {
                self.points.squared_distances(rows.clone(), &self.points, rows.end, &mut own);
                self.kernel.apply(&mut own);
                rows.clone().for_each(|i| call(i, &own[(i - rows.start) * stride(rows.end)..][..i]));
            });
        }
        let mut row = vec![0.0; n + sample.len()];
        self.each_block(sample.len(), &mut |rows| {
            sample.squared_distances(rows.clone(), &self.points, n, &mut cross);
            sample.squared_distances(rows.clone(), sample, rows.end, &mut own);
            self.kernel.apply(&mut cross);
            self.kernel.apply(&mut own);
            for (r, i) in rows.clone().enumerate() {
                row[..n].copy_from_slice(&cross[r * stride(n)..][..n]);
                row[n..n + i].copy_from_slice(&own[r * stride(rows.end)..][..i]);
                call(n + i, &row[..n + i]);
            }
        });
    }

    /// Calls with blocks of rows, of which the kernel values of all columns are few enough to be held.
    fn each_block(&self, rows: usize, call: &mut dyn FnMut(std::ops::Range<usize>)) {
        let block = (BLOCK / stride(self.len().max(rows)).max(1)).clamp(1, BLOCK_ROWS);
        (0..rows).step_by(block).for_each(|first| call(first..(first + block).min(rows)));
    }
}

/// Adds a row of the lower triangle to the row sums, and gives its sum.
fn add_row(i: usize, row: &[f64], row_sums: &mut [f64]) -> f64 {
    let sum = row.iter().sum::<f64>();
    row_sums[i] += sum;
    row_sums.iter_mut().zip(row).for_each(|(sum, k)| *sum += k);
    sum
}

/// A group, and the sum over its pairs so far.
struct Member<'a> {
    group: &'a [u32],
    met: usize,
    pairs: f64,
}

impl<'a> Member<'a> {
    const fn of(group: &'a [u32]) -> Self {
        Self { group, met: 0, pairs: 0.0 }
    }

    /// Meets point i with its row; a member's partners among the points before it are those that were met.
    fn meet(&mut self, i: u32, row: &[f64]) {
        if self.group.get(self.met) == Some(&i) {
            self.pairs += gather(row, &self.group[..self.met]);
            self.met += 1;
        }
    }
}

/// The sum of some numbers of a row.
fn gather(row: &[f64], places: &[u32]) -> f64 {
    let number = |place: &u32| row.get(*place as usize).copied().unwrap_or(0.0);
    let (eights, rest) = places.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for places in eights {
        for (sum, place) in sums.iter_mut().zip(places) {
            *sum += number(place);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(number).sum::<f64>()
}

/// Sums of k over ordered pairs of different points.
struct Sums {
    within: f64,
    across: f64,
    outside: f64,
}

impl Sums {
    fn discrepancy(&self, inside: usize, outside: usize, at_zero: f64) -> Discrepancy {
        let (m, n) = (inside as f64, outside as f64);
        let across = 2.0 * self.across / (m * n);
        Discrepancy {
            unbiased: self.within / (m * (m - 1.0)) + self.outside / (n * (n - 1.0)) - across,
            biased: ((self.within + m * at_zero) / (m * m) + (self.outside + n * at_zero) / (n * n) - across).max(0.0),
        }
    }
}

/// The discrepancy of two samples of one dimension; `None` unless both have two points.
pub fn mmd2(x: Points, y: &Points, kernel: Kernel) -> Option<Discrepancy> {
    Reference::new(x, kernel).discrepancy(y)
}

#[cfg(test)]
mod tests;
