//! Execution providers: what a session runs on, and how the rest of the program uses it.

use std::path::Path;

#[cfg(any(feature = "cuda", feature = "openvino"))]
use ort::ep::{self, ExecutionProvider};
use ort::session::{Session, builder::SessionBuilder};

use super::{
    placement::{NodePlacement, ProfileFolder},
    runtime::Runtime,
    session::reason,
};
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

/// An NVIDIA GPU by TensorRT, and by CUDA what it does not take. It builds an engine for every new shape of a batch, so the first
/// batches are slow. It multiplies in TF32 unless the environment variable `NVIDIA_TF32_OVERRIDE` is 0.
pub(crate) static TENSORRT: Provider = Provider {
    name: "tensorrt",
    batch_rows: 200,
    is_accelerator: true,
    sessions: |_| 1,
    unavailable: tensorrt_unavailable,
    register: register_tensorrt,
};

/// OpenVINO, on the processor that its library prefers: a session of one thread for every worker.
pub(crate) static OPENVINO: Provider = Provider {
    name: "openvino",
    batch_rows: 8,
    is_accelerator: true,
    sessions: |workers| workers.max(1),
    unavailable: openvino_unavailable,
    register: register_openvino,
};

/// Why the loaded library has no provider of a kind, if it has none.
#[cfg(any(feature = "cuda", feature = "openvino"))]
fn missing_in<E: ExecutionProvider>(runtime: &Runtime, what: &str) -> Option<String> {
    let built_without = !E::is_available().unwrap_or(false);
    built_without.then(|| format!("the ONNX Runtime at `{}` is built without {what}", runtime.path.display()))
}

#[cfg(not(all(feature = "cuda", feature = "tensorrt", feature = "openvino")))]
fn built_without(feature: &str) -> Option<String> {
    Some(format!(
        "lucarne is built without the feature `{feature}`; build it with `cargo build --release --features {feature}`"
    ))
}

#[cfg(feature = "cuda")]
fn cuda_unavailable(runtime: &Runtime) -> Option<String> {
    missing_in::<ep::CUDA>(runtime, "CUDA")
}

#[cfg(feature = "cuda")]
fn cuda() -> ep::ExecutionProviderDispatch {
    // TF32 would round the inputs of every product to 10 bits.
    ep::CUDA::default().with_tf32(false).build().error_on_failure()
}

// Without `with_disable_cpu_fallback`, the runtime silently places unsupported nodes on the CPU.

#[cfg(feature = "cuda")]
fn register_cuda(builder: SessionBuilder) -> ort::Result<SessionBuilder> {
    Ok(builder.with_execution_providers([cuda()])?.with_disable_cpu_fallback()?)
}

#[cfg(not(feature = "cuda"))]
fn cuda_unavailable(_runtime: &Runtime) -> Option<String> {
    built_without("cuda")
}

#[cfg(feature = "tensorrt")]
fn tensorrt_unavailable(runtime: &Runtime) -> Option<String> {
    missing_in::<ep::TensorRT>(runtime, "TensorRT")
}

#[cfg(feature = "tensorrt")]
fn register_tensorrt(builder: SessionBuilder) -> ort::Result<SessionBuilder> {
    let tensorrt = ep::TensorRT::default().with_fp16(false).with_bf16(false).build().error_on_failure();
    Ok(builder.with_execution_providers([tensorrt, cuda()])?.with_disable_cpu_fallback()?)
}

#[cfg(not(feature = "tensorrt"))]
fn tensorrt_unavailable(_runtime: &Runtime) -> Option<String> {
    built_without("tensorrt")
}

/// Not reached: see `register_cuda`.
#[cfg(not(feature = "tensorrt"))]
fn register_tensorrt(builder: SessionBuilder) -> ort::Result<SessionBuilder> {
    Ok(builder)
}

#[cfg(feature = "openvino")]
fn openvino_unavailable(runtime: &Runtime) -> Option<String> {
    missing_in::<ep::OpenVINO>(runtime, "OpenVINO")
}

#[cfg(feature = "openvino")]
fn register_openvino(builder: SessionBuilder) -> ort::Result<SessionBuilder> {
    // Some of its devices round to half precision otherwise.
    let openvino = ep::OpenVINO::default().with_num_threads(1).with_precision("FP32").build().error_on_failure();
    Ok(builder.with_execution_providers([openvino])?.with_disable_cpu_fallback()?)
}

#[cfg(not(feature = "openvino"))]
fn openvino_unavailable(_runtime: &Runtime) -> Option<String> {
    built_without("openvino")
}

/// Not reached: see `register_cuda`.
#[cfg(not(feature = "openvino"))]
fn register_openvino(builder: SessionBuilder) -> ort::Result<SessionBuilder> {
    Ok(builder)
}

/// Not reached: a session is only registered on a provider that is available.
#[cfg(not(feature = "cuda"))]
fn register_cuda(builder: SessionBuilder) -> ort::Result<SessionBuilder> {
    Ok(builder)
}

impl Provider {
    /// Loads a model into a session on this provider: a file as it is, or adapted bytes of it. The session writes a profile into
    /// the folder, if one is given.
    pub(super) fn open(
        &self,
        runtime: &Runtime,
        model: &Path,
        adapted: Option<&[u8]>,
        profile: Option<&ProfileFolder>,
    ) -> Result<Session> {
        if let Some(reason) = (self.unavailable)(runtime) {
            return Err(self.unusable(reason));
        }
        let session = || {
            let mut builder = (self.register)(Session::builder(&runtime.environment)?)?;
            if let Some(folder) = profile {
                builder = builder.with_profiling(folder.prefix())?;
            }
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

    /// Fails if nodes of a model that should run on separate hardware run on the CPU.
    pub(super) fn check_placement(&self, placement: &NodePlacement) -> Result<()> {
        match placement.get(CPU.name) {
            Some(on_cpu) if self.is_accelerator => {
                let all: usize = placement.values().sum();
                Err(self.unusable(format!("{on_cpu} of {all} nodes of the model run on the CPU")))
            }
            _ => Ok(()),
        }
    }

    fn unusable(&self, reason: String) -> Error {
        Error::environment(format!("device `{}` cannot be used", self.name)).caused_by(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(nodes: &[(&str, usize)]) -> NodePlacement {
        nodes.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn an_accelerator_with_nodes_on_the_cpu_is_refused() {
        assert!(CPU.check_placement(&placed(&[("cpu", 12)])).is_ok());
        assert!(TENSORRT.check_placement(&placed(&[("tensorrt", 1), ("cuda", 2)])).is_ok());
        for provider in [&CUDA, &TENSORRT, &OPENVINO] {
            let error = provider.check_placement(&placed(&[("cpu", 2), (provider.name, 10)])).expect_err("refused");
            let expected =
                format!("device `{}` cannot be used: 2 of 12 nodes of the model run on the CPU", provider.name);
            assert_eq!(error.report(), expected);
        }
    }
}
