//! `observe`: an image as a survey would see it: exposure, PSF, sky and noise.
//!
//! An image holds the flux f of each pixel in nJy (m_AB = 31.4 - 2.5 log10 f). It is convolved with the PSF: a Kolmogorov profile of
//! FWHM `zenith X^0.6` at airmass X, and the obscured Airy pattern of the mirror (the pixel is in the image already). In t seconds with
//! a zero point zp, electrons per second at magnitude 24 and at the survey's own airmass X0,
//!
//! ```text
//! electrons = t zp f 10^-2.96 10^(-0.4 k (X - X0))            k: extinction, magnitudes per airmass
//! sky       = t zp 10^(-0.4 (sky mag - 24)) pixel^2           per pixel
//! output    = Poisson(max(electrons + sky, 0)) - sky
//! ```
//!
//! Each term can be set, read from a column, or switched off. A separate hidden step does the convolution, so that exposures of one
//! image with one PSF share it.

mod blur_step;
mod exposures;
mod input_noise;
mod kernels;
mod optics;
mod settings;

use std::{path::PathBuf, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema},
};

pub use self::settings::{InputPsf, InputVariance, Observe, Psf, Switch};
use self::{blur_step::BlurStep, exposures::Exposures, input_noise::InputNoise, kernels::PsfKernels, optics::Optics};
use super::{
    diagnostics::{band_not_in_survey, image_layout, not_bound, wrong_unit},
    finite::check_finite,
};
use crate::{
    batch::{ImageLayout, Images, Unit, list_column, object_id, with_columns},
    error::{Diagnostic, Result},
    random::Stream,
    stage::{ColumnRef, Rejects, RunContext, Transform},
    survey::{
        exposure::{Noise, expose},
        preset::Survey,
    },
};

/// Exposes the blurred image: photons, sky and noise.
#[derive(Clone)]
struct ObserveTransform {
    label: String,
    settings: Observe,
    survey: Arc<Survey>,
    bound: Option<ObserveBound>,
    seed: u64,
}

/// What is known once the input is.
#[derive(Clone)]
struct ObserveBound {
    input: ImageLayout,
    output: ImageLayout,
    exposures: Exposures,
    /// For the noise of the input, which the blur reduces.
    kernels: Option<PsfKernels>,
}

impl ObserveTransform {
    fn new(label: &str, settings: Observe, survey: Survey) -> Self {
        Self { label: label.to_owned(), settings, survey: Arc::new(survey), bound: None, seed: 0 }
    }

    /// How the image is blurred; `None` with `psf: off`.
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

    /// The column that it exposes: that of the hidden step, if there is one.
    fn exposed_column(&self) -> String {
        self.optics().map_or_else(|| self.settings.image.clone(), |optics| optics.label())
    }
}

impl Transform for ObserveTransform {
    fn input_files(&self) -> Vec<PathBuf> {
        Survey::file(&self.settings.survey).map(PathBuf::from).into_iter().collect()
    }

    fn required_columns(&self) -> Vec<ColumnRef> {
        let mut columns = vec![ColumnRef::new("image", self.exposed_column())];
        columns.extend(self.settings.required_columns());
        if self.settings.input_variance.is_some() {
            columns.extend(self.optics().iter().flat_map(Optics::required_columns));
        }
        columns
    }

    fn prerequisites(&self) -> Vec<(String, Box<dyn Transform>)> {
        let step = self.optics().map(|optics| {
            let label = optics.label();
            let step: Box<dyn Transform> = Box::new(BlurStep::new(optics, &self.label));
            (label, step)
        });
        step.into_iter().collect()
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        let layout = observable_layout(input, &self.exposed_column(), &self.survey)?;
        let exposures = Exposures::bind(&self.settings, &self.survey, input, &layout)?;
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
        self.bound = Some(ObserveBound { input: layout, output, exposures, kernels });
        Ok(vec![field])
    }

    fn start(&mut self, run: &RunContext) -> Result<()> {
        self.seed = run.seed;
        let bound = self.bound.as_mut().ok_or_else(|| not_bound(&self.label))?;
        bound.kernels.as_mut().map_or(Ok(()), PsfKernels::start)
    }

    fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let column = self.exposed_column();
        let ObserveBound { input, output, exposures, kernels } =
            self.bound.as_mut().ok_or_else(|| not_bound(&self.label))?;
        let images = Images::of(&batch, &column)?;
        let (pixels, plane) = (input.pixels(), input.plane());
        let exposures_of_rows = exposures.read(&batch)?;
        let mut input_noise = InputNoise::read(&exposures.variance, &batch, kernels)?;
        let mut electrons = vec![0.0; images.pixels.len()];
        let mut bad = Vec::new();
        for (row, (image, out)) in images.rows().zip(electrons.chunks_exact_mut(pixels)).enumerate() {
            let id = object_id(&batch, row)?;
            let photons = Stream::new(self.seed, id, &self.label);
            let readout = Stream::new(self.seed, id, &format!("{}/readout", self.label));
            let mut sky_error = Stream::new(self.seed, id, &format!("{}/sky", self.label));
            let planes = image.chunks_exact(plane).zip(out.chunks_exact_mut(plane)).enumerate();
            let mut exposed = planes.map(|(band, (image, out))| {
                if self.settings.psf == Psf::Off {
                    // The hidden step has checked the pixels otherwise.
                    check_finite(image, &input.bands[band])?;
                }
                let exposure = exposures_of_rows.get(row, band, &mut sky_error)?;
                let noise = Noise { photons: &photons, readout: &readout, plane: band as u64 };
                let noise = (self.settings.noise == Switch::On).then_some(noise);
                let variance = input_noise.variance(row, band, plane)?;
                expose(&exposure, noise, variance, image, out);
                if self.settings.calibrated == Switch::On {
                    let njy_per_electron = (1.0 / exposure.electrons_per_njy) as f32;
                    out.iter_mut().for_each(|electrons| *electrons *= njy_per_electron);
                }
                Ok(())
            });
            if let Err(reason) = exposed.try_for_each(|done: Result<(), String>| done) {
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

/// The layout of an image that can be observed: in nJy, with bands that the survey has.
fn observable_layout(input: &Schema, image: &str, survey: &Survey) -> Result<ImageLayout, Vec<Diagnostic>> {
    let layout = image_layout(input, "image", image).map_err(|mistake| vec![mistake])?;
    if layout.unit != Unit::NanoJansky {
        let mistake = wrong_unit(image, &layout, "`nJy`");
        return Err(vec![mistake.help("give the source a `zero_point`, or observe the image before other steps")]);
    }
    let unknown = layout.bands.iter().filter(|band| !survey.bands.contains_key(*band));
    let mistakes: Vec<Diagnostic> = unknown.map(|band| band_not_in_survey(survey, band)).collect();
    if mistakes.is_empty() { Ok(layout) } else { Err(mistakes) }
}
