//! The part of crossbeam's channels that the crate uses, on shuttle's mutex and condition variables: shuttle cannot interrupt
//! crossbeam itself. Order, bounds and disconnection are those of crossbeam, which also drops queued items with the last receiver.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use shuttle::{
    sync::{Condvar, Mutex, MutexGuard},
    thread::yield_now,
};

use super::schedules::one_in;

/// A deadline that is further off never passes, so a wait that only its deadline would end is found as a deadlock.
const NEVER: Duration = Duration::from_secs(5);

/// A channel that holds at most `capacity` items.
pub(crate) fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "channels without a buffer are not modelled");
    channel(Some(capacity))
}

/// A channel that holds any number of items.
pub(crate) fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    channel(None)
}

fn channel<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    let queue = Queue { items: VecDeque::new(), senders: 1, receivers: 1 };
    let (not_empty, not_full) = (Condvar::new(), Condvar::new());
    let shared = Arc::new(Channel { queue: Mutex::new(queue), not_empty, not_full, capacity });
    (Sender(shared.clone()), Receiver(shared))
}

struct Channel<T> {
    queue: Mutex<Queue<T>>,
    not_empty: Condvar,
    not_full: Condvar,
    capacity: Option<usize>,
}

struct Queue<T> {
    items: VecDeque<T>,
    senders: usize,
    receivers: usize,
}

impl<T> Channel<T> {
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sending half.
pub(crate) struct Sender<T>(Arc<Channel<T>>);

/// The receiving half. As an iterator, it ends when all senders are dropped and the channel is empty.
pub(crate) struct Receiver<T>(Arc<Channel<T>>);

/// All receivers are dropped; the item comes back.
pub(crate) struct SendError<T>(#[allow(dead_code, reason = "crossbeam's has it")] pub(crate) T);

/// Why [`Receiver::recv_deadline`] has no item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecvTimeoutError {
    Timeout,
    Disconnected,
}

impl<T> Sender<T> {
    /// Waits while the channel is full.
    pub(crate) fn send(&self, item: T) -> Result<(), SendError<T>> {
        let Channel { not_empty, not_full, capacity, .. } = &*self.0;
        let full = |queue: &mut Queue<T>| queue.receivers > 0 && capacity.is_some_and(|most| queue.items.len() >= most);
        let mut queue = not_full.wait_while(self.0.lock(), full).unwrap_or_else(PoisonError::into_inner);
        if queue.receivers == 0 {
            return Err(SendError(item));
        }
        queue.items.push_back(item);
        drop(queue);
        not_empty.notify_one();
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.senders -= 1;
        let last = queue.senders == 0;
        drop(queue);
        if last {
            self.0.not_empty.notify_all();
        }
    }
}

impl<T> Receiver<T> {
    /// The next item. A deadline that has passed ends the wait at once, one within [`NEVER`] after any time, also if an item would
    /// have come: the caller must be right for every time that the other threads need. It never lies still until then, because a
    /// thread that waits for its deadline alone is not in a deadlock.
    pub(crate) fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        let now = Instant::now();
        if deadline > now + NEVER {
            return self.recv().ok_or(RecvTimeoutError::Disconnected);
        }
        loop {
            let mut queue = self.0.lock();
            if let Some(item) = queue.items.pop_front() {
                drop(queue);
                self.0.not_full.notify_one();
                return Ok(item);
            }
            if queue.senders == 0 {
                return Err(RecvTimeoutError::Disconnected);
            }
            drop(queue);
            if deadline <= now || one_in(2) {
                return Err(RecvTimeoutError::Timeout);
            }
            yield_now();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().items.len()
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        self.0.capacity
    }

    fn recv(&self) -> Option<T> {
        let empty = |queue: &mut Queue<T>| queue.items.is_empty() && queue.senders > 0;
        let mut queue = self.0.not_empty.wait_while(self.0.lock(), empty).unwrap_or_else(PoisonError::into_inner);
        let item = queue.items.pop_front();
        drop(queue);
        if item.is_some() {
            self.0.not_full.notify_one();
        }
        item
    }
}

impl<T> Iterator for Receiver<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.recv()
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.0.lock().receivers += 1;
        Self(self.0.clone())
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.receivers -= 1;
        let last = queue.receivers == 0;
        let left = if last { std::mem::take(&mut queue.items) } else { VecDeque::new() };
        drop(queue);
        drop(left);
        if last {
            self.0.not_full.notify_all();
        }
    }
}
