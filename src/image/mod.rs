//! Operations on pixels: slices in, slices out, no Arrow.
//!
//! A plane is `height * width` numbers, row after row. An image has one plane per band.

pub mod blur;
pub mod crop;
pub mod fft;
pub mod orient;
pub mod resample;
pub mod stretch;
pub mod track;
