//! What is refused, and that positions lead back, on headers that are made here.

use super::{PixelPosition, PositionError, SkyPosition, Wcs, golden_tests::separation_deg};
use crate::{
    fits::{CardValue, FitsFile, Header, Limits, Writer},
    random::Stream,
};

/// A header with some cards.
pub(super) fn header_of(cards: &[(&str, CardValue)]) -> Header {
    let cards: Vec<_> = cards.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let mut file = Writer::new();
    file.image(&[1, 1], &[0.0], &cards);
    let file = FitsFile::from_bytes("memory", file.into_bytes(), &Limits::default()).expect("a file");
    file.hdus()[0].header.clone()
}

fn text(value: &str) -> CardValue {
    CardValue::Text(value.to_owned())
}

fn real(value: f64) -> CardValue {
    CardValue::Real(value)
}

/// An image of 0.2 arcsec per pixel.
fn cards() -> Vec<(&'static str, CardValue)> {
    let step = 0.2 / 3600.0;
    vec![
        ("CTYPE1", text("RA---TAN")),
        ("CTYPE2", text("DEC--TAN")),
        ("CRPIX1", real(100.5)),
        ("CRPIX2", real(200.5)),
        ("CRVAL1", real(150.0)),
        ("CRVAL2", real(2.0)),
        ("CD1_1", real(-step)),
        ("CD1_2", real(0.0)),
        ("CD2_1", real(0.0)),
        ("CD2_2", real(step)),
    ]
}

