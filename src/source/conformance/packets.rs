//! Alert packets of several files, some of them unusable.

use std::{fs, path::Path};

use crate::{
    avro::test_packets::{TestPacket, TestSource, container, framed, stamp_bytes::StampBytes},
    fits::{CardValue, Writer},
};

/// A stamp of a side with the source at a pixel, a variance and a PSF, as Rubin's.
fn stamp(side: usize, number: usize, sky: [f64; 2]) -> Vec<u8> {
    let real = |key: &str, value: f64| (key.to_owned(), CardValue::Real(value));
    let mut image: Vec<f32> = (0..side * side).map(|pixel| ((pixel + number) % 17) as f32 - 4.0).collect();
    if number % 5 == 2 {
        image[side + 1] = f32::NAN;
    }
    let centre = (side / 2) as f64 + 1.0;
    let mut keys = vec![
        ("BUNIT".to_owned(), CardValue::Text("nJy".into())),
        real("CRPIX1", centre + 0.3),
        real("CRPIX2", centre - 0.2),
        real("CRVAL1", sky[0]),
        real("CRVAL2", sky[1]),
    ];
    for (row, column) in [(1, 1), (2, 2)] {
        keys.push(real(&format!("CD{row}_{column}"), 0.2 / 3600.0));
    }
    let mut file = Writer::new();
    file.image(&[side, side], &image, &keys);
    let named = |name: &str| ("EXTNAME".to_owned(), CardValue::Text(name.into()));
    let utype = ("UTYPE".to_owned(), CardValue::Text("VarianceUncertainty".into()));
    file.image(&[side, side], &vec![4.0; side * side], &[named("UNCERT"), utype]);
    file.image(&[3, 3], &[0.0, 0.1, 0.0, 0.1, 0.6, 0.1, 0.0, 0.1, 0.0], &[named("PSFIMAGE")]);
    file.into_bytes()
}

fn packet(number: usize) -> TestPacket {
    let sky = [10.0 + number as f64 / 100.0, -45.0];
    let side = 7 + number % 3;
    let source = |number: usize| TestSource {
        diaSourceId: 169_298_432_598_474_793 + number as i64,
        visit: 2_025_090_500_225,
        detector: 93,
        ra: sky[0],
        dec: sky[1],
        snr: (!number.is_multiple_of(3)).then_some(5.25),
        band: Some("i".into()),
        psfFlux: Some(number as f32),
        isDipole: Some(number.is_multiple_of(2)),
    };
    let stamp = |offset: usize| Some(StampBytes(stamp(side, number + offset, sky)));
    TestPacket {
        diaSourceId: source(number).diaSourceId,
        diaSource: source(number),
        prvDiaSources: (!number.is_multiple_of(4)).then(|| (0..number % 4).map(source).collect()),
        cutoutDifference: stamp(1),
        cutoutScience: stamp(2),
        cutoutTemplate: if number % 7 == 6 { None } else { stamp(3) },
    }
}

/// Files in more than one split: containers of several blocks, one of them cut off, a message, and what is not Avro.
pub(super) fn alerts(folder: &Path) {
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
    write("a.avro", &container(&(0..9).map(packet).collect::<Vec<_>>()));
    let whole = container(&(9..14).map(packet).collect::<Vec<_>>());
    write("b.avro", &whole[..whole.len() - 100]);
    write("c.avro", &framed(900, &packet(14)));
    write("d.avro", b"<html>");
    write("e.avro", b"");
    for number in 15..90 {
        write(&format!("f{number}.avro"), &container(&[packet(number)]));
    }
}
