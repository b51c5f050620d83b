//! The kinds of sources: where rows come from.
//!
//! Every kind keeps the contract of [`stage::Source`](crate::stage::Source); `conformance` checks it for every example of every
//! kind. In the examples `${data}` is the folder of the data, as a parameter of a document would be.

#[cfg(feature = "alerts")]
pub mod alerts;
mod axis;
#[cfg(all(test, feature = "fits"))]
mod conformance;
#[cfg(feature = "fits")]
mod file_split;
#[cfg(feature = "fits")]
pub mod fits;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod parquet;
#[cfg(feature = "fits")]
mod patience;
pub mod simulated;
#[cfg(feature = "fits")]
pub mod tiles;

use crate::stage::{Kind, Source};

/// The kinds, in the order of the reference.
pub const KINDS: &[Kind<dyn Source>] = &[
    #[cfg(feature = "alerts")]
    Kind::of::<alerts::Alerts>(),
    #[cfg(feature = "fits")]
    Kind::of::<fits::Fits>(),
    #[cfg(feature = "kafka")]
    Kind::of::<kafka::Kafka>(),
    Kind::of::<parquet::Parquet>(),
    Kind::of::<simulated::Simulated>(),
    #[cfg(feature = "fits")]
    Kind::of::<tiles::Tiles>(),
];
