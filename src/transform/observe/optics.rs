//! The hidden step before `observe`: the image through atmosphere and telescope, in nJy still. Two exposures of one image
//! with one PSF share it.

use std::{f64::consts::TAU, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema},
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{InputPsf, Psf};
use crate::{
    batch::{ImageLayout, Images, list_column, with_columns},
    error::{Code, Diagnostic, Result},
    image::blur::{Blur, BlurKernel as Kernel, BlurScratch as Scratch},
    stage::{ColumnRef, Rejects, RunContext, Transform},
    survey::{preset::Survey, psf},
    transform::quantity::{self, Bound, Quantity, Rules},
};

/// How the image is blurred: what two `observe` have to agree in to share it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Optics {
    pub(super) image: String,
    pub(super) survey: Survey,
    pub(super) psf: Psf,
    pub(super) airmass: Option<Quantity>,
    pub(super) zenith_fwhm_arcsec: Option<Quantity>,
    pub(super) fwhm_arcsec: Option<Quantity>,
    pub(super) input_psf: Option<InputPsf>,
}

impl Optics {
    /// The label of the step, from a digest of all that it depends on.
    pub(super) fn label(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        let digest = Sha256::digest(&text);
        let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("_blur_{hex}")
    }

    pub(super) fn required_columns(&self) -> Vec<ColumnRef> {
        let mut needs = vec![ColumnRef::new("image", &self.image)];
        for (key, quantity) in [
            ("airmass", &self.airmass),
            ("zenith_fwhm_arcsec", &self.zenith_fwhm_arcsec),
            ("fwhm_arcsec", &self.fwhm_arcsec),
        ] {
            needs.extend(quantity.iter().flat_map(|quantity| quantity.required_columns(key)));
        }
        match &self.input_psf {
            Some(InputPsf::FwhmArcsec(quantity)) => needs.extend(quantity.required_columns("input_psf.fwhm_arcsec")),
            Some(InputPsf::Column(column)) => needs.push(ColumnRef::new("input_psf.column", column)),
            None => {}
        }
        needs
    }

    /// The kernels of images of a layout.
    pub(super) fn bind(&self, input: &Schema, layout: &ImageLayout) -> Result<Kernels, Vec<Diagnostic>> {
        let mut mistakes = Vec::new();
        let bands = &layout.bands;
        let of_band = |number: fn(&crate::survey::preset::Band) -> f64| {
            bands.iter().map(|band| self.survey.bands.get(band).map_or(f64::NAN, number)).collect::<Vec<_>>()
        };
        let mut bind = |quantity: Option<&Quantity>, rules: Rules| {
            let bound = quantity::bind(quantity, &rules, input);
            bound.map_err(|wrong| mistakes.extend(wrong)).ok()
        };
        let airmass = bind(self.airmass.as_ref(), airmass_rules(&self.survey, bands));
        let width = |key: &'static str, default| Rules { key, bands, default, off: Some(0.0), range: 1e-3..=100.0 };
        let zenith_rules = width("zenith_fwhm_arcsec", of_band(|band| band.zenith_fwhm_arcsec));
        let zenith = bind(self.zenith_fwhm_arcsec.as_ref(), zenith_rules);
        let delivered = match &self.fwhm_arcsec {
            Some(quantity) => {
                bind(Some(quantity), Rules { default: vec![f64::NAN; bands.len()], ..width("fwhm_arcsec", vec![]) })
            }
            None => None,
        };
        let of_input = match &self.input_psf {
            Some(InputPsf::FwhmArcsec(quantity)) => {
                bind(Some(quantity), width("input_psf.fwhm_arcsec", vec![0.0; bands.len()]))
            }
            _ => None,
        };
        let image_psf = match &self.input_psf {
            Some(InputPsf::Column(column)) => {
                psf_image(input, column, layout).map_err(|mistake| mistakes.push(mistake)).ok()
            }
            _ => None,
        };
        let scale = layout.pixel_scale_arcsec.filter(|scale| *scale > 0.0);
        if scale.is_none() && self.psf != Psf::Off {
            mistakes.push(
                Diagnostic::at(
                    "image",
                    Code::WrongColumn,
                    format!("the pixel scale of image `{}` is not known", self.image),
                )
                .help("set `pixel_scale_arcsec` in the source, or `psf: off`"),
            );
        }
        let (Some(airmass), Some(zenith), Some(scale), true) = (airmass, zenith, scale, mistakes.is_empty()) else {
            return Err(mistakes);
        };
        let kernels = Kernels {
            survey: Arc::new(self.survey.clone()),
            psf: self.psf,
            bands: bands.clone(),
            scale,
            widths: delivered.map_or(Widths::Zenith { zenith, airmass }, Widths::Delivered),
            of_input,
            image_psf,
            blur: Arc::new(Blur::new(layout.height, layout.width)),
            fixed: None,
            recent: Vec::new(),
        };
        kernels.refuse_sharper()?;
        Ok(kernels)
    }
}

