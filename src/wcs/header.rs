//! The parts of a header that describe its world coordinates, checked.

use super::{
    Wcs,
    axes::{CelestialAxes, axis_name, degrees_in_unit},
    distortion::Distortion,
    frame::check_frame,
    keys::{IndexedKey, indexed_keys, required_number},
    native_pole::{ReferencePoint, native_pole},
    pixel_matrix::PixelMatrix,
    projection::{CODES, Projection},
    sip::{sip_distortion, unused_sip_key},
    sphere::Rotation,
    tpv::tpv_distortion,
};
use crate::fits::Header;

/// Determinants below this part of what the lengths of the rows allow are singular.
const SINGULAR: f64 = 1e-10;
/// Keys of distortions by lookup tables.
const LOOKUP_KEYS: [&str; 6] = ["CPDIS1", "CPDIS2", "CQDIS1", "CQDIS2", "D2IMDIS1", "D2IMDIS2"];

/// `CTYPE` of both celestial axes.
struct AxisTypes {
    axes: CelestialAxes,
    /// The code of the projection.
    code: String,
    has_sip: bool,
}

/// The world coordinates of a header: see [`Wcs::from_header`].
pub(super) fn read(header: &Header) -> Result<Wcs, String> {
    let AxisTypes { axes, code, has_sip } = axis_types(header)?;
    let world = axes.both();
    check_frame(header)?;
    if let Some(key) = LOOKUP_KEYS.into_iter().find(|key| header.get(key).is_some()) {
        return Err(format!("key `{key}` is a distortion by a lookup table, expected SIP, TPV or none"));
    }
    let matrix = pixel_matrix(header, axes)?;
    let sip = match (has_sip, unused_sip_key(header)?) {
        (true, _) => Some(sip_distortion(header)?),
        // Some readers apply it, others do not: the two differ by many pixels.
        (false, Some(key)) => {
            return Err(format!(
                "key `{key}` is a term of SIP, but key `CTYPE{}` does not end in `-SIP`: expected both or neither",
                axes.longitude
            ));
        }
        (false, None) => None,
    };
    let mut parameters = indexed_keys(header, "PV")?;
    parameters.retain(|key| world.contains(&key.indices[0]));
    let is_tpv =
        code == "TPV" || (code == "TAN" && parameters.iter().any(|key| key.indices[1] > 4 && key.value != 0.0));
    if let (true, Some(IndexedKey { key, .. })) = (is_tpv && has_sip, parameters.first()) {
        return Err(format!("key `{key}` is a distortion beside SIP, expected one of them"));
    }
    let tpv = if is_tpv { Some(plane_distortion(header, &matrix, &parameters, axes)?) } else { None };
    let of_axis = |axis: usize| {
        let own = parameters.iter().filter(|key| !is_tpv && key.indices[0] == axis);
        own.cloned().collect::<Vec<IndexedKey>>()
    };
    let projection = Projection::of(&code, &of_axis(axes.latitude))?;
    check_old_parameters(header, &projection)?;
    let reference = reference(header, axes, &projection, &of_axis(axes.longitude))?;
    let rotation = Rotation::of(native_pole(reference)?);
    let reference_pixel = [required_number(header, "CRPIX1")?, required_number(header, "CRPIX2")?];
    let inverse = inverse_matrix(&matrix)?;
    Ok(Wcs { reference_pixel, matrix: matrix.degrees, inverse, sip, tpv, projection, rotation })
}

fn axis_types(header: &Header) -> Result<AxisTypes, String> {
    let axes = CelestialAxes::of(header).ok_or_else(|| {
        let found = ["CTYPE1", "CTYPE2"].map(|key| match header.text(key) {
            Some(text) => format!("key `{key}` is `{}`", text.escape_debug()),
            None => format!("key `{key}` is missing"),
        });
        format!("{} and {}, expected right ascension and declination", found[0], found[1])
    })?;
    let [longitude, latitude] = axes.both().map(|axis| {
        let key = format!("CTYPE{axis}");
        let text = header.text(&key).unwrap_or_default();
        (key, text)
    });
    for ((key, text), expected) in [(&longitude, "RA"), (&latitude, "DEC")] {
        if axis_name(text) != expected {
            let found = text.escape_debug();
            return Err(format!(
                "key `{key}` is `{found}`, expected `{expected}`: only equatorial coordinates are read"
            ));
        }
    }
    // Algorithm codes are the characters 6 to 8; what follows names a distortion.
    let split = |(key, text): &(String, String)| {
        let code = text.get(5..8).filter(|_| text.as_bytes()[4] == b'-');
        let (code, rest) = code
            .zip(text.get(8..))
            .ok_or_else(|| format!("key `{key}` is `{}`, expected a projection: {CODES}", text.escape_debug()))?;
        match rest {
            "" => Ok((code.to_owned(), false)),
            "-SIP" => Ok((code.to_owned(), true)),
            _ => Err(format!("key `{key}` is `{}`, expected no distortion but `-SIP`", text.escape_debug())),
        }
    };
    let (code, has_sip) = split(&longitude)?;
    if (&code, has_sip) != (&split(&latitude)?.0, split(&latitude)?.1) {
        let [first, second] =
            [&longitude, &latitude].map(|(key, text)| format!("key `{key}` is `{}`", text.escape_debug()));
        return Err(format!("{first} and {second}, expected the same projection and distortion"));
    }
    Ok(AxisTypes { axes, code, has_sip })
}

