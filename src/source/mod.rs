//! Where rows come from.

pub mod fits;
pub mod parquet;
pub mod simulated;

use crate::stage::{Kind, Source};

/// The kinds, in the order of the reference.
pub const KINDS: &[Kind<dyn Source>] =
    &[Kind::of::<fits::Fits>(), Kind::of::<parquet::Parquet>(), Kind::of::<simulated::Simulated>()];
