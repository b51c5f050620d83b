//! Cylindrical projections (FITS WCS paper II, section 5.2): x is the native longitude.

use super::{latitude_on_map, longitude_on_map};
use crate::wcs::sphere::{Direction, angles_deg, direction};

/// Equations 83 and 84.
pub(super) fn project_car(native: Direction) -> [f64; 2] {
    angles_deg(native)
}

pub(super) fn deproject_car([x, y]: [f64; 2]) -> Option<Direction> {
    Some(direction(longitude_on_map(x)?, latitude_on_map(y)?))
}

/// Equations 79 and 80.
pub(super) fn project_cea(native: Direction, lambda: f64) -> [f64; 2] {
    let [longitude, _] = angles_deg(native);
    [longitude, (native[2] / lambda).to_degrees()]
}

/// Equations 81 and 82.
pub(super) fn deproject_cea([x, y]: [f64; 2], lambda: f64) -> Option<Direction> {
    let sin = lambda * y.to_radians();
    (sin.abs() <= 1.0 + 1e-13).then_some(())?;
    let sin = sin.clamp(-1.0, 1.0);
    let [cos_lon, sin_lon, _] = direction(longitude_on_map(x)?, 0.0);
    let cos = ((1.0 - sin) * (1.0 + sin)).sqrt();
    Some([cos * cos_lon, cos * sin_lon, sin])
}

/// Equations 85 and 86. The poles are at infinity.
pub(super) fn project_mer(native: Direction) -> Option<[f64; 2]> {
    let [longitude, _] = angles_deg(native);
    let across = native[0].hypot(native[1]);
    (across > 0.0).then(|| [longitude, (native[2] / across).asinh().to_degrees()])
}

/// Equations 87 and 88.
pub(super) fn deproject_mer([x, y]: [f64; 2]) -> Option<Direction> {
    let [cos_lon, sin_lon, _] = direction(longitude_on_map(x)?, 0.0);
    let sin = y.to_radians().tanh();
    let cos = 1.0 / y.to_radians().cosh();
    Some([cos * cos_lon, cos * sin_lon, sin])
}
