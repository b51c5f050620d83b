//! `blur`: an additional point spread function, by a convolution that keeps the flux.
//!
//! A Gaussian of sigma = FWHM / sqrt(8 ln 2), or the Kolmogorov profile of a long exposure through the atmosphere. Outside of
//! the image is nothing: flux that leaves over its edge is lost. Noise that is in the image is blurred too, as when frames are
//! stacked out of register; blur the image before `observe` for a worse seeing. The companion PSF is blurred as the image is,
//! and the variance multiplied by the sum of the squares of the kernel, which holds for noise without correlation.

use std::sync::Arc;

use arrow::datatypes::Schema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    perturbation::{Perturbation, Perturbed, Row},
    quantity::{self, Bound, Quantity, Rules},
};
use crate::{
    batch::ImageLayout,
    error::{Code, Diagnostic},
    image::blur::{Blur as Convolution, BlurKernel as Kernel, BlurScratch as Scratch},
    random::Stream,
    stage::{Settings, Transform},
    survey::psf,
};

/// Blurs an image by one more PSF. Its variance and PSF follow, its mask is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Blur {
    /// The image column, before any stretch. A row with a pixel that is not finite is rejected.
    pub image: String,
    /// Full width at half maximum of the PSF, arcsec: a number, `{ column: NAME }`, or one of these by band, where bands that are
    /// not named stay sharp. 0 or `off` changes nothing.
    pub fwhm_arcsec: Quantity,
    /// Shape of the PSF.
    #[serde(default)]
    pub profile: Profile,
}

/// Shape of a PSF.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// A Gaussian: a telescope out of focus, frames out of register.
    #[default]
    Gaussian,
    /// The atmosphere over a long exposure, which has wings.
    Kolmogorov,
}

impl Settings<dyn Transform> for Blur {
    const NAME: &'static str = "blur";

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        let image = self.image.clone();
        Ok(Perturbed::boxed(label, &image, Blurring { settings: self, scale: 0.0, planes: None, psf: None }))
    }
}

#[derive(Clone)]
struct Blurring {
    settings: Blur,
    scale: f64,
    planes: Option<Planes>,
    psf: Option<Planes>,
}

/// How planes of one size are blurred, and the kernels that were used last.
#[derive(Clone)]
struct Planes {
    how: Arc<Convolution>,
    scratch: Scratch,
    recent: Vec<(u64, Arc<Kernel>)>,
    out: Vec<f32>,
}

/// Kernels of changing widths that are kept: about 90 kB each at 100 pixels.
const RECENT: usize = 8;
/// How far the wings of a PSF are followed beyond the image, in widths: beyond lies 1e-4 of the flux of Kolmogorov.
const WINGS: f64 = 60.0;
/// The same in pixels, at most.
const MOST_REACH: f64 = 1500.0;

impl Planes {
    fn new(layout: &ImageLayout) -> Self {
        let how = Arc::new(Convolution::new(layout.height, layout.width));
        Self { scratch: how.scratch(), out: vec![0.0; layout.plane()], how, recent: Vec::new() }
    }

    fn kernel(&mut self, profile: Profile, fwhm_pixels: f64) -> Arc<Kernel> {
        let key = fwhm_pixels.to_bits();
        if let Some(at) = self.recent.iter().position(|(known, _)| *known == key) {
            self.recent[..=at].rotate_right(1);
            return Arc::clone(&self.recent[0].1);
        }
        let transfer = |ky: f64, kx: f64| match profile {
            Profile::Gaussian => psf::gaussian(ky.hypot(kx), fwhm_pixels),
            Profile::Kolmogorov => psf::kolmogorov(ky.hypot(kx), fwhm_pixels),
        };
        let reach = (WINGS * fwhm_pixels).ceil().min(MOST_REACH) as usize;
        let kernel = Arc::new(self.how.even_kernel(reach, transfer));
        self.recent.truncate(RECENT - 1);
        self.recent.insert(0, (key, Arc::clone(&kernel)));
        kernel
    }

    fn blur(&mut self, profile: Profile, fwhm_pixels: f64, plane: &mut [f32]) -> f64 {
        let kernel = self.kernel(profile, fwhm_pixels);
        self.how.apply(&kernel, plane, &mut self.out, &mut self.scratch);
        plane.copy_from_slice(&self.out);
        kernel.white_noise_factor()
    }
}

impl Perturbation for Blurring {
    fn quantities(&self) -> Vec<(&'static str, &Quantity)> {
        vec![("fwhm_arcsec", &self.settings.fwhm_arcsec)]
    }

    fn bind(&mut self, input: &Schema, image: &ImageLayout) -> Result<Vec<Bound>, Vec<Diagnostic>> {
        let Some(scale) = image.pixel_scale_arcsec.filter(|scale| *scale > 0.0) else {
            let message = format!("the pixel scale of image `{}` is not known", self.settings.image);
            let mistake = Diagnostic::at("image", Code::WrongColumn, message);
            return Err(vec![mistake.help("set `pixel_scale_arcsec` in the source")]);
        };
        self.scale = scale;
        self.planes = Some(Planes::new(image));
        self.psf = None;
        let default = vec![0.0; image.bands.len()];
        let rules = Rules { key: "fwhm_arcsec", bands: &image.bands, default, off: Some(0.0), range: 0.0..=100.0 };
        quantity::bind_all(&[(Some(&self.settings.fwhm_arcsec), rules)], input)
    }

    fn bind_psf(&mut self, psf: &ImageLayout) {
        self.psf = Some(Planes::new(psf));
    }

