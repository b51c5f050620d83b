//! Whether presets have the depths that are published for their surveys.
//!
//! A source of N electrons has a signal to noise of `N / sqrt(N + A b)`, with b the electrons of the sky and the variance of the read noise
//! per square arcsec, and A the area of the aperture or, for PSF photometry, the noise equivalent area of the PSF, `1 / integral PSF^2` (King
//! 1983, PASP 95, 163). It is that of the transfer function by which `observe` blurs, times that of the pixel; for a Gaussian it would be
//! `2.266 FWHM^2`.

use std::f64::consts::{PI, TAU};

use super::{
    photometry::{ZERO_POINT_MAG, sky_electrons},
    preset::{Band, Survey, names},
    psf,
};

/// How a depth is measured.
#[derive(Clone, Copy)]
enum Photometry {
    /// With the PSF, optimally.
    Psf,
    /// In a circular aperture of a diameter in arcsec.
    Aperture(f64),
}

/// A published depth: band, magnitude.
type Depth = (&'static str, f64);

/// The published depths of a survey.
struct Published {
    survey: &'static str,
    signal_to_noise: f64,
    photometry: Photometry,
    depths: &'static [Depth],
}

/// Abbott et al. 2021, ApJS 255, 20, abstract: a signal to noise of 10 in 1.95 arcsec.
const DES: Published = Published {
    survey: "des",
    signal_to_noise: 10.0,
    photometry: Photometry::Aperture(1.95),
    depths: &[("g", 24.7), ("r", 24.4), ("i", 23.8), ("z", 23.1)],
};
/// HSC-SSP, page of PDR2, Wide: 5 sigma, point sources.
const HSC_SSP: Published = Published {
    survey: "hsc_ssp",
    signal_to_noise: 5.0,
    photometry: Photometry::Psf,
    depths: &[("g", 26.6), ("r", 26.2), ("i", 26.2), ("z", 25.3), ("y", 24.5)],
};
/// SDSS DR17, image quality: median 5 sigma, point sources.
const SDSS: Published = Published {
    survey: "sdss",
    signal_to_noise: 5.0,
    photometry: Photometry::Psf,
    depths: &[("g", 23.13), ("r", 22.70), ("i", 22.20), ("z", 20.71)],
};
/// Bellm et al. 2019, PASP 131, 018002, abstract: median 5 sigma. The sky of the preset is derived from them.
const ZTF: Published = Published {
    survey: "ztf",
    signal_to_noise: 5.0,
    photometry: Photometry::Psf,
    depths: &[("g", 20.8), ("r", 20.6), ("i", 19.9)],
};
/// McCracken et al. 2025, arXiv 2503.15303, abstract: a signal to noise of 10 in 1.3 arcsec.
const EUCLID_VIS: Published = Published {
    survey: "euclid_vis",
    signal_to_noise: 10.0,
    photometry: Photometry::Aperture(1.3),
    depths: &[("IE", 25.6)],
};
/// Roman technical information 1.5, limiting sensitivity, 2024-06-03: 5 sigma, point sources, 57 s. The read noise of the preset is derived
/// from them.
const ROMAN_WFI: Published = Published {
    survey: "roman_wfi",
    signal_to_noise: 5.0,
    photometry: Photometry::Psf,
    depths: &[("F087", 24.46), ("F106", 24.46), ("F129", 24.43), ("F146", 25.37), ("F158", 24.36), ("F184", 23.72)],
};

const ALL: &[&Published] = &[&DES, &HSC_SSP, &SDSS, &ZTF, &EUCLID_VIS, &ROMAN_WFI];

/// The noise equivalent area of the PSF in a pixel, square arcsec: `(2 pi)^2 / integral |T|^2 d^2k`.
fn noise_equivalent_area(survey: &Survey, band: &Band) -> f64 {
    const STEPS: usize = 240;
    let width = band.width_beside_diffraction() * survey.reference_airmass().powf(0.6);
    let transfer = |k: f64| {
        let diffraction = psf::airy(k, band.wavelength_angstrom, survey.mirror_diameter_m, survey.obscuration);
        diffraction * if survey.in_space() { psf::gaussian(k, width) } else { psf::kolmogorov(k, width) }
    };
    let pixel = |k: f64| {
        let phase = k * survey.pixel_scale_arcsec / 2.0;
        phase.sin() / phase
    };
    // The mirror passes nothing beyond `2 pi D / lambda`, and what blurs nothing beyond a few waves per width.
    let mirror = TAU * survey.mirror_diameter_m / (band.wavelength_angstrom * 1e-10) * PI / 648_000.0;
    let end = mirror.min(4.0 * TAU / width);
    let step = end / STEPS as f64;
    let wave = |index: usize| (index as f64 + 0.5) * step;
    let quadrant: f64 = (0..STEPS)
        .flat_map(|y| (0..STEPS).map(move |x| (wave(y), wave(x))))
        .map(|(ky, kx)| (transfer(ky.hypot(kx)) * pixel(ky) * pixel(kx)).powi(2))
        .sum();
    TAU * TAU / (4.0 * quadrant * step * step)
}

/// The magnitude at a signal to noise in one year of a survey.
fn depth(survey: &Survey, band: &Band, signal_to_noise: f64, photometry: Photometry) -> f64 {
    let seconds = band.seconds_per_year;
    let zero_point = band.zero_point_electrons_per_second;
    let area = match photometry {
        Photometry::Psf => noise_equivalent_area(survey, band),
        Photometry::Aperture(diameter) => PI * diameter * diameter / 4.0,
    };
    let sky = sky_electrons(seconds, zero_point, band.sky_mag_per_arcsec2, 1.0);
    let visits = seconds / survey.seconds_per_visit;
    let read_noise = survey.read_noise_in_pixel(Some(1.0)).powi(2) * visits;
    // N / sqrt(N + A b) = signal to noise.
    let square = signal_to_noise * signal_to_noise;
    let electrons = square / 2.0 + (square * square / 4.0 + square * area * (sky + read_noise)).sqrt();
    ZERO_POINT_MAG - 2.5 * (electrons / (seconds * zero_point)).log10()
}

/// Checks the depths of a preset, of all its bands.
fn check(published: &Published) {
    let survey = Survey::load(published.survey).expect("the preset");
    let mut missing: Vec<&str> = survey.bands.keys().map(String::as_str).collect();
    for (name, expected) in published.depths {
        let found = depth(&survey, &survey.bands[*name], published.signal_to_noise, published.photometry);
        println!("{} {name}: {found:.2}, published {expected:.2}", published.survey);
        assert!((found - expected).abs() < 0.15, "{} {name}: {found:.3}, published {expected}", published.survey);
        missing.retain(|band| band != name);
    }
    assert!(missing.is_empty(), "{}: no published depth of {missing:?}", published.survey);
}

#[test]
fn des_has_its_published_depth() {
    check(&DES);
}

#[test]
fn hsc_ssp_has_its_published_depth() {
    check(&HSC_SSP);
}

#[test]
fn sdss_has_its_published_depth() {
    check(&SDSS);
}

#[test]
fn ztf_has_its_published_depth() {
    check(&ZTF);
}

#[test]
fn euclid_vis_has_its_published_depth() {
    check(&EUCLID_VIS);
}

#[test]
fn roman_wfi_has_its_published_depth() {
    check(&ROMAN_WFI);
}

#[test]
fn every_preset_but_lsst_is_compared_with_its_published_depth() {
    let mut compared: Vec<&str> = ALL.iter().map(|published| published.survey).collect();
    let mut presets = names();
    presets.retain(|name| *name != "lsst");
    compared.sort_unstable();
    presets.sort_unstable();
    assert_eq!(compared, presets);
}

#[test]
fn the_noise_equivalent_area_of_a_gaussian_has_its_closed_form() {
    let mut survey = Survey::load("euclid_vis").expect("the preset");
    // A mirror and pixels that blur next to nothing.
    (survey.mirror_diameter_m, survey.pixel_scale_arcsec) = (400.0, 1e-3);
    let band = Band { blur_fwhm_arcsec: Some(0.4), ..survey.bands["IE"] };
    let expected = 2.266 * 0.4 * 0.4;
    let found = noise_equivalent_area(&survey, &band);
    assert!((found / expected - 1.0).abs() < 0.01, "{found} {expected}");
}
