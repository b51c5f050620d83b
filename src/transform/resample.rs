//! The transform kind `resample`.
