//! Morphology against statmorph (tests/golden/morphology/make.py says which version), both with one segmentation map and gain.
#![allow(clippy::print_stdout, reason = "a test says what it skipped and how large the errors are")]

use std::{fs, io::Read, path::Path};

use lucarne::{
    fits::{FitsFile, Limits},
    morphology::{
        Morphology, Sky, Source, bulge_statistic, measure, merger_statistic,
        segmentation::{Background, FWHM_PIXELS, Threshold, background, central, segments},
    },
};

/// A file of numbers with a name in the first line of each column.
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

/// statmorph's name, how far we may be from it, and whether that is relative; ten times or more what was seen.
type Statistic = (&'static str, f64, bool, fn(&Morphology) -> Option<f64>);

#[rustfmt::skip]
const STATISTICS: [Statistic; 16] = [
    ("gini",            1e-6, true,  |found| found.gini),
    ("m20",             1e-6, true,  |found| found.m20),
    ("gini_m20_bulge",  1e-6, false, |found| Some(bulge_statistic(found.gini?, found.m20?))),
    ("gini_m20_merger", 1e-6, false, |found| Some(merger_statistic(found.gini?, found.m20?))),
    ("concentration",   3e-4, true,  |found| found.concentration),
    ("asymmetry",       2e-5, false, |found| found.asymmetry),
    ("smoothness",      6e-4, false, |found| found.smoothness),
    ("rpetro_circ",     1e-3, true,  |found| found.petrosian),
    ("rpetro_ellip",    2e-3, true,  |found| found.petrosian_ellipse),
    ("rhalf_circ",      1e-3, true,  |found| found.half_light),
    ("rhalf_ellip",     1e-3, true,  |found| found.half_light_ellipse),
    ("r20",             1e-3, true,  |found| found.r20),
    ("r80",             1e-3, true,  |found| found.r80),
    ("sn_per_pixel",    1e-6, true,  |found| found.signal_to_noise),
    ("xc_asymmetry",    1e-2, false, |found| Some(found.centre?[0])),
    ("yc_asymmetry",    1e-2, false, |found| Some(found.centre?[1])),
];

/// Compares measurements with the rows of a table: the flags, what could not be measured, and the numbers of good ones.
fn compare(found: &[Morphology], table: &Csv) {
    assert_eq!(found.len(), table.rows.len());
    let mut worst = [(0.0, 0); STATISTICS.len()];
    let mut good = 0;
    for (row, found) in found.iter().enumerate() {
        let flag = table.number(row, "flag").unwrap() as u8;
        assert_eq!(found.flag, flag, "the flag of row {row}");
        for ((name, allowed, relative, statistic), worst) in STATISTICS.iter().zip(&mut worst) {
            let (found, expected) = (statistic(found), table.number(row, name));
            assert_eq!(found.is_some(), expected.is_some(), "{name} of row {row}: {found:?}, expected {expected:?}");
            let (Some(found), Some(expected)) = (found, expected) else { continue };
            let error = (found - expected).abs() / if *relative { expected.abs() } else { 1.0 };
            if flag <= 1 {
                assert!(error <= *allowed, "{name} of row {row}: {found}, expected {expected}");
                if error > worst.0 {
                    *worst = (error, row);
                }
            }
        }
        good += usize::from(flag <= 1);
    }
    println!("{good} of {} are not bad; the largest errors:", found.len());
    for ((name, _, relative, _), (error, row)) in STATISTICS.iter().zip(worst) {
        println!("  {name:16} {error:.1e} {} (row {row})", if *relative { "relative" } else { "absolute" });
    }
    assert!(good > found.len() / 2);
}

fn source<'a>(image: &'a [f32], width: usize, segments: &'a [u32], gain: f64) -> Source<'a> {
    Source {
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

/// A map as the oracle has it: 1 the source at the centre, 2 all others.
fn map(image: &[f32], width: usize, sky: Background) -> Vec<u32> {
    let found = segments(image, width, sky, Threshold::Sigma(1.5), FWHM_PIXELS);
    let own = central(&found, width);
    found.iter().map(|label| if *label == 0 { 0 } else { 1 + u32::from(Some(*label) != own) }).collect()
}

#[test]
fn simulated_galaxies_are_measured_as_statmorph_measures_them() {
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
fn stamps_of_cosmos_are_measured_as_statmorph_measures_them() {
    let folder = std::env::var_os("LUCARNE_DATA")
        .unwrap_or_else(|| format!("{}/../shared/data", env!("CARGO_MANIFEST_DIR")).into());
    let path = Path::new(&folder).join("cosmos_hst/real_galaxy_images_extension.fits");
    if !path.exists() {
        println!("skipped: no `{}` (`LUCARNE_DATA` may name another folder than ../shared/data)", path.display());
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
        let checksum: u64 = map.iter().zip(1..).map(|(label, place)| u64::from(*label) * place).sum();
        assert_eq!(table.text(row, "area"), area.to_string(), "the segmentation map of stamp {row}");
        assert_eq!(table.text(row, "checksum"), checksum.to_string(), "the segmentation map of stamp {row}");
        found.push(measure(&source(&image, width, &map, 2000.0)));
    }
    compare(&found, &table);
}