pub(super) fn airmass_rules<'a>(survey: &Survey, bands: &'a [String]) -> Rules<'a> {
    Rules { key: "airmass", bands, default: vec![survey.airmass; bands.len()], off: None, range: 1.0..=40.0 }
}

/// The column of an input PSF, and how its bands go with those of the image.
#[derive(Debug, Clone)]
struct PsfImage {
    column: String,
    layout: ImageLayout,
}

fn psf_image(input: &Schema, column: &str, image: &ImageLayout) -> Result<PsfImage, Diagnostic> {
    let wrong = |message: String| Err(Diagnostic::at("input_psf.column", Code::WrongColumn, message));
    let layout = super::super::image(input, "input_psf.column", column)?;
    if layout.bands.len() != 1 && layout.bands != image.bands {
        let (found, expected) = (layout.bands.join("`, `"), image.bands.join("`, `"));
        return wrong(format!("column `{column}` has the bands `{found}`; expected `{expected}`, or one for all"));
    }
    if let (Some(found), Some(expected)) = (layout.pixel_scale_arcsec, image.pixel_scale_arcsec)
        && (found / expected - 1.0).abs() > 1e-3
    {
        return wrong(format!("column `{column}` has pixels of {found}\"; expected those of the image, {expected}\""));
    }
    Ok(PsfImage { column: column.to_owned(), layout })
}

#[derive(Debug, Clone)]
enum Widths {
    /// FWHM at the zenith, times airmass^0.6.
    Zenith { zenith: Bound, airmass: Bound },
    /// FWHM as it arrives.
    Delivered(Bound),
}

/// The kernels of a run: made once where no column changes the PSF, else kept as long as they are used.
#[derive(Debug, Clone)]
pub(super) struct Kernels {
    survey: Arc<Survey>,
    psf: Psf,
    bands: Vec<String>,
    scale: f64,
    widths: Widths,
    of_input: Option<Bound>,
    image_psf: Option<PsfImage>,
    blur: Arc<Blur>,
    fixed: Option<Arc<Vec<Arc<Kernel>>>>,
    recent: Vec<([u64; 3], Arc<Kernel>)>,
}

/// Kernels of changing PSFs that are kept: about 90 kB each at 100 pixels.
const RECENT: usize = 24;

/// How far the wings of a PSF are followed beyond the image. They fall off as r^(-11/3): at 20" what comes back around
/// is 3e-5 of an image, at 40" less than 1e-5.
const WINGS_ARCSEC: f64 = 40.0;
/// The same in pixels, at most.
const MOST_REACH: f64 = 1500.0;

impl Kernels {
    fn refuse_sharper(&self) -> Result<(), Vec<Diagnostic>> {
        let widths = match &self.widths {
            Widths::Delivered(width) => width.constant(),
            Widths::Zenith { zenith, airmass } => zenith.constant().zip(airmass.constant()).map(|(zenith, airmass)| {
                zenith.iter().zip(airmass).map(|(zenith, airmass)| zenith * airmass.powf(0.6)).collect()
            }),
        };
        let (Some(widths), Some(input)) = (widths, self.of_input.as_ref().and_then(Bound::constant)) else {
            return Ok(());
        };
        let sharper = |(band, (width, input)): (&String, (f64, f64))| {
            (width < input).then(|| Diagnostic::at("input_psf", Code::Conflict, sharper(band, width, input)))
        };
        let mistakes: Vec<Diagnostic> =
            self.bands.iter().zip(widths.into_iter().zip(input)).filter_map(sharper).collect();
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }

    /// Makes what can be made before the rows are known.
    pub(super) fn start(&mut self) -> Result<()> {
        let empty = RecordBatch::new_empty(Arc::new(Schema::empty()));
        let constant = match &self.widths {
            Widths::Delivered(width) => width.constant().is_some(),
            Widths::Zenith { zenith, airmass } => zenith.constant().is_some() && airmass.constant().is_some(),
        } && self.of_input.as_ref().is_none_or(|input| input.constant().is_some());
        if constant && self.image_psf.is_none() {
            let mut kernels = Vec::new();
            for band in 0..self.bands.len() {
                let row = self.read(&empty)?;
                let kernel = self.of_row(&row, 0, band).map_err(crate::error::Error::data)?;
                kernels.push(kernel);
            }
            self.fixed = Some(Arc::new(kernels));
        }
        Ok(())
    }

