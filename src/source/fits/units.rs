//! Units of flux and pixel scales in headers.

use crate::fits::Header;

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

/// Side of a pixel, arcsec: `PIXSCALE`, or the square root of the area of a pixel by the `CD` matrix, or by `CDELT` where `CTYPE`
/// puts both axes on the sky.
pub(super) fn pixel_scale_arcsec(headers: &[&Header]) -> Result<Option<f64>, String> {
    for header in headers {
        for key in ["PIXSCALE", "PIXSCAL1"] {
            if let Some(scale) = header.number(key)? {
                return positive(scale, key).map(Some);
            }
        }
        let number = |key: &str| Ok::<_, String>(header.number(key)?.unwrap_or(0.0));
        if header.get("CD1_1").is_some() || header.get("CD2_2").is_some() {
            let area = number("CD1_1")? * number("CD2_2")? - number("CD1_2")? * number("CD2_1")?;
            return positive(area.abs().sqrt() * 3600.0, "CD1_1").map(Some);
        }
        let sky = ["RA", "DEC", "GLON", "GLAT", "ELON", "ELAT"];
        let on_sky = |key: &str| header.text(key).is_some_and(|axis| sky.iter().any(|name| axis.starts_with(name)));
        if let (Some(x), Some(y)) = (header.number("CDELT1")?, header.number("CDELT2")?)
            && on_sky("CTYPE1")
            && on_sky("CTYPE2")
        {
            return positive((x * y).abs().sqrt() * 3600.0, "CDELT1").map(Some);
        }
    }
    Ok(None)
}

fn positive(scale: f64, key: &str) -> Result<f64, String> {
    let is_positive = scale.is_finite() && scale > 0.0;
    if is_positive {
        Ok(scale)
    } else {
        Err(format!("has pixels of {scale} arcsec by key `{key}`, expected more than 0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fits::{CardValue, FitsFile, Limits, Writer};

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

    #[test]
    fn reads_the_pixel_scale_from_pixscale_cd_or_cdelt() {
        let scale = |keys: &[(&str, CardValue)]| {
            let keys: Vec<_> = keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
            let mut file = Writer::new();
            file.image(&[1, 1], &[0.0], &keys);
            let fits = FitsFile::from_bytes("memory", file.into_bytes(), &Limits::default()).expect("a file");
            pixel_scale_arcsec(&[&fits.hdus()[0].header])
        };
        let near = |found: Result<Option<f64>, String>, expected: f64| {
            let found = found.expect("a number").expect("a scale");
            assert!((found / expected - 1.0).abs() < 1e-12, "{found} is not {expected}");
        };
        near(scale(&[("PIXSCALE", CardValue::Real(0.339))]), 0.339);
        let (c, s) = (0.6 * 0.2 / 3600.0, 0.8 * 0.2 / 3600.0);
        near(
            scale(&[
                ("CD1_1", CardValue::Real(-c)),
                ("CD1_2", CardValue::Real(s)),
                ("CD2_1", CardValue::Real(s)),
                ("CD2_2", CardValue::Real(c)),
            ]),
            0.2,
        );
        let steps = [("CDELT1", CardValue::Real(-0.2 / 3600.0)), ("CDELT2", CardValue::Real(0.2 / 3600.0))];
        assert_eq!(scale(&steps), Ok(None));
        let types = [("CTYPE1", CardValue::Text("RA---TAN".into())), ("CTYPE2", CardValue::Text("DEC--TAN".into()))];
        near(scale(&[steps.clone(), types].concat()), 0.2);
        assert!(scale(&[("PIXSCALE", CardValue::Integer(0))]).is_err());
    }
}