/// A card that is replaced or added, or (`None`) left out.
type Change = (&'static str, Option<CardValue>);

/// The cards with some changes.
fn with(changes: &[Change]) -> Vec<(&'static str, CardValue)> {
    let mut cards = cards();
    for (key, value) in changes {
        cards.retain(|(other, _)| other != key);
        cards.extend(value.clone().map(|value| (*key, value)));
    }
    cards
}

fn both_types(longitude: &'static str, latitude: &'static str) -> [Change; 2] {
    [("CTYPE1", Some(text(longitude))), ("CTYPE2", Some(text(latitude)))]
}

fn wcs(changes: &[Change]) -> Result<Wcs, String> {
    Wcs::from_header(&header_of(&with(changes)))
}

#[test]
fn the_reference_pixel_counts_from_0_and_is_the_reference_position() {
    let wcs = wcs(&[]).expect("world coordinates");
    let pixel = wcs.sky_to_pixel(SkyPosition { ra_deg: 150.0, dec_deg: 2.0 }).expect("a pixel");
    assert!((pixel.x - 99.5).abs() < 1e-9 && (pixel.y - 199.5).abs() < 1e-9, "{pixel:?}");
    // East is left, north is up.
    let north_east = SkyPosition { ra_deg: 150.001, dec_deg: 2.001 };
    let pixel = wcs.sky_to_pixel(north_east).expect("a pixel");
    assert!(pixel.x < 99.0 && pixel.y > 200.0, "{pixel:?}");
}

#[test]
fn headers_that_could_move_positions_are_refused_by_their_key() {
    let is = |value: f64| Some(real(value));
    let types = both_types;
    let cases: Vec<(Vec<Change>, &str)> = vec![
        (vec![("CRPIX1", None)], "key `CRPIX1` is missing, expected a number"),
        (vec![("CRVAL2", None)], "key `CRVAL2` is missing, expected a number"),
        (vec![("CRVAL2", is(90.5))], "key `CRVAL2` is 90.5 degrees, expected -90 to 90"),
        (vec![("CRVAL1", Some(text("NaN")))], "key `CRVAL1` is `NaN`, expected a number"),
        (vec![("CTYPE1", None)], "key `CTYPE1` is missing and key `CTYPE2` is `DEC--TAN`, expected right ascension"),
        (vec![("CTYPE1", Some(text("WAVE")))], "key `CTYPE1` is `WAVE` and key `CTYPE2`"),
        (types("GLON-TAN", "GLAT-TAN").to_vec(), "key `CTYPE1` is `GLON-TAN`, expected `RA`"),
        (types("ELON-TAN", "ELAT-TAN").to_vec(), "key `CTYPE1` is `ELON-TAN`, expected `RA`"),
        (types("RA---TNX", "DEC--TNX").to_vec(), "projection `TNX` is not supported, expected TAN"),
        (types("RA", "DEC").to_vec(), "key `CTYPE1` is `RA`, expected a projection"),
        (types("RA---TAN", "DEC--SIN").to_vec(), "key `CTYPE1` is `RA---TAN` and key `CTYPE2` is `DEC--SIN`"),
        (types("RA---TAN-SIP", "DEC--TAN").to_vec(), "key `CTYPE1` is `RA---TAN-SIP` and key `CTYPE2`"),
        (types("RA---TAN-TPD", "DEC--TAN-TPD").to_vec(), "key `CTYPE1` is `RA---TAN-TPD`, expected no distortion"),
        (types("RA---TAN-SIP", "DEC--TAN-SIP").to_vec(), "key `A_ORDER` is missing"),
        (vec![("A_2_0", is(1e-6))], "key `A_2_0` is a term of SIP, but key `CTYPE1` does not end in `-SIP`"),
        (vec![("RADESYS", Some(text("FK4")))], "key `RADESYS` is `FK4`, expected ICRS"),
        (vec![("EQUINOX", is(1950.0))], "key `EQUINOX` is 1950, which means FK4"),
        (vec![("RADESYS", Some(text("FK5"))), ("EQUINOX", is(1975.0))], "key `EQUINOX` is 1975, which means FK5"),
        (vec![("CD1_1", is(0.0))], "has a singular matrix by `CD`"),
        (["CD1_1", "CD1_2", "CD2_1", "CD2_2"].map(|key| (key, None)).to_vec(), "has no key `CD1_1` or `CDELT1`"),
        (vec![("CD1_3", is(0.1))], "key `CD1_3` is not 0, expected a position"),
        (vec![("PC1_1", is(1.0))], "has keys `CDi_j` and `PCi_j`, expected one of them"),
        (vec![("CUNIT1", Some(text("Angstrom")))], "key `CUNIT1` is `Angstrom`, expected a unit of angle"),
        (vec![("PV1_1", is(10.0))], "key `PV1_1` is 10, expected 0"),
        (vec![("PV1_2", is(45.0))], "key `PV1_2` is 45, expected 90"),
        (vec![("PV2_1", is(1.0))], "key `PV2_1` is 1, which is not a parameter of the projection `TAN`"),
        (vec![("PV1_5", is(0.1))], "key `PV1_1` is missing, expected the linear term of TPV"),
        (vec![("CPDIS1", Some(text("LOOKUP")))], "key `CPDIS1` is a distortion by a lookup table"),
        ([&types("RA---ZPN", "DEC--ZPN")[..], &[("PROJP1", is(1.0))]].concat(), "has a polynomial of ZPN"),
        ([&types("RA---SIN", "DEC--SIN")[..], &[("PROJP1", is(1.0))]].concat(), "key `PROJP1` is of an old convention"),
        ([&types("RA---CEA", "DEC--CEA")[..], &[("PV2_1", is(-1.0))]].concat(), "parameter `PV2_1` of the projection"),
        (
            [&types("RA---CAR", "DEC--CAR")[..], &[("CRVAL2", is(60.0)), ("LONPOLE", is(60.0))]].concat(),
            "has a reference at declination 60 that no native pole with `LONPOLE` 60 allows",
        ),
    ];
    let mut wrong = Vec::new();
    for (changes, expected) in cases {
        let found = wcs(&changes).map_or_else(|error| error, |_| "is read".to_owned());
        if !found.starts_with(expected) {
            wrong.push(format!("{changes:?}: {found}, expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn distortions_are_refused_where_readers_differ() {
    let sip = [&both_types("RA---TAN-SIP", "DEC--TAN-SIP")[..], &[("A_ORDER", Some(CardValue::Integer(2)))]].concat();
    let order = ("B_ORDER", Some(CardValue::Integer(2)));
    let error = |more: &[Change]| wcs(&[&sip[..], more].concat()).expect_err("refused");
    assert_eq!(error(&[]), "key `B_ORDER` is missing, expected the order of SIP");
    assert_eq!(
        error(&[order.clone(), ("A_3_0", Some(real(1e-9)))]),
        "key `A_3_0` is above the order, key `A_ORDER` is 2"
    );
    assert_eq!(error(&[("B_ORDER", Some(CardValue::Integer(10)))]), "key `B_ORDER` is 10, expected 0 to 9");
    let singular = error(&[order.clone(), ("A_1_0", Some(real(-1.0)))]);
    assert!(singular.starts_with("has keys `A_p_q` and `B_p_q` of a map that is singular"), "{singular}");
    let beside = error(&[order, ("PV1_7", Some(real(0.1)))]);
    assert_eq!(beside, "key `PV1_7` is a distortion beside SIP, expected one of them");
    let tpv = [
        &both_types("RA---TPV", "DEC--TPV")[..],
        &[("PV1_1", Some(real(1.0))), ("PV2_1", Some(real(1.0))), ("PV1_40", Some(real(0.0)))],
    ]
    .concat();
    assert_eq!(wcs(&tpv).expect_err("refused"), "key `PV1_40` is not a term of TPV, expected 0 to 39");
    let by_steps: Vec<_> = [
        &tpv[..4],
        &["CD1_1", "CD1_2", "CD2_1", "CD2_2"].map(|key| (key, None)),
        &[("CDELT1", Some(real(-1e-4))), ("CDELT2", Some(real(1e-4)))],
    ]
    .concat();
    assert_eq!(wcs(&by_steps).expect_err("refused"), "has the distortion TPV with `CDELT`, expected `CD`");
}

#[test]
fn positions_that_an_image_cannot_have_are_errors() {
    let wcs = wcs(&[]).expect("world coordinates");
    let error = |ra_deg, dec_deg| wcs.sky_to_pixel(SkyPosition { ra_deg, dec_deg }).expect_err("no pixel");
    assert_eq!(error(330.0, -2.0), PositionError::OutsideProjection);
    assert_eq!(error(150.0, 90.1), PositionError::NotAPosition);
    assert_eq!(error(f64::NAN, 0.0), PositionError::NotAPosition);
    assert_eq!(error(f64::INFINITY, 0.0), PositionError::NotAPosition);
    let nowhere = wcs.pixel_to_sky(PixelPosition { x: f64::NAN, y: 0.0 });
    assert_eq!(nowhere, Err(PositionError::NotAPosition));
}

#[test]
fn a_fold_of_the_distortion_has_no_pixel() {
    let sip = [
        &both_types("RA---TAN-SIP", "DEC--TAN-SIP")[..],
        &[
            ("A_ORDER", Some(CardValue::Integer(2))),
            ("B_ORDER", Some(CardValue::Integer(2))),
            // u + u^2 / 1000 is never below -250, and has two pixels for each value above.
            ("A_2_0", Some(real(1e-3))),
        ],
    ]
    .concat();
    let wcs = wcs(&sip).expect("world coordinates");
    for (x, expected) in [(99.5 + 300.0, Some(300.0)), (99.5 - 400.0, Some(-400.0)), (99.5 - 700.0, Some(-300.0))] {
        let sky = wcs.pixel_to_sky(PixelPosition { x, y: 199.5 }).expect("a position");
        let found = wcs.sky_to_pixel(sky).ok().map(|pixel| pixel.x - 99.5);
        // Of two pixels the one on the side of the reference is found, or none.
        assert!(found.is_none_or(|found| (found - expected.unwrap_or(0.0)).abs() < 1e-6), "{x}: {found:?}");
    }
    // -300 + 90 = -210: beyond -250 there is nothing.
    let beyond = SkyPosition { ra_deg: 150.0 + 260.0 * 0.2 / 3600.0, dec_deg: 2.0 };
    assert_eq!(wcs.sky_to_pixel(beyond), Err(PositionError::NoConvergence));
}

/// A valid header of any projection, or with a distortion.
fn drawn(stream: &mut Stream) -> Vec<Change> {
    const TYPES: [(&str, &str); 12] = [
        ("RA---TAN", "DEC--TAN"),
        ("RA---SIN", "DEC--SIN"),
        ("RA---STG", "DEC--STG"),
        ("RA---ARC", "DEC--ARC"),
        ("RA---ZEA", "DEC--ZEA"),
        ("RA---ZPN", "DEC--ZPN"),
        ("RA---CAR", "DEC--CAR"),
        ("RA---MER", "DEC--MER"),
        ("RA---SFL", "DEC--SFL"),
        ("RA---AIT", "DEC--AIT"),
        ("RA---TAN-SIP", "DEC--TAN-SIP"),
        ("RA---TPV", "DEC--TPV"),
    ];
    let (longitude, latitude) = TYPES[stream.below(12) as usize];
    let angle = stream.uniform_in(-180.0, 180.0).to_radians();
    let step = stream.uniform_in(0.03, 3.0) / 3600.0;
    let parity = if stream.uniform() < 0.5 { -1.0 } else { 1.0 };
    let mut changes = both_types(longitude, latitude).to_vec();
    let dec = if stream.uniform() < 0.1 { 90.0 } else { stream.uniform_in(-90.0, 90.0) };
    let numbers = [
        ("CRVAL1", stream.uniform_in(0.0, 360.0)),
        ("CRVAL2", if longitude.ends_with("MER") || longitude.ends_with("CAR") { dec / 2.0 } else { dec }),
        ("CD1_1", parity * step * angle.cos()),
        ("CD1_2", -step * angle.sin()),
        ("CD2_1", parity * step * angle.sin()),
        ("CD2_2", step * angle.cos()),
    ];
    changes.extend(numbers.map(|(key, value)| (key, Some(real(value)))));
    match longitude {
        "RA---ZPN" => changes.extend([("PV2_1", Some(real(1.0))), ("PV2_3", Some(real(-50.0)))]),
        "RA---TAN-SIP" => {
            changes.extend(["A_ORDER", "B_ORDER"].map(|key| (key, Some(CardValue::Integer(3)))));
            for key in ["A_2_0", "A_0_2", "B_1_1"] {
                changes.push((key, Some(real(stream.uniform_in(-1e-6, 1e-6)))));
            }
            changes.push(("B_0_3", Some(real(stream.uniform_in(-1e-10, 1e-10)))));
        }
        "RA---TPV" => {
            for key in ["PV1_1", "PV2_1"] {
                changes.push((key, Some(real(stream.uniform_in(0.98, 1.02)))));
            }
            for key in ["PV1_0", "PV1_3", "PV2_4", "PV1_7", "PV2_11"] {
                changes.push((key, Some(real(stream.uniform_in(-5e-3, 5e-3)))));
            }
        }
        _ => {}
    }
    changes
}

#[test]
fn pixels_and_positions_lead_back() {
    let mut read = 0;
    for number in 0..2000 {
        let mut stream = Stream::new(number, "header", "round trip");
        let changes = drawn(&mut stream);
        // A pole of a cylindrical projection may not exist.
        let Ok(wcs) = wcs(&changes) else { continue };
        read += 1;
        for _ in 0..5 {
            let pixel = PixelPosition { x: stream.uniform_in(-3000.0, 3000.0), y: stream.uniform_in(-3000.0, 3000.0) };
            let sky = wcs.pixel_to_sky(pixel).unwrap_or_else(|error| panic!("{pixel:?} {error}: {changes:?}"));
            let back = wcs.sky_to_pixel(sky).unwrap_or_else(|error| panic!("{pixel:?} {error}: {changes:?}"));
            let off = (back.x - pixel.x).hypot(back.y - pixel.y);
            assert!(off < 1e-6, "{off} pixels from {pixel:?}: {changes:?}");
            assert!((0.0..360.0).contains(&sky.ra_deg));
            let again = wcs.pixel_to_sky(back).expect("a position");
            assert!(separation_deg(sky, again) < 1e-11, "{changes:?}");
        }
    }
    assert!(read > 1900, "{read} headers");
}

#[test]
fn hostile_headers_are_errors_or_finite_positions() {
    const KEYS: [&str; 34] = [
        "CTYPE1",
        "CTYPE2",
        "CRPIX1",
        "CRPIX2",
        "CRVAL1",
        "CRVAL2",
        "CD1_1",
        "CD1_2",
        "CD2_1",
        "CD2_2",
        "CDELT1",
        "CDELT2",
        "PC1_1",
        "PC2_1",
        "CROTA2",
        "CUNIT1",
        "LONPOLE",
        "LATPOLE",
        "PV1_1",
        "PV1_3",
        "PV1_4",
        "PV2_1",
        "PV2_2",
        "PV2_3",
        "PV1_12",
        "PV2_39",
        "PV2_99999999",
        "A_ORDER",
        "B_ORDER",
        "A_2_0",
        "B_0_2",
        "A_0_0",
        "RADESYS",
        "EQUINOX",
    ];
    const TEXTS: [&str; 16] = [
        "RA---TAN",
        "DEC--TAN",
        "RA---TPV",
        "DEC--TPV",
        "RA---TAN-SIP",
        "DEC--TAN-SIP",
        "RA---ZPN",
        "DEC--ZPN",
        "RA---CEA",
        "DEC--CEA",
        "GLON-CAR",
        "RA",
        "DEC--",
        "arcsec",
        "",
        "R?---TAN",
    ];
    const NUMBERS: [f64; 14] =
        [0.0, -0.0, 1.0, -1.0, 1e-300, 1e300, -1e300, 1e-6, 90.0, -90.0, 180.0, 1e9, f64::MIN_POSITIVE, f64::NAN];
    let mut read = 0;
    for number in 0..20_000 {
        let mut stream = Stream::new(number, "header", "hostile");
        let mut changes = drawn(&mut stream);
        for _ in 0..=stream.below(4) {
            let key = KEYS[stream.below(34) as usize];
            let value = match stream.below(5) {
                0 => None,
                1 => Some(text(TEXTS[stream.below(16) as usize])),
                2 => Some(CardValue::Integer(stream.below(12) as i64 - 1)),
                _ => Some(real(NUMBERS[stream.below(14) as usize])),
            };
            changes.push((key, value));
        }
        let Ok(wcs) = wcs(&changes) else { continue };
        read += 1;
        for (x, y) in [(0.0, 0.0), (-1e3, 2e3), (1e9, 1e300), (f64::MAX, f64::MIN)] {
            if let Ok(sky) = wcs.pixel_to_sky(PixelPosition { x, y }) {
                assert!((0.0..360.0).contains(&sky.ra_deg) && (-90.0..=90.0).contains(&sky.dec_deg), "{changes:?}");
            }
        }
        for (ra_deg, dec_deg) in [(150.0, 2.0), (0.0, 90.0), (1e300, -90.0)] {
            if let Ok(pixel) = wcs.sky_to_pixel(SkyPosition { ra_deg, dec_deg }) {
                assert!(pixel.x.is_finite() && pixel.y.is_finite(), "{changes:?}");
            }
        }
    }
    assert!(read > 2000, "{read} headers");
}
