//! The distances that quantiles and histograms are made of: all, or a random sample of a long stream.

use std::collections::BinaryHeap;

use crate::error::{Error, Result};

/// Bytes of a distance in a snapshot.
pub(super) const BYTES: usize = 24;

/// Distances of the objects with the smallest ranks, at most so many: who is kept does not depend on the order.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    most: usize,
    /// The rank of the object, its distance and the one that it is compared with, as the bits of floats that are not negative:
    /// those are in the order of the floats.
    distances: BinaryHeap<[u64; 3]>,
}

impl Kept {
    pub(super) const fn new(most: usize) -> Self {
        Self { most, distances: BinaryHeap::new() }
    }

    pub(super) fn add(&mut self, rank: f64, distance: f64, versus: f64) {
        self.distances.push([rank, distance, versus].map(f64::to_bits));
        if self.distances.len() > self.most {
            self.distances.pop();
        }
    }

    /// The pairs of distances, in no order that means anything.
    pub(super) fn pairs(&self) -> Vec<(f64, f64)> {
        self.distances
            .iter()
            .map(|[_, distance, versus]| (f64::from_bits(*distance), f64::from_bits(*versus)))
            .collect()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut sorted: Vec<&[u64; 3]> = self.distances.iter().collect();
        sorted.sort_unstable();
        sorted.into_iter().flatten().flat_map(|number| number.to_le_bytes()).collect()
    }

    pub(super) fn read(most: usize, bytes: &[u8]) -> Result<Self> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let (rows, odd) = numbers.as_chunks::<3>();
        if !rest.is_empty() || !odd.is_empty() || rows.len() > most {
            return Err(Error::bug("a snapshot of distances cannot be read"));
        }
        Ok(Self { most, distances: rows.iter().map(|row| row.map(u64::from_le_bytes)).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_ranks_are_kept_in_any_order_and_survive_a_snapshot() {
        let sorted = |kept: &Kept| {
            let mut pairs = kept.pairs();
            pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
            pairs
        };
        let (mut forwards, mut backwards) = (Kept::new(3), Kept::new(3));
        for i in 0..10 {
            forwards.add(f64::from(i * 7 % 10) / 10.0, f64::from(i), f64::from(10 - i));
            let j = 9 - i;
            backwards.add(f64::from(j * 7 % 10) / 10.0, f64::from(j), f64::from(10 - j));
        }
        // Ranks .0, .1 and .2 are those of 0, 3 and 6.
        assert_eq!(sorted(&forwards), [(0.0, 10.0), (3.0, 7.0), (6.0, 4.0)]);
        assert_eq!(forwards.bytes(), backwards.bytes());
        assert_eq!(forwards.bytes().len(), 3 * BYTES);
        assert_eq!(Kept::read(3, &forwards.bytes()).expect("read").bytes(), forwards.bytes());
        assert!(Kept::read(3, &[0; 25]).is_err());
    }
}
