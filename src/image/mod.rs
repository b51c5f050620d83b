//! Pixel kernels: plain slices in, plain slices out, no Arrow.

pub mod blur;
pub mod fft;
