//! The size of a pixel, from the world coordinates of a header or its nominal keys.
//!
//! The rules are those of FITS WCS papers I and II (Greisen & Calabretta 2002, A&A 395, 1061; Calabretta & Greisen 2002, A&A 395,
//! 1077): the step of a pixel in the plane of projection is `CDi_j`, or `CDELTi` times `PCi_j`, or `CDELTi` turned by `CROTAi`.

use crate::fits::Header;

/// The most of a side that a cutout of a survey can have, arcsec. More is most often arcsec written where degrees are expected.
const MAX_ARCSEC: f64 = 60.0;
/// How much the sides of a pixel may differ, and how much a nominal scale may differ from the one by the world coordinates.
const TOLERANCE: f64 = 0.01;
/// Keys with the nominal side of a pixel, arcsec.
const NOMINAL: [&str; 4] = ["PIXSCALE", "PIXSCAL1", "SECPIX", "PIXELSCL"];
/// Axes that are looked at.
const MAX_AXES: usize = 9;

/// Side of a pixel, arcsec, by the first of some headers that says it; `None` if none does.
pub(super) fn pixel_scale_arcsec(headers: &[&Header]) -> Result<Option<f64>, String> {
    let mut by_wcs = None;
    let mut nominal = None;
    for header in headers {
        if by_wcs.is_none() {
            by_wcs = PixelMatrix::of(header)?
                .map(|matrix| Ok::<_, String>((matrix.side_arcsec()?, matrix.keys)))
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

/// The step of a pixel along both image axes.
struct PixelMatrix {
    /// Degrees along longitude and latitude (rows) for a pixel along x and y (columns).
    degrees: [[f64; 2]; 2],
    /// The keys that it was made from, for messages.
    keys: &'static str,
}

impl PixelMatrix {
    /// The matrix of a header with celestial axes.
    fn of(header: &Header) -> Result<Option<Self>, String> {
        let axis = |is: fn(&str) -> bool| {
            (1..=MAX_AXES).find(|axis| header.text(&format!("CTYPE{axis}")).is_some_and(|text| is(axis_name(&text))))
        };
        let (Some(longitude), Some(latitude)) = (axis(is_longitude), axis(is_latitude)) else { return Ok(None) };
        let world = [longitude, latitude];
        if world.iter().sum::<usize>() != 3 {
            // The image is not one of the sky.
            return Ok(None);
        }
        let number = |key: String| header.number(&key).map_err(String::from);
        // Old spelling: PC001002.
        let terms = |name: &str, digits: usize| {
            let mut terms = [[None; 2]; 2];
            let mut is_there = false;
            for (row, i) in world.into_iter().enumerate() {
                for j in 1..=MAX_AXES {
                    let key = if digits == 3 { format!("{name}{i:03}{j:03}") } else { format!("{name}{i}_{j}") };
                    let term = number(key)?;
                    is_there |= term.is_some();
                    if let (Some(term), 1 | 2) = (term, j) {
                        terms[row][j - 1] = Some(term);
                    }
                }
            }
            Ok::<_, String>(is_there.then_some(terms))
        };
        let step = [number(format!("CDELT{longitude}"))?, number(format!("CDELT{latitude}"))?];
        let cd = terms("CD", 1)?;
        let pc = terms("PC", 1)?.or(terms("PC", 3)?);
        let crota = number(format!("CROTA{latitude}"))?;
        let by_step = |pc: [[f64; 2]; 2]| [0, 1].map(|row| pc[row].map(|term| term * step[row].unwrap_or(1.0)));
        let identity = |row: usize, column: usize| if world[row] == column + 1 { 1.0 } else { 0.0 };
        let (matrix, keys) = match (pc, cd) {
            (Some(pc), _) => {
                let pc = [0, 1].map(|row| [0, 1].map(|column| pc[row][column].unwrap_or(identity(row, column))));
                (by_step(pc), "`CDELT` and `PC`")
            }
            (None, Some(cd)) => (cd.map(|row| row.map(|term| term.unwrap_or(0.0))), "`CD`"),
            (None, None) if step == [None; 2] => return Ok(None),
            (None, None) => {
                let (sin, cos) = crota.unwrap_or(0.0).to_radians().sin_cos();
                let [x, y] = step.map(|step| step.unwrap_or(1.0));
                // The axes of the image are those of the sky, turned; latitude may come first.
                let turned = [[x * cos, -y * sin], [x * sin, y * cos]];
                let ordered = if longitude < latitude { turned } else { turned.map(|[a, b]| [b, a]) };
                (ordered, if crota.is_some() { "`CDELT` and `CROTA`" } else { "`CDELT`" })
            }
        };
        let mut degrees = matrix;
        for (row, axis) in degrees.iter_mut().zip(world) {
            let key = format!("CUNIT{axis}");
            let unit = header.text(&key).map_or(Ok(1.0), |unit| {
                degrees_in(&unit)
                    .ok_or_else(|| format!("key `{key}` is `{}`, expected a unit of angle", unit.escape_debug()))
            })?;
            row.iter_mut().for_each(|term| *term *= unit);
        }
        Ok(Some(Self { degrees, keys }))
    }

    /// The side of a square pixel, arcsec.
    fn side_arcsec(&self) -> Result<f64, String> {
        let [[a, b], [c, d]] = self.degrees.map(|row| row.map(|degrees| degrees * 3600.0));
        let (x, y) = (a.hypot(c), b.hypot(d));
        let keys = self.keys;
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
}

/// The name of an axis in `CTYPE`: `RA---TAN` is `RA`.
fn axis_name(text: &str) -> &str {
    text.get(..4).unwrap_or(text).trim_end_matches(['-', ' '])
}

fn is_longitude(name: &str) -> bool {
    name == "RA" || (name.len() == 4 && (name.ends_with("LON") || name.ends_with("LN")))
}

fn is_latitude(name: &str) -> bool {
    name == "DEC" || (name.len() == 4 && (name.ends_with("LAT") || name.ends_with("LT")))
}

/// The degrees of a unit of angle.
fn degrees_in(unit: &str) -> Option<f64> {
    Some(match unit.trim() {
        "deg" | "degree" | "degrees" => 1.0,
        "arcmin" | "arcminute" | "arcminutes" => 1.0 / 60.0,
        "arcsec" | "arcsecond" | "arcseconds" | "asec" => 1.0 / 3600.0,
        "mas" => 1.0 / 3.6e6,
        "uas" => 1.0 / 3.6e9,
        "rad" | "radian" | "radians" => 1f64.to_degrees(),
        _ => return None,
    })
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
