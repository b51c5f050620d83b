//! The live view: the report of a running run, served over HTTP. A strip at the top shows the current status; the page below shows
//! the last commit.
//!
//! The run updates a [`LiveStatus`]. A [`Server`] reads it on a dedicated thread and serves three paths:
//!
//! | path | response |
//! |---|---|
//! | `/` | the page, rendered again after each commit |
//! | `/status.json` | a [`StatusSnapshot`] |
//! | `/metrics` | the same for Prometheus |
//!
//! The server never resolves a path to a file, and no request changes anything.

mod host_check;
mod listener;
mod metrics;
mod server;
mod status;

pub use host_check::is_loopback;
pub use server::Server;
pub use status::{LiveStatus, PendingObjects, RunState, StatusSnapshot};
