//! Pixels against astropy (`tests/golden/fits/make.py`), and plain images against cfitsio.

use std::{collections::BTreeMap, fs, path::Path};

use lucarne::fits::{FitsFile, HduKind, Limits};
use serde::Deserialize;

use super::shared;

#[derive(Deserialize)]
struct AstropyImages {
    files: BTreeMap<String, AstropyImage>,
}

#[derive(Deserialize)]
struct AstropyImage {
    hdu: usize,
    shape: Vec<usize>,
    values: Vec<Option<f64>>,
}

fn pixels(image: &lucarne::fits::Image<'_>) -> Vec<f32> {
    let mut pixels = vec![0.0; image.pixels()];
    image.copy(0, &mut pixels);
    pixels
}

#[test]
fn pixels_agree_with_astropy() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/fits");
    let expected: AstropyImages = serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
    assert!(expected.files.len() >= 18);
    for (name, expected) in expected.files {
        let file = FitsFile::open(&folder.join(&name), &Limits::default()).unwrap();
        let image = file.image(expected.hdu).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(image.shape(), expected.shape, "{name}");
        for (at, (found, expected)) in pixels(&image).iter().zip(&expected.values).enumerate() {
            let same = match expected {
                None => found.is_nan(),
                Some(expected) => (f64::from(*found) - expected).abs() <= 1.2e-7 * expected.abs().max(1e-5),
            };
            assert!(same, "{name}: pixel {at} is {found}, expected {expected:?}");
        }
    }
}

/// Compares all plain images of a file with those that cfitsio reads. Returns the number of images.
fn compare(path: &Path) -> usize {
    let Ok(file) = FitsFile::open(path, &Limits::default()) else { return 0 };
    let mut compared = 0;
    for hdu in file.hdus().iter().filter(|hdu| hdu.kind == HduKind::Image && hdu.has_pixels()) {
        let (ours, theirs) = (file.image(hdu.index), file.image_by_cfitsio(hdu.index));
        let (Ok(ours), Ok(theirs)) = (&ours, &theirs) else { panic!("{}: {ours:?} {theirs:?}", path.display()) };
        let bits = |pixel: f32| if pixel.is_nan() { f32::NAN.to_bits() } else { pixel.to_bits() };
        let differing =
            pixels(ours).into_iter().zip(pixels(theirs)).position(|(ours, theirs)| bits(ours) != bits(theirs));
        assert_eq!(differing, None, "{} HDU {}", path.display(), hdu.index);
        compared += 1;
    }
    compared
}

#[test]
fn plain_images_have_the_bits_of_cfitsio() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/fits");
    let compared: usize = fs::read_dir(folder).unwrap().map(|entry| compare(&entry.unwrap().path())).sum();
    assert_eq!(compared, 8);
}

#[test]
fn plain_images_of_real_data_have_the_bits_of_cfitsio() {
    let Some(folder) = shared("") else { return };
    let mut compared = 0;
    for pattern in ["kids_cutouts/*", "kids_sdss_pairs/*/*", "cosmos_hst/*", "fits_edge/*/*"] {
        for path in glob::glob(&format!("{}/{pattern}", folder.display())).unwrap() {
            compared += compare(&path.unwrap());
        }
    }
    assert!(compared > 400, "{compared} images");
}
