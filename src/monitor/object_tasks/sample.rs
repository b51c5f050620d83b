//! Which objects of a stream are looked at: those of a hash below a fraction, or the so many smallest hashes.
//!
//! The hash depends on the seed of the run and the object id alone, so monitors of two models meet the same galaxies.

use std::collections::BTreeMap;

use crate::random::rank;

/// How objects are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::monitor) struct Sample {
    /// The fraction of the objects that is looked at.
    pub(in crate::monitor) fraction: Option<f64>,
    /// The most objects of the whole stream; which they are is known at its end.
    pub(in crate::monitor) limit: Option<usize>,
}

impl Sample {
    /// The place of an object in the order of the hashes; `None` when the fraction leaves it out.
    pub(super) fn place(&self, seed: u64, object_id: &str) -> Option<Place> {
        let rank = rank(seed, object_id);
        // Ranks are not negative, so their bits are in the order of the numbers.
        (rank < self.fraction.unwrap_or(1.0)).then(|| Place { rank: rank.to_bits(), object_id: object_id.to_owned() })
    }
}

/// The place of an object in the order of the hashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    rank: u64,
    object_id: String,
}

/// The objects with the smallest hashes so far. Of two with one id the earlier comes first.
pub(super) struct Smallest<T> {
    limit: usize,
    kept: BTreeMap<(Place, u64), T>,
}

impl<T> Smallest<T> {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, kept: BTreeMap::new() }
    }

    /// Whether an object that comes as number `number` would be kept now.
    pub(super) fn wants(&self, place: &Place, number: u64) -> bool {
        let last = self.kept.last_key_value();
        self.kept.len() < self.limit || last.is_some_and(|((last, at), _)| (place, &number) < (last, at))
    }

    pub(super) fn put(&mut self, place: Place, number: u64, object: T) {
        self.kept.insert((place, number), object);
        if self.kept.len() > self.limit {
            self.kept.pop_last();
        }
    }

    /// How many are kept.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// All that are kept, by their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.kept.iter().map(|((_, number), object)| (*number, object))
    }

    /// Gives away all that are kept, by their numbers.
    pub(super) fn take(&mut self) -> BTreeMap<u64, T> {
        std::mem::take(&mut self.kept).into_iter().map(|((_, number), object)| (number, object)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(ids: impl Iterator<Item = u64>, sample: Sample) -> Vec<u64> {
        let mut smallest = Smallest::new(sample.limit.unwrap_or(usize::MAX));
        for id in ids {
            if let Some(place) = sample.place(7, &format!("object-{id}"))
                && smallest.wants(&place, id)
            {
                smallest.put(place, id, ());
            }
        }
        smallest.take().into_keys().collect()
    }

    #[test]
    fn the_smallest_hashes_are_the_same_in_any_order_of_the_stream() {
        let sample = Sample { fraction: None, limit: Some(20) };
        let forwards = chosen(0..500, sample);
        assert_eq!(forwards.len(), 20);
        assert_eq!(chosen((0..500).rev(), sample), forwards);
    }

    #[test]
    fn a_fraction_keeps_about_that_many_and_a_smaller_one_a_part_of_them() {
        let of = |fraction| chosen(0..4000, Sample { fraction: Some(fraction), limit: None });
        let (quarter, half) = (of(0.25), of(0.5));
        assert!((quarter.len() as f64 - 1000.0).abs() < 4.0 * 27.4, "{}", quarter.len());
        assert!(quarter.iter().all(|id| half.contains(id)));
    }
}
