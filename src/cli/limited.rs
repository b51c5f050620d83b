//! Work within limits: on a thread of its own, which is left behind when it takes too long or too much memory.

use std::{
    fs,
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use crate::error::{Error, Result};

/// How often the limits are looked at.
const TICK: Duration = Duration::from_millis(20);

/// What the work may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct WorkLimits {
    /// The work, in messages.
    pub(super) what: &'static str,
    /// Its stack; only what is used takes memory.
    pub(super) stack_bytes: usize,
    /// The resident memory of the process, where the system tells it (Linux).
    pub(super) memory_mib: u64,
    /// The longest time.
    pub(super) time: Option<Duration>,
}

/// Does the work, and returns its result.
///
/// # Errors
/// When the work exceeds its limits. Its thread then goes on until the process ends, which should be soon.
pub(super) fn limited<T: Send + 'static>(limits: WorkLimits, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let start = Instant::now();
    let (send, done) = channel();
    let thread = thread::Builder::new().name("lucarne-work".into()).stack_size(limits.stack_bytes);
    let thread = thread.spawn(move || send.send(work()));
    thread.map_err(|error| Error::environment("cannot start a thread").caused_by(error))?;
    loop {
        match done.recv_timeout(TICK) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Disconnected) => return Err(Error::bug(format!("{} panicked", limits.what))),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(time) = limits.time.filter(|time| start.elapsed() > *time) {
            return Err(Error::environment(format!(
                "{} was stopped after {} s, the most that it may take",
                limits.what,
                time.as_secs()
            )));
        }
        if let Some(mib) = resident_mib().filter(|mib| *mib > limits.memory_mib) {
            let WorkLimits { what, memory_mib, .. } = limits;
            let message = format!("{what} was stopped at {mib} MiB of memory, more than the allowed {memory_mib} MiB");
            return Err(Error::environment(message));
        }
    }
}

/// The resident memory of this process; `None` where the system does not tell it.
fn resident_mib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    Some(kib.parse::<u64>().ok()? >> 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: WorkLimits = WorkLimits { what: "the work", stack_bytes: 1 << 20, memory_mib: u64::MAX, time: None };

    #[test]
    fn work_within_its_limits_returns_its_result() {
        assert_eq!(limited(LIMITS, || 3).expect("a result"), 3);
        let error = limited(LIMITS, || panic!("on purpose")).map(|()| 0).expect_err("a panic").to_string();
        assert!(error.contains("the work panicked"), "{error}");
    }

    #[test]
    fn work_that_takes_too_long_is_left_behind() {
        let limits = WorkLimits { time: Some(Duration::ZERO), ..LIMITS };
        let (_keep, wait) = channel::<()>();
        let error = limited(limits, move || wait.recv().is_ok()).expect_err("stopped").to_string();
        assert!(error.contains("stopped after 0 s"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn work_that_takes_too_much_memory_is_left_behind() {
        let limits = WorkLimits { memory_mib: 1, ..LIMITS };
        let (_keep, wait) = channel::<()>();
        let error = limited(limits, move || wait.recv().is_ok()).expect_err("stopped").to_string();
        assert!(error.contains("more than the allowed 1 MiB"), "{error}");
    }
}
