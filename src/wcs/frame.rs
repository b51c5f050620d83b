//! The celestial frame of a header (FITS WCS paper II, section 3.1): `RADESYS`, `EQUINOX`, and `EPOCH`, its old name.

use crate::fits::Header;

/// Equinoxes before this year are Besselian, and their frame is FK4.
const FIRST_JULIAN: f64 = 1984.0;

/// Accepts ICRS, and FK5 of equinox 2000, which is within 0.03 arcsec of ICRS. Positions of other frames lie up to degrees off.
///
/// # Errors
/// When the frame is another one.
pub(super) fn check_frame(header: &Header) -> Result<(), String> {
    let frame_key = ["RADESYS", "RADECSYS"].into_iter().find_map(|key| Some((key, header.text(key)?)));
    let equinox = ["EQUINOX", "EPOCH"].into_iter().find(|key| header.get(key).is_some());
    let expected = "expected ICRS, or FK5 of equinox 2000";
    match &frame_key {
        Some((_, frame)) if frame == "ICRS" => return Ok(()),
        Some((_, frame)) if frame == "FK5" => {}
        Some((key, frame)) => return Err(format!("key `{key}` is `{}`, {expected}", frame.escape_debug())),
        None => {}
    }
    let Some(key) = equinox else { return Ok(()) };
    let year = header.number(key)?.unwrap_or(2000.0);
    if year == 2000.0 {
        return Ok(());
    }
    let frame = if frame_key.is_none() && year < FIRST_JULIAN { "FK4" } else { "FK5" };
    Err(format!("key `{key}` is {year}, which means {frame} of that equinox: {expected}"))
}
