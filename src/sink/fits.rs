//! The sink kind `fits`.
