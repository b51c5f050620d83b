//! The score kind `onnx`.
