//! Pixel kernels: plain slices in, plain slices out, no Arrow.
