//! Nanojanskys, magnitudes and electrons.

/// AB magnitude of 1 nJy (8.90 for 1 Jy).
pub const NANOJANSKY_MAG: f64 = 31.4;
/// AB magnitude of the source that zero points refer to.
pub const ZERO_POINT_MAG: f64 = 24.0;

/// Flux of an AB magnitude, nJy.
pub fn nanojansky(mag: f64) -> f64 {
    10_f64.powf(0.4 * (NANOJANSKY_MAG - mag))
}

/// Electrons per nJy in an exposure of t seconds: `t zp 10^(0.4 (24 - 31.4)) 10^(-0.4 extinction)`.
///
/// The zero point zp is the electrons per second of a source of magnitude 24. It includes the atmosphere at the survey's airmass
/// X0, so an exposure at airmass X passes `extinction_mag = k (X - X0)`, with k magnitudes per airmass.
pub fn electrons_per_nanojansky(seconds: f64, zero_point: f64, extinction_mag: f64) -> f64 {
    seconds * zero_point * 10_f64.powf(0.4 * (ZERO_POINT_MAG - NANOJANSKY_MAG) - 0.4 * extinction_mag)
}

/// Electrons of the sky in a pixel: `t zp 10^(0.4 (24 - sky)) pixel^2`.
pub fn sky_electrons(seconds: f64, zero_point: f64, sky_mag_per_arcsec2: f64, pixel_scale_arcsec: f64) -> f64 {
    seconds * zero_point * 10_f64.powf(0.4 * (ZERO_POINT_MAG - sky_mag_per_arcsec2)) * pixel_scale_arcsec.powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survey::preset::Survey;

    #[test]
    fn a_year_of_lsst_has_the_published_sky() {
        let lsst = Survey::load("lsst").expect("the preset");
        for (name, expected) in [("g", 2329.6), ("r", 12719.8), ("i", 17947.7)] {
            let band = lsst.bands[name];
            let zero_point = band.zero_point_electrons_per_second;
            let sky = sky_electrons(band.seconds_per_year, zero_point, band.sky_mag_per_arcsec2, 0.2);
            assert!((sky - expected).abs() < 0.06, "{name}: {sky}");
        }
    }

    #[test]
    fn fluxes_are_those_of_ab_magnitudes() {
        assert!((nanojansky(31.4) - 1.0).abs() < 1e-12);
        assert!((nanojansky(28.9) - 10.0).abs() < 1e-11);
        // The zero point of the AB system, 3631 Jy.
        assert!((nanojansky(0.0) / 3.631e12 - 1.0).abs() < 2e-4);
    }

    #[test]
    fn a_source_of_magnitude_24_gives_its_zero_point() {
        let electrons = nanojansky(24.0) * electrons_per_nanojansky(10.0, 43.7, 0.0);
        assert!((electrons - 437.0).abs() < 1e-9);
        let dimmed = nanojansky(24.0) * electrons_per_nanojansky(10.0, 43.7, 2.5);
        assert!((dimmed - 43.7).abs() < 1e-9);
    }
}
