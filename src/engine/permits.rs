//! Permits bound the memory of a run: every batch holds one, weighed in bytes, from the source until the batch is dropped.

use std::sync::{Arc, PoisonError};

use crate::sync::{Condvar, Mutex, MutexGuard};

/// The permits of a run.
pub(super) struct Permits {
    state: Mutex<State>,
    changed: Condvar,
    max_bytes: usize,
    max_batches: usize,
}

#[derive(Default)]
struct State {
    bytes: usize,
    batches: usize,
    closed: bool,
}

/// The right of one batch to be in memory; returned when dropped.
pub(super) struct Permit {
    permits: Arc<Permits>,
    bytes: usize,
}

impl Permits {
    pub(super) fn new(max_bytes: usize, max_batches: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changed: Condvar::new(), max_bytes, max_batches: max_batches.max(1) })
    }

    /// Waits until a batch of this size fits. A batch larger than the bound is admitted alone, so that it does not wait forever.
    /// `None` after `close`.
    pub(super) fn acquire(self: &Arc<Self>, bytes: usize) -> Option<Permit> {
        let fits = |state: &State| {
            let room = state.bytes.saturating_add(bytes) <= self.max_bytes && state.batches < self.max_batches;
            state.closed || state.batches == 0 || room
        };
        let waited = self.changed.wait_while(self.lock(), |state| !fits(state));
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return None;
        }
        state.bytes += bytes;
        state.batches += 1;
        Some(Permit { permits: self.clone(), bytes })
    }

    /// Batches and bytes in flight.
    pub(super) fn used(&self) -> (usize, usize) {
        let state = self.lock();
        (state.batches, state.bytes)
    }

    /// The bounds on batches and bytes in flight.
    pub(super) const fn bounds(&self) -> (usize, usize) {
        (self.max_batches, self.max_bytes)
    }

    /// Wakes all waiting threads, which get no permit.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Changes the weight of the batch. It may exceed the bound, because the batch is in memory already; new batches then wait longer.
    pub(super) fn resize(&mut self, bytes: usize) {
        let mut state = self.permits.lock();
        state.bytes = state.bytes - self.bytes + bytes;
        self.bytes = bytes;
        drop(state);
        self.permits.changed.notify_all();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.permits.lock();
        state.bytes -= self.bytes;
        state.batches -= 1;
        drop(state);
        self.permits.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;

    #[test]
    fn a_batch_larger_than_the_bound_is_let_in_alone() {
        let permits = Permits::new(10, 4);
        let huge = permits.acquire(1000).expect("a permit");
        let waiting = {
            let permits = permits.clone();
            thread::spawn(move || permits.acquire(1).is_some())
        };
        thread::sleep(Duration::from_millis(20));
        assert!(!waiting.is_finished());
        drop(huge);
        assert!(waiting.join().expect("no panic"));
    }

    #[test]
    fn closing_frees_those_who_wait() {
        let permits = Permits::new(10, 1);
        let held = permits.acquire(1).expect("a permit");
        let waiting = {
            let permits = permits.clone();
            thread::spawn(move || permits.acquire(1).is_none())
        };
        thread::sleep(Duration::from_millis(20));
        permits.close();
        assert!(waiting.join().expect("no panic"));
        drop(held);
    }

    #[test]
    fn a_batch_that_shrinks_makes_room() {
        let permits = Permits::new(10, 4);
        let mut first = permits.acquire(10).expect("a permit");
        first.resize(4);
        assert_eq!((permits.used(), permits.bounds()), ((1, 4), (4, 10)));
        assert!(permits.acquire(6).is_some());
    }

    #[test]
    fn a_batch_waits_for_a_place_and_for_bytes_and_both_are_returned() {
        // First the bytes do not fit, then the number of batches.
        for (max_bytes, max_batches) in [(9, 4), (100, 2)] {
            let permits = Permits::new(max_bytes, max_batches);
            let (first, mut second) = (permits.acquire(4).expect("a permit"), permits.acquire(5).expect("a permit"));
            assert_eq!(permits.used(), (2, 9));
            let waiting = {
                let permits = permits.clone();
                thread::spawn(move || permits.acquire(3).map(|_| permits.used()))
            };
            thread::sleep(Duration::from_millis(20));
            assert!(!waiting.is_finished());
            if max_batches == 4 {
                second.resize(2);
                assert_eq!(waiting.join().expect("no panic"), Some((3, 9)));
                assert_eq!(permits.used(), (2, 6));
            } else {
                drop(second);
                assert_eq!(waiting.join().expect("no panic"), Some((2, 7)));
                assert_eq!(permits.used(), (1, 4));
            }
            drop(first);
        }
    }

    #[test]
    fn dropped_permits_leave_nothing() {
        let permits = Permits::new(10, 4);
        let (first, second) = (permits.acquire(3), permits.acquire(4));
        drop(first);
        assert_eq!(permits.used(), (1, 4));
        drop(second);
        assert_eq!(permits.used(), (0, 0));
    }
}
