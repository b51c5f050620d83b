//! Pixels against astropy (`tests/golden/fits/make.py`). Those of cfitsio are compared in `src/fits/cfitsio_tests.rs`.

use std::{collections::BTreeMap, fs, path::Path};

use lucarne::fits::{FitsFile, Limits};
use serde::Deserialize;

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
fn integers_are_the_pixels_of_images_of_integers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/fits");
    let mut compared = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "fits") {
            continue;
        }
        let file = FitsFile::open(&path, &Limits::default()).unwrap();
        for hdu in file.hdus().iter().filter(|hdu| hdu.has_pixels() && hdu.damage.is_none()) {
            let Ok(floats) = file.image(hdu.index).map(|image| pixels(&image)) else { continue };
            let Ok(integers) = file.integer_part(hdu.index, &(0..floats.len())) else { continue };
            for (float, integer) in floats.iter().zip(&integers).filter(|(float, _)| **float >= 0.0) {
                assert_eq!(*float, *integer as f32, "{}", path.display());
            }
            let (start, end) = (floats.len() / 3, floats.len() / 2);
            assert_eq!(file.integer_part(hdu.index, &(start..end)).unwrap(), integers[start..end]);
            compared += 1;
        }
    }
    assert!(compared >= 10, "{compared} images of integers");
}

#[test]
fn pixels_agree_with_astropy() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/fits");
    let expected: AstropyImages = serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
    assert!(expected.files.len() >= 26);
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
