//! Measurements: `cargo test --lib -- --ignored --nocapture speed_of_cutouts`.

use std::io::Write as _;

use cpu_time::ThreadTime;

use super::{CutoutPlace, SkyPosition, Wcs, tests::header_of};
use crate::{
    fits::{CardValue, FitsFile, Limits, Writer},
    random::Stream,
};

/// Side of an image, pixels: 400 MB of float32, as a tile of a survey.
const SIDE: usize = 10_000;

/// Prints how many cutouts of three images, 64 by 64 pixels, one core makes of uncompressed files in the page cache.
#[test]
#[ignore = "a measurement"]
fn speed_of_cutouts() {
    let folder = tempfile::tempdir().expect("a folder");
    // The header of a small image with the axes of a large one, and a sparse file behind it.
    let mut start = Writer::new();
    start.image(&[1, 1], &[0.0], &[]);
    let mut start = start.into_bytes()[..2880].to_vec();
    for axis in ["NAXIS1", "NAXIS2"] {
        let card = start.chunks(80).position(|card| card.starts_with(axis.as_bytes())).expect("a card") * 80;
        start[card..card + 80].copy_from_slice(format!("{axis:<8}= {SIDE:>20}{:50}", "").as_bytes());
    }
    let path = folder.path().join("image.fits");
    let mut file = std::fs::File::create(&path).expect("a file");
    file.write_all(&start).expect("written");
    file.set_len((2880 + (4 * SIDE * SIDE).next_multiple_of(2880)) as u64).expect("sparse");
    drop(file);
    // Into the page cache.
    std::io::copy(&mut std::fs::File::open(&path).expect("a file"), &mut std::io::sink()).expect("read");
    let limits = Limits { pixels: (SIDE * SIDE) as u64, ..Limits::default() };
    let files: Vec<FitsFile> = (0..3).map(|_| FitsFile::open(&path, &limits).expect("a file")).collect();
    let mut images: Vec<_> = files.iter().map(|file| file.sections(0).expect("sections")).collect();

    let text = |value: &str| CardValue::Text(value.to_owned());
    let step = 0.2 / 3600.0;
    let sip = ["A_2_0", "A_0_2", "B_1_1", "B_0_3"].map(|key| (key, CardValue::Real(1e-10)));
    let plain = [
        ("CRPIX1", CardValue::Real(5000.5)),
        ("CRPIX2", CardValue::Real(5000.5)),
        ("CRVAL1", CardValue::Real(150.0)),
        ("CRVAL2", CardValue::Real(2.0)),
        ("CD1_1", CardValue::Real(-step)),
        ("CD2_2", CardValue::Real(step)),
    ];
    for (name, longitude, latitude) in [("TAN", "RA---TAN", "DEC--TAN"), ("SIP", "RA---TAN-SIP", "DEC--TAN-SIP")] {
        let mut cards = vec![("CTYPE1", text(longitude)), ("CTYPE2", text(latitude))];
        cards.extend(plain.clone());
        if name == "SIP" {
            cards.extend(sip.clone());
            cards.extend(["A_ORDER", "B_ORDER"].map(|key| (key, CardValue::Integer(3))));
        }
        let wcs = Wcs::from_header(&header_of(&cards)).expect("world coordinates");
        let mut stream = Stream::new(1, name, "positions");
        let mut position = || SkyPosition {
            ra_deg: 150.0 + stream.uniform_in(-0.27, 0.27),
            dec_deg: 2.0 + stream.uniform_in(-0.27, 0.27),
        };
        let count = 5000;
        let positions: Vec<SkyPosition> = (0..count).map(|_| position()).collect();
        let mut out = vec![0.0; 3 * 64 * 64];
        let runs = (0..5).map(|_| {
            let start = ThreadTime::now();
            for sky in &positions {
                let centre = wcs.sky_to_pixel(*sky).expect("a pixel");
                let place = CutoutPlace::around(centre, [64, 64]).expect("a place");
                for (image, out) in images.iter_mut().zip(out.chunks_mut(64 * 64)) {
                    place.read(image, 0, out).expect("a cutout");
                }
            }
            start.elapsed().as_secs_f64()
        });
        let best = runs.fold(f64::INFINITY, f64::min);
        let start = ThreadTime::now();
        let sum: f64 = positions.iter().map(|sky| wcs.sky_to_pixel(*sky).expect("a pixel").x).sum();
        let of_positions = start.elapsed().as_secs_f64() / f64::from(count);
        println!(
            "{name}: {:.0} cutouts of 3x64x64 per second of one core, {:.2} microseconds for a position ({sum})",
            f64::from(count) / best,
            of_positions * 1e6
        );
    }
}
