//! Pseudocylindrical projections (FITS WCS paper II, section 5.3).

use super::{latitude_on_map, longitude_on_map};
use crate::wcs::sphere::{Direction, angles_deg, direction, sin_cos_deg};

/// Equations 89 and 90.
pub(super) fn project_sfl(native: Direction) -> [f64; 2] {
    let [longitude, latitude] = angles_deg(native);
    [longitude * native[0].hypot(native[1]), latitude]
}

/// Equations 91 and 92.
pub(super) fn deproject_sfl([x, y]: [f64; 2]) -> Option<Direction> {
    let latitude = latitude_on_map(y)?;
    let (_, cos) = sin_cos_deg(latitude);
    let longitude = if cos == 0.0 { (x.abs() < 1e-12).then_some(0.0)? } else { longitude_on_map(x / cos)? };
    Some(direction(longitude, latitude))
}

/// Equations 104 to 106.
pub(super) fn project_ait(native: Direction) -> [f64; 2] {
    let [longitude, _] = angles_deg(native);
    let (sin_half, cos_half) = sin_cos_deg(0.5 * longitude);
    let cos_lat = native[0].hypot(native[1]);
    let gamma = (2.0 / (1.0 + cos_lat * cos_half)).sqrt();
    [(2.0 * gamma * cos_lat * sin_half).to_degrees(), (gamma * native[2]).to_degrees()]
}

/// Equations 107 to 109.
pub(super) fn deproject_ait(point: [f64; 2]) -> Option<Direction> {
    let [x, y] = point.map(f64::to_radians);
    let square = 1.0 - (x / 4.0).powi(2) - (y / 2.0).powi(2);
    // The edge of the map is where the square is 1/2.
    (square >= 0.5 - 1e-13).then_some(())?;
    let z = square.sqrt();
    let half = (z * x / 2.0).atan2(2.0 * square - 1.0);
    let sin = y * z;
    (sin.abs() <= 1.0 + 1e-13).then_some(())?;
    let sin = sin.clamp(-1.0, 1.0);
    let cos = ((1.0 - sin) * (1.0 + sin)).sqrt();
    let (sin_lon, cos_lon) = (2.0 * half).sin_cos();
    Some([cos * cos_lon, cos * sin_lon, sin])
}
