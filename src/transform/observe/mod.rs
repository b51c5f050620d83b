//! What a survey would see of an image: exposure, PSF, sky and noise.
//!
//! An image holds the flux f of each pixel in nJy (m_AB = 31.4 - 2.5 log10 f). It is convolved with the PSF, a Kolmogorov
//! profile of FWHM `zenith X^0.6` at airmass X and an obscured Airy pattern of the mirror (the pixel is in the image
//! already). In t seconds with a zero point zp, electrons per second at magnitude 24 and at the survey's own airmass X0,
//!
//! ```text
//! electrons = t zp f 10^-2.96 10^(-0.4 k (X - X0))            k: extinction, magnitudes per airmass
//! sky       = t zp 10^(-0.4 (sky mag - 24)) pixel^2           per pixel
//! output    = Poisson(max(electrons + sky, 0)) - sky
//! ```
//!
//! Each part can be set, taken from a column, or switched off.

mod optics;
mod settings;

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema},
};
pub use settings::{InputPsf, InputVariance, Observe, Psf, Switch};

use self::{
    optics::{Kernels, Optics, PsfRows, Through},
    settings::{Exposures, Variance},
};
use crate::{
    batch::{ImageLayout, Images, Unit, list_column, object_id, with_columns},
    error::{Code, Diagnostic, Error, Result},
    random::Stream,
    stage::{ColumnRef, Rejects, RunContext, Transform},
    survey::{
        exposure::{Exposure, Noise, expose},
        preset::Survey,
    },
    transform::quantity::Numbers,
};

/// The stage: the noise and the electrons; the blur is a hidden step before it.
#[derive(Clone)]
struct Observing {
    label: String,
    settings: Observe,
    survey: Arc<Survey>,
    bound: Option<Bound>,
    seed: u64,
}

#[derive(Clone)]
struct Bound {
    input: ImageLayout,
    output: ImageLayout,
    exposures: Exposures,
    /// For the noise of the input, which the blur makes smaller.
    kernels: Option<Kernels>,
}

impl Observing {
    fn new(label: &str, settings: Observe, survey: Survey) -> Self {
        Self { label: label.to_owned(), settings, survey: Arc::new(survey), bound: None, seed: 0 }
    }

    fn optics(&self) -> Option<Optics> {
        let settings = &self.settings;
        (settings.psf != Psf::Off).then(|| Optics {
            image: settings.image.clone(),
            survey: Survey::clone(&self.survey),
            psf: settings.psf,
            airmass: settings.airmass.clone(),
            zenith_fwhm_arcsec: settings.zenith_fwhm_arcsec.clone(),
            fwhm_arcsec: settings.fwhm_arcsec.clone(),
            input_psf: settings.input_psf.clone(),
        })
    }

    /// The column that it exposes.
    fn image(&self) -> String {
        self.optics().map_or_else(|| self.settings.image.clone(), |optics| optics.label())
    }
}

impl Transform for Observing {
    fn required_columns(&self) -> Vec<ColumnRef> {
        let mut needs = vec![ColumnRef::new("image", self.image())];
        needs.extend(self.settings.required_columns());
        if self.settings.input_variance.is_some() {
            needs.extend(self.optics().iter().flat_map(Optics::required_columns));
        }
        needs
    }

    fn prerequisites(&self) -> Vec<(String, Box<dyn Transform>)> {
        let step = self.optics().map(|optics| {
            let label = optics.label();
            let step = Through { optics, asked_by: self.label.clone(), bound: None, scratch: None };
            (label, Box::new(step) as Box<dyn Transform>)
        });
        step.into_iter().collect()
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        let layout = image_to_observe(input, &self.image(), &self.survey)?;
        let exposures = self.settings.bind(&self.survey, input, &layout)?;
        let kernels = match (&self.settings.input_variance, self.optics()) {
            (Some(_), Some(optics)) => Some(optics.bind(input, &layout)?),
            _ => None,
        };
        let (unit, electrons_per_njy) = match self.settings.calibrated {
            Switch::On => (Unit::NanoJansky, None),
            Switch::Off => (Unit::Electron, exposures.constant_gain()),
        };
        let output = ImageLayout { unit, stretch: None, electrons_per_njy, ..layout.clone() };
        let field = output.field(&self.label);
        self.bound = Some(Bound { input: layout, output, exposures, kernels });
        Ok(vec![field])
    }

    fn start(&mut self, run: &RunContext) -> Result<()> {
        self.seed = run.seed;
        let bound = self.bound.as_mut().ok_or_else(unbound)?;
        bound.kernels.as_mut().map_or(Ok(()), Kernels::start)
    }

    fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let column = self.image();
        let Bound { input, output, exposures, kernels } = self.bound.as_mut().ok_or_else(unbound)?;
        let images = Images::of(&batch, &column)?;
        let (pixels, plane) = (input.pixels(), input.plane());
        let numbers = exposures.read(&batch)?;
        let mut known = KnownNoise::read(&exposures.variance, &batch, kernels)?;
        let mut electrons = vec![0.0; images.pixels.len()];
        let mut bad = Vec::new();
        for (row, (image, out)) in images.rows().zip(electrons.chunks_exact_mut(pixels)).enumerate() {
            let id = object_id(&batch, row)?;
            let photons = Stream::new(self.seed, id, &self.label);
            let readout = Stream::new(self.seed, id, &format!("{}/readout", self.label));
            let mut sky_error = Stream::new(self.seed, id, &format!("{}/sky", self.label));
            let planes = image.chunks_exact(plane).zip(out.chunks_exact_mut(plane)).enumerate();
            let mut each = planes.map(|(band, (image, out))| {
                if self.settings.psf == Psf::Off {
                    finite(image, &input.bands[band])?;
                }
                let exposure: Exposure = numbers.get(row, band, &mut sky_error)?;
                let noise = Noise { photons: &photons, readout: &readout, plane: band as u64 };
                let noise = (self.settings.noise == Switch::On).then_some(noise);
                let variance = known.of(row, band, plane)?;
                expose(&exposure, noise, variance, image, out);
                if self.settings.calibrated == Switch::On {
                    let njy_per_electron = (1.0 / exposure.electrons_per_njy) as f32;
                    out.iter_mut().for_each(|electrons| *electrons *= njy_per_electron);
                }
                Ok(())
            });
            if let Err(reason) = each.try_for_each(|done: Result<(), String>| done) {
                bad.push((row, reason));
            }
        }
        let column = (output.field(&self.label), list_column(electrons, pixels)?);
        let batch = with_columns(&batch, [column])?;
        rejects.take(batch, &self.label, &bad)
    }

    fn fork(&self) -> Box<dyn Transform> {
        Box::new(self.clone())
    }
}

/// The variance of the noise that the images of a batch bring, after the blur.
struct KnownNoise<'a> {
    variance: BatchVariance<'a>,
    kernels: Option<(&'a mut Kernels, PsfRows<'a>)>,
    plane: Vec<f32>,
}

enum BatchVariance<'a> {
    None,
    Numbers(Numbers<'a>),
    Images(Images<'a>),
}

impl<'a> KnownNoise<'a> {
    fn read(variance: &'a Variance, batch: &'a RecordBatch, kernels: &'a mut Option<Kernels>) -> Result<Self> {
        let variance = match variance {
            Variance::None => BatchVariance::None,
            Variance::Number(number) => BatchVariance::Numbers(number.read(batch)?),
            Variance::Column(column) => BatchVariance::Images(Images::of(batch, column)?),
        };
        let kernels = match kernels {
            Some(kernels) => {
                let rows = kernels.read(batch)?;
                Some((kernels, rows))
            }
            None => None,
        };
        Ok(Self { variance, kernels, plane: Vec::new() })
    }

    /// The variances of a plane, nJy^2; none when the image has no noise.
    fn of(&mut self, row: usize, band: usize, plane: usize) -> Result<&[f32], String> {
        let factor = match &mut self.kernels {
            Some((kernels, rows)) => kernels.of_row(rows, row, band)?.white_noise_factor(),
            None => 1.0,
        };
        self.plane.clear();
        match &self.variance {
            BatchVariance::None => {}
            BatchVariance::Numbers(numbers) => {
                self.plane.resize(plane, (numbers.get(row, band)? * factor) as f32);
            }
            BatchVariance::Images(images) => {
                let start = row * images.layout.pixels() + band * plane;
                let variances = &images.pixels[start..start + plane];
                if !variances.iter().all(|variance| variance.is_finite() && *variance >= 0.0) {
                    let name = &images.layout.bands[band];
                    return Err(format!("the input's variance in band `{name}` is negative or not finite somewhere"));
                }
                self.plane.extend(variances.iter().map(|variance| variance * factor as f32));
            }
        }
        Ok(&self.plane)
    }
}

/// The layout of an image that can be observed: in nJy, bands that the survey has.
fn image_to_observe(input: &Schema, image: &str, survey: &Survey) -> Result<ImageLayout, Vec<Diagnostic>> {
    let wrong = |message: String| Diagnostic::at("image", Code::WrongColumn, message);
    let layout = super::image(input, "image", image).map_err(|mistake| vec![mistake])?;
    if layout.unit != Unit::NanoJansky {
        let message = format!("image `{image}` is in unit `{}`; expected `nJy`", layout.unit.name());
        return Err(vec![
            wrong(message).help("give the source a `zero_point`, or observe the image before other steps"),
        ]);
    }
    let known = survey.bands.keys().map(String::as_str).collect::<Vec<_>>().join("`, `");
    let missing: Vec<Diagnostic> = layout
        .bands
        .iter()
        .filter(|band| !survey.bands.contains_key(*band))
        .map(|band| {
            let message = format!("the survey has no band `{band}`, which the image has; it has `{known}`");
            Diagnostic::at("survey", Code::OutOfRange, message)
        })
        .collect();
    if missing.is_empty() { Ok(layout) } else { Err(missing) }
}

/// Refuses planes with pixels that are no numbers.
fn finite(plane: &[f32], band: &str) -> Result<(), String> {
    // Infinity and NaN have the largest bits; a maximum is vectorised, a search is not.
    if plane.iter().map(|pixel| pixel.to_bits() & 0x7FFF_FFFF).max() < Some(f32::INFINITY.to_bits()) {
        return Ok(());
    }
    let bad = plane.iter().filter(|pixel| !pixel.is_finite()).count();
    Err(format!("band `{band}` has {bad} pixels that are not finite; expected none"))
}

fn unbound() -> Error {
    Error::bug("`observe` was used before it was bound and started".to_owned())
}
