//! What watches the stream: every monitor writes a table of its own.

pub mod accuracy;

use crate::stage::{Kind, Monitor};

/// The kinds, in the order of the reference.
pub const KINDS: &[Kind<dyn Monitor>] = &[Kind::of::<accuracy::Accuracy>()];
