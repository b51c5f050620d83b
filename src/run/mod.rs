//! Everything that outlives a process: the run record, commit records, and snapshots of monitors.

pub mod snapshot;
