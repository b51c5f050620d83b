//! Execution providers: what a session runs on, and how the rest of the program uses it.

use std::path::Path;

#[cfg(feature = "cuda")]
use ort::ep::{self, ExecutionProvider};
use ort::session::{Session, builder::SessionBuilder};

use super::{runtime::Runtime, session::reason};
use crate::error::{Error, Result};

/// An execution provider of ONNX Runtime. A further one is a further constant of this type.
pub(crate) struct Provider {
    /// The name in settings and in the run record.
    pub(crate) name: &'static str,
    /// Images of a batch, unless the settings give a number.
    pub(crate) batch_rows: usize,
    /// Whether it runs on separate hardware. Then the engine reads batches large enough to fill it, and a session that
    /// cannot be created is a failure of the environment rather than of the model.
    pub(crate) is_accelerator: bool,
    /// How many sessions serve a number of workers.
    pub(crate) sessions: fn(workers: usize) -> usize,
    /// Why the loaded runtime cannot use it, if it cannot.
    unavailable: fn(&Runtime) -> Option<String>,
    /// Adds it to the options of a session.
    register: fn(SessionBuilder) -> ort::Result<SessionBuilder>,
}

/// The CPU: a session of one thread for every worker. Batches of 8 images stay in its cache.
pub(crate) static CPU: Provider = Provider {
    name: "cpu",
    batch_rows: 8,
    is_accelerator: false,
    sessions: |workers| workers.max(1),
    unavailable: |_| None,
    register: |builder| Ok(builder.with_intra_threads(1)?),
};

/// An NVIDIA GPU: one session. Two batches of 200 images are a population of `one_pixel`.
pub(crate) static CUDA: Provider = Provider {
    name: "cuda",
    batch_rows: 200,
    is_accelerator: true,
    sessions: |_| 1,
    unavailable: cuda_unavailable,
    register: register_cuda,
};

#[cfg(feature = "cuda")]
fn cuda_unavailable(runtime: &Runtime) -> Option<String> {
    let built_without = !ep::CUDA::is_available().unwrap_or(false);
    built_without.then(|| format!("the ONNX Runtime at `{}` is built without CUDA", runtime.path.display()))
}

#[cfg(feature = "cuda")]
fn register_cuda(builder: SessionBuilder) -> ort::Result<SessionBuilder> {
    // TF32 would round the inputs of every product to 10 bits.
    let cuda = ep::CUDA::default().with_tf32(false).build().error_on_failure();
    // Without this, the runtime silently places unsupported nodes on the CPU.
    Ok(builder.with_execution_providers([cuda])?.with_disable_cpu_fallback()?)
}

#[cfg(not(feature = "cuda"))]
fn cuda_unavailable(_runtime: &Runtime) -> Option<String> {
    Some(
        "lucarne is built without the feature `cuda`; build it with `cargo build --release --features cuda`".to_owned(),
    )
}

/// Not reached: a session is only registered on a provider that is available.
#[cfg(not(feature = "cuda"))]
fn register_cuda(builder: SessionBuilder) -> ort::Result<SessionBuilder> {
    Ok(builder)
}

impl Provider {
    /// Loads a model into a session on this provider: a file as it is, or adapted bytes of it.
    pub(super) fn open(&self, runtime: &Runtime, model: &Path, adapted: Option<&[u8]>) -> Result<Session> {
        if let Some(reason) = (self.unavailable)(runtime) {
            return Err(self.unusable(reason));
        }
        let session = || {
            let mut builder = (self.register)(Session::builder(&runtime.environment)?)?;
            match adapted {
                Some(bytes) => builder.commit_from_memory(bytes),
                None => builder.commit_from_file(model),
            }
        };
        session().map_err(|error: ort::Error| {
            let reason = reason(&error);
            if self.is_accelerator {
                self.unusable(reason)
            } else {
                Error::data(format!("cannot load the model `{}`", model.display())).caused_by(reason)
            }
        })
    }

    fn unusable(&self, reason: String) -> Error {
        Error::environment(format!("device `{}` cannot be used", self.name)).caused_by(reason)
    }
}
