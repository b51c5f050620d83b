//! What a survey does to an image: presets, photometry, PSF, sky and noise. Plain numbers, no Arrow.

pub mod galaxy;
pub mod noise;
