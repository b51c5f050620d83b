//! Parts shared by several monitors: samples, joins, tables, windows, and the columns and models of scores.

pub(crate) mod bottom_k;
#[cfg(test)]
pub(crate) mod fixtures;
pub(crate) mod grace;
pub(crate) mod join;
pub(crate) mod latents;
pub mod pixels;
pub(crate) mod score;
pub(crate) mod snapshot;
pub(crate) mod table;
pub(crate) mod target;
pub(crate) mod windowed;
