//! The transform kind `asinh_stretch`.
