//! Scorers: models that score images.

pub mod onnx;

use crate::stage::{Kind, Scorer};

/// The kinds, in the order of the reference.
pub const KINDS: &[Kind<dyn Scorer>] = &[Kind::of::<onnx::Onnx>()];
