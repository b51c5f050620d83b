//! What the engine promises, with stages so small that nothing else is tested.

mod child;
mod compact;
mod failures;
mod live;
mod live_source;
mod memory;
mod order;
mod parquet;
mod resume;
mod stages;
