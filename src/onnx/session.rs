//! Sessions of ONNX Runtime for one model, shared by the workers.

use std::path::Path;

use crossbeam_channel::{Receiver, Sender};
use half::f16;
use ort::{
    session::Session,
    value::{Outlet, TensorElementType, TensorRef, ValueType},
};

use super::{
    placement::{NodePlacement, ProfileFolder, read_placement},
    probe::probe_image,
    provider::Provider,
    runtime::Runtime,
    signature::{ModelSignature, VectorOutput},
};
use crate::{
    error::{Error, Result},
    stage::ModelOutputs,
};

/// The most numbers of a batch whose run is profiled: 256 MiB.
const MAX_PROFILED: usize = 1 << 26;

/// What a session is created from.
#[derive(Clone, Copy)]
pub(crate) struct ModelSource<'a> {
    /// The file.
    pub(crate) path: &'a Path,
    /// Its bytes after it was adapted, if it had to be.
    pub(crate) adapted: Option<&'a [u8]>,
}

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
    /// How many nodes run on each provider, if they were counted.
    pub(crate) nodes: Option<NodePlacement>,
}

/// For whom a model is loaded.
#[derive(Clone, Copy)]
pub(crate) struct PoolUse {
    /// How many workers share it.
    pub(crate) workers: usize,
    /// Whether to count where its nodes run.
    pub(crate) count_nodes: bool,
}

