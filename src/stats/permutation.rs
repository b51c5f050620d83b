//! Random groups of a pooled sample, for permutation tests.

use std::ops::Range;

/// Groups of indices, all of the same size, each sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    size: usize,
    indices: Vec<u32>,
}

impl Groups {
    /// An empty list of groups of a size.
    pub const fn of_size(size: usize) -> Self {
        Self { size, indices: Vec::new() }
    }

    /// Adds the group of an index range.
    pub fn push_range(&mut self, range: Range<usize>) {
        self.indices.extend(range.map(|i| i as u32));
    }

    /// Adds the group of these indices, which may be in any order.
    pub fn push(&mut self, indices: impl IntoIterator<Item = usize>) {
        let first = self.indices.len();
        self.indices.extend(indices.into_iter().map(|i| i as u32));
        self.indices[first..].sort_unstable();
    }

    /// The groups.
    pub fn iter(&self) -> std::slice::ChunksExact<'_, u32> {
        self.indices.chunks_exact(self.size.max(1))
    }

    /// The number of indices of a group.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// The number of groups.
    pub fn count(&self) -> usize {
        self.indices.len() / self.size.max(1)
    }
}

/// Strata of a pooled sample. A random group takes the same number of members from each as the observed one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strata(Vec<Stratum>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Stratum {
    members: Vec<usize>,
    /// How many members are in the group.
    in_group: usize,
}

impl Strata {
    /// One stratum of `pooled` members, `size` of which are in the group.
    pub fn single(pooled: usize, size: usize) -> Self {
        Self(vec![Stratum { members: (0..pooled).collect(), in_group: size }])
    }

    /// Strata by the block of every index; the indices of the range are in the group.
    pub fn by_block(blocks: &[u32], group: &Range<usize>) -> Self {
        let most = blocks.iter().max().map_or(0, |block| *block as usize + 1);
        let mut strata = vec![Stratum::default(); most];
        for (i, block) in blocks.iter().enumerate() {
            let stratum = &mut strata[*block as usize];
            stratum.members.push(i);
            stratum.in_group += usize::from(group.contains(&i));
        }
        strata.retain(|stratum| !stratum.members.is_empty());
        Self(strata)
    }

    /// Whether a random group can differ from the observed one.
    pub fn can_exchange(&self) -> bool {
        self.0.iter().any(|stratum| stratum.in_group > 0 && stratum.in_group < stratum.members.len())
    }

    /// Draws a group, uniformly among all with the same number of members from every stratum.
    pub fn draw(&mut self, groups: &mut Groups, bits: &mut dyn FnMut() -> u64) {
        let first = groups.indices.len();
        for Stratum { members, in_group } in &mut self.0 {
            // The first members of a shuffle. They stay shuffled: the next draw shuffles a shuffle.
            for i in 0..*in_group {
                let other = i + below(members.len() - i, bits);
                members.swap(i, other);
            }
            groups.indices.extend(members[..*in_group].iter().map(|i| *i as u32));
        }
        groups.indices[first..].sort_unstable();
    }
}

/// A draw from 0, 1, ..., n - 1, uniform without bias (Lemire 2019).
fn below(n: usize, bits: &mut dyn FnMut() -> u64) -> usize {
    let n = n as u64;
    loop {
        let product = u128::from(bits()) * u128::from(n);
        if product as u64 >= n.wrapping_neg() % n.max(1) {
            return (product >> 64) as usize;
        }
    }
}

/// The p-value of a statistic given those of n random groups: (k + 1)/(n + 1), where k of them are at least as large
/// (Phipson and Smyth 2010, "Permutation p-values should never be zero").
pub fn p_value(statistic: f64, null: &[f64]) -> f64 {
    let as_large = null.iter().filter(|other| **other >= statistic).count();
    (as_large + 1) as f64 / (null.len() + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::test_random::splitmix64;

    #[test]
    fn all_groups_of_a_stratum_are_equally_likely() {
        let (mut strata, mut groups, mut bits) = (Strata::single(5, 2), Groups::of_size(2), splitmix64(1));
        (0..10_000).for_each(|_| strata.draw(&mut groups, &mut bits));
        let mut counts = std::collections::BTreeMap::new();
        groups.iter().for_each(|group| *counts.entry(group.to_vec()).or_insert(0_i32) += 1);
        assert_eq!(counts.len(), 10);
        // Four standard deviations of a binomial with 1/10.
        assert!(counts.values().all(|count| (count - 1000).abs() < 120), "{counts:?}");
    }

    #[test]
    fn members_are_exchanged_only_within_their_block() {
        let blocks = [0, 0, 0, 1, 1, 2, 0, 1, 2, 3];
        let mut strata = Strata::by_block(&blocks, &(6..10));
        assert!(strata.can_exchange());
        let (mut groups, mut bits) = (Groups::of_size(4), splitmix64(2));
        (0..200).for_each(|_| strata.draw(&mut groups, &mut bits));
        for group in groups.iter() {
            let of_block = |block| group.iter().filter(|i| blocks[**i as usize] == block).count();
            assert_eq!([0, 1, 2, 3].map(of_block), [1; 4]);
            assert!(group.is_sorted() && group.contains(&9));
        }
        assert!(!Strata::by_block(&[0, 0, 1, 1], &(2..4)).can_exchange());
    }

    #[test]
    fn draws_below_n_are_unbiased() {
        // 2^64 is 1 modulo 3 and modulo 5: without the rejection, bits of 0 would give one result too many.
        let mut bits = [0, u64::MAX, 0, 1].into_iter();
        let mut next = || bits.next().expect("bits");
        assert_eq!([below(3, &mut next), below(5, &mut next)], [2, 0]);
        assert_eq!(below(1, &mut || 7), 0);
    }

    #[test]
    fn groups_are_sorted_and_counted() {
        let mut groups = Groups::of_size(3);
        groups.push([9, 2, 5]);
        groups.push_range(1..4);
        assert_eq!(groups.iter().collect::<Vec<_>>(), [[2, 5, 9], [1, 2, 3]]);
        assert_eq!((groups.count(), groups.size()), (2, 3));
        assert!(
            Strata::single(4, 2).can_exchange()
                && !Strata::single(4, 4).can_exchange()
                && !Strata::single(4, 0).can_exchange()
        );
    }

    #[test]
    fn a_p_value_is_never_zero_and_ties_count() {
        assert_eq!(p_value(5.0, &[1.0, 2.0, 3.0]), 0.25);
        assert_eq!(p_value(2.0, &[1.0, 2.0, 3.0]), 0.75);
        assert_eq!(p_value(0.0, &[]), 1.0);
    }
}
