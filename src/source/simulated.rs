//! The source kind `simulated`.
