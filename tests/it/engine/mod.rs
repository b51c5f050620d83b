//! What the engine promises, with stages so small that nothing else is tested.

mod child;
mod failures;
mod memory;
mod order;
mod resume;
mod stages;
