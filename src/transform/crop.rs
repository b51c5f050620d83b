//! The transform kind `crop`.
