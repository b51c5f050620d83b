//! The check that all pixels of a plane are finite.

use crate::stats::finite::first_non_finite;

/// Returns why a row with this plane is rejected: pixels that are NaN or infinite.
pub(super) fn check_finite(plane: &[f32], band: &str) -> Result<(), String> {
    let Some(first) = first_non_finite(plane) else { return Ok(()) };
    let count = plane[first..].iter().filter(|pixel| !pixel.is_finite()).count();
    Err(format!("band `{band}` has {count} pixels that are not finite; expected none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_nan_and_infinite_pixels() {
        assert_eq!(check_finite(&[1.0, -0.0, f32::MAX, f32::MIN_POSITIVE / 4.0], "r"), Ok(()));
        let reason = "band `r` has 2 pixels that are not finite; expected none";
        assert_eq!(check_finite(&[1.0, f32::NEG_INFINITY, 2.0, f32::NAN], "r"), Err(reason.to_owned()));
    }
}
