//! Point spread functions as transfer functions of the wave number k in radians per arcsec. Each is 1 at k = 0.

use std::f64::consts::{LN_2, PI, TAU};

/// Radians per arcsec.
const ARCSEC: f64 = PI / 648_000.0;

/// A long exposure through the atmosphere: `exp(-3.44 (k lambda/r0 / 2 pi)^(5/3))` (Fried 1966). Its full width at half maximum
/// is 0.9758634 lambda/r0 (as computed by GalSim).
pub fn kolmogorov(k: f64, fwhm_arcsec: f64) -> f64 {
    // 6.8839 / 2 = 2 (24/5 Gamma(6/5))^(5/6) / 2
    const STRUCTURE: f64 = 3.441_938_648_990_51;
    let lambda_over_r0 = fwhm_arcsec / 0.975_863_432_579_804_2;
    (-STRUCTURE * (k * lambda_over_r0 / TAU).powf(5.0 / 3.0)).exp()
}

/// A Gaussian: `exp(-k^2 sigma^2 / 2)` with sigma = FWHM / sqrt(8 ln 2).
pub fn gaussian(k: f64, fwhm_arcsec: f64) -> f64 {
    (-k * k * fwhm_arcsec * fwhm_arcsec / (16.0 * LN_2)).exp()
}

/// The diffraction of a circular mirror with a circular obscuration (diameter over diameter): the autocorrelation of the pupil,
/// an annulus of outer radius 1 and inner radius `obscuration`, at a shift of `k lambda / (pi D)`.
pub fn airy(k: f64, wavelength_angstrom: f64, mirror_diameter_m: f64, obscuration: f64) -> f64 {
    let lambda_over_d_arcsec = wavelength_angstrom * 1e-10 / mirror_diameter_m / ARCSEC;
    let shift = k * lambda_over_d_arcsec / PI;
    let common = overlap(1.0, 1.0, shift) + overlap(obscuration, obscuration, shift);
    let crossed = overlap(1.0, obscuration, shift);
    ((common - 2.0 * crossed) / (PI * (1.0 - obscuration * obscuration))).max(0.0)
}

/// Area of the intersection of two discs.
fn overlap(a: f64, b: f64, distance: f64) -> f64 {
    let (large, small) = (a.max(b), a.min(b));
    if distance >= large + small {
        return 0.0;
    }
    if distance <= large - small {
        return PI * small * small;
    }
    let segment = |radius: f64, chord: f64| {
        let cos = (chord / radius).clamp(-1.0, 1.0);
        radius * radius * (cos.acos() - cos * (1.0 - cos * cos).sqrt())
    };
    let to_large = (distance * distance + large * large - small * small) / (2.0 * distance);
    segment(large, to_large) + segment(small, distance - to_large)
}

/// The transform of the quintic interpolant at u cycles per pixel (Bernstein & Gruen 2014, "Resampling images in Fourier
/// domain"): `s^5 (s (55 - 19 v^2) + 2 cos v (v^2 - 27))`, v = pi u, s = sin v / v.
///
/// It defines the image between its samples. Aliases, the waves that the pixels cannot distinguish from longer ones, are left
/// out, as in GalSim's default.
pub fn quintic(u: f64) -> f64 {
    let v = PI * u;
    let s = if v.abs() < 1e-4 { 1.0 - v * v / 6.0 } else { v.sin() / v };
    s.powi(5) * (s * (55.0 - 19.0 * v * v) + 2.0 * v.cos() * (v * v - 27.0))
}

/// An image that is not a PSF.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("the PSF of the input sums to {sum}, expected a positive number")]
pub struct NotAPsf {
    sum: f64,
}

impl From<NotAPsf> for String {
    fn from(error: NotAPsf) -> Self {
        error.to_string()
    }
}

/// The Fourier transform of a PSF that is given as an image: about its centroid, with unit flux.
#[derive(Debug, Clone)]
pub struct ImageTransform<'a> {
    pixels: &'a [f32],
    width: usize,
    flux: f64,
    centre: (f64, f64),
}