impl SessionPool {
    /// Loads a model for a number of workers, on the first of some providers that can be used.
    pub(crate) fn load(
        runtime: &Runtime,
        model: &ModelSource,
        signature: &ModelSignature,
        providers: &[&'static Provider],
        PoolUse { workers, count_nodes }: PoolUse,
    ) -> Result<Self> {
        let opening = Opening { runtime, model, signature, count_nodes };
        let OpenedSession { session, provider, why, fixed_batch, nodes } = opening.first_of(providers)?;
        let sessions = (provider.sessions)(workers);
        let (release, idle) = crossbeam_channel::bounded(sessions);
        let mut all = vec![session];
        for _ in 1..sessions {
            all.push(provider.open(runtime, model.path, model.adapted, None)?);
        }
        for session in all {
            release.send(session).map_err(|_| closed())?;
        }
        Ok(Self { signature: signature.clone(), release, idle, sessions, fixed_batch, provider, why, nodes })
    }

    /// Runs one batch of rows and appends its outputs. Blocks while all sessions are busy.
    pub(super) fn run(&self, rows: &[f32], outputs: &mut ModelOutputs) -> Result<()> {
        let mut session = self.idle.recv().map_err(|_| closed())?;
        let done = run_on(&self.signature, &mut session, rows, outputs);
        self.release.send(session).map_err(|_| closed())?;
        done
    }

    /// Calls `trial` once for every session, with a function that runs batches on that session alone. The other sessions wait.
    pub(super) fn with_each_session(&self, mut trial: impl FnMut(&mut RunBatch) -> Result<()>) -> Result<()> {
        let mut all = Vec::with_capacity(self.sessions);
        for _ in 0..self.sessions {
            all.push(self.idle.recv().map_err(|_| closed())?);
        }
        let signature = &self.signature;
        let mut tried = |session: &mut Session| trial(&mut |rows, outputs| run_on(signature, session, rows, outputs));
        let outcome = all.iter_mut().try_for_each(&mut tried);
        for session in all {
            self.release.send(session).map_err(|_| closed())?;
        }
        outcome
    }

    /// Numbers of one row.
    pub(crate) const fn row_length(&self) -> usize {
        self.signature.row_length()
    }
}

/// Runs one batch of rows on a session and appends its outputs.
fn run_on(
    signature: &ModelSignature,
    session: &mut Session,
    numbers: &[f32],
    outputs: &mut ModelOutputs,
) -> Result<()> {
    let ModelSignature { input, is_half, logits, latent, probabilities, .. } = signature;
    let rows = numbers.len() / signature.row_length();
    let shape = signature.batch_shape(rows);
    let tensors = if *is_half {
        let halves: Vec<f16> = numbers.iter().map(|number| f16::from_f32(*number)).collect();
        let batch = TensorRef::from_array_view((shape, halves.as_slice())).map_err(failed)?;
        session.run(ort::inputs![input.as_str() => batch]).map_err(failed)?
    } else {
        let batch = TensorRef::from_array_view((shape, numbers)).map_err(failed)?;
        session.run(ort::inputs![input.as_str() => batch]).map_err(failed)?
    };
    let read = |vector: &Option<VectorOutput>, all: &mut Vec<f32>| {
        let Some(VectorOutput { name, of, length }) = vector else { return Ok(()) };
        let missing = || Error::bug(format!("the model returned no output `{of}`"));
        let tensor = tensors.get(name).ok_or_else(missing)?;
        let check = |shape: &[i64]| {
            let wrong = || format!("output `{of}` of the model has shape {shape:?}, expected [{rows}, {length}]");
            if is_vector(shape, rows, *length) { Ok(()) } else { Err(Error::data(wrong())) }
        };
        if let Ok((shape, values)) = tensor.try_extract_tensor::<f32>() {
            check(shape)?;
            all.extend_from_slice(values);
        } else {
            let (shape, values) = tensor.try_extract_tensor::<f16>().map_err(failed)?;
            check(shape)?;
            all.extend(values.iter().map(|value| value.to_f32()));
        }
        Ok(())
    };
    read(latent, &mut outputs.latents)?;
    let Some(kind) = signature.of_probabilities else {
        read(logits, &mut outputs.logits)?;
        return read(probabilities, &mut outputs.probabilities);
    };
    let before = outputs.probabilities.len();
    read(logits, &mut outputs.probabilities)?;
    outputs.logits.extend(kind.logits(&outputs.probabilities[before..]));
    Ok(())
}

/// Runs a batch of rows and appends its outputs.
pub(super) type RunBatch<'a> = dyn FnMut(&[f32], &mut ModelOutputs) -> Result<()> + 'a;

/// Whether a shape is that of `rows` vectors: `[N, length]`, also with axes of length 1 as in `[N, length, 1, 1]` and `[N]`, or
/// without axes for one number, as `squeeze()` of PyTorch leaves it.
fn is_vector(shape: &[i64], rows: usize, length: usize) -> bool {
    let Some((&first, rest)) = shape.split_first() else { return (rows, length) == (1, 1) };
    let long: Vec<i64> = rest.iter().copied().filter(|&n| n != 1).collect();
    let fits = match long.as_slice() {
        [] => length == 1,
        [one] => *one == dimension(length),
        _ => false,
    };
    first == dimension(rows) && fits
}

#[allow(clippy::needless_pass_by_value, reason = "the signature that `map_err` takes")]
pub(super) fn failed(error: ort::Error) -> Error {
    Error::environment("ONNX Runtime failed").caused_by(reason(&error))
}

/// The message of ONNX Runtime, without the paths of its own sources.
pub(super) fn reason(error: &ort::Error) -> String {
    let own = |word: &str| word.split("/onnxruntime_src/").next().unwrap_or_default().to_owned();
    let words = error.message().split(' ').map(own).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

fn closed() -> Error {
    Error::bug("the pool of sessions is closed")
}

/// A session, what it runs on, and why.
struct OpenedSession {
    session: Session,
    provider: &'static Provider,
    why: String,
    fixed_batch: Option<usize>,
    nodes: Option<NodePlacement>,
}

/// A model to be opened.
struct Opening<'a> {
    runtime: &'a Runtime,
    model: &'a ModelSource<'a>,
    signature: &'a ModelSignature,
    count_nodes: bool,
}

impl Opening<'_> {
    /// Opens the model on the first provider that can be used. The error is that of the last one.
    fn first_of(&self, providers: &[&'static Provider]) -> Result<OpenedSession> {
        let mut passed_over = Vec::new();
        let mut failure = Error::bug("no execution provider was given");
        for &provider in providers {
            match self.on(provider) {
                Ok(opened) => {
                    let why = match passed_over.as_slice() {
                        [] if providers.len() == 1 => "requested".to_owned(),
                        [] => format!("auto: device `{}` can be used", provider.name),
                        reasons => format!("auto: {}", reasons.join("; ")),
                    };
                    return Ok(OpenedSession { why, ..opened });
                }
                Err(error) => {
                    passed_over.push(error.report());
                    failure = error;
                }
            }
        }
        Err(failure)
    }

    /// Opens the model on a provider. Nodes are counted by the profile of one run: opening a second session for it would cost more.
    fn on(&self, provider: &'static Provider) -> Result<OpenedSession> {
        let ModelSource { path, adapted } = self.model;
        let folder = if self.count_nodes { profile_folder() } else { None };
        let mut session = provider.open(self.runtime, path, *adapted, folder.as_ref())?;
        let fixed_batch = verify(&session, self.signature).map_err(|reason| {
            Error::data(format!("the model `{}` does not match its card: {reason}", path.display()))
        })?;
        let nodes = folder.and_then(|_folder| {
            let counted = self.count_nodes_of(&mut session, fixed_batch.unwrap_or(1));
            counted.map_err(|reason| tracing::debug!(reason, "the nodes of a model are not counted")).ok()
        });
        nodes.iter().try_for_each(|nodes| provider.check_placement(nodes))?;
        Ok(OpenedSession { session, provider, why: String::new(), fixed_batch, nodes })
    }

    fn count_nodes_of(&self, session: &mut Session, rows: usize) -> Result<NodePlacement, String> {
        let length = self.signature.row_length();
        let probe = if rows.saturating_mul(length) > MAX_PROFILED { None } else { Some(probe_image(rows * length)) };
        let ran = probe.map(|probe| run_on(self.signature, session, &probe, &mut ModelOutputs::default()));
        // The profile ends whatever came of the run, so that the session does not write on.
        let profile = session.end_profiling().map_err(|error| reason(&error))?;
        match ran {
            Some(Ok(())) => read_placement(Path::new(&profile)),
            Some(Err(error)) => Err(error.report()),
            None => Err("its rows are too large".into()),
        }
    }
}

fn profile_folder() -> Option<ProfileFolder> {
    let made = ProfileFolder::new();
    made.map_err(|error| tracing::debug!(%error, "the nodes of a model are not counted")).ok()
}

/// Compares the graph with the signature. Returns the batch size that the graph is fixed to, if it is.
fn verify(session: &Session, signature: &ModelSignature) -> Result<Option<usize>, String> {
    let shape_of = |outlets: &[Outlet], name: &str| match outlets.iter().find(|outlet| outlet.name() == name) {
        Some(outlet) => match outlet.dtype() {
            ValueType::Tensor { ty: TensorElementType::Float32 | TensorElementType::Float16, shape, .. } => {
                Ok(shape.to_vec())
            }
            other => Err(format!("`{name}` is {other}, expected a float32 or float16 tensor")),
        },
        None => Err(format!("the graph has no `{name}`")),
    };
    if session.inputs().len() != 1 {
        return Err(format!("the graph has {} inputs, expected 1", session.inputs().len()));
    }
    let input = &signature.input;
    let shape = shape_of(session.inputs(), input)?;
    let expected: Vec<i64> = signature.batch_shape(1).into_iter().map(dimension).collect();
    let agrees = shape.len() == expected.len()
        && shape[1..].iter().zip(&expected[1..]).all(|(&found, &n)| found < 0 || found == n);
    if !agrees {
        let expected = &expected[1..];
        return Err(format!("input `{input}` has shape {shape:?}, the card declares {expected:?} after the batch"));
    }
    for output in signature.outputs() {
        shape_of(session.outputs(), &output.name)?;
    }
    Ok(usize::try_from(shape[0]).ok().filter(|&n| n > 0))
}

/// A dimension in the type that ONNX Runtime uses.
fn dimension(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_may_have_axes_of_length_one() {
        assert!(is_vector(&[4, 3], 4, 3) && is_vector(&[4, 3, 1, 1], 4, 3) && is_vector(&[4], 4, 1));
        assert!(is_vector(&[4, 1], 4, 1) && is_vector(&[1, 3], 1, 3));
        assert!(!is_vector(&[3, 4], 4, 3) && !is_vector(&[12], 4, 3) && !is_vector(&[4, 3, 2], 4, 6));
        assert!(is_vector(&[], 1, 1) && !is_vector(&[], 2, 1) && !is_vector(&[1, 12], 4, 3));
    }
}
