//! The size of a pixel, from the world coordinates of a header or its nominal keys.
//!
//! The step of a pixel in the plane of projection is read by [`PixelMatrix`].

use crate::{fits::Header, wcs::PixelMatrix};

/// The most of a side that a cutout of a survey can have, arcsec. More is most often arcsec written where degrees are expected.
const MAX_ARCSEC: f64 = 60.0;
/// How much the sides of a pixel may differ, and how much a nominal scale may differ from the one by the world coordinates.
const TOLERANCE: f64 = 0.01;
/// Keys with the nominal side of a pixel, arcsec.
const NOMINAL: [&str; 4] = ["PIXSCALE", "PIXSCAL1", "SECPIX", "PIXELSCL"];

/// Side of a pixel, arcsec, by the first of some headers that says it; `None` if none does.
pub(super) fn pixel_scale_arcsec(headers: &[&Header]) -> Result<Option<f64>, String> {
    let mut by_wcs = None;
    let mut nominal = None;
    for header in headers {
        if by_wcs.is_none() {
            by_wcs = PixelMatrix::of(header)?
                .map(|matrix| Ok::<_, String>((side_arcsec(&matrix)?, matrix.keys)))
                .transpose()?;
        }
        for key in NOMINAL {
            if nominal.is_none()
                && let Some(side) = header.number(key)?
            {
                nominal = Some((plausible(side, &format!("key `{key}`"))?, key));
            }
        }
    }
    if let (Some((wcs, keys)), Some((side, key))) = (by_wcs, nominal)
        && (side / wcs - 1.0).abs() > TOLERANCE
    {
        return Err(format!(
            "has pixels of {} arcsec by {keys}, and of {} arcsec by key `{key}`: set `pixel_scale_arcsec`",
            rounded(wcs),
            rounded(side)
        ));
    }
    Ok(by_wcs.map(|(side, _)| side).or(nominal.map(|(side, _)| side)))
}

/// The side of a square pixel, arcsec.
fn side_arcsec(matrix: &PixelMatrix) -> Result<f64, String> {
    let [[a, b], [c, d]] = matrix.degrees.map(|row| row.map(|degrees| degrees * 3600.0));
    let (x, y) = (a.hypot(c), b.hypot(d));
    let keys = matrix.keys;
    let side = plausible((a * d - b * c).abs().sqrt(), keys);
    if x > 0.0 && y > 0.0 {
        if (x / y - 1.0).abs() > TOLERANCE {
            let (x, y) = (rounded(x), rounded(y));
            return Err(format!("has pixels of {x} by {y} arcsec by {keys}, expected square ones"));
        }
        if (a * b + c * d).abs() > TOLERANCE * x * y {
            let angle = rounded(((a * b + c * d) / (x * y)).acos().to_degrees());
            return Err(format!("has axes at {angle} degrees by {keys}, expected a right angle"));
        }
    }
    side
}

/// A side, if a pixel of a survey can have it.
fn plausible(side: f64, keys: &str) -> Result<f64, String> {
    if side > 0.0 && side <= MAX_ARCSEC {
        return Ok(side);
    }
    let expected =
        format!("expected more than 0 and at most {MAX_ARCSEC}: set `pixel_scale_arcsec` if the header is wrong");
    Err(format!("has pixels of {} arcsec by {keys}, {expected}", rounded(side)))
}

