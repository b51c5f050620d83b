//! Sessions of ONNX Runtime for one model, shared by the workers.

use std::path::Path;

use crossbeam_channel::{Receiver, Sender};
use ort::{
    session::Session,
    value::{Outlet, TensorElementType, TensorRef, ValueType},
};

use super::{
    provider::Provider,
    runtime::Runtime,
    signature::{ModelSignature, VectorOutput},
};
use crate::{
    error::{Error, Result},
    stage::ModelOutputs,
};

/// Sessions of one model. A session serves one caller at a time.
pub(crate) struct SessionPool {
    signature: ModelSignature,
    release: Sender<Session>,
    idle: Receiver<Session>,
    /// The number of sessions.
    pub(crate) sessions: usize,
    /// The only batch size that the graph accepts, if its first dimension is fixed.
    pub(crate) fixed_batch: Option<usize>,
    /// What the sessions run on.
    pub(crate) provider: &'static Provider,
    /// Why this provider was chosen, for the run record.
    pub(crate) why: String,
}

impl SessionPool {
    /// Loads a model for a number of workers, on the first of some providers that can be used.
    pub(crate) fn load(
        runtime: &Runtime,
        model: &Path,
        signature: &ModelSignature,
        providers: &[&'static Provider],
        workers: usize,
    ) -> Result<Self> {
        let OpenedSession { session, provider, why } = open_first(runtime, model, providers)?;
        let fixed_batch = verify(&session, signature).map_err(|reason| {
            Error::data(format!("the model `{}` does not match its card: {reason}", model.display()))
        })?;
        let sessions = (provider.sessions)(workers);
        let (release, idle) = crossbeam_channel::bounded(sessions);
        let mut all = vec![session];
        for _ in 1..sessions {
            all.push(provider.open(runtime, model)?);
        }
        for session in all {
            release.send(session).map_err(|_| closed())?;
        }
        Ok(Self { signature: signature.clone(), release, idle, sessions, fixed_batch, provider, why })
    }

    /// Runs one batch of images `[n, band, y, x]` and appends its outputs. Blocks while all sessions are busy.
    pub(super) fn run(&self, images: &[f32], outputs: &mut ModelOutputs) -> Result<()> {
        let mut session = self.idle.recv().map_err(|_| closed())?;
        let done = self.run_on(&mut session, images, outputs);
        self.release.send(session).map_err(|_| closed())?;
        done
    }

    fn run_on(&self, session: &mut Session, images: &[f32], outputs: &mut ModelOutputs) -> Result<()> {
        let ModelSignature { input, bands, size, logits, latent } = &self.signature;
        let rows = images.len() / self.image_length();
        let images = TensorRef::from_array_view(([rows, *bands, *size, *size], images)).map_err(failed)?;
        let tensors = session.run(ort::inputs![input.as_str() => images]).map_err(failed)?;
        let tensor = |VectorOutput { name, length }: &VectorOutput| {
            let missing = || Error::bug(format!("the model returned no output `{name}`"));
            let (shape, values) = tensors.get(name).ok_or_else(missing)?.try_extract_tensor::<f32>().map_err(failed)?;
            let expected = [rows, *length].map(dimension);
            let wrong = || format!("output `{name}` of the model has shape {shape}, its card declares {expected:?}");
            if shape[..] == expected { Ok(values) } else { Err(Error::data(wrong())) }
        };
        let logits = tensor(logits)?;
        let latents = latent.as_ref().map_or(Ok(&[][..]), tensor)?;
        outputs.logits.extend_from_slice(logits);
        outputs.latents.extend_from_slice(latents);
        Ok(())
    }

    /// Numbers of one image.
    pub(crate) const fn image_length(&self) -> usize {
        self.signature.image_length()
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the signature that `map_err` takes")]
pub(super) fn failed(error: ort::Error) -> Error {
    Error::environment("ONNX Runtime failed").caused_by(error.message().to_owned())
}

fn closed() -> Error {
    Error::bug("the pool of sessions is closed")
}

/// A session, what it runs on, and why.
struct OpenedSession {
    session: Session,
    provider: &'static Provider,
    why: String,
}

/// Opens a model on the first provider that can be used. The error is that of the last one.
fn open_first(runtime: &Runtime, model: &Path, providers: &[&'static Provider]) -> Result<OpenedSession> {
    let mut passed_over = Vec::new();
    let mut failure = Error::bug("no execution provider was given");
    for &provider in providers {
        match provider.open(runtime, model) {
            Ok(session) => {
                let why = match passed_over.as_slice() {
                    [] if providers.len() == 1 => "requested".to_owned(),
                    [] => format!("auto: device `{}` can be used", provider.name),
                    reasons => format!("auto: {}", reasons.join("; ")),
                };
                return Ok(OpenedSession { session, provider, why });
            }
            Err(error) => {
                passed_over.push(error.report());
                failure = error;
            }
        }
    }
    Err(failure)
}

/// Compares the graph with the signature. Returns the batch size that the graph is fixed to, if it is.
fn verify(session: &Session, signature: &ModelSignature) -> Result<Option<usize>, String> {
    let ModelSignature { input, bands, size, logits, latent } = signature;
    let shape_of = |outlets: &[Outlet], name: &str| match outlets.iter().find(|outlet| outlet.name() == name) {
        Some(outlet) => match outlet.dtype() {
            ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => Ok(shape.to_vec()),
            other => Err(format!("`{name}` is {other}, expected a float32 tensor")),
        },
        None => Err(format!("the graph has no `{name}`")),
    };
    if session.inputs().len() != 1 {
        return Err(format!("the graph has {} inputs, expected 1", session.inputs().len()));
    }
    let shape = shape_of(session.inputs(), input)?;
    let expected = [*bands, *size, *size].map(dimension);
    let agrees = shape.len() == 4 && shape[1..].iter().zip(expected).all(|(&found, n)| found < 0 || found == n);
    if !agrees {
        return Err(format!("input `{input}` has shape {shape:?}, the card declares {expected:?} after the batch"));
    }
    for output in std::iter::once(logits).chain(latent) {
        shape_of(session.outputs(), &output.name)?;
    }
    Ok(usize::try_from(shape[0]).ok().filter(|&n| n > 0))
}

/// A dimension in the type that ONNX Runtime uses.
fn dimension(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
