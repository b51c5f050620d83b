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
