//! The monitor kind `accuracy`.
