//! `blur`: an additional point spread function, by a convolution that keeps the flux.
//!
//! The PSF is a Gaussian of sigma = FWHM / sqrt(8 ln 2), or the Kolmogorov profile of a long exposure through the atmosphere. Pixels
//! outside the image count as 0: flux that leaves over the edge is lost. Noise in the image is blurred too, as when frames are
//! stacked out of register; for worse seeing, blur the image before `observe`. The companion PSF is blurred like the image, and the
//! variance is multiplied by the sum of the squares of the kernel, which is exact for uncorrelated noise.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    diagnostics::unknown_pixel_scale,
    finite::check_finite,
    kernel_cache::KernelCache,
    pixel_transform::{PixelOperation, PixelRow, PixelTransform, QuantityLimits},
    quantity::Quantity,
};
use crate::{
    batch::ImageLayout,
    error::Diagnostic,
    image::blur::{Blur as Convolution, BlurKernel, BlurScratch},
    random::Stream,
    stage::{Settings, Transform},
    survey::psf,
};

/// Blurs an image by an additional PSF. Its variance and PSF follow, its mask is kept.
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
    pub profile: BlurProfile,
}

impl Blur {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(image: impl Into<String>, fwhm_arcsec: impl Into<Quantity>) -> Self {
        Self { image: image.into(), fwhm_arcsec: fwhm_arcsec.into(), profile: Default::default() }
    }
}

/// Shape of a PSF.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BlurProfile {
    /// A Gaussian: a telescope out of focus, frames out of register.
    #[default]
    Gaussian,
    /// The atmosphere over a long exposure, which has wings.
    Kolmogorov,
}

impl Settings<dyn Transform> for Blur {
    const NAME: &'static str = "blur";

    fn examples() -> &'static [&'static str] {
        &[
            "{ image: image, fwhm_arcsec: 0.7 }",
            "{ image: y10_sky, fwhm_arcsec: { g: 1.2, i: 0.9 }, profile: kolmogorov }",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        let image = self.image.clone();
        let operation = BlurTransform { settings: self, pixel_scale_arcsec: 0.0, image: None, psf: None };
        Ok(PixelTransform::boxed(label, &image, operation))
    }
}

#[derive(Clone)]
struct BlurTransform {
    settings: Blur,
    pixel_scale_arcsec: f64,
    image: Option<PlaneBlur>,
    psf: Option<PlaneBlur>,
}

/// Blurs planes of one size.
#[derive(Clone)]
struct PlaneBlur {
    convolution: Arc<Convolution>,
    scratch: BlurScratch,
    /// By the bits of the FWHM in pixels.
    kernels: KernelCache<u64>,
    out: Vec<f32>,
}

/// The number of kernels kept for widths that differ from row to row.
const CACHED_KERNELS: usize = 8;
/// How far the wings of a PSF are followed beyond the image, in widths: 1e-4 of the flux of Kolmogorov is farther out.
const WINGS: f64 = 60.0;
/// The same in pixels, at most.
const MAX_REACH: f64 = 1500.0;

impl PlaneBlur {
    fn new(layout: &ImageLayout) -> Self {
        let convolution = Arc::new(Convolution::new(layout.height, layout.width));
        Self {
            scratch: convolution.scratch(),
            out: vec![0.0; layout.plane()],
            convolution,
            kernels: KernelCache::new(CACHED_KERNELS),
        }
    }

    fn kernel(&mut self, profile: BlurProfile, fwhm_pixels: f64) -> Arc<BlurKernel> {
        let key = fwhm_pixels.to_bits();
        if let Some(kernel) = self.kernels.get(&key) {
            return kernel;
        }
        let transfer = |ky: f64, kx: f64| match profile {
            BlurProfile::Gaussian => psf::gaussian(ky.hypot(kx), fwhm_pixels),
            BlurProfile::Kolmogorov => psf::kolmogorov(ky.hypot(kx), fwhm_pixels),
        };
        let reach = (WINGS * fwhm_pixels).ceil().min(MAX_REACH) as usize;
        let kernel = Arc::new(self.convolution.even_kernel(reach, transfer));
        self.kernels.insert(key, Arc::clone(&kernel));
        kernel
    }

    /// Blurs a plane in place. Returns the factor of the variance of uncorrelated noise.
    fn blur(&mut self, profile: BlurProfile, fwhm_pixels: f64, plane: &mut [f32]) -> f64 {
        let kernel = self.kernel(profile, fwhm_pixels);
        self.convolution.apply(&kernel, plane, &mut self.out, &mut self.scratch);
        plane.copy_from_slice(&self.out);
        kernel.white_noise_factor()
    }
}

