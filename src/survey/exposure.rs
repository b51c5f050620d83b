//! An exposure: a noise-free image in nJy becomes electrons with the sky subtracted.

use multiversion::multiversion;

use super::poisson::{GROUP, draw};
use crate::random::Stream;

/// What happens to the pixels of one band of one object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exposure {
    /// Electrons that 1 nJy gives.
    pub electrons_per_njy: f64,
    /// Electrons of the sky in a pixel.
    pub sky_electrons: f64,
    /// Electrons of sky that are subtracted: those above, but for an error of the subtraction.
    pub subtracted_electrons: f64,
    /// Standard deviation of the read noise of all visits together.
    pub read_noise_electrons: f64,
    /// The most electrons of a pixel, sky included.
    pub saturation_electrons: f64,
}

/// Where the noise of a plane comes from: two streams, and the plane's place in them.
#[derive(Debug, Clone, Copy)]
pub struct Noise<'a> {
    /// Of the photons.
    pub photons: &'a Stream,
    /// Of reading out.
    pub readout: &'a Stream,
    /// Number of the plane.
    pub plane: u64,
}

/// Exposes a plane: `Poisson(mean) - sky` with `mean = max(image + sky, 0)` in double precision, or the mean itself
/// without noise. `variance` is that of noise which is in the image already, nJy^2 per pixel: only what is missing is
/// drawn, `mean - sky + Poisson(m) - m` with `m = max(mean - variance, 0)`.
pub fn expose(exposure: &Exposure, noise: Option<Noise>, variance: &[f32], image: &[f32], electrons: &mut [f32]) {
    let groups = image.len().div_ceil(GROUP) as u64;
    let (mut pixels, mut means, mut known) = ([0.0; GROUP], [0.0; GROUP], [0.0; GROUP]);
    for (group, (image, electrons)) in (0..).zip(image.chunks(GROUP).zip(electrons.chunks_mut(GROUP))) {
        let length = image.len();
        pixels[..length].copy_from_slice(image);
        mean_electrons(exposure, &pixels, &mut means);
        let mut counts = means;
        if let Some(noise) = noise {
            let place = noise.plane * groups + group;
            if variance.is_empty() {
                draw(noise.photons, place, &means, &mut counts);
            } else {
                let at = group as usize * GROUP;
                for (known, variance) in known.iter_mut().zip(&variance[at..at + length]) {
                    *known = f64::from(*variance) * exposure.electrons_per_njy.powi(2);
                }
                draw_missing(noise.photons, place, &means, &known, &mut counts);
            }
            if exposure.read_noise_electrons > 0.0 {
                read_out(noise.readout, place, exposure.read_noise_electrons, &known, &means, &mut counts);
            }
        }
        finish(exposure, &counts, &mut pixels);
        electrons.copy_from_slice(&pixels[..length]);
    }
}

#[multiversion(targets = "simd")]
fn mean_electrons(exposure: &Exposure, image: &[f32; GROUP], means: &mut [f64; GROUP]) {
    for (mean, pixel) in means.iter_mut().zip(image) {
        *mean = (f64::from(*pixel) * exposure.electrons_per_njy + exposure.sky_electrons).max(0.0);
    }
}

#[multiversion(targets = "simd")]
fn finish(exposure: &Exposure, counts: &[f64; GROUP], electrons: &mut [f32; GROUP]) {
    for (electrons, count) in electrons.iter_mut().zip(counts) {
        *electrons = (count.min(exposure.saturation_electrons) - exposure.subtracted_electrons) as f32;
    }
}

fn draw_missing(photons: &Stream, place: u64, means: &[f64; GROUP], known: &[f64; GROUP], counts: &mut [f64; GROUP]) {
    let mut missing = *means;
    for (missing, known) in missing.iter_mut().zip(known) {
        *missing = (*missing - known).max(0.0);
    }
    draw(photons, place, &missing, counts);
    for i in 0..GROUP {
        counts[i] += means[i] - missing[i];
    }
}

/// Adds read noise, less of it where the image had more noise already than its photons will have.
fn read_out(
    readout: &Stream,
    place: u64,
    sigma: f64,
    known: &[f64; GROUP],
    means: &[f64; GROUP],
    counts: &mut [f64; GROUP],
) {
    let normals = readout.normals(place);
    for i in 0..GROUP {
        let left = sigma * sigma - (known[i] - means[i]).max(0.0);
        counts[i] += left.max(0.0).sqrt() * f64::from(normals[i]);
    }
}
