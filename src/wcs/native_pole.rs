//! Where the pole of the native coordinates is on the sky (FITS WCS paper II, section 2.4): `CRVAL`, `LONPOLE`, `LATPOLE`.

use super::sphere::{NativePole, sin_cos_deg};

/// Latitudes beyond a pole, and sines above 1, by less than this are rounded.
const ROUNDING: f64 = 1e-10;

/// The reference of a header.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReferencePoint {
    /// `CRVAL`: the celestial coordinates of the reference, degrees.
    pub(super) ra_deg: f64,
    pub(super) dec_deg: f64,
    /// The native latitude of the reference: 90 degrees for zenithal projections, 0 for the others.
    pub(super) theta_deg: f64,
    pub(super) lonpole_deg: Option<f64>,
    pub(super) latpole_deg: Option<f64>,
}

/// The native pole of a header.
///
/// # Errors
/// When no pole suits the reference, or `LATPOLE` has to choose one and cannot.
pub(super) fn native_pole(reference: ReferencePoint) -> Result<NativePole, String> {
    let ReferencePoint { ra_deg, dec_deg, theta_deg, lonpole_deg, latpole_deg } = reference;
    // The default of LONPOLE, after equation 8.
    let phi_deg = lonpole_deg.unwrap_or(if dec_deg >= theta_deg { 0.0 } else { 180.0 });
    if theta_deg == 90.0 {
        return Ok(NativePole { ra_deg, dec_deg, phi_deg });
    }
    let pole_dec_deg = pole_latitude(dec_deg, theta_deg, phi_deg, latpole_deg.unwrap_or(90.0))?;
    let (sin_pole, cos_pole) = sin_cos_deg(pole_dec_deg);
    let (sin_dec, cos_dec) = sin_cos_deg(dec_deg);
    let (sin_theta, cos_theta) = sin_cos_deg(theta_deg);
    let (sin_phi, _) = sin_cos_deg(phi_deg);
    let pole_ra_deg = if cos_dec.abs() < ROUNDING {
        ra_deg
    } else if cos_pole.abs() < ROUNDING {
        // The native pole is a celestial pole: conventions 2 and 3 of section 2.4.
        if pole_dec_deg > 0.0 { ra_deg + phi_deg - 180.0 } else { ra_deg - phi_deg }
    } else {
        // Equations 9 and 10.
        let sin = sin_phi * cos_theta / cos_dec;
        let cos = (sin_theta - sin_pole * sin_dec) / (cos_pole * cos_dec);
        ra_deg - sin.atan2(cos).to_degrees()
    };
    Ok(NativePole { ra_deg: pole_ra_deg, dec_deg: pole_dec_deg, phi_deg })
}

/// The celestial latitude of the native pole (equation 8): the solution nearer to `LATPOLE`.
fn pole_latitude(dec_deg: f64, theta_deg: f64, phi_deg: f64, latpole_deg: f64) -> Result<f64, String> {
    let (sin_theta, cos_theta) = sin_cos_deg(theta_deg);
    let (_, cos_phi) = sin_cos_deg(phi_deg);
    let (sin_dec, _) = sin_cos_deg(dec_deg);
    let radius = (cos_theta * cos_phi).hypot(sin_theta);
    if radius == 0.0 {
        // The pole is anywhere on the meridian: `LATPOLE` itself.
        return if sin_dec.abs() < ROUNDING {
            Ok(latpole_deg.clamp(-90.0, 90.0))
        } else {
            Err(no_pole(dec_deg, phi_deg))
        };
    }
    let ratio = sin_dec / radius;
    if ratio.abs() > 1.0 + ROUNDING {
        return Err(no_pole(dec_deg, phi_deg));
    }
    let middle = sin_theta.atan2(cos_theta * cos_phi).to_degrees();
    let off = ratio.clamp(-1.0, 1.0).acos().to_degrees();
    let within = |latitude: f64| {
        let latitude = latitude - 360.0 * (latitude / 360.0).round();
        (latitude.abs() <= 90.0 + ROUNDING).then_some(latitude.clamp(-90.0, 90.0))
    };
    match (within(middle + off), within(middle - off)) {
        (Some(first), Some(second)) if (latpole_deg - first).abs() < (latpole_deg - second).abs() => Ok(first),
        (_, Some(second)) => Ok(second),
        (Some(first), None) => Ok(first),
        (None, None) => Err(no_pole(dec_deg, phi_deg)),
    }
}

fn no_pole(dec_deg: f64, phi_deg: f64) -> String {
    format!("has a reference at declination {dec_deg} that no native pole with `LONPOLE` {phi_deg} allows")
}