/// The matrix of a header, in which no other axis may be a step on the sky, and which only one form may describe.
fn pixel_matrix(header: &Header, axes: CelestialAxes) -> Result<PixelMatrix, String> {
    let matrix = PixelMatrix::of(header)?.ok_or("has no key `CD1_1` or `CDELT1`, expected the step of a pixel")?;
    if let Some(key) = &matrix.coupled {
        return Err(format!("key `{key}` is not 0, expected a position on the sky that is the same in all planes"));
    }
    let has_cd = !indexed_keys(header, "CD")?.is_empty();
    if has_cd && matrix.keys != "`CD`" {
        return Err("has keys `CDi_j` and `PCi_j`, expected one of them".into());
    }
    let key = format!("CROTA{}", axes.longitude);
    let other = header.number(&format!("CROTA{}", axes.latitude))?.unwrap_or(0.0);
    if let Some(angle) = header.number(&key)?
        && matrix.keys.contains("CDELT")
        && ![0.0, other].contains(&angle)
    {
        return Err(format!("key `{key}` is {angle}, expected the angle of `CROTA{}`", axes.latitude));
    }
    Ok(matrix)
}

fn inverse_matrix(matrix: &PixelMatrix) -> Result<[[f64; 2]; 2], String> {
    let [[a, b], [c, d]] = matrix.degrees;
    let determinant = a * d - b * c;
    let most = a.hypot(b) * c.hypot(d);
    // False for NaN too.
    let regular = determinant.abs() > SINGULAR * most;
    let inverse = [[d / determinant, -b / determinant], [-c / determinant, a / determinant]];
    if !regular || inverse.iter().flatten().any(|term| !term.is_finite()) {
        return Err(format!(
            "has a singular matrix by {}: {:?}, expected one with an inverse",
            matrix.keys, matrix.degrees
        ));
    }
    Ok(inverse)
}

/// The distortion of TPV. It is one of degrees: with `CDELT` or other units, readers differ about its unit.
fn plane_distortion(
    header: &Header,
    matrix: &PixelMatrix,
    parameters: &[IndexedKey],
    axes: CelestialAxes,
) -> Result<Distortion, String> {
    if matrix.keys != "`CD`" {
        return Err(format!("has the distortion TPV with {}, expected `CD`", matrix.keys));
    }
    for axis in axes.both() {
        if degrees_in_unit(header, axis)? != 1.0 {
            return Err(format!("key `CUNIT{axis}` is not `deg`, expected degrees with the distortion TPV"));
        }
    }
    tpv_distortion(parameters, axes.both())
}

/// `PROJPm`, the old name of `PVi_m`.
fn check_old_parameters(header: &Header, projection: &Projection) -> Result<(), String> {
    if !matches!(projection, Projection::Zpn(_) | Projection::Sin { .. } | Projection::Cea { .. }) {
        return Ok(());
    }
    for m in 0..10 {
        let key = format!("PROJP{m}");
        if header.number(&key)?.is_some_and(|value| value != 0.0) && indexed_keys(header, "PV")?.is_empty() {
            return Err(format!("key `{key}` is of an old convention, expected `PV2_{m}`"));
        }
    }
    Ok(())
}

/// `CRVAL`, `LONPOLE` and `LATPOLE`, or `PVi_3` and `PVi_4` of the longitude axis, which come first (paper II, section 2.5).
fn reference(
    header: &Header,
    axes: CelestialAxes,
    projection: &Projection,
    of_longitude: &[IndexedKey],
) -> Result<ReferencePoint, String> {
    let theta_deg = projection.theta_deg();
    let mut poles = [header.number("LONPOLE")?, header.number("LATPOLE")?];
    let mut own_poles = [None; 2];
    for IndexedKey { key, indices: [_, m], value } in of_longitude {
        match m {
            3 | 4 => _ = own_poles[m - 3].get_or_insert(*value),
            // The native coordinates of the reference, and whether it is moved there.
            0 | 1 if *value == 0.0 => {}
            2 if *value == theta_deg => {}
            0..=2 => {
                let expected = if *m == 2 { theta_deg } else { 0.0 };
                return Err(format!("key `{key}` is {value}, expected {expected}: no other reference is read"));
            }
            _ if *value == 0.0 => {}
            _ => return Err(format!("key `{key}` is {value}, which is not a parameter of a longitude")),
        }
    }
    for (pole, own) in poles.iter_mut().zip(own_poles) {
        *pole = own.or(*pole);
    }
    let coordinate = |axis: usize| {
        let value = required_number(header, &format!("CRVAL{axis}"))?;
        Ok::<_, String>(value * degrees_in_unit(header, axis)?)
    };
    let (ra_deg, dec_deg) = (coordinate(axes.longitude)?, coordinate(axes.latitude)?);
    if dec_deg.abs() > 90.0 {
        return Err(format!("key `CRVAL{}` is {dec_deg} degrees, expected -90 to 90", axes.latitude));
    }
    let [lonpole_deg, latpole_deg] = poles;
    Ok(ReferencePoint { ra_deg, dec_deg, theta_deg, lonpole_deg, latpole_deg })
}