impl PixelOperation<1> for BlurTransform {
    fn quantities(&self) -> [(&'static str, Option<&Quantity>); 1] {
        [("fwhm_arcsec", Some(&self.settings.fwhm_arcsec))]
    }

    fn limits(&self, _: &ImageLayout) -> [QuantityLimits; 1] {
        [QuantityLimits { default: 0.0, range: 0.0..=100.0 }]
    }

    fn bind(&mut self, image: &ImageLayout) -> Result<(), Vec<Diagnostic>> {
        let Some(scale) = image.pixel_scale_arcsec.filter(|scale| *scale > 0.0) else {
            let mistake = unknown_pixel_scale("image", &self.settings.image);
            return Err(vec![mistake.help("set `pixel_scale_arcsec` in the source")]);
        };
        self.pixel_scale_arcsec = scale;
        self.image = Some(PlaneBlur::new(image));
        self.psf = None;
        Ok(())
    }

    fn bind_psf(&mut self, psf: &ImageLayout) {
        self.psf = Some(PlaneBlur::new(psf));
    }

    fn apply(&mut self, row: &mut PixelRow, [fwhm_arcsec]: [&[f64]; 1], _: &mut Stream) -> Result<(), String> {
        let profile = self.settings.profile;
        let plane = row.layout.plane();
        let widths = fwhm_arcsec.iter().map(|fwhm| fwhm / self.pixel_scale_arcsec);
        for (band, width) in widths.clone().enumerate().filter(|(_, width)| *width > 0.0) {
            let pixels = &mut row.image[band * plane..][..plane];
            check_finite(pixels, &row.layout.bands[band])?;
            let Some(blur) = &mut self.image else { continue };
            let white_noise = blur.blur(profile, width, pixels);
            let variance = row.variance.as_deref_mut().map(|variance| &mut variance[band * plane..][..plane]);
            variance.into_iter().flatten().for_each(|variance| *variance *= white_noise as f32);
        }
        if let (Some(psf), Some(blur)) = (row.psf.as_deref_mut(), &mut self.psf) {
            // One PSF for all bands is blurred like that of the first.
            for (pixels, width) in psf.chunks_exact_mut(blur.out.len()).zip(widths).filter(|(_, width)| *width > 0.0) {
                blur.blur(profile, width, pixels);
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
        transform::{
            conformance::keeps_its_promises,
            fixtures::{apply_to_image, noise_images, square_images, test_rows},
        },
    };

    /// 8 ln 2: the squared FWHM of a Gaussian over its variance.
    const FWHM2_OF_VARIANCE: f64 = 5.545_177_444_479_562;
    const SIDE: usize = 48;

    /// A centred Gaussian of a variance in pixels^2, sampled at the centres of the pixels.
    fn gaussian(variance: f64) -> Vec<f32> {
        let centre = (SIDE / 2) as f64;
        let at = |i: usize| (-(i as f64 - centre).powi(2) / (2.0 * variance)).exp() / (TAU * variance).sqrt();
        (0..SIDE * SIDE).map(|i| (1e4 * at(i / SIDE) * at(i % SIDE)) as f32).collect()
    }

    #[test]
    fn variances_of_gaussians_add_up() {
        // Pixels of 0.2": a variance of 3 pixels^2 is a FWHM of 0.8157".
        let fwhm = 0.2 * (3.0 * FWHM2_OF_VARIANCE).sqrt();
        let (_, after, _) =
            apply_to_image("blur", json!({ "fwhm_arcsec": fwhm }), square_images(&[gaussian(4.0)], SIDE));
        let expected = gaussian(7.0);
        let worst = after.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 2e-4 * expected[SIDE * SIDE / 2 + SIDE / 2], "{worst}");
    }

    #[test]
    fn both_profiles_keep_the_flux() {
        for profile in ["gaussian", "kolmogorov"] {
            let settings = json!({ "fwhm_arcsec": 0.6, "profile": profile });
            let (before, after, _) = apply_to_image("blur", settings, square_images(&[gaussian(4.0)], SIDE));
            let sum = |pixels: &[f32]| pixels.iter().map(|pixel| f64::from(*pixel)).sum::<f64>();
            // The share 0.09 (FWHM / r)^(5/3) of Kolmogorov's flux, here 0.3 %, is farther out than 4.8".
            let most = if profile == "gaussian" { 1e-5 } else { 4e-3 };
            assert!((sum(&after) / sum(&before) - 1.0).abs() < most, "{profile}");
            assert!(after[SIDE * SIDE / 2 + SIDE / 2] < 0.8 * before[SIDE * SIDE / 2 + SIDE / 2]);
        }
    }

    #[test]
    fn the_variance_becomes_that_of_blurred_white_noise() {
        let (_, after, out) = apply_to_image("blur", json!({ "fwhm_arcsec": 0.5 }), noise_images(40, 2.0));
        let variance = list_values(&out, "made_variance").expect("variances").0[0];
        let width = 20;
        let inner = after
            .iter()
            .enumerate()
            .filter(|(i, _)| (5..15).contains(&(i % width)) && (5..15).contains(&(i / width % 20)));
        let inner: Vec<f64> = inner.map(|(_, pixel)| f64::from(*pixel)).collect();
        let found = inner.iter().map(|pixel| pixel * pixel).sum::<f64>() / inner.len() as f64;
        // sigma = 1.0617 pixels: the sum of squares is 1 / (4 pi sigma^2).
        let expected = 4.0 / (2.0 * TAU * (0.5_f64 / 0.2).powi(2) / FWHM2_OF_VARIANCE);
        assert!((f64::from(variance) / expected - 1.0).abs() < 1e-3, "{variance} {expected}");
        assert!((found / expected - 1.0).abs() < 0.08, "{found} {expected}");
    }

    #[test]
    fn only_named_bands_change() {
        let (before, after, out) = apply_to_image("blur", json!({ "fwhm_arcsec": { "r": 0.7 } }), test_rows(3));
        let same = |band: usize| (0..80).all(|i| before[band * 80 + i] == after[band * 80 + i]);
        assert_eq!([same(0), same(1), same(2)], [true, false, true]);
        let psf = list_values(&out, "made_psf").expect("a psf").0;
        assert!(psf[0] == 0.04 && (psf[25] - 0.04).abs() > 1e-3 && psf[50] == 0.04);
    }

    #[test]
    fn off_changes_nothing() {
        let (before, after, _) = apply_to_image("blur", json!({ "fwhm_arcsec": "off" }), test_rows(3));
        assert_eq!(before, after);
    }

    #[test]
    fn keeps_its_promises_when_the_width_comes_from_a_column() {
        let width = json!({ "r": { "column": "gain" } });
        keeps_its_promises("blur", &json!({ "image": "image", "fwhm_arcsec": width, "profile": "kolmogorov" }));
    }
}