    /// The numbers that the PSFs of a batch depend on.
    pub(super) fn read<'a>(&self, batch: &'a RecordBatch) -> Result<PsfRows<'a>> {
        if self.fixed.is_some() {
            return Ok(PsfRows::default());
        }
        let all = |bound: &Bound| -> Result<Vec<Vec<Result<f64, String>>>> {
            let numbers = bound.read(batch)?;
            let rows = batch.num_rows().max(1);
            Ok((0..rows).map(|row| (0..self.bands.len()).map(|band| numbers.get(row, band)).collect()).collect())
        };
        let widths = match &self.widths {
            Widths::Delivered(width) => all(width)?,
            Widths::Zenith { zenith, airmass } => {
                let mut widths = all(zenith)?;
                for (width, airmass) in widths.iter_mut().flatten().zip(all(airmass)?.into_iter().flatten()) {
                    *width = width.clone().and_then(|width| airmass.map(|airmass| width * airmass.powf(0.6)));
                }
                widths
            }
        };
        let inputs = self.of_input.as_ref().map(all).transpose()?.unwrap_or_default();
        let images = match &self.image_psf {
            Some(psf) => Some(Images::of(batch, &psf.column)?),
            None => None,
        };
        Ok(PsfRows { widths, inputs, images })
    }

    /// The kernel of a row and band, or why there is none.
    pub(super) fn of_row(&mut self, rows: &PsfRows, row: usize, band: usize) -> Result<Arc<Kernel>, String> {
        if let Some(fixed) = &self.fixed {
            return Ok(Arc::clone(&fixed[band]));
        }
        let width = rows.widths[row][band].clone()?;
        let input = rows.inputs.get(row).map_or(Ok(0.0), |inputs| inputs[band].clone())?;
        if width < input {
            return Err(sharper(&self.bands[band], width, input));
        }
        if let (Some(images), Some(psf)) = (&rows.images, &self.image_psf) {
            let plane = psf.layout.plane();
            let of_band = if psf.layout.bands.len() == 1 { 0 } else { band };
            let pixels = images.rows().nth(row).unwrap_or_default();
            let pixels = &pixels[of_band * plane..(of_band + 1) * plane];
            return self.against_image(pixels, psf.layout.width, width, band).map(Arc::new);
        }
        let key = [width.to_bits(), input.to_bits(), band as u64];
        if let Some(at) = self.recent.iter().position(|(known, _)| *known == key) {
            self.recent[..=at].rotate_right(1);
            return Ok(Arc::clone(&self.recent[0].1));
        }
        let kernel = Arc::new(self.kernel(width, input, band));
        self.recent.truncate(RECENT - 1);
        self.recent.insert(0, (key, Arc::clone(&kernel)));
        Ok(kernel)
    }

    /// The kernel for a PSF of a width, on images that have none or one of the width `input` already.
    fn kernel(&self, width: f64, input: f64, band: usize) -> Kernel {
        let outer = self.transfer(width, band);
        let inner = self.transfer_of_atmosphere(input);
        // An image without noise is a smooth thing sampled; one that was blurred before has all that its pixels show.
        let between = |k: f64| if input == 0.0 { psf::quintic(k / TAU) } else { 1.0 };
        let reach = (WINGS_ARCSEC / self.scale).ceil().min(MOST_REACH) as usize;
        let mut row = (f64::NAN, 0.0);
        self.blur.even_kernel(reach, |ky, kx| {
            if row.0 != ky {
                row = (ky, between(ky));
            }
            let k = ky.hypot(kx) / self.scale;
            // Where the input has nothing left, the output has less.
            let ratio = if input == 0.0 { outer(k) } else { outer(k) / inner(k).max(1e-30) };
            row.1 * between(kx) * ratio
        })
    }

    fn transfer_of_atmosphere(&self, width: f64) -> impl Fn(f64) -> f64 + use<> {
        let psf = self.psf;
        move |k| match psf {
            _ if width == 0.0 => 1.0,
            Psf::Gaussian => psf::gaussian(k, width),
            _ => psf::kolmogorov(k, width),
        }
    }

    fn transfer(&self, width: f64, band: usize) -> impl Fn(f64) -> f64 + use<> {
        let atmosphere = self.transfer_of_atmosphere(width);
        let wavelength = self.survey.bands[&self.bands[band]].wavelength_angstrom;
        let (mirror, obscuration) = (self.survey.mirror_diameter_m, self.survey.obscuration);
        let with_airy = self.psf == Psf::KolmogorovAiry;
        move |k| atmosphere(k) * if with_airy { psf::airy(k, wavelength, mirror, obscuration) } else { 1.0 }
    }

    /// The ratio of transforms when the input's PSF is an image: what is below 1 % in it is not amplified.
    fn against_image(&self, pixels: &[f32], side: usize, width: f64, band: usize) -> Result<Kernel, String> {
        let inner = psf::ImageTransform::new(pixels, side)?;
        let outer = self.transfer(width, band);
        let (ny, nx) = self.blur.grid();
        let known = inner.on_grid(ny, nx);
        let mut sharper = false;
        let kernel = self.blur.kernel_of_index(|y, x, ky, kx| {
            let wanted = outer(ky.hypot(kx) / self.scale);
            let (re, im) = known[y * nx + x];
            let power = re * re + im * im;
            let amplitude = power.sqrt();
            sharper |= wanted > 1.02 * amplitude && wanted > 0.05;
            // wanted / known, but never more than 1 in size.
            let gain = if wanted < amplitude { wanted / power } else { 1.0 / amplitude.max(1e-30) };
            if amplitude < 1e-6 { (0.0, 0.0) } else { (re * gain, -im * gain) }
        });
        if sharper {
            return Err(format!(
                "the input's PSF in band `{}` is wider than the one to observe with",
                self.bands[band]
            ));
        }
        Ok(kernel)
    }

    pub(super) fn blur(&self) -> &Blur {
        &self.blur
    }
}

