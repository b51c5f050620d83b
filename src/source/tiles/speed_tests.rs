//! Measurements: `cargo test --release --lib -- --ignored --nocapture speed_of_tiles`.

use std::time::Instant;

use cpu_time::ThreadTime;

use super::{PositionCatalogue, Tiles};
use crate::{
    fits::{CardValue, Writer},
    random::Stream,
    stage::{Read, Settings},
};

/// Side of a tile, pixels: 100 MB of float32.
const SIDE: usize = 5000;
/// Positions, in the order of a catalogue that is not sorted by them.
const COUNT: usize = 4096;

/// Prints how many objects of three bands, 64 by 64 pixels, one core reads of uncompressed tiles in the page cache.
#[test]
#[ignore = "a measurement"]
fn speed_of_tiles() {
    let folder = tempfile::tempdir().expect("a folder");
    let step = 0.2 / 3600.0;
    let real = |key: &str, value: f64| (key.to_owned(), CardValue::Real(value));
    let text = |key: &str, value: &str| (key.to_owned(), CardValue::Text(value.to_owned()));
    let mut stream = Stream::new(1, "speed", "pixels");
    let noise: Vec<f32> = (0..SIDE).map(|_| stream.uniform_in(-1.0, 1.0) as f32).collect();
    let pixels: Vec<f32> = (0..SIDE).flat_map(|row| noise.iter().map(move |pixel| pixel + row as f32)).collect();
    let mut file = Writer::new();
    let keys = [
        text("CTYPE1", "RA---TAN"),
        text("CTYPE2", "DEC--TAN"),
        real("CRVAL1", 150.0),
        real("CRVAL2", 2.0),
        real("CRPIX1", SIDE as f64 / 2.0),
        real("CRPIX2", SIDE as f64 / 2.0),
        real("CD1_1", -step),
        real("CD2_2", step),
        real("MAGZERO", 30.0),
    ];
    file.image(&[SIDE, SIDE], &pixels, &keys);
    let path = folder.path().join("tile.fits");
    std::fs::write(&path, file.into_bytes()).expect("written");
    let half = 0.49 * SIDE as f64 * step;
    let mut rows = "id,ra,dec\n".to_owned();
    for number in 0..COUNT {
        let (ra, dec) = (stream.uniform_in(-half, half), stream.uniform_in(-half, half));
        rows += &format!("{number},{},{}\n", 150.0 + ra, 2.0 + dec);
    }
    let catalogue = folder.path().join("positions.csv");
    std::fs::write(&catalogue, rows).expect("written");
    let catalogue = PositionCatalogue::new(&catalogue.display().to_string(), "id", "ra", "dec");
    let path = path.display().to_string();
    let mut settings = Tiles::new(catalogue, ["g", "r", "i"].map(|band| (band, vec![path.clone()])), 64);
    settings.edge = super::EdgeRule::Pad;
    let mut source = settings.build("source").expect("settings");
    source.bind().expect("a schema");
    let splits = source.splits().expect("splits");
    for _ in 0..3 {
        let start = ThreadTime::now();
        let mut objects = 0;
        for split in &splits {
            let mut reader = source.open(split, 0).expect("a reader");
            while let Read::Batch { rows, rejects } = reader.next(128, Instant::now()).expect("rows") {
                assert!(rejects.is_empty(), "{rejects:?}");
                objects += rows.num_rows();
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("{:.0} objects of 3x64x64 per second of one core", objects as f64 / seconds);
    }
}
