//! The transform kind `orient`.
