//! The page of a run that goes on, over HTTP: what the run is doing now on top, below it the page as of the last commit.
//!
//! The run tells a [`Board`] how far it is; a [`Server`] reads the board, on a thread of its own, and answers three paths:
//!
//! | path | answer |
//! |---|---|
//! | `/` | the page, made anew when there was a commit |
//! | `/status.json` | a [`Snapshot`] of the board |
//! | `/metrics` | the same for Prometheus |
//!
//! No path is ever looked up on a disk, and nothing can be changed.

mod board;
mod hosts;
mod metrics;
mod server;

pub use board::{Board, Snapshot, State, Waiting};
pub use hosts::is_loopback;
pub use server::Server;
