//! Random groups of a pooled sample: what could have been as well, if it did not matter who is in which group.

use std::ops::Range;

/// Groups of indices, all of one size, each sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    size: usize,
    indices: Vec<u32>,
}

impl Groups {
    /// No groups yet, of this size.
    pub const fn of_size(size: usize) -> Self {
        Self { size, indices: Vec::new() }
    }

    /// Adds the group of an index range.
    pub fn push_range(&mut self, range: Range<usize>) {
        self.indices.extend(range.map(|i| i as u32));
    }

    /// Adds the group of these indices, in any order.
    pub fn push(&mut self, indices: impl IntoIterator<Item = usize>) {
        let first = self.indices.len();
        self.indices.extend(indices.into_iter().map(|i| i as u32));
        self.indices[first..].sort_unstable();
    }

    /// The groups.
    pub fn iter(&self) -> std::slice::ChunksExact<'_, u32> {
        self.indices.chunks_exact(self.size.max(1))
    }

    /// Indices of a group.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// How many groups there are.
    pub fn count(&self) -> usize {
        self.indices.len() / self.size.max(1)
    }
}

/// Strata of a pooled sample, within which members change groups: the indices of each, and how many of them are in the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strata(Vec<(Vec<usize>, usize)>);

impl Strata {
    /// One stratum: `size` of all `pooled` are in the group.
    pub fn whole(pooled: usize, size: usize) -> Self {
        Self(vec![((0..pooled).collect(), size)])
    }

    /// Strata by the block of every index; those of the range are in the group.
    pub fn by_block(blocks: &[u32], group: &Range<usize>) -> Self {
        let most = blocks.iter().max().map_or(0, |block| *block as usize + 1);
        let mut strata = vec![(Vec::new(), 0); most];
        for (i, block) in blocks.iter().enumerate() {
            let (members, size) = &mut strata[*block as usize];
            members.push(i);
            *size += usize::from(group.contains(&i));
        }
        strata.retain(|(members, _)| !members.is_empty());
        Self(strata)
    }

    /// Whether anyone can change groups at all.
    pub fn can_exchange(&self) -> bool {
        self.0.iter().any(|(members, size)| *size > 0 && *size < members.len())
    }

    /// Draws a group, uniformly among all that take as many of every stratum.
    pub fn draw(&mut self, groups: &mut Groups, bits: &mut dyn FnMut() -> u64) {
        let first = groups.indices.len();
        for (members, size) in &mut self.0 {
            // The first `size` of a shuffle. Members stay shuffled: the next is a shuffle of a shuffle.
            for i in 0..*size {
                let other = i + below(members.len() - i, bits);
                members.swap(i, other);
            }
            groups.indices.extend(members[..*size].iter().map(|i| *i as u32));
        }
        groups.indices[first..].sort_unstable();
    }
}

/// Uniform among 0, 1, ..., n - 1, without bias (Lemire 2019).
fn below(n: usize, bits: &mut dyn FnMut() -> u64) -> usize {
    let n = n as u64;
    loop {
        let product = u128::from(bits()) * u128::from(n);
        if product as u64 >= n.wrapping_neg() % n.max(1) {
            return (product >> 64) as usize;
        }
    }
}

/// The p-value of a statistic among those of random groups: (k + 1)/(n + 1), k of the n being no smaller (Phipson and Smyth 2010,
/// "Permutation p-values should never be zero").
pub fn p_value(statistic: f64, null: &[f64]) -> f64 {
    let as_large = null.iter().filter(|other| **other >= statistic).count();
    (as_large + 1) as f64 / (null.len() + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64.
    fn bits(mut state: u64) -> impl FnMut() -> u64 {
        move || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let x = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            x ^ (x >> 31)
        }
    }

    #[test]
    fn every_group_of_a_stratum_is_as_likely() {
        let (mut strata, mut groups, mut bits) = (Strata::whole(5, 2), Groups::of_size(2), bits(1));
        (0..10_000).for_each(|_| strata.draw(&mut groups, &mut bits));
        let mut counts = std::collections::BTreeMap::new();
        groups.iter().for_each(|group| *counts.entry(group.to_vec()).or_insert(0_i32) += 1);
        assert_eq!(counts.len(), 10);
        // Four standard deviations of a binomial with 1/10.
        assert!(counts.values().all(|count| (count - 1000).abs() < 120), "{counts:?}");
    }

    #[test]
    fn members_change_groups_within_their_block_alone() {
        let blocks = [0, 0, 0, 1, 1, 2, 0, 1, 2, 3];
        let mut strata = Strata::by_block(&blocks, &(6..10));
        assert!(strata.can_exchange());
        let (mut groups, mut bits) = (Groups::of_size(4), bits(2));
        (0..200).for_each(|_| strata.draw(&mut groups, &mut bits));
        for group in groups.iter() {
            let of_block = |block| group.iter().filter(|i| blocks[**i as usize] == block).count();
            assert_eq!([0, 1, 2, 3].map(of_block), [1; 4]);
            assert!(group.is_sorted() && group.contains(&9));
        }
        assert!(!Strata::by_block(&[0, 0, 1, 1], &(2..4)).can_exchange());
    }

    #[test]
    fn a_p_value_is_never_zero_and_ties_count() {
        assert_eq!(p_value(5.0, &[1.0, 2.0, 3.0]), 0.25);
        assert_eq!(p_value(2.0, &[1.0, 2.0, 3.0]), 0.75);
        assert_eq!(p_value(0.0, &[]), 1.0);
    }
}
