//! The kernels that bring an image to the PSF of an exposure.

use std::{f64::consts::TAU, sync::Arc};

use arrow::{array::RecordBatch, datatypes::Schema};

use super::Psf;
use crate::{
    batch::{ImageLayout, Images},
    error::{Code, Diagnostic, Error, Result},
    image::blur::{Blur, BlurKernel},
    survey::{preset::Survey, psf},
    transform::{kernel_cache::KernelCache, quantity::BoundQuantity},
};

/// The number of kernels kept for PSFs that differ from row to row.
const CACHED_KERNELS: usize = 24;
/// How far the wings of a PSF are followed beyond the image. They fall off as r^(-11/3): at 20" the share of an image that wraps
/// around is 3e-5, at 40" less than 1e-5.
const WINGS_ARCSEC: f64 = 40.0;
/// The same in pixels, at most.
const MAX_REACH: f64 = 1500.0;

/// The FWHM of the atmosphere's PSF.
#[derive(Debug, Clone)]
pub(super) enum PsfWidths {
    /// At the zenith, to be multiplied by airmass^0.6.
    Zenith { zenith: BoundQuantity, airmass: BoundQuantity },
    /// At the telescope.
    Delivered(BoundQuantity),
}

/// A column with the PSFs of the input, in one band for all or in the bands of the image.
#[derive(Debug, Clone)]
pub(super) struct PsfImageColumn {
    pub(super) column: String,
    pub(super) layout: ImageLayout,
}

/// The kernels of a run: made once if no column changes the PSF, else cached.
#[derive(Debug, Clone)]
pub(super) struct PsfKernels {
    survey: Arc<Survey>,
    psf: Psf,
    bands: Vec<String>,
    pixel_scale_arcsec: f64,
    widths: PsfWidths,
    input_fwhm: Option<BoundQuantity>,
    input_image: Option<PsfImageColumn>,
    blur: Arc<Blur>,
    /// By band, if all rows share them.
    fixed: Option<Arc<Vec<Arc<BlurKernel>>>>,
    /// By the bits of the output and input widths and the band.
    cache: KernelCache<[u64; 3]>,
}

impl PsfKernels {
    /// The kernels for images of a layout without a PSF.
    pub(super) fn new(
        survey: Arc<Survey>,
        psf: Psf,
        layout: &ImageLayout,
        pixel_scale_arcsec: f64,
        widths: PsfWidths,
    ) -> Self {
        Self {
            survey,
            psf,
            bands: layout.bands.clone(),
            pixel_scale_arcsec,
            widths,
            input_fwhm: None,
            input_image: None,
            blur: Arc::new(Blur::new(layout.height, layout.width)),
            fixed: None,
            cache: KernelCache::new(CACHED_KERNELS),
        }
    }

    /// The same for images that have a PSF of a width, or one in a column.
    pub(super) fn with_input(self, input_fwhm: Option<BoundQuantity>, input_image: Option<PsfImageColumn>) -> Self {
        Self { input_fwhm, input_image, ..self }
    }

    /// Checks, as far as widths are constant, that no output is sharper than its input.
    pub(super) fn check_widths(&self) -> Result<(), Vec<Diagnostic>> {
        let widths = match &self.widths {
            PsfWidths::Delivered(width) => width.constant(),
            PsfWidths::Zenith { zenith, airmass } => {
                zenith.constant().zip(airmass.constant()).map(|(zenith, airmass)| {
                    zenith.iter().zip(airmass).map(|(zenith, airmass)| zenith * airmass.powf(0.6)).collect()
                })
            }
        };
        let (Some(widths), Some(input)) = (widths, self.input_fwhm.as_ref().and_then(BoundQuantity::constant)) else {
            return Ok(());
        };
        let sharper = |(band, (width, input)): (&String, (f64, f64))| {
            (width < input).then(|| Diagnostic::at("input_psf", Code::Conflict, wider_input(band, width, input)))
        };
        let mistakes: Vec<Diagnostic> =
            self.bands.iter().zip(widths.into_iter().zip(input)).filter_map(sharper).collect();
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }

    /// Makes the kernels that do not depend on the rows.
    pub(super) fn start(&mut self) -> Result<()> {
        let is_constant = |quantity: &BoundQuantity| quantity.constant().is_some();
        let widths_are_constant = match &self.widths {
            PsfWidths::Delivered(width) => is_constant(width),
            PsfWidths::Zenith { zenith, airmass } => is_constant(zenith) && is_constant(airmass),
        };
        if !widths_are_constant || !self.input_fwhm.as_ref().is_none_or(is_constant) || self.input_image.is_some() {
            return Ok(());
        }
        let empty = RecordBatch::new_empty(Arc::new(Schema::empty()));
        let rows = self.read(&empty)?;
        let kernels = (0..self.bands.len()).map(|band| self.get(&rows, 0, band));
        let kernels = kernels.collect::<Result<Vec<_>, String>>().map_err(Error::data)?;
        self.fixed = Some(Arc::new(kernels));
        Ok(())
    }

