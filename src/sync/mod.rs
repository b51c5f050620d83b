//! Threads, locks, atomics and channels of the engine and of per-object tasks: those of the standard library and crossbeam.
//!
//! With `--cfg shuttle`, tests get those of shuttle instead. Shuttle runs the threads of a test one at a time and decides after
//! every operation which one continues, so a test sees many schedules of the code that ships (`make schedules`). It treats every
//! atomic operation as sequentially consistent and wakes no thread spuriously; neither kind of error can be found with it.

#[cfg(all(test, shuttle))]
pub(crate) mod channel;
#[cfg(all(test, shuttle))]
pub(crate) mod schedules;

#[cfg(not(all(test, shuttle)))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, atomic},
    thread,
};

#[cfg(not(all(test, shuttle)))]
pub(crate) use crossbeam_channel as channel;
#[cfg(all(test, shuttle))]
pub(crate) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, atomic},
    thread,
};
