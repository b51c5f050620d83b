//! The transform kind `observe`.