    /// The widths and PSF images of the rows of a batch.
    pub(super) fn read<'a>(&self, batch: &'a RecordBatch) -> Result<PsfRows<'a>> {
        if self.fixed.is_some() {
            return Ok(PsfRows::default());
        }
        let by_row = |quantity: &BoundQuantity| -> Result<Vec<Vec<Result<f64, String>>>> {
            let values = quantity.read(batch)?;
            // Constants have a first row even in an empty batch.
            let rows = batch.num_rows().max(1);
            Ok((0..rows).map(|row| (0..self.bands.len()).map(|band| values.get(row, band)).collect()).collect())
        };
        let widths = match &self.widths {
            PsfWidths::Delivered(width) => by_row(width)?,
            PsfWidths::Zenith { zenith, airmass } => {
                let mut widths = by_row(zenith)?;
                for (width, airmass) in widths.iter_mut().flatten().zip(by_row(airmass)?.into_iter().flatten()) {
                    *width = width.clone().and_then(|width| airmass.map(|airmass| width * airmass.powf(0.6)));
                }
                widths
            }
        };
        let inputs = self.input_fwhm.as_ref().map(by_row).transpose()?.unwrap_or_default();
        let images = match &self.input_image {
            Some(psf) => Some(Images::of(batch, &psf.column)?),
            None => None,
        };
        Ok(PsfRows { widths, inputs, images })
    }

    /// The kernel of a row and band, or why the row is rejected.
    pub(super) fn get(&mut self, rows: &PsfRows, row: usize, band: usize) -> Result<Arc<BlurKernel>, String> {
        if let Some(fixed) = &self.fixed {
            return Ok(Arc::clone(&fixed[band]));
        }
        let width = rows.widths[row][band].clone()?;
        let input = rows.inputs.get(row).map_or(Ok(0.0), |inputs| inputs[band].clone())?;
        if width < input {
            return Err(wider_input(&self.bands[band], width, input));
        }
        if let (Some(images), Some(psf)) = (&rows.images, &self.input_image) {
            let psf_band = if psf.layout.bands.len() == 1 { 0 } else { band };
            let pixels = images.plane(row, psf_band);
            return self.kernel_for_image(pixels, psf.layout.width, width, band).map(Arc::new);
        }
        let key = [width.to_bits(), input.to_bits(), band as u64];
        if let Some(kernel) = self.cache.get(&key) {
            return Ok(kernel);
        }
        let kernel = Arc::new(self.kernel(width, input, band));
        self.cache.insert(key, Arc::clone(&kernel));
        Ok(kernel)
    }

    /// The kernel for a PSF of a width, on images without a PSF (`input` 0) or with one of the width `input`.
    fn kernel(&self, width: f64, input: f64, band: usize) -> BlurKernel {
        let outer = self.transfer(width, band);
        let inner = self.atmosphere_transfer(input);
        // An image without noise is sampled from a smooth function; one that was blurred before is described by its pixels alone.
        let between = |k: f64| if input == 0.0 { psf::quintic(k / TAU) } else { 1.0 };
        let reach = (WINGS_ARCSEC / self.pixel_scale_arcsec).ceil().min(MAX_REACH) as usize;
        let mut row = (f64::NAN, 0.0);
        self.blur.even_kernel(reach, |ky, kx| {
            if row.0 != ky {
                row = (ky, between(ky));
            }
            let k = ky.hypot(kx) / self.pixel_scale_arcsec;
            // Where the input has almost no power left, the output has less.
            let ratio = if input == 0.0 { outer(k) } else { outer(k) / inner(k).max(1e-30) };
            row.1 * between(kx) * ratio
        })
    }

    /// What widens the diffraction: the atmosphere, or the blur in space.
    fn atmosphere_transfer(&self, width: f64) -> impl Fn(f64) -> f64 + use<> {
        let gaussian = self.psf == Psf::Gaussian || self.survey.in_space();
        move |k| match gaussian {
            _ if width == 0.0 => 1.0,
            true => psf::gaussian(k, width),
            false => psf::kolmogorov(k, width),
        }
    }

    fn transfer(&self, width: f64, band: usize) -> impl Fn(f64) -> f64 + use<> {
        let atmosphere = self.atmosphere_transfer(width);
        let wavelength = self.survey.bands[&self.bands[band]].wavelength_angstrom;
        let (mirror, obscuration) = (self.survey.mirror_diameter_m, self.survey.obscuration);
        let with_airy = self.psf == Psf::KolmogorovAiry;
        move |k| atmosphere(k) * if with_airy { psf::airy(k, wavelength, mirror, obscuration) } else { 1.0 }
    }

    /// The ratio of transforms when the PSF of the input is an image: amplitudes are never amplified.
    fn kernel_for_image(&self, pixels: &[f32], side: usize, width: f64, band: usize) -> Result<BlurKernel, String> {
        let inner = psf::ImageTransform::new(pixels, side)?;
        let outer = self.transfer(width, band);
        let (ny, nx) = self.blur.grid();
        let known = inner.on_grid(ny, nx);
        let mut sharper = false;
        let kernel = self.blur.kernel_of_index(|y, x, ky, kx| {
            let wanted = outer(ky.hypot(kx) / self.pixel_scale_arcsec);
            let (re, im) = known[y * nx + x];
            let power = re * re + im * im;
            let amplitude = power.sqrt();
            sharper |= wanted > 1.02 * amplitude && wanted > 0.05;
            // wanted / known, but never more than 1 in size.
            let gain = if wanted < amplitude { wanted / power } else { 1.0 / amplitude.max(1e-30) };
            if amplitude < 1e-6 { (0.0, 0.0) } else { (re * gain, -im * gain) }
        });
        if sharper {
            let name = &self.bands[band];
            return Err(format!("the PSF of the input in band `{name}` is wider than that of the observation"));
        }
        Ok(kernel)
    }

    pub(super) fn blur(&self) -> &Blur {
        &self.blur
    }
}

fn wider_input(band: &str, width: f64, input: f64) -> String {
    format!(
        "the PSF of the input in band `{band}` has a FWHM of {input:.4}\", wider than {width:.4}\" of the observation"
    )
}

/// The widths, `[row][band]`, and the PSF images of a batch. Empty if all rows share the kernels.
#[derive(Default)]
pub(super) struct PsfRows<'a> {
    widths: Vec<Vec<Result<f64, String>>>,
    inputs: Vec<Vec<Result<f64, String>>>,
    images: Option<Images<'a>>,
}