impl<'a> ImageTransform<'a> {
    /// The transform of pixels `[y, x]`.
    ///
    /// # Errors
    /// When the pixels do not sum to a positive number.
    pub fn new(pixels: &'a [f32], width: usize) -> Result<Self, NotAPsf> {
        let of_unit_flux = Self::about(pixels, width, (0.0, 0.0))?;
        let moment = |of: fn(usize, usize) -> usize| {
            let terms = pixels.iter().enumerate().map(|(i, pixel)| of(i, width) as f64 * f64::from(*pixel));
            terms.sum::<f64>() / of_unit_flux.flux
        };
        Ok(Self { centre: (moment(|i, width| i / width), moment(|i, width| i % width)), ..of_unit_flux })
    }

    /// The transform of pixels `[y, x]` about a point (row, column) instead of their centroid.
    ///
    /// # Errors
    /// When the pixels do not sum to a positive number.
    pub fn about(pixels: &'a [f32], width: usize, centre: (f64, f64)) -> Result<Self, NotAPsf> {
        let flux: f64 = pixels.iter().map(|pixel| f64::from(*pixel)).sum();
        if !flux.is_finite() || flux <= 0.0 {
            return Err(NotAPsf { sum: flux });
        }
        Ok(Self { pixels, width, flux, centre })
    }

    /// The sum of the pixels.
    pub const fn flux(&self) -> f64 {
        self.flux
    }