fn sharper(band: &str, width: f64, input: f64) -> String {
    format!("the input's PSF in band `{band}` has a FWHM of {input:.4}\", wider than the {width:.4}\" to observe with")
}

/// The numbers that the PSFs of a batch depend on: `[row][band]`.
#[derive(Default)]
pub(super) struct PsfRows<'a> {
    widths: Vec<Vec<Result<f64, String>>>,
    inputs: Vec<Vec<Result<f64, String>>>,
    images: Option<Images<'a>>,
}

/// The hidden step.
#[derive(Clone)]
pub(super) struct Through {
    pub(super) optics: Optics,
    /// The label of the `observe` that asked first: rejects are told under it.
    pub(super) asked_by: String,
    pub(super) bound: Option<(ImageLayout, Kernels)>,
    pub(super) scratch: Option<Scratch>,
}

impl Transform for Through {
    fn required_columns(&self) -> Vec<ColumnRef> {
        self.optics.required_columns()
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        let layout = super::image_to_observe(input, &self.optics.image, &self.optics.survey)?;
        let kernels = self.optics.bind(input, &layout)?;
        let field = layout.field(&self.optics.label());
        self.bound = Some((layout, kernels));
        Ok(vec![field])
    }

    fn start(&mut self, _run: &RunContext) -> Result<()> {
        let (_, kernels) = self.bound.as_mut().ok_or_else(super::unbound)?;
        kernels.start()?;
        self.scratch = Some(kernels.blur().scratch());
        Ok(())
    }

    fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let (layout, kernels) = self.bound.as_mut().ok_or_else(super::unbound)?;
        let scratch = self.scratch.as_mut().ok_or_else(super::unbound)?;
        let images = Images::of(&batch, &self.optics.image)?;
        let (pixels, plane) = (layout.pixels(), layout.plane());
        let mut blurred = vec![0.0; images.pixels.len()];
        let mut bad = Vec::new();
        {
            let psfs = kernels.read(&batch)?;
            for (row, (image, out)) in images.rows().zip(blurred.chunks_exact_mut(pixels)).enumerate() {
                let planes = image.chunks_exact(plane).zip(out.chunks_exact_mut(plane)).enumerate();
                let mut blur = planes.map(|(band, (image, out))| {
                    super::finite(image, &layout.bands[band])?;
                    let kernel = kernels.of_row(&psfs, row, band)?;
                    kernels.blur().apply(&kernel, image, out, scratch);
                    Ok(())
                });
                if let Err(reason) = blur.try_for_each(|done: Result<(), String>| done) {
                    bad.push((row, reason));
                }
            }
        }
        let label = self.optics.label();
        let column = (layout.field(&label), list_column(blurred, pixels)?);
        rejects.take(with_columns(&batch, [column])?, &self.asked_by, &bad)
    }

    fn fork(&self) -> Box<dyn Transform> {
        Box::new(self.clone())
    }
}
