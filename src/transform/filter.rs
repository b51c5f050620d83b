//! The transform kind `filter`.
