//! What a survey does to an image: presets, photometry, PSF, sky and noise; and simulated galaxies. Plain numbers, no Arrow.

pub mod exposure;
pub mod galaxy;
pub mod photometry;
pub mod poisson;
pub mod preset;
pub mod psf;
#[cfg(test)]
mod published_depths;
