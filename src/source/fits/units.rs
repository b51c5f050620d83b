//! Units of flux in headers.

/// The number of nJy in a unit, if it is a unit of flux per pixel. 1 maggy is 10^(0.4 * 31.4) nJy, so that AB magnitudes have the
/// zero point 31.4 for nJy and 0 for maggies.
pub(super) fn njy_in(unit: &str) -> Option<f64> {
    let plain: String = unit.chars().filter(|letter| !letter.is_whitespace()).collect();
    let plain = ["/pixel", "/pix", "pixel-1", "pix-1", "pixel**-1", "pix**-1"]
        .iter()
        .find_map(|per| plain.strip_suffix(per))
        .unwrap_or(&plain);
    let maggy = njy_per_count(0.0);
    // The case of a Jy matters (MJy is not mJy), that of a maggy does not.
    match plain {
        "nJy" => Some(1.0),
        "uJy" | "µJy" | "μJy" | "microJy" => Some(1e3),
        "mJy" => Some(1e6),
        "Jy" => Some(1e9),
        other => match other.to_ascii_lowercase().as_str() {
            "maggy" | "maggies" | "mgy" => Some(maggy),
            "nanomaggy" | "nanomaggies" | "nmgy" => Some(maggy * 1e-9),
            _ => None,
        },
    }
}

/// The number of nJy in a count of an image with an AB zero point: 10^(0.4 * (31.4 - zero point)).
pub(super) fn njy_per_count(zero_point: f64) -> f64 {
    10f64.powf(0.4 * (31.4 - zero_point))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_flux_are_converted_to_njy() {
        assert_eq!(njy_in("uJy/pixel"), Some(1e3));
        assert_eq!(njy_in("MJy"), None);
        assert_eq!(njy_in("adu"), None);
        let nanomaggy = njy_in("nanomaggies").expect("a unit");
        // 3631 Jy by convention, 10^(0.4 * 8.9) Jy by the zero point 31.4: they differ by 6e-5.
        assert!((nanomaggy / 3631.0 - 1.0).abs() < 1e-4);
        assert_eq!(njy_in("maggy").map(|maggy| maggy * 1e-9), Some(nanomaggy));
        assert_eq!(njy_per_count(31.4), 1.0);
        assert!((njy_per_count(28.9) - 10.0).abs() < 1e-12);
    }
}
