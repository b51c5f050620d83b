//! Bottom-k samples: the `k` items of a stream with the smallest keys.
//!
//! Keys begin with [`rank`], a hash of the seed and the object id. So the choice is random, does not depend on the order of
//! the stream, and is the same in every monitor: two models are tested on the same objects.

use std::{cmp::Ordering, collections::BinaryHeap};

use serde::{Deserialize, Serialize};

use crate::random::rank;

/// The `k` items with the smallest keys so far.
#[derive(Debug, Clone)]
pub(crate) struct BottomK<K, T> {
    k: usize,
    /// The largest key is on top: it is the next to be dropped.
    heap: BinaryHeap<KeyedItem<K, T>>,
}

/// An item and its key; entries are compared by key.
#[derive(Debug, Clone)]
struct KeyedItem<K, T> {
    key: K,
    item: T,
}

/// The key of an object: its hash, then its number in the stream. Of objects with one id the earlier ones are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct SampleKey {
    hash: u64,
    number: u64,
}

impl SampleKey {
    /// The key of the object that is row `number` of the stream.
    pub(crate) fn new(seed: u64, object_id: &str, number: u64) -> Self {
        // Ranks are not negative, so their bits are ordered as the numbers are.
        Self { hash: rank(seed, object_id).to_bits(), number }
    }

    /// The row of the stream.
    pub(crate) const fn number(self) -> u64 {
        self.number
    }
}

impl<K: Ord, T> BottomK<K, T> {
    /// An empty sample of at most `k` items.
    pub(crate) const fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::new() }
    }

    /// A sample of known items; `None` if there are more than `k`.
    pub(crate) fn from_items(k: usize, items: impl IntoIterator<Item = (K, T)>) -> Option<Self> {
        let heap: BinaryHeap<_> = items.into_iter().map(|(key, item)| KeyedItem { key, item }).collect();
        (heap.len() <= k).then_some(Self { k, heap })
    }

    /// Whether an item with this key would be kept now: callers that copy items check first.
    pub(crate) fn accepts(&self, key: &K) -> bool {
        self.heap.len() < self.k || self.heap.peek().is_some_and(|largest| *key < largest.key)
    }

    /// Adds an item, and drops the one with the largest key if there are more than `k`.
    pub(crate) fn insert(&mut self, key: K, item: T) {
        self.heap.push(KeyedItem { key, item });
        if self.heap.len() > self.k {
            self.heap.pop();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The items in arbitrary order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &T)> {
        self.heap.iter().map(|entry| (&entry.key, &entry.item))
    }

    /// The items by ascending key.
    pub(crate) fn sorted(&self) -> Vec<(&K, &T)> {
        let mut items: Vec<(&K, &T)> = self.iter().collect();
        items.sort_unstable_by(|a, b| a.0.cmp(b.0));
        items
    }

    /// Removes and returns all items, in arbitrary order.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (K, T)> {
        std::mem::take(&mut self.heap).into_iter().map(|KeyedItem { key, item }| (key, item))
    }
}

impl<K: Eq, T> PartialEq for KeyedItem<K, T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<K: Eq, T> Eq for KeyedItem<K, T> {}

impl<K: Ord, T> PartialOrd for KeyedItem<K, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord, T> Ord for KeyedItem<K, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(k: usize, numbers: impl Iterator<Item = u64>) -> BottomK<SampleKey, u64> {
        let mut sample = BottomK::new(k);
        for number in numbers {
            let key = SampleKey::new(7, &format!("object-{number}"), number);
            if sample.accepts(&key) {
                sample.insert(key, number);
            }
        }
        sample
    }

    fn items(sample: &BottomK<SampleKey, u64>) -> Vec<u64> {
        sample.sorted().into_iter().map(|(_, item)| *item).collect()
    }

    #[test]
    fn keeps_the_smallest_hashes_in_any_order_of_the_stream() {
        let mut by_hash: Vec<u64> = (0..500).collect();
        by_hash.sort_by(|a, b| {
            let hash = |i: &u64| rank(7, &format!("object-{i}"));
            hash(a).total_cmp(&hash(b))
        });
        assert_eq!(items(&sample(20, 0..500)), by_hash[..20]);
        assert_eq!(items(&sample(20, (0..500).rev())), by_hash[..20]);
        assert_eq!(items(&sample(1000, 0..500)), by_hash);
        assert!(!sample(0, 0..5).accepts(&SampleKey::new(7, "object-0", 0)));
    }

    #[test]
    fn inserting_unasked_keeps_the_same_items() {
        let mut unasked = BottomK::new(20);
        (0..500).for_each(|i| unasked.insert(SampleKey::new(7, &format!("object-{i}"), i), i));
        assert_eq!(items(&unasked), items(&sample(20, 0..500)));
        assert_eq!(unasked.len(), 20);
    }

    #[test]
    fn of_equal_ids_the_earlier_are_kept() {
        let mut sample = BottomK::new(2);
        [3, 1, 4, 0].into_iter().for_each(|number| sample.insert(SampleKey::new(7, "same", number), number));
        assert_eq!(items(&sample), [0, 1]);
    }

    #[test]
    fn items_of_a_sample_make_the_same_sample() {
        let before = sample(20, 0..500);
        let copied = || before.iter().map(|(key, item)| (*key, *item));
        let mut after = BottomK::from_items(20, copied()).expect("20 items");
        assert_eq!(items(&after), items(&before));
        (500..900).for_each(|i| after.insert(SampleKey::new(7, &format!("object-{i}"), i), i));
        assert_eq!(items(&after), items(&sample(20, 0..900)));
        assert!(BottomK::from_items(19, copied()).is_none());
        assert_eq!((after.drain().count(), after.len()), (20, 0));
    }
}
