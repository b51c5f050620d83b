//! The concurrent parts of the engine under many schedules (`make schedules`).

mod permits;
mod resequencer;
mod scenario;
mod stream;
mod worker_pool;