    /// (real, imaginary) part at the wave numbers `[ky, kx]` of a grid of `ny` by `nx` pixels; ky from 0 to `ny / 2`.
    pub fn on_grid(&self, ny: usize, nx: usize) -> Vec<(f64, f64)> {
        let wave = |index: usize, n: usize, at: usize, centre: f64| {
            let k = if 2 * index > n { index as f64 - n as f64 } else { index as f64 };
            let (sin, cos) = (-TAU * k / n as f64 * (at as f64 - centre)).sin_cos();
            (cos, sin)
        };
        let height = self.pixels.len() / self.width;
        let along_x: Vec<(f64, f64)> =
            (0..nx).flat_map(|kx| (0..self.width).map(move |x| wave(kx, nx, x, self.centre.1))).collect();
        // [y][kx]
        let mut rows = Vec::with_capacity(height * nx);
        for row in self.pixels.chunks_exact(self.width) {
            for waves in along_x.chunks_exact(self.width) {
                let terms = row.iter().zip(waves);
                rows.push(terms.fold((0.0, 0.0), |(re, im), (pixel, (cos, sin))| {
                    let pixel = f64::from(*pixel) / self.flux;
                    (re + pixel * cos, im + pixel * sin)
                }));
            }
        }
        let mut grid = vec![(0.0, 0.0); (ny / 2 + 1) * nx];
        for (ky, out) in grid.chunks_exact_mut(nx).enumerate() {
            for (y, row) in rows.chunks_exact(nx).enumerate() {
                let (cos, sin) = wave(ky, ny, y, self.centre.0);
                for (out, (re, im)) in out.iter_mut().zip(row) {
                    *out = (out.0 + re * cos - im * sin, out.1 + re * sin + im * cos);
                }
            }
        }
        grid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// k; Airy at 4789.98 A through the pupil of LSST, Kolmogorov of 0.9" and Gaussian of 0.7", by `kValue` of GalSim 2.8.5.
    const GALSIM: &[[f64; 4]] = &[
        [0.0, 1.000_000_000_000_000_2, 1.0, 1.0],
        [1.0, 0.993_345_727_842_917_3, 0.868_853_523_360_692_8, 0.956_779_295_223_721],
        [5.0, 0.966_729_374_811_279, 0.128_054_071_078_933_43, 0.331_355_523_573_429_34],
        [12.0, 0.920_159_254_395_889_1, 0.000_144_501_966_029_263_97, 0.001_725_419_395_332_942_7],
        [30.0, 0.800_537_305_201_214_1, 2.07e-18, 5.378e-18],
        [200.0, 0.173_775_532_009_487_2, 0.0, 0.0],
        [400.0, 0.178_767_606_980_635_4, 0.0, 0.0],
        [500.0, 0.029_276_699_679_533_082, 0.0, 0.0],
    ];

    #[test]
    fn transfer_functions_agree_with_galsim() {
        for &[k, expected_airy, expected_kolmogorov, expected_gaussian] in GALSIM {
            assert!((airy(k, 4789.98, 8.36, 0.6401) - expected_airy).abs() < 2e-5, "airy {k}");
            assert!((kolmogorov(k, 0.9) - expected_kolmogorov).abs() < 1e-7, "kolmogorov {k}");
            assert!((gaussian(k, 0.7) - expected_gaussian).abs() < 1e-12, "gaussian {k}");
        }
    }

    #[test]
    fn the_quintic_interpolant_agrees_with_galsim() {
        let galsim = [
            (0.0, 1.0),
            (0.1, 0.999_880_052_880_126_9),
            (0.3, 0.945_306_293_086_407_7),
            (0.5, 0.540_509_780_577_362_1),
            (0.8, 0.012_777_024_322_152_384),
            (1.3, -0.019_525_542_038_854_41),
        ];
        for (u, expected) in galsim {
            assert!((quintic(u) - expected).abs() < 1e-12, "{u}: {}", quintic(u));
        }
    }

    #[test]
    fn the_transform_of_an_image_is_taken_about_its_centroid() {
        let mut pixels = [0.0_f32; 5 * 7];
        (pixels[2 * 7 + 3], pixels[2 * 7 + 4]) = (3.0, 3.0);
        let transform = ImageTransform::new(&pixels, 7).expect("a psf").on_grid(12, 16);
        for (i, (re, im)) in transform.iter().enumerate() {
            let expected = (0.5 * TAU * (i % 16) as f64 / 16.0).cos();
            let expected = if i % 16 > 8 { -expected } else { expected };
            assert!((re - expected).abs() < 1e-12 && im.abs() < 1e-12, "{i}: {re} {im}, {expected}");
        }
    }

    #[test]
    fn the_transform_of_an_image_agrees_with_the_definition() {
        let pixels = [1.0_f32, 2.0, 0.5, 4.0, 9.0, 3.0, 0.0, 2.5, 1.5, 0.25, 0.5, 7.0];
        let (height, width, ny, nx) = (4, 3, 6, 8);
        let weights = || pixels.iter().enumerate().map(|(i, p)| (i / width, i % width, f64::from(*p) / 31.25));
        let (cy, cx) = weights().fold((0.0, 0.0), |(cy, cx), (y, x, p)| (cy + p * y as f64, cx + p * x as f64));
        let transform = ImageTransform::new(&pixels, width).expect("a PSF").on_grid(ny, nx);
        assert_eq!(transform.len(), height * nx);
        for (i, (re, im)) in transform.into_iter().enumerate() {
            // The wave number of an index: the highest one is positive.
            let (ky, kx) = (i / nx, i % nx);
            let kx = if kx > nx / 2 { kx as f64 - nx as f64 } else { kx as f64 };
            let phase = |y: usize, x: usize| {
                -TAU * (ky as f64 * (y as f64 - cy) / ny as f64 + kx * (x as f64 - cx) / nx as f64)
            };
            let expected = weights()
                .fold((0.0, 0.0), |(re, im), (y, x, p)| (re + p * phase(y, x).cos(), im + p * phase(y, x).sin()));
            assert!((re - expected.0).hypot(im - expected.1) < 1e-12, "{i}: {re} {im}, {expected:?}");
        }
    }

    #[test]
    fn an_image_without_flux_is_not_a_psf() {
        let message = |pixel| ImageTransform::new(&[pixel; 9], 3).expect_err("not a PSF").to_string();
        assert_eq!(message(0.0), "the PSF of the input sums to 0, expected a positive number");
        assert!(message(-1.0).contains("sums to -9"));
        assert!(message(f32::NAN).contains("NaN"));
    }

    #[test]
    fn an_unobscured_pupil_has_the_textbook_transfer_function() {
        let cutoff = TAU / (5e-7 / 2.0 / ARCSEC);
        let nu: f64 = 0.3;
        let expected = 2.0 / PI * (nu.acos() - nu * (1.0 - nu * nu).sqrt());
        assert!((airy(nu * cutoff, 5000.0, 2.0, 0.0) - expected).abs() < 1e-12);
        assert_eq!(airy(1.01 * cutoff, 5000.0, 2.0, 0.0), 0.0);
    }
}
