//! Headers and cutouts beside those of astropy (`tests/golden/wcs/make.py`).

use serde_json::Value;

use super::{CutoutPlace, PixelPosition, SkyPosition, Wcs, tests::header_of};
use crate::fits::CardValue;

fn golden() -> Value {
    let text = std::fs::read_to_string("tests/golden/wcs/golden.json").expect("the golden file");
    serde_json::from_str(&text).expect("JSON")
}

fn wcs(case: &Value) -> Wcs {
    let cards: Vec<(&str, CardValue)> = (case["cards"].as_object().expect("cards").iter())
        .map(|(key, value)| match value {
            Value::String(text) => (key.as_str(), CardValue::Text(text.clone())),
            value if value.is_i64() => (key.as_str(), CardValue::Integer(value.as_i64().expect("an integer"))),
            value => (key.as_str(), CardValue::Real(value.as_f64().expect("a number"))),
        })
        .collect();
    Wcs::from_header(&header_of(&cards)).unwrap_or_else(|error| panic!("{error}: {cards:?}"))
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|value| value.as_f64().expect("a number")).collect()
}

fn sizes(value: &Value) -> [usize; 2] {
    [0, 1].map(|axis| value[axis].as_u64().expect("a size") as usize)
}

/// The angle between two positions, degrees.
pub(super) fn separation_deg(a: SkyPosition, b: SkyPosition) -> f64 {
    let [a, b] = [a, b].map(|sky| super::direction(sky.ra_deg, sky.dec_deg));
    let cross = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    cross.iter().map(|term| term * term).sum::<f64>().sqrt().to_degrees()
}

#[test]
fn pixels_and_positions_of_240_headers_are_those_of_astropy() {
    let golden = golden();
    let cases = golden["headers"].as_array().expect("headers");
    assert_eq!(cases.len(), 240);
    let mut worst = [0.0_f64; 2];
    for case in cases {
        let wcs = wcs(case);
        for point in case["points"].as_array().expect("points") {
            let [x, y, ra_deg, dec_deg] = numbers(point)[..] else { panic!("a point") };
            let sky = SkyPosition { ra_deg, dec_deg };
            let found = wcs.pixel_to_sky(PixelPosition { x, y });
            let found = found.unwrap_or_else(|error| panic!("{point} {error}: {}", case["cards"]));
            let off_deg = separation_deg(found, sky);
            assert!(off_deg < 1e-9, "{off_deg} degrees: {found:?} is not {point}: {}", case["cards"]);
            let pixel = wcs.sky_to_pixel(sky);
            let pixel = pixel.unwrap_or_else(|error| panic!("{point} {error}: {}", case["cards"]));
            let off_pixels = (pixel.x - x).hypot(pixel.y - y);
            assert!(off_pixels < 1e-6, "{off_pixels} pixels: {pixel:?} is not {point}: {}", case["cards"]);
            worst = [worst[0].max(off_deg), worst[1].max(off_pixels)];
        }
    }
    println!("at most {:e} degrees and {:e} pixels", worst[0], worst[1]);
}

#[test]
fn cutouts_lie_where_those_of_astropy_lie() {
    let golden = golden();
    let mut with_padding = 0;
    for case in golden["cutouts"].as_array().expect("cutouts") {
        let (wcs, shape, size) = (wcs(case), sizes(&case["shape"]), sizes(&case["size"]));
        let sky = SkyPosition {
            ra_deg: case["ra_deg"].as_f64().expect("a number"),
            dec_deg: case["dec_deg"].as_f64().expect("a number"),
        };
        let place = CutoutPlace::around(wcs.sky_to_pixel(sky).expect("a pixel"), size).expect("a place");
        let (expected, found) = (&case["overlap"], place.overlap(shape));
        let Some(found) = found else {
            assert!(expected.is_null(), "no overlap: {case}");
            continue;
        };
        let range = |key: &str| {
            let [start, end] = sizes(&expected[key]);
            start..end
        };
        assert_eq!((&found.rows, &found.columns), (&range("rows"), &range("columns")), "{case}");
        assert_eq!(found.offset, sizes(&expected["offset"]), "{case}");
        let [row, column] = place.first;
        let part = wcs.of_part([column, row]);
        let crpix = numbers(&expected["crpix"]);
        assert!((0..2).all(|axis| (part.reference_pixel()[axis] - crpix[axis]).abs() < 1e-9), "{case}");
        let whole = wcs.sky_to_pixel(sky).expect("a pixel");
        let in_part = part.sky_to_pixel(sky).expect("a pixel");
        assert!((whole.x - in_part.x - column as f64).abs() < 1e-9, "{case}");
        assert!((whole.y - in_part.y - row as f64).abs() < 1e-9, "{case}");
        with_padding += usize::from([found.rows.len(), found.columns.len()] != size);
    }
    assert!(with_padding > 20, "{with_padding} cutouts with padding");
}
