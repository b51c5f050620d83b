//! Scorers: models that score images.

#[cfg(feature = "onnx")]
pub mod onnx;

use crate::stage::{Kind, Scorer};

/// The kinds, in the order of the reference.
pub const KINDS: &[Kind<dyn Scorer>] = &[
    #[cfg(feature = "onnx")]
    Kind::of::<onnx::Onnx>(),
];
