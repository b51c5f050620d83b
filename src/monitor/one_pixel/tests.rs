//! Attacks on a small model.
