//! A stop that leaves work a moment to end.
//!
//! A monitor that is stopped within a call returns [`Error::Interrupted`](crate::error::Error::Interrupted), and the run loses
//! what it did since the last commit. Work that ends soon is better finished: then the run commits it.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use crate::stage::Stop;

/// How long work may continue after a stop was requested. A run ends within a second.
const GRACE: Duration = Duration::from_millis(300);

/// A stop request, and when it was first seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct GracefulStop {
    stop: Stop,
    seen: Cell<Option<Instant>>,
}

impl GracefulStop {
    pub(crate) fn new(stop: &Stop) -> Self {
        Self { stop: stop.clone(), seen: Cell::new(None) }
    }

    /// Whether work has to end now. To be called several times a second.
    pub(crate) fn is_due(&self) -> bool {
        if !self.stop.requested() {
            return false;
        }
        let seen = self.seen.get().unwrap_or_else(Instant::now);
        self.seen.set(Some(seen));
        seen.elapsed() >= GRACE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_due_a_moment_after_the_request_was_seen() {
        let stop = Stop::default();
        let graceful = GracefulStop::new(&stop);
        assert!(!graceful.is_due());
        stop.request();
        assert!(!graceful.is_due());
        let begun = Instant::now();
        while !graceful.is_due() {
            assert!(begun.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(begun.elapsed() >= Duration::from_millis(250));
    }
}
