//! `observe` with surveys in space: diffraction and blur in place of an atmosphere, and the read noise of the survey.

use lucarne::{
    batch::{ImageLayout, Unit},
    transform::{
        observe::{Observe, Psf, Switch},
        quantity::Quantity,
    },
};

use crate::observe_oracle::{batch, seen};

fn layout(scale: f64) -> ImageLayout {
    ImageLayout::new(["IE"], 64, 64, Unit::NanoJansky).with_pixel_scale(scale)
}

fn vis(survey: &str) -> Observe {
    Observe { survey: survey.to_owned(), years: Some(Quantity::Value(1.0)), ..Observe::default() }
}

/// Light in the middle, smooth enough for its pixels.
fn blob(layout: &ImageLayout) -> Vec<f32> {
    let from_middle = |index: usize| index as f64 - 32.0;
    let pixel = |y: usize, x: usize| (-(from_middle(y).powi(2) + from_middle(x).powi(2)) / 8.0).exp() as f32;
    (0..layout.height).flat_map(|y| (0..layout.width).map(move |x| pixel(y, x))).collect()
}

#[test]
fn the_read_noise_of_the_survey_is_the_default_and_scales_with_the_pixels() {
    let empty = |layout: &ImageLayout| batch(layout, &vec![vec![0.0; layout.pixels()]; 20], &[0.7; 20]);
    let dark = |read_noise| Observe {
        psf: Psf::Off,
        sky_mag_per_arcsec2: Some(Quantity::OFF),
        read_noise_electrons: read_noise,
        ..vis("euclid_vis")
    };
    // Four exposures with 4.4 electrons in pixels of 0.1 arcsec.
    for (scale, setting, expected) in [
        (0.1, None, 4.0 * 4.4 * 4.4),
        (0.2, None, 4.0 * 8.8 * 8.8),
        (0.2, Some(Quantity::Value(3.0)), 4.0 * 9.0),
        (0.1, Some(Quantity::OFF), 0.0),
    ] {
        let pixels = seen(dark(setting), &empty(&layout(scale)));
        let variance = pixels.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / pixels.len() as f64;
        // The standard error of the variance is sqrt(2 / 81,920) of it: 2 % is four of them.
        assert!((variance - expected).abs() <= 0.02 * expected, "{scale}: {variance}, expected {expected}");
    }
}

#[test]
fn the_blur_is_a_gaussian_beside_the_diffraction() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("survey.yaml");
    // A mirror whose diffraction does not matter.
    let text = include_str!("../../src/survey/euclid_vis.yaml")
        .replace("mirror_diameter_m: 1.2", "mirror_diameter_m: 10000")
        .replace("blur_fwhm_arcsec: 0.08", "blur_fwhm_arcsec: 0.5");
    std::fs::write(&path, text).unwrap();
    let survey = path.display().to_string();
    let layout = layout(0.1);
    let input = batch(&layout, &[blob(&layout)], &[0.7]);
    let image = |settings: Observe| seen(Observe { noise: Switch::Off, ..settings }, &input);
    let blurred = image(vis(&survey));
    let gaussian = image(Observe { psf: Psf::Gaussian, fwhm_arcsec: Some(Quantity::Value(0.5)), ..vis(&survey) });
    let peak = blurred.iter().copied().fold(0.0, f32::max);
    for (a, b) in blurred.iter().zip(&gaussian) {
        assert!((a - b).abs() < 1e-3 * peak, "{a} {b}, peak {peak}");
    }

    let sharp = image(Observe { psf: Psf::Off, ..vis(&survey) });
    let diffracted = image(vis("euclid_vis"));
    let largest = |pixels: &[f32]| pixels.iter().copied().fold(0.0, f32::max);
    let sum = |pixels: &[f32]| pixels.iter().sum::<f32>();
    // Both keep the light, but for what diffraction spreads beyond the image.
    assert!((sum(&blurred) / sum(&sharp) - 1.0).abs() < 1e-3);
    assert!((sum(&diffracted) / sum(&sharp) - 1.0).abs() < 0.05);
    assert!(largest(&blurred) < largest(&diffracted) && largest(&diffracted) < largest(&sharp));
}
