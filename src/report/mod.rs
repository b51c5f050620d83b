//! What a run shows: one page to read and to send, and its figures for papers.

pub mod live;
