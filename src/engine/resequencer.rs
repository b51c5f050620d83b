//! Restores the order of batches that workers finish out of order.

use std::collections::BTreeMap;

/// Holds items that arrive before their predecessors.
pub(super) struct Resequencer<T> {
    next: u64,
    early: BTreeMap<u64, T>,
}

impl<T> Resequencer<T> {
    pub(super) const fn new() -> Self {
        Self { next: 0, early: BTreeMap::new() }
    }

    /// The number of items held.
    pub(super) fn early(&self) -> usize {
        self.early.len()
    }

    /// Adds the item with a number.
    pub(super) fn put(&mut self, number: u64, item: T) {
        self.early.insert(number, item);
    }

    /// Returns the next item in order, if it has arrived.
    pub(super) fn take(&mut self) -> Option<T> {
        let item = self.early.remove(&self.next)?;
        self.next += 1;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_out_in_the_order_of_their_numbers() {
        let mut order = Resequencer::new();
        let mut out = Vec::new();
        for number in [2, 0, 3, 1, 4] {
            order.put(number, number);
            out.extend(std::iter::from_fn(|| order.take()));
        }
        assert_eq!(out, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_gap_holds_back_what_follows() {
        let mut order = Resequencer::new();
        order.put(1, 'b');
        assert_eq!(order.take(), None);
        assert_eq!(order.early(), 1);
        order.put(2, 'c');
        assert_eq!(order.early(), 2);
        order.put(0, 'a');
        assert_eq!((order.take(), order.take(), order.early()), (Some('a'), Some('b'), 1));
    }
}