/// Four digits, for messages.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::fits::{CardValue, FitsFile, Limits, Writer};

    fn text(value: &str) -> CardValue {
        CardValue::Text(value.to_owned())
    }

    fn scale(cards: &[(&str, CardValue)]) -> Result<Option<f64>, String> {
        let cards: Vec<_> = cards.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let mut file = Writer::new();
        file.image(&[1, 1], &[0.0], &cards);
        let fits = FitsFile::from_bytes("memory", file.into_bytes(), &Limits::default()).expect("a file");
        pixel_scale_arcsec(&[&fits.hdus()[0].header])
    }

    fn on_sky(more: &[(&'static str, CardValue)]) -> Vec<(&'static str, CardValue)> {
        [&[("CTYPE1", text("RA---TAN")), ("CTYPE2", text("DEC--TAN"))], more].concat()
    }

    #[test]
    fn pixel_scales_of_120_headers_are_those_of_astropy() {
        let golden = std::fs::read_to_string("tests/golden/pixel_scale/golden.json").expect("the golden file");
        let golden: Value = serde_json::from_str(&golden).expect("JSON");
        let cases = golden["cases"].as_array().expect("cases");
        assert_eq!(cases.len(), 120);
        for case in cases {
            let cards: Vec<(&str, CardValue)> = (case["cards"].as_object().expect("cards").iter())
                .map(|(key, value)| match value {
                    Value::String(value) => (key.as_str(), text(value)),
                    value => (key.as_str(), CardValue::Real(value.as_f64().expect("a number"))),
                })
                .collect();
            let sides: Vec<f64> =
                case["sides_arcsec"].as_array().expect("sides").iter().filter_map(Value::as_f64).collect();
            let found = scale(&cards).expect("a scale").expect("a scale");
            assert!(sides.iter().all(|side| (found / side - 1.0).abs() < 1e-9), "{found} is not {sides:?}: {cards:?}");
        }
    }

    #[test]
    fn world_coordinates_beat_nominal_keys_and_must_agree_with_them() {
        let step = |arcsec: f64| CardValue::Real(arcsec / 3600.0);
        let wcs = on_sky(&[("CDELT1", step(-0.2)), ("CDELT2", step(0.2))]);
        let with = |key, value| scale(&[&wcs[..], &[(key, CardValue::Real(value))]].concat());
        let near = |found: Option<f64>| (found.expect("a scale") / 0.2 - 1.0).abs() < 1e-12;
        assert!(near(with("PIXSCALE", 0.201).expect("they agree")));
        let error = with("PIXSCALE", 0.4).expect_err("they differ");
        assert!(
            error.starts_with("has pixels of 0.2 arcsec by `CDELT`, and of 0.4 arcsec by key `PIXSCALE`"),
            "{error}"
        );
        assert_eq!(scale(&[("PIXSCALE", CardValue::Real(0.339))]), Ok(Some(0.339)));
        assert_eq!(scale(&[("SECPIX", CardValue::Real(0.339))]), Ok(Some(0.339)));
        assert!(scale(&[("PIXSCALE", CardValue::Integer(0))]).is_err());
    }

    #[test]
    fn pixels_that_are_not_square_or_not_of_a_survey_are_refused_by_their_keys() {
        let cd = |a: f64, b: f64, c: f64, d: f64| {
            let term = |arcsec: f64| CardValue::Real(arcsec / 3600.0);
            on_sky(&[("CD1_1", term(a)), ("CD1_2", term(b)), ("CD2_1", term(c)), ("CD2_2", term(d))])
        };
        for (cards, expected) in [
            (cd(-0.2, 0.0, 0.0, 0.4), "has pixels of 0.2 by 0.4 arcsec by `CD`, expected square ones"),
            (cd(0.2, 0.1, 0.0, 0.173_205), "has axes at 60 degrees by `CD`, expected a right angle"),
            (cd(-720.0, 0.0, 0.0, 720.0), "has pixels of 720 arcsec by `CD`, expected more than 0 and at most 60"),
            (cd(0.0, 0.0, 0.0, 0.0), "has pixels of 0 arcsec by `CD`, expected more than 0"),
            (on_sky(&[("CDELT1", CardValue::Real(1.0)), ("CUNIT1", text("Angstrom"))]), "key `CUNIT1` is `Angstrom`"),
        ] {
            let error = scale(&cards).expect_err("refused");
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn axes_that_are_not_on_the_sky_have_no_scale() {
        let steps = [("CDELT1", CardValue::Real(0.1)), ("CDELT2", CardValue::Real(0.1))];
        assert_eq!(scale(&steps), Ok(None));
        assert_eq!(scale(&on_sky(&[])), Ok(None));
        let spectrum = [("CTYPE1", text("WAVE")), ("CTYPE2", text("DEC--TAN"))];
        assert_eq!(scale(&[&spectrum[..], &steps[..]].concat()), Ok(None));
    }
}
