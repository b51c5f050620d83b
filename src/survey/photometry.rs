//! Nanojanskys, magnitudes and electrons.

/// AB magnitude of 1 nJy.
pub const NANOJANSKY_MAG: f64 = 31.4;
/// The AB magnitude that zero points are given at.
pub const ZERO_POINT_MAG: f64 = 24.0;

/// Flux of an AB magnitude, nJy.
pub fn nanojansky(mag: f64) -> f64 {
    10_f64.powf(0.4 * (NANOJANSKY_MAG - mag))
}

/// AB magnitude of a flux in nJy; NaN when it is not positive.
pub fn ab_mag(nanojansky: f64) -> f64 {
    if nanojansky > 0.0 { NANOJANSKY_MAG - 2.5 * nanojansky.log10() } else { f64::NAN }
}

/// Electrons of 1 nJy in an exposure: `t zp 10^-2.96 10^(-0.4 k (X - X0))`, for a zero point in electrons per second
/// at magnitude 24 that includes an extinction of `k` magnitudes per airmass at airmass `X0`.
pub fn electrons_per_nanojansky(seconds: f64, zero_point: f64, extinction_mag: f64) -> f64 {
    seconds * zero_point * 10_f64.powf(0.4 * (ZERO_POINT_MAG - NANOJANSKY_MAG) - 0.4 * extinction_mag)
}

/// Electrons of the sky in a pixel: `t zp 10^(-0.4 (sky - 24)) pixel^2`.
pub fn sky_electrons(seconds: f64, zero_point: f64, sky_mag_per_arcsec2: f64, pixel_scale_arcsec: f64) -> f64 {
    seconds * zero_point * 10_f64.powf(0.4 * (ZERO_POINT_MAG - sky_mag_per_arcsec2)) * pixel_scale_arcsec.powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survey::preset::Survey;

    #[test]
    fn the_sky_of_a_year_of_lsst_is_the_published_one() {
        let lsst = Survey::load("lsst").expect("the preset");
        for (name, expected) in [("g", 2329.6), ("r", 12719.8), ("i", 17947.7)] {
            let band = lsst.bands[name];
            let zero_point = band.zero_point_electrons_per_second;
            let sky = sky_electrons(band.seconds_per_year, zero_point, band.sky_mag_per_arcsec2, 0.2);
            assert!((sky - expected).abs() < 0.06, "{name}: {sky}");
        }
    }

    #[test]
    fn magnitudes_and_fluxes_are_each_others_inverse() {
        assert!((nanojansky(31.4) - 1.0).abs() < 1e-12);
        assert!((nanojansky(0.0) / 3.631e12 - 1.0).abs() < 2e-4);
        assert!((ab_mag(nanojansky(22.5)) - 22.5).abs() < 1e-12);
        assert!(ab_mag(-1.0).is_nan());
    }

    #[test]
    fn a_source_of_magnitude_24_gives_its_zero_point() {
        let electrons = nanojansky(24.0) * electrons_per_nanojansky(10.0, 43.7, 0.0);
        assert!((electrons - 437.0).abs() < 1e-9);
        let dimmed = nanojansky(24.0) * electrons_per_nanojansky(10.0, 43.7, 2.5);
        assert!((dimmed - 43.7).abs() < 1e-9);
    }
}
