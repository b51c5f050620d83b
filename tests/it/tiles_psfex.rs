//! PSFs of the source `tiles` by files of PSFEx. `tests/golden/psfex/make.py` wrote those and made the PSFs.

use std::fs;

use lucarne::{
    fits::{CardValue, Writer},
    source::{
        fits::Companion,
        tiles::{EdgeRule, ImageList, PositionCatalogue, Tiles},
    },
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    fits::{SourceOutput, read, read_in_batches},
    tiles::in_order,
};

/// The largest difference from the direct sum: rounding of floats.
const TOLERANCE: f64 = 3e-8;
/// The largest difference from GalSim, in the largest pixel: it looks the kernel up in a table.
const GALSIM_TOLERANCE: f64 = 6e-6;
const CARD: usize = 80;

fn golden() -> Value {
    serde_json::from_str(&fs::read_to_string("tests/golden/psfex/golden.json").unwrap()).unwrap()
}

fn file(name: &str) -> Vec<u8> {
    fs::read(format!("tests/golden/psfex/{name}")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// A file with another value for a key, as it stands in the header; a comment instead of the card where there is none.
fn with(mut file: Vec<u8>, key: &str, value: Option<&str>) -> Vec<u8> {
    let is_of_key = |card: &[u8]| card.starts_with(format!("{key:<8}=").as_bytes());
    let at = file.chunks(CARD).position(is_of_key).unwrap_or_else(|| panic!("no card {key}"));
    let card = value.map_or_else(|| format!("{:<80}", "COMMENT"), |value| format!("{key:<8}= {value:<70}"));
    file[at * CARD..(at + 1) * CARD].copy_from_slice(card.as_bytes());
    file
}

/// A folder with a tile of 200 rows and 120 columns, and a catalogue.
struct Survey {
    folder: TempDir,
}

impl Survey {
    /// With the positions of a case.
    fn new(case: &Value) -> Self {
        let mut rows = "id,ra,dec\n".to_owned();
        for (number, position) in case["positions"].as_array().unwrap().iter().enumerate() {
            rows += &format!("{number},{},{}\n", position["ra"], position["dec"]);
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("positions.csv"), rows).unwrap();
        let survey = Self { folder };
        survey.tile("r.fits", &[(0.0, 0.0)]);
        survey
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Writes a file with an image for each offset from the golden tile: of the right ascension, degrees, and of the columns.
    fn tile(&self, name: &str, images: &[(f64, f64)]) {
        let cards = golden()["cards"].clone();
        let pixels: Vec<f32> = (0..200 * 120).map(|pixel| pixel as f32).collect();
        let mut file = Writer::new();
        for (degrees, columns) in images {
            let card = |(key, value): (&String, &Value)| {
                let offset = match key.as_str() {
                    "CRVAL1" => *degrees,
                    "CRPIX1" => *columns,
                    _ => 0.0,
                };
                let text = || CardValue::Text(value.as_str().unwrap().to_owned());
                (key.clone(), value.as_f64().map_or_else(text, |number| CardValue::Real(number + offset)))
            };
            let keys: Vec<(String, CardValue)> = cards.as_object().unwrap().iter().map(card).collect();
            file.image(&[200, 120], &pixels, &keys);
        }
        fs::write(self.path(name), file.into_bytes()).unwrap();
    }

    fn settings(&self, psf: &[u8]) -> Tiles {
        fs::write(self.path("r.psf"), psf).unwrap();
        let catalogue = PositionCatalogue::new(&self.path("positions.csv"), "id", "ra", "dec");
        let mut settings = Tiles::new(catalogue, [("r", vec![self.path("r.fits")])], 9);
        settings.edge = EdgeRule::Pad;
        settings.companions = vec![Companion::Psf];
        settings.psfs = [("r".to_owned(), vec![self.path("r.psf")])].into();
        settings
    }

    /// The mistakes with which a PSF is refused, in words.
    fn mistakes(&self, psf: &[u8]) -> String {
        let mistakes = read_in_batches(self.settings(psf), 8).err().expect("a PSF that is refused");
        mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }
}

fn psfs(output: &SourceOutput) -> Vec<Vec<f64>> {
    assert!(output.rejects.is_empty(), "{:?}", output.rejects);
    let (pixels, length) = lucarne::batch::list_values(&output.rows, "image_psf").unwrap();
    pixels.chunks(length).map(|psf| psf.iter().map(|pixel| f64::from(*pixel)).collect()).collect()
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let off = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f64::max);
    assert!(off <= tolerance, "{what}: {off}");
}

#[test]
fn psfs_at_the_positions_of_objects_are_those_of_galsim() {
    for case in golden()["cases"].as_array().unwrap() {
        let (name, survey) = (case["file"].as_str().unwrap(), Survey::new(case));
        let output = in_order(read(survey.settings(&file(name))));
        let found = psfs(&output);
        let positions = case["positions"].as_array().unwrap();
        assert_eq!(found.len(), positions.len());
        for (number, (found, position)) in found.iter().zip(positions).enumerate() {
            let what = format!("{name} at {}, {}", position["x"], position["y"]);
            let peak = found.iter().copied().fold(0.0, f64::max);
            assert_close(found, &numbers(&position["numpy"]), TOLERANCE, &what);
            if let Some(galsim) = position.get("galsim") {
                assert_close(found, &numbers(galsim), GALSIM_TOLERANCE * peak, &what);
            }
            assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{what}");
            assert_eq!(found[found.len() / 2], peak, "{what}: the centre is the middle pixel");
            // A difference that the tolerance does not hide.
            let first = numbers(&positions[0]["numpy"]);
            assert!(
                number == 0 || first.iter().zip(found).any(|(first, found)| (first - found).abs() > 2e-3),
                "{what}"
            );
        }
    }
}

#[test]
fn an_image_list_names_files_of_psfex() {
    let case = golden()["cases"][0].clone();
    let survey = Survey::new(&case);
    let mut settings = survey.settings(&with(file("quadratic.psf"), "POLNAME1", Some("'XWIN_IMAGE'")));
    fs::write(survey.path("list.csv"), "path,band,psf\nr.fits,r,r.psf\n").unwrap();
    settings.image_list = Some(ImageList { psf: Some("psf".into()), ..ImageList::new(&survey.path("list.csv")) });
    (settings.images, settings.psfs) = Default::default();
    let output = in_order(read(settings));
    for (found, position) in psfs(&output).iter().zip(case["positions"].as_array().unwrap()) {
        assert_close(found, &numbers(&position["numpy"]), TOLERANCE, "a list");
    }
}

#[test]
fn the_images_of_a_file_have_the_tables_of_psfex_in_their_order() {
    let case = golden()["cases"][0].clone();
    let survey = Survey::new(&case);
    // The second image lies half a degree to the east with its sky 20 columns to the right, and so does its PSF.
    survey.tile("r.fits", &[(0.0, 0.0), (0.5, 20.0)]);
    let mut rows = fs::read_to_string(survey.path("positions.csv")).unwrap();
    for number in [0, 3] {
        let position = &case["positions"][number];
        rows += &format!("1{number},{},{}\n", position["ra"].as_f64().unwrap() + 0.5, position["dec"]);
    }
    fs::write(survey.path("positions.csv"), rows).unwrap();
    let one = file("quadratic.psf");
    // The table follows the primary header.
    let second = with(one.clone(), "POLZERO1", Some("80.5"))[2880..].to_vec();
    let two = [one.clone(), second].concat();
    let output = in_order(read(survey.settings(&two)));
    let found = psfs(&output);
    assert_eq!(found.len(), 6);
    for (found, number) in found.iter().zip([0, 1, 2, 3, 0, 3]) {
        assert_close(found, &numbers(&case["positions"][number]["numpy"]), TOLERANCE, "an image of two");
    }
    let found = survey.mistakes(&one);
    assert!(found.contains("r.psf` has 1 `PSF_DATA` of PSFEx, expected 2: a table for each image"), "{found}");
    survey.tile("r.fits", &[(0.0, 0.0)]);
    let found = survey.mistakes(&two);
    assert!(found.contains("r.psf` has 2 `PSF_DATA` of PSFEx, expected 1"), "{found}");
}

#[test]
fn files_of_psfex_that_are_not_understood_are_mistakes_with_their_key() {
    let survey = Survey::new(&golden()["cases"][0]);
    for (key, value, expected) in [
        ("POLNAXIS", Some("1"), "key `POLNAXIS` is 1, expected 0 or 2"),
        ("POLNAXIS", None, "key `POLNAXIS` is missing, expected an integer"),
        ("POLNAME1", Some("'RA'"), "key `POLNAME1` is `RA`, expected `X_IMAGE` or `XWIN_IMAGE`"),
        ("POLNAME2", Some("'X_IMAGE'"), "key `POLNAME2` is `X_IMAGE`, expected `Y_IMAGE` or `YWIN_IMAGE`"),
        ("POLNAME2", None, "key `POLNAME2` is missing, expected `Y_IMAGE`"),
        ("POLGRP2", Some("2"), "key `POLGRP2` is 2, expected 1"),
        ("POLNGRP", Some("2"), "key `POLNGRP` is 2, expected 1 group of axes"),
        ("POLZERO2", None, "key `POLZERO2` is missing, expected a number"),
        ("POLZERO2", Some("1E999"), "key `POLZERO2` is `1E999`, expected a number"),
        ("POLSCAL1", Some("0.0"), "key `POLSCAL1` is 0, expected another number"),
        ("POLDEG1", Some("3"), "key `PSFAXIS3` is 6, expected 10, the terms of degree 3"),
        ("POLDEG1", Some("-1"), "key `POLDEG1` is -1, expected a degree from 0"),
        ("POLDEG1", Some("2.5"), "key `POLDEG1` is `2.5`, expected an integer"),
        ("PSF_SAMP", Some("0.0"), "key `PSF_SAMP` is 0, expected 0.200 to 68.200 pixels"),
        ("PSF_SAMP", Some("-0.55"), "key `PSF_SAMP` is -0.55, expected 0.200 to 68.200 pixels"),
        ("PSF_SAMP", Some("0.19"), "key `PSF_SAMP` is 0.19, expected"),
        ("PSF_SAMP", None, "key `PSF_SAMP` is missing, expected a number"),
        ("PSFNAXIS", Some("2"), "key `PSFNAXIS` is 2, expected 3"),
        ("PSFAXIS1", Some("14"), "key `PSFAXIS1` is 14, expected an odd number of samples"),
        ("PSFAXIS2", Some("17"), "column `PSF_MASK` has axes of [15, 15, 6] values, expected [15, 17, 6]"),
        ("TDIM1", Some("'(15,6,15)'"), "column `PSF_MASK` has axes of [15, 6, 15] values, expected [15, 15, 6]"),
        ("TDIM1", Some("'(15,15,5)'"), "key `TDIM1` is `(15,15,5)`, expected the axes of 1350 values"),
        ("TDIM1", None, "column `PSF_MASK` has axes of [1350] values, expected [15, 15, 6]"),
        ("TFORM1", Some("'1350J'"), "key `TFORM1` of column `PSF_MASK` has the type `J`, expected E or D"),
        ("TTYPE1", Some("'MASK'"), "has no column `PSF_MASK`"),
        ("NAXIS2", Some("0"), "key `NAXIS2` is 0, expected 1 row"),
    ] {
        let found = survey.mistakes(&with(file("quadratic.psf"), key, value));
        assert!(found.contains("r.psf` HDU 1 ") && found.contains(expected), "{found}\nexpected {expected}");
    }
    // Half of the table is missing.
    let found = survey.mistakes(&file("quadratic.psf")[..2880 * 3]);
    assert!(found.contains("r.psf` HDU 1 "), "{found}");
    let found = survey.mistakes(&with(with(file("quadratic.psf"), "TTYPE1", None), "EXTNAME", None));
    assert!(found.contains("r.psf` has neither an image of a PSF nor a table `PSF_DATA` of PSFEx"), "{found}");
    let mut image = Writer::new();
    image.image(&[5, 5], &[1.0; 25], &[]);
    let both = [image.into_bytes(), file("quadratic.psf")[2880..].to_vec()].concat();
    let found = survey.mistakes(&both);
    assert!(
        found.contains("r.psf` has a PSF of PSFEx in HDU 1 and an image in HDU 0, expected one of them"),
        "{found}"
    );
    // Tiles whose PSFs have other sizes.
    survey.tile("r.fits", &[(0.0, 0.0), (0.5, 0.0)]);
    let second = with(file("quadratic.psf"), "PSF_SAMP", Some("0.61"))[2880..].to_vec();
    let found = survey.mistakes(&[file("quadratic.psf"), second].concat());
    let expected = "r.fits[1]` has a PSF of [9, 9] pixels (keys `PSFAXIS1`, `PSFAXIS2` and `PSF_SAMP` of `";
    assert!(found.contains(expected) && found.contains("r.psf[2]`), expected [7, 7] as in"), "{found}");
}

#[test]
fn psfs_that_are_not_finite_or_have_no_flux_are_rejects() {
    let survey = Survey::new(&golden()["cases"][0]);
    let reasons = |psf: Vec<u8>| -> Vec<String> {
        let output = read(survey.settings(&psf));
        output.rejects.into_iter().map(|reject| reject.reason).collect()
    };
    let filled = |pixel: f32| {
        let mut psf = file("quadratic.psf");
        // All samples of the first term, after two headers.
        psf[2880 * 2..2880 * 2 + 900]
            .chunks_exact_mut(4)
            .for_each(|sample| sample.copy_from_slice(&pixel.to_be_bytes()));
        psf
    };
    let found = reasons(filled(f32::NAN));
    assert_eq!(found.len(), 4);
    assert_eq!(found[0], "has 49 non-finite pixels of 49 in its PSF of band `r`");
    let found = reasons(filled(-1.0));
    assert_eq!(found.len(), 4);
    assert!(found[0].starts_with("has a PSF with the sum -") && found[0].contains("expected more than 0"), "{found:?}");
}
