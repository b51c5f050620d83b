//! The celestial axes of a header (`CTYPE`), and their units (`CUNIT`).

use crate::fits::Header;

/// Axes that are looked at.
pub(super) const MAX_AXES: usize = 9;

/// Which axis of a header is which coordinate, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CelestialAxes {
    pub(super) longitude: usize,
    pub(super) latitude: usize,
}

impl CelestialAxes {
    /// The axes of an image of the sky: the first two axes of the header, in either order. `None` for any other image.
    pub(super) fn of(header: &Header) -> Option<Self> {
        let axis = |is: fn(&str) -> bool| {
            (1..=MAX_AXES).find(|axis| header.text(&format!("CTYPE{axis}")).is_some_and(|text| is(axis_name(&text))))
        };
        let (longitude, latitude) = (axis(is_longitude)?, axis(is_latitude)?);
        (longitude + latitude == 3).then_some(Self { longitude, latitude })
    }

    /// Longitude, then latitude.
    pub(super) fn both(self) -> [usize; 2] {
        [self.longitude, self.latitude]
    }
}

/// The name of an axis in `CTYPE`: `RA---TAN` is `RA`.
pub(super) fn axis_name(text: &str) -> &str {
    text.get(..4).unwrap_or(text).trim_end_matches(['-', ' '])
}

fn is_longitude(name: &str) -> bool {
    name == "RA" || (name.len() == 4 && (name.ends_with("LON") || name.ends_with("LN")))
}

fn is_latitude(name: &str) -> bool {
    name == "DEC" || (name.len() == 4 && (name.ends_with("LAT") || name.ends_with("LT")))
}

/// Degrees in the unit of an axis; 1 if the header has no `CUNIT`.
///
/// # Errors
/// When the unit is not one of angle.
pub(super) fn degrees_in_unit(header: &Header, axis: usize) -> Result<f64, String> {
    let key = format!("CUNIT{axis}");
    let Some(unit) = header.text(&key) else { return Ok(1.0) };
    Ok(match unit.trim() {
        "deg" | "degree" | "degrees" => 1.0,
        "arcmin" | "arcminute" | "arcminutes" => 1.0 / 60.0,
        "arcsec" | "arcsecond" | "arcseconds" | "asec" => 1.0 / 3600.0,
        "mas" => 1.0 / 3.6e6,
        "uas" => 1.0 / 3.6e9,
        "rad" | "radian" | "radians" => 1f64.to_degrees(),
        _ => return Err(format!("key `{key}` is `{}`, expected a unit of angle", unit.escape_debug())),
    })
}