    fn perturb(&mut self, row: &mut Row, numbers: &[Vec<f64>], _: &mut Stream) -> Result<(), String> {
        let profile = self.settings.profile;
        let plane = row.layout.plane();
        let widths = numbers[0].iter().map(|fwhm| fwhm / self.scale);
        for (band, width) in widths.clone().enumerate().filter(|(_, width)| *width > 0.0) {
            let pixels = &mut row.image[band * plane..][..plane];
            let bad = pixels.iter().filter(|pixel| !pixel.is_finite()).count();
            if bad > 0 {
                let name = &row.layout.bands[band];
                return Err(format!("band `{name}` has {bad} pixels that are not finite; expected none"));
            }
            let Some(planes) = &mut self.planes else { continue };
            let white_noise = planes.blur(profile, width, pixels);
            let variance = row.variance.as_deref_mut().map(|variance| &mut variance[band * plane..][..plane]);
            variance.into_iter().flatten().for_each(|variance| *variance *= white_noise as f32);
        }
        if let (Some(psf), Some(planes)) = (row.psf.as_deref_mut(), &mut self.psf) {
            // One PSF for all bands is blurred as the first is.
            let planes_of_psf = psf.chunks_exact_mut(planes.out.len());
            for (pixels, width) in planes_of_psf.zip(widths).filter(|(_, width)| *width > 0.0) {
                planes.blur(profile, width, pixels);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use serde_json::json;

    use crate::{
        batch::list_values,
        transform::contract::{changed, images, noise},
    };

    /// 8 ln 2.
    const FWHM2_OF_VARIANCE: f64 = 5.545_177_444_479_562;
    const SIDE: usize = 48;

    /// The integral of a Gaussian of a variance, in pixels, over the pixel at an offset: by the trapezoidal rule in each axis.
    fn gaussian(variance: f64) -> Vec<f32> {
        let centre = (SIDE / 2) as f64;
        let at = |i: usize| (-(i as f64 - centre).powi(2) / (2.0 * variance)).exp() / (TAU * variance).sqrt();
        (0..SIDE * SIDE).map(|i| (1e4 * at(i / SIDE) * at(i % SIDE)) as f32).collect()
    }

    #[test]
    fn a_gaussian_blurred_by_a_gaussian_has_the_variance_of_both() {
        // Pixels of 0.2": a variance of 3 pixels^2 is a FWHM of 0.8157".
        let fwhm = 0.2 * (3.0 * FWHM2_OF_VARIANCE).sqrt();
        let (_, after, _) = changed("blur", json!({ "fwhm_arcsec": fwhm }), images(&[gaussian(4.0)], SIDE));
        let expected = gaussian(7.0);
        let worst = after.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 2e-4 * expected[SIDE * SIDE / 2 + SIDE / 2], "{worst}");
    }

    #[test]
    fn flux_is_kept_by_both_profiles() {
        for profile in ["gaussian", "kolmogorov"] {
            let settings = json!({ "fwhm_arcsec": 0.6, "profile": profile });
            let (before, after, _) = changed("blur", settings, images(&[gaussian(4.0)], SIDE));
            let sum = |pixels: &[f32]| pixels.iter().map(|pixel| f64::from(*pixel)).sum::<f64>();
            // Of Kolmogorov's flux 0.09 (FWHM / r)^(5/3), here 0.3 %, lies outside of 4.8".
            let most = if profile == "gaussian" { 1e-5 } else { 4e-3 };
            assert!((sum(&after) / sum(&before) - 1.0).abs() < most, "{profile}");
            assert!(after[SIDE * SIDE / 2 + SIDE / 2] < 0.8 * before[SIDE * SIDE / 2 + SIDE / 2]);
        }
    }

    #[test]
    fn the_variance_becomes_that_of_blurred_white_noise() {
        let batch = noise(40, 2.0);
        let (_, after, out) = changed("blur", json!({ "fwhm_arcsec": 0.5 }), batch);
        let told = list_values(&out, "made_variance").expect("variances").0[0];
        let width = 20;
        let inner = after
            .iter()
            .enumerate()
            .filter(|(i, _)| (5..15).contains(&(i % width)) && (5..15).contains(&(i / width % 20)));
        let inner: Vec<f64> = inner.map(|(_, pixel)| f64::from(*pixel)).collect();
        let found = inner.iter().map(|pixel| pixel * pixel).sum::<f64>() / inner.len() as f64;
        // sigma = 1.0617 pixels: the sum of squares is 1 / (4 pi sigma^2).
        let expected = 4.0 / (2.0 * TAU * (0.5_f64 / 0.2).powi(2) / FWHM2_OF_VARIANCE);
        assert!((f64::from(told) / expected - 1.0).abs() < 1e-3, "{told} {expected}");
        assert!((found / expected - 1.0).abs() < 0.08, "{found} {expected}");
    }

    #[test]
    fn only_the_bands_that_are_named_change_and_no_width_changes_nothing() {
        let input = crate::transform::contract::batch(3);
        let (before, after, out) = changed("blur", json!({ "fwhm_arcsec": { "r": 0.7 } }), input.clone());
        let same = |band: usize| (0..80).all(|i| before[band * 80 + i] == after[band * 80 + i]);
        assert_eq!([same(0), same(1), same(2)], [true, false, true]);
        let psf = list_values(&out, "made_psf").expect("a psf").0;
        assert!(psf[0] == 0.04 && (psf[25] - 0.04).abs() > 1e-3 && psf[50] == 0.04);
        let (before, after, _) = changed("blur", json!({ "fwhm_arcsec": "off" }), input);
        assert_eq!(before, after);
    }
}
