//! What happens to images and rows before a model sees them.

pub mod asinh_stretch;
pub mod crop;
pub mod filter;
pub mod observe;
pub mod orient;
pub mod quantity;
pub mod resample;

use crate::stage::{Kind, Transform};

/// The kinds, in the order of the reference.
pub const KINDS: &[Kind<dyn Transform>] = &[Kind::of::<observe::Observe>()];
