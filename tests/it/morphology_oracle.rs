//! Morphology against statmorph (its version is in tests/golden/morphology/make.py), with the same segmentation maps
//! and gains.
#![allow(clippy::print_stdout, reason = "the tests print what they skip and how large the errors are")]

use std::{fs, io::Read, path::Path};

use lucarne::{
    fits::{FitsFile, Limits},
    morphology::{
        Morphology, SegmentedSource, Sky, bulge_statistic, measure, merger_statistic,
        segmentation::{Background, FWHM_PIXELS, Threshold, background, central, segments},
    },
};

/// A table whose first line names the columns.
struct Csv {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Csv {
    fn read(name: &str) -> Self {
        let text = fs::read_to_string(golden(name)).unwrap();
        let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect());
        Self { names: lines.next().unwrap(), rows: lines.collect() }
    }

    fn text(&self, row: usize, name: &str) -> &str {
        &self.rows[row][self.names.iter().position(|known| known == name).unwrap()]
    }

    fn number(&self, row: usize, name: &str) -> Option<f64> {
        let text = self.text(row, name);
        (!text.is_empty()).then(|| text.parse().unwrap())
    }
}

fn golden(name: &str) -> String {
    format!("{}/tests/golden/morphology/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A statistic to compare.
struct OracleStatistic {
    /// The name in statmorph.
    name: &'static str,
    tolerance: Tolerance,
    of: fn(&Morphology) -> Option<f64>,
}

/// The largest error that passes: ten times or more the largest one observed.
#[derive(Clone, Copy)]
enum Tolerance {
    Relative(f64),
    Absolute(f64),
}

impl Tolerance {
    const fn value(self) -> f64 {
        match self {
            Self::Relative(value) | Self::Absolute(value) => value,
        }
    }

    fn error(self, found: f64, expected: f64) -> f64 {
        let error = (found - expected).abs();
        if matches!(self, Self::Relative(_)) { error / expected.abs() } else { error }
    }
}

const fn relative(name: &'static str, tolerance: f64, of: fn(&Morphology) -> Option<f64>) -> OracleStatistic {
    OracleStatistic { name, tolerance: Tolerance::Relative(tolerance), of }
}

const fn absolute(name: &'static str, tolerance: f64, of: fn(&Morphology) -> Option<f64>) -> OracleStatistic {
    OracleStatistic { name, tolerance: Tolerance::Absolute(tolerance), of }
}

const STATISTICS: [OracleStatistic; 16] = [
    relative("gini", 1e-6, |found| found.gini),
    relative("m20", 1e-6, |found| found.m20),
    absolute("gini_m20_bulge", 1e-6, |found| Some(bulge_statistic(found.gini?, found.m20?))),
    absolute("gini_m20_merger", 1e-6, |found| Some(merger_statistic(found.gini?, found.m20?))),
    relative("concentration", 3e-4, |found| found.concentration),
    absolute("asymmetry", 2e-5, |found| found.asymmetry),
    absolute("smoothness", 6e-4, |found| found.smoothness),
    relative("rpetro_circ", 1e-3, |found| found.petrosian),
    relative("rpetro_ellip", 2e-3, |found| found.petrosian_ellipse),
    relative("rhalf_circ", 1e-3, |found| found.half_light),
    relative("rhalf_ellip", 1e-3, |found| found.half_light_ellipse),
    relative("r20", 1e-3, |found| found.r20),
    relative("r80", 1e-3, |found| found.r80),
    relative("sn_per_pixel", 1e-6, |found| found.signal_to_noise),
    absolute("xc_asymmetry", 1e-2, |found| Some(found.centre?[0])),
    absolute("yc_asymmetry", 1e-2, |found| Some(found.centre?[1])),
];

/// Compares measurements with the rows of a table: flags, missing values, and the values of measurements that are not
/// bad.
fn compare(found: &[Morphology], table: &Csv) {
    assert_eq!(found.len(), table.rows.len());
    let mut worst = [(0.0, 0); STATISTICS.len()];
    let mut good = 0;
    for (row, found) in found.iter().enumerate() {
        let flag = table.number(row, "flag").unwrap() as u8;
        assert_eq!(found.flag, flag, "the flag of row {row}");
        for (OracleStatistic { name, tolerance, of }, worst) in STATISTICS.iter().zip(&mut worst) {
            let (found, expected) = (of(found), table.number(row, name));
            assert_eq!(found.is_some(), expected.is_some(), "{name} of row {row}: {found:?}, expected {expected:?}");
            let (Some(found), Some(expected)) = (found, expected) else { continue };
            let error = tolerance.error(found, expected);
            if flag <= 1 {
                assert!(error <= tolerance.value(), "{name} of row {row}: {found}, expected {expected}");
                if error > worst.0 {
                    *worst = (error, row);
                }
            }
        }
        good += usize::from(flag <= 1);
    }
    println!("{good} of {} measurements are not bad; the largest errors:", found.len());
    for (OracleStatistic { name, tolerance, .. }, (error, row)) in STATISTICS.iter().zip(worst) {
        let kind = if matches!(tolerance, Tolerance::Relative(_)) { "relative" } else { "absolute" };
        println!("  {name:16} {error:.1e} {kind} (row {row})");
    }
    assert!(good > found.len() / 2);
}

fn source<'a>(image: &'a [f32], width: usize, segments: &'a [u32], gain: f64) -> SegmentedSource<'a> {
    SegmentedSource {
        image,
        height: image.len() / width,
        width,
        segments,
        label: 1,
        mask: None,
        variance: None,
        gain: Some(gain),
        sky: Sky::Measured,
        psf_fwhm_pixels: None,
    }
}

/// A segmentation map in the form of the golden files: 1 for the source at the centre, 2 for all others.
fn map(image: &[f32], width: usize, sky: Background) -> Vec<u32> {
    let found = segments(image, width, sky, Threshold::Sigma(1.5), FWHM_PIXELS);
    let own = central(&found, width);
    found.iter().map(|label| if *label == 0 { 0 } else { 1 + u32::from(Some(*label) != own) }).collect()
}

#[test]
fn simulated_galaxies_have_the_statistics_of_statmorph() {
    let size = 100;
    let table = Csv::read("galaxies.csv");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(golden("galaxies.gz")).unwrap()).read_to_end(&mut bytes).unwrap();
    let mut found = Vec::new();
    for (row, bytes) in bytes.chunks_exact(5 * size * size).enumerate() {
        let (pixels, labels) = bytes.split_at(4 * size * size);
        let image: Vec<f32> = pixels.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect();
        let given: Vec<u32> = labels.iter().map(|label| u32::from(*label)).collect();
        found.push(measure(&source(&image, size, &given, 1.0)));
        let sky = if table.text(row, "view") == "clean" {
            Background { median: 0.0, sigma: 356.7 }
        } else {
            background(&image)
        };
        assert!(map(&image, size, sky) == given, "the segmentation map of row {row}");
    }
    compare(&found, &table);
}

#[test]
fn cosmos_stamps_have_the_statistics_of_statmorph() {
    let folder = std::env::var_os("LUCARNE_DATA")
        .unwrap_or_else(|| format!("{}/../shared/data", env!("CARGO_MANIFEST_DIR")).into());
    let path = Path::new(&folder).join("cosmos_hst/real_galaxy_images_extension.fits");
    if !path.exists() {
        crate::skip::skip(
            "statistics of COSMOS stamps: missing `../shared/data/cosmos_hst` (`LUCARNE_DATA` names the folder of the data)",
        );
        return;
    }
    let table = Csv::read("cosmos.csv");
    let stamps = FitsFile::open(&path, &Limits::default()).unwrap();
    let mut found = Vec::new();
    for row in 0..table.rows.len() {
        let stamp = stamps.image(row).unwrap();
        let mut image = vec![0.0; stamp.pixels()];
        stamp.copy(0, &mut image);
        let width = stamp.shape()[1];
        let map = map(&image, width, background(&image));
        let area = map.iter().filter(|label| **label == 1).count();
        let checksum: u64 = map.iter().zip(1..).map(|(label, index)| u64::from(*label) * index).sum();
        assert_eq!(table.text(row, "area"), area.to_string(), "the segmentation map of stamp {row}");
        assert_eq!(table.text(row, "checksum"), checksum.to_string(), "the segmentation map of stamp {row}");
        found.push(measure(&source(&image, width, &map, 2000.0)));
    }
    compare(&found, &table);
}
