//! An exposure: a noise-free image in nJy becomes electrons, sky subtracted.

use multiversion::multiversion;

use super::poisson::{GROUP, draw};
use crate::random::Stream;

/// The exposure of one band of one object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exposure {
    /// Electrons per nJy.
    pub electrons_per_njy: f64,
    /// Electrons of the sky in a pixel.
    pub sky_electrons: f64,
    /// Electrons of sky that are subtracted: `sky_electrons` plus the error of the subtraction.
    pub subtracted_electrons: f64,
    /// Standard deviation of the read noise of all visits together.
    pub read_noise_electrons: f64,
    /// The most electrons that a pixel holds, sky included.
    pub saturation_electrons: f64,
}

/// The streams that the noise of a plane is drawn from.
#[derive(Debug, Clone, Copy)]
pub struct Noise<'a> {
    /// Photon noise.
    pub photons: &'a Stream,
    /// Read noise.
    pub readout: &'a Stream,
    /// Number of the plane: planes of one object share the streams and use different parts of them.
    pub plane: u64,
}

/// The pixels of a group before noise is drawn, electrons.
struct Group {
    /// Mean, sky included.
    means: [f64; GROUP],
    /// Variance of the noise that is in the image already.
    known: [f64; GROUP],
}

/// Exposes a plane: `Poisson(mean) - sky` with `mean = max(image + sky, 0)` in double precision; without noise the mean itself
/// takes the place of the counts.
///
/// `variance` is that of noise which is in the image already, nJy^2 per pixel; empty if there is none. Only the missing part is
/// drawn: `mean - sky + Poisson(m) - m` with `m = max(mean - variance, 0)`, and read noise of a variance that is smaller by what
/// exceeds the photon noise. With read noise of variance r the electrons have the variance `max(mean + r - variance, 0)`.
pub fn expose(exposure: &Exposure, noise: Option<Noise>, variance: &[f32], image: &[f32], electrons: &mut [f32]) {
    let groups = image.len().div_ceil(GROUP) as u64;
    let mut pixels = [0.0; GROUP];
    let mut group = Group { means: [0.0; GROUP], known: [0.0; GROUP] };
    for (number, (image, electrons)) in (0..).zip(image.chunks(GROUP).zip(electrons.chunks_mut(GROUP))) {
        let length = image.len();
        pixels[..length].copy_from_slice(image);
        mean_electrons(exposure, &pixels, &mut group.means);
        let mut counts = group.means;
        if let Some(noise) = noise {
            let place = noise.plane * groups + number;
            if variance.is_empty() {
                draw(noise.photons, place, &group.means, &mut counts);
            } else {
                let first = number as usize * GROUP;
                for (known, variance) in group.known.iter_mut().zip(&variance[first..first + length]) {
                    *known = f64::from(*variance) * exposure.electrons_per_njy.powi(2);
                }
                draw_missing(noise.photons, place, &group, &mut counts);
            }
            if exposure.read_noise_electrons > 0.0 {
                add_read_noise(noise.readout, place, exposure.read_noise_electrons, &group, &mut counts);
            }
        }
        subtract_sky(exposure, &counts, &mut pixels);
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
fn subtract_sky(exposure: &Exposure, counts: &[f64; GROUP], electrons: &mut [f32; GROUP]) {
    for (electrons, count) in electrons.iter_mut().zip(counts) {
        *electrons = (count.min(exposure.saturation_electrons) - exposure.subtracted_electrons) as f32;
    }
}

/// Draws the photon noise that the image does not have yet, around the means.
fn draw_missing(photons: &Stream, place: u64, group: &Group, counts: &mut [f64; GROUP]) {
    let mut missing = group.means;
    for (missing, known) in missing.iter_mut().zip(&group.known) {
        *missing = (*missing - known).max(0.0);
    }
    draw(photons, place, &missing, counts);
    for i in 0..GROUP {
        counts[i] += group.means[i] - missing[i];
    }
}

/// Adds read noise; less of it where the noise of the image exceeds the photon noise already.
fn add_read_noise(readout: &Stream, place: u64, sigma: f64, group: &Group, counts: &mut [f64; GROUP]) {
    let normals = readout.normals(place);
    for i in 0..GROUP {
        let excess = (group.known[i] - group.means[i]).max(0.0);
        let missing = sigma * sigma - excess;
        counts[i] += missing.max(0.0).sqrt() * f64::from(normals[i]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIXELS: usize = 4000 * GROUP;

    fn exposure(sky: f64, read_noise: f64) -> Exposure {
        Exposure {
            electrons_per_njy: 2.5,
            sky_electrons: sky,
            subtracted_electrons: sky,
            read_noise_electrons: read_noise,
            saturation_electrons: f64::INFINITY,
        }
    }

    fn exposed(exposure: &Exposure, plane: u64, variance: &[f32], image: &[f32]) -> Vec<f32> {
        let photons = Stream::new(3, "object", "sky");
        let readout = Stream::new(3, "object", "sky/readout");
        let mut electrons = vec![f32::NAN; image.len()];
        expose(exposure, Some(Noise { photons: &photons, readout: &readout, plane }), variance, image, &mut electrons);
        electrons
    }

    fn mean_and_variance(values: &[f32]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
        (mean, values.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n)
    }

    #[test]
    fn electrons_have_the_variance_of_photons_and_read_noise_less_what_the_image_has() {
        // Flux (nJy), sky and read noise (electrons), variance of the image (electrons^2).
        for (flux, sky, read_noise, known) in [
            (0.0, 500.0, 0.0, 0.0),
            (0.0, 500.0, 8.8, 0.0),
            (100.0, 500.0, 8.8, 0.0),
            (8.0, 0.0, 8.8, 0.0),
            (0.0, 500.0, 8.8, 300.0),
            (0.0, 500.0, 8.8, 540.0),
            (0.0, 500.0, 8.8, 600.0),
            (20.0, 100.0, 0.0, 60.0),
        ] {
            let exposure = exposure(sky, read_noise);
            let gain = exposure.electrons_per_njy;
            let variance = if known > 0.0 { vec![(known / (gain * gain)) as f32; PIXELS] } else { Vec::new() };
            let found = exposed(&exposure, 0, &variance, &vec![flux as f32; PIXELS]);
            let (mean, variance) = mean_and_variance(&found);
            let expected = (flux * gain + sky + read_noise * read_noise - known).max(0.0);
            let error = (expected / PIXELS as f64).sqrt();
            let name = format!("{flux} nJy, sky {sky}, read noise {read_noise}, known {known}");
            assert!((mean - flux * gain).abs() <= 5.0 * error + 1e-6, "{name}: mean {mean}");
            // The standard error of a variance is sqrt(2 / n) of it, for a Poisson a little more; 1.5 % is 5 of them.
            assert!((variance - expected).abs() <= 0.015 * expected + 1e-6, "{name}: {variance}, expected {expected}");
        }
    }

    #[test]
    fn pixels_get_the_variance_of_their_own_place() {
        // An incomplete last group, and a variance that erases the noise of all pixels but three.
        let image = vec![0.0; 2 * GROUP + 5];
        let mut variance = vec![1e6_f32; image.len()];
        for noisy in [1, GROUP + 2, 2 * GROUP + 4] {
            variance[noisy] = 0.0;
        }
        let found = exposed(&exposure(1e4, 0.0), 0, &variance, &image);
        let noisy: Vec<usize> = (0..found.len()).filter(|i| found[*i] != 0.0).collect();
        assert_eq!(noisy, [1, GROUP + 2, 2 * GROUP + 4]);
    }

    #[test]
    fn planes_use_different_parts_of_the_streams() {
        // Two groups, the second incomplete: group 1 of plane 0 must not be group 0 of plane 1.
        let image = vec![0.0; GROUP + 8];
        for (sky, read_noise) in [(1e4, 0.0), (0.0, 9.0)] {
            let planes = [0, 1, 2].map(|plane| exposed(&exposure(sky, read_noise), plane, &[], &image));
            let starts: Vec<&[f32]> = planes.iter().flat_map(|plane| [&plane[..8], &plane[GROUP..]]).collect();
            for (i, a) in starts.iter().enumerate() {
                assert!(starts[..i].iter().all(|b| a != b), "groups {i} of sky {sky}");
            }
        }
    }

    #[test]
    fn saturation_and_the_error_of_the_sky_are_applied_after_the_noise() {
        let full = Exposure { saturation_electrons: 1000.0, subtracted_electrons: 110.0, ..exposure(100.0, 0.0) };
        let mut electrons = [0.0; 3];
        expose(&full, None, &[], &[0.0, -1000.0, 1000.0], &mut electrons);
        assert_eq!(electrons, [-10.0, -110.0, 890.0]);
        let noisy = exposed(&full, 0, &[], &[370.0; 640]);
        let (most, least) = noisy.iter().fold((f32::MIN, f32::MAX), |(most, least), x| (most.max(*x), least.min(*x)));
        assert!(most == 890.0 && least < 880.0, "{most} {least}");
    }
}
