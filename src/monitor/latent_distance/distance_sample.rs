//! The distances that quantiles and histograms are computed from: all of them, or a random sample of a long stream.

use crate::{
    error::{Error, Result},
    monitor::kit::bottom_k::BottomK,
};

/// Bytes of a pair of distances in a snapshot.
pub(super) const PAIR_BYTES: usize = 24;

/// The distances of the objects with the smallest ranks. The sample does not depend on the order of objects.
#[derive(Debug, Clone)]
pub(super) struct DistanceSample {
    /// By the bits of the rank and of both distances. None of the three is negative, so their bits are ordered as the numbers
    /// are; the distances are part of the key, so the sample has an order even where ids, and so ranks, repeat.
    pairs: BottomK<[u64; 3], ()>,
}

impl DistanceSample {
    pub(super) const fn new(max_pairs: usize) -> Self {
        Self { pairs: BottomK::new(max_pairs) }
    }

    /// Adds the distance of an object and the one it is compared with.
    pub(super) fn add(&mut self, rank: f64, distance: f64, versus: f64) {
        self.pairs.insert([rank, distance, versus].map(f64::to_bits), ());
    }

    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// The pairs of distances, in arbitrary order.
    pub(super) fn pairs(&self) -> Vec<(f64, f64)> {
        self.pairs
            .iter()
            .map(|([_, distance, versus], ())| (f64::from_bits(*distance), f64::from_bits(*versus)))
            .collect()
    }

    /// The sample for a snapshot, by rank.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.pairs.sorted().into_iter().flat_map(|(key, ())| *key).flat_map(u64::to_le_bytes).collect()
    }

    /// The sample of a snapshot.
    ///
    /// # Errors
    /// [`Error::Data`] if the bytes are not those of `pairs` pairs, or of more than `max_pairs`.
    pub(super) fn from_bytes(max_pairs: usize, pairs: usize, bytes: &[u8]) -> Result<Self> {
        let damaged = || Error::data(format!("expected {pairs} pairs of distances, found {} bytes", bytes.len()));
        let (numbers, rest) = bytes.as_chunks::<8>();
        let (keys, odd) = numbers.as_chunks::<3>();
        if !rest.is_empty() || !odd.is_empty() || keys.len() != pairs {
            return Err(damaged());
        }
        let items = keys.iter().map(|key| (key.map(u64::from_le_bytes), ()));
        Ok(Self { pairs: BottomK::from_items(max_pairs, items).ok_or_else(damaged)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_smallest_ranks_in_any_order_and_survives_a_snapshot() {
        let sorted = |sample: &DistanceSample| {
            let mut pairs = sample.pairs();
            pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
            pairs
        };
        let (mut forwards, mut backwards) = (DistanceSample::new(3), DistanceSample::new(3));
        for i in 0..10 {
            forwards.add(f64::from(i * 7 % 10) / 10.0, f64::from(i), f64::from(10 - i));
            let j = 9 - i;
            backwards.add(f64::from(j * 7 % 10) / 10.0, f64::from(j), f64::from(10 - j));
        }
        // The ranks 0, 0.1 and 0.2 are those of 0, 3 and 6.
        assert_eq!(sorted(&forwards), [(0.0, 10.0), (3.0, 7.0), (6.0, 4.0)]);
        let bytes = forwards.to_bytes();
        assert_eq!((bytes.len(), backwards.to_bytes()), (forwards.len() * PAIR_BYTES, bytes.clone()));
        let mut restored = DistanceSample::from_bytes(3, 3, &bytes).expect("a sample");
        restored.add(0.15, 1.0, 1.0);
        assert_eq!(sorted(&restored), [(0.0, 10.0), (1.0, 1.0), (3.0, 7.0)]);
        for (pairs, bytes) in [(3, &bytes[..48]), (3, &bytes[..71]), (4, &bytes)] {
            assert!(DistanceSample::from_bytes(4, pairs, bytes).is_err());
        }
        assert!(DistanceSample::from_bytes(2, 3, &bytes).is_err());
    }
}
