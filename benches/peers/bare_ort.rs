//! The loop that a score is compared with: ONNX Runtime through `ort`, one thread, images in one array.
//!
//! It runs in a child process, because a process has one environment of the runtime, and the scorer holds it.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use ort::{
    session::{Session, builder::SessionBuilder},
    value::TensorRef,
};

use super::{
    Result,
    measure::{Spent, spend},
    peer::{read_npy, spent, write_npy},
};

const FLAG: &str = "--bare-ort";
/// Devices, as an argument of the child.
const CPU: &str = "cpu";
const CUDA: &str = "cuda";

/// The files of a loop.
#[derive(Clone, Copy)]
pub(crate) struct LoopFiles<'a> {
    /// The library of ONNX Runtime.
    pub(crate) library: &'a Path,
    pub(crate) model: &'a Path,
    /// The images, `.npy`.
    pub(crate) images: &'a Path,
    /// Where to write the logits, `.npy`.
    pub(crate) logits: &'a Path,
}

/// Runs the loop on the CPU.
pub(crate) fn run(files: LoopFiles, batch: usize) -> Result<Spent> {
    run_on(CPU, files, batch)
}

/// Runs the loop on a GPU: the wall time of one pass, in seconds.
pub(crate) fn run_on_gpu(files: LoopFiles, batch: usize) -> Result<f64> {
    Ok(run_on(CUDA, files, batch)?.cpu_seconds)
}

fn run_on(device: &str, LoopFiles { library, model, images, logits }: LoopFiles, batch: usize) -> Result<Spent> {
    let mut command = Command::new(env::current_exe()?);
    spent(command.arg(FLAG).args([library, model, images, logits]).arg(batch.to_string()).arg(device))
}

/// The work of the child process; `None` in any other process.
pub(crate) fn child() -> Option<Result<()>> {
    let mut arguments = env::args_os().skip(1);
    (arguments.next()? == FLAG).then(|| {
        let paths: Vec<PathBuf> = arguments.map(Into::into).collect();
        let [library, model, images, logits, batch, device] = paths.as_slice() else {
            return Err("expected six arguments".into());
        };
        let batch = batch.to_str().and_then(|batch| batch.parse().ok()).ok_or("expected a batch size")?;
        work(LoopFiles { library, model, images, logits }, batch, device.to_str() == Some(CUDA))
    })
}

#[cfg(feature = "cuda")]
fn with_cuda(builder: SessionBuilder) -> Result<SessionBuilder> {
    let cuda = ort::ep::CUDA::default().with_tf32(false).build().error_on_failure();
    Ok(builder.with_execution_providers([cuda])?.with_disable_cpu_fallback()?)
}

#[cfg(not(feature = "cuda"))]
fn with_cuda(_: SessionBuilder) -> Result<SessionBuilder> {
    Err("this needs `--features cuda`".into())
}

fn work(LoopFiles { library, model, images, logits }: LoopFiles, batch: usize, on_gpu: bool) -> Result<()> {
    let environment = ort::init_from(library)?.with_telemetry(false).build()?;
    let builder = Session::builder(&environment)?.with_intra_threads(1)?;
    let mut session =
        if on_gpu { with_cuda(builder)?.commit_from_file(model)? } else { builder.clone().commit_from_file(model)? };
    let (shape, pixels) = read_npy(images)?;
    let image: usize = shape[1..].iter().product();
    let mut out = Vec::new();
    let mut infer = |pixels: &[f32], out: &mut Vec<f32>| -> Result<()> {
        let mut shape = shape.clone();
        shape[0] = pixels.len() / image;
        let outputs = session.run(ort::inputs!["image" => TensorRef::from_array_view((shape, pixels))?])?;
        out.extend_from_slice(outputs["logits"].try_extract_tensor::<f32>()?.1);
        Ok(())
    };
    infer(&pixels[..image * batch.min(shape[0])], &mut out)?;
    let mut pass = || -> Result<usize> {
        out.clear();
        pixels.chunks(image * batch).try_for_each(|pixels| infer(pixels, &mut out))?;
        Ok(shape[0])
    };
    // On a GPU, wall time is measured, and a first pass selects kernels.
    let Spent { objects, cpu_seconds } = if on_gpu {
        pass()?;
        let begun = Instant::now();
        Spent { objects: pass()?, cpu_seconds: begun.elapsed().as_secs_f64() }
    } else {
        spend(pass)?
    };
    write_npy(logits, &[shape[0], out.len() / shape[0]], &out)?;
    println!("{}", serde_json::json!({ "objects": objects, "cpu_seconds": cpu_seconds }));
    Ok(())
}
