//! A model loaded into ONNX Runtime, and the sessions that workers share.

use std::path::Path;

use crossbeam_channel::{Receiver, Sender};
use ort::{
    ep::{self, ExecutionProvider},
    session::Session,
    value::{Outlet, TensorElementType, TensorRef, ValueType},
};

use super::{Device, library::Runtime};
use crate::{
    card::Card,
    error::{Error, Result},
    stage::ModelOutputs,
};

/// The device that sessions run on, and why this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) device: Device,
    pub(super) why: String,
}

/// Sessions of one model. A session serves one caller at a time, so there is one for every worker.
pub(super) struct Pool {
    card: Card,
    back: Sender<Session>,
    idle: Receiver<Session>,
    /// How many there are.
    pub(super) sessions: usize,
    /// The only batch size that the graph takes, if it is not open.
    pub(super) fixed_batch: Option<usize>,
    /// What they run on.
    pub(super) taken: Taken,
}

impl Pool {
    /// Loads a model for so many workers. On a CPU every worker has a session with one thread; a GPU has one session.
    pub(super) fn load(runtime: &Runtime, model: &Path, card: &Card, device: Device, workers: usize) -> Result<Self> {
        let (first, taken) = open(runtime, model, device)?;
        let fixed_batch = verify(&first, card, model)?;
        let sessions = if taken.device == Device::Cuda { 1 } else { workers.max(1) };
        let (back, idle) = crossbeam_channel::bounded(sessions);
        let mut all = vec![first];
        for _ in 1..sessions {
            all.push(on_cpu(runtime, model)?);
        }
        for session in all {
            back.send(session).map_err(|_| Error::bug("the pool of sessions is closed"))?;
        }
        Ok(Self { card: card.clone(), back, idle, sessions, fixed_batch, taken })
    }

    /// Runs one batch: pixels `[n, band, y, x]`. Waits for a session when all are busy.
    pub(super) fn run(&self, pixels: &[f32], out: &mut ModelOutputs) -> Result<()> {
        let mut session = self.idle.recv().map_err(|_| Error::bug("the pool of sessions is closed"))?;
        let done = self.run_on(&mut session, pixels, out);
        self.back.send(session).map_err(|_| Error::bug("the pool of sessions is closed"))?;
        done
    }

    fn run_on(&self, session: &mut Session, pixels: &[f32], out: &mut ModelOutputs) -> Result<()> {
        let Card { bands, size, classes, .. } = &self.card;
        let rows = pixels.len() / self.pixels();
        let input = TensorRef::from_array_view(([rows, bands.len(), *size, *size], pixels)).map_err(failed)?;
        let outputs = session.run(ort::inputs![self.card.input.as_str() => input]).map_err(failed)?;
        let tensor = |name: &str, length: usize| {
            let value = outputs.get(name).ok_or_else(|| Error::bug(format!("the model gave no output `{name}`")))?;
            let (shape, values) = value.try_extract_tensor::<f32>().map_err(failed)?;
            let expected = [rows, length].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
            let wrong = || format!("the model's output `{name}` has the shape {shape}, its card says {expected:?}");
            if shape[..] == expected { Ok(values) } else { Err(Error::data(wrong())) }
        };
        let logits = tensor(&self.card.logits, classes.len())?;
        let latents = match (&self.card.latent, self.card.latent_size) {
            (Some(name), Some(length)) => tensor(name, length)?,
            _ => &[],
        };
        out.logits.extend_from_slice(logits);
        out.latents.extend_from_slice(latents);
        Ok(())
    }

    /// Numbers of one image.
    pub(super) fn pixels(&self) -> usize {
        self.card.bands.len() * self.card.size * self.card.size
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
pub(super) fn failed(error: ort::Error) -> Error {
    Error::environment(format!("ONNX Runtime: {}", error.message()))
}

fn open(runtime: &Runtime, model: &Path, device: Device) -> Result<(Session, Taken)> {
    let cpu = |why: String| Ok((on_cpu(runtime, model)?, Taken { device: Device::Cpu, why }));
    match device {
        Device::Cpu => cpu("asked for".into()),
        Device::Cuda => {
            let session = on_cuda(runtime, model).map_err(|error| {
                Error::environment(format!("`device: cuda` was asked for, and there is none to use: {}", error.trim()))
            })?;
            Ok((session, Taken { device, why: "asked for".into() }))
        }
        Device::Auto => match on_cuda(runtime, model) {
            Ok(session) => Ok((session, Taken { device: Device::Cuda, why: "auto: there is one".into() })),
            Err(error) => cpu(format!("auto: no CUDA, {}", error.trim())),
        },
    }
}

fn on_cpu(runtime: &Runtime, model: &Path) -> Result<Session> {
    let make = || Session::builder(&runtime.environment)?.with_intra_threads(1)?.commit_from_file(model);
    make().map_err(|error| Error::data(format!("cannot load the model `{}`: {}", model.display(), error.message())))
}

/// A session on the GPU, and there alone: the runtime would otherwise put what it likes on the CPU without a word.
fn on_cuda(runtime: &Runtime, model: &Path) -> Result<Session, String> {
    if !ep::CUDA::is_available().unwrap_or(false) {
        return Err(format!("the ONNX Runtime at `{}` is built without CUDA", runtime.path.display()));
    }
    // TF32 would round the inputs of every product to 10 bits.
    let cuda = ep::CUDA::default().with_tf32(false).build().error_on_failure();
    let make = || {
        let builder = Session::builder(&runtime.environment)?.with_execution_providers([cuda])?;
        builder.with_disable_cpu_fallback()?.commit_from_file(model)
    };
    make().map_err(|error: ort::Error| error.message().to_owned())
}

/// The batch size that the graph insists on, if it does; an error when the graph is not what the card says.
fn verify(session: &Session, card: &Card, model: &Path) -> Result<Option<usize>> {
    let shape_of = |outlets: &[Outlet], name: &str| match outlets.iter().find(|outlet| outlet.name() == name) {
        Some(outlet) => match outlet.dtype() {
            ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => Ok(shape.to_vec()),
            other => Err(format!("`{name}` is {other}, not a float32 tensor")),
        },
        None => Err(format!("it has no `{name}`")),
    };
    let check = || -> Result<Option<usize>, String> {
        if session.inputs().len() != 1 {
            return Err(format!("it has {} inputs, one was expected", session.inputs().len()));
        }
        let shape = shape_of(session.inputs(), &card.input)?;
        let expected = [card.bands.len(), card.size, card.size].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        let fits = shape.len() == 4 && shape[1..].iter().zip(expected).all(|(&found, n)| found < 0 || found == n);
        if !fits {
            return Err(format!("the input `{}` has the shape {shape:?}, its card says {expected:?}", card.input));
        }
        for name in std::iter::once(&card.logits).chain(&card.latent) {
            shape_of(session.outputs(), name)?;
        }
        Ok(usize::try_from(shape[0]).ok().filter(|&n| n > 0))
    };
    check().map_err(|reason| Error::data(format!("the model `{}` does not fit its card: {reason}", model.display())))
}
