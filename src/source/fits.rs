//! The source kind `fits`.
