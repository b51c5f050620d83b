//! What is kept of the rows.

pub mod fits;
pub mod parquet;

use crate::stage::{Kind, Sink};

/// The kinds, in the order of the reference.
pub const KINDS: &[Kind<dyn Sink>] = &[Kind::of::<fits::Fits>(), Kind::of::<parquet::Parquet>()];
