//! The loop that a score is measured against: ONNX Runtime through `ort`, one thread, images already in one array. It runs
//! in a process of its own, because a process has one environment of the runtime and the scorer keeps that.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use ort::{ep, session::Session, value::TensorRef};

use super::{
    Result,
    measure::{Spent, spend},
    peer::{read_npy, spent, write_npy},
};

const FLAG: &str = "--bare-ort";
/// Devices, as the child is told of them.
const CPU: &str = "cpu";
const CUDA: &str = "cuda";

/// Runs the loop in a child process.
pub(crate) fn run(library: &Path, model: &Path, images: &Path, batch: usize, logits: &Path) -> Result<Spent> {
    let mut command = Command::new(env::current_exe()?);
    spent(command.arg(FLAG).args([library, model, images, logits]).arg(batch.to_string()).arg(CPU))
}

/// The same on a GPU: the wall time of one pass, in seconds.
pub(crate) fn run_on_gpu(library: &Path, model: &Path, images: &Path, batch: usize, logits: &Path) -> Result<f64> {
    let mut command = Command::new(env::current_exe()?);
    let command = command.arg(FLAG).args([library, model, images, logits]).arg(batch.to_string()).arg(CUDA);
    Ok(spent(command)?.cpu_seconds)
}

/// The work of the child; none when this process is not it.
pub(crate) fn child() -> Option<Result<()>> {
    let mut arguments = env::args_os().skip(1);
    (arguments.next()? == FLAG).then(|| {
        let paths: Vec<PathBuf> = arguments.map(Into::into).collect();
        let [library, model, images, logits, batch, device] = paths.as_slice() else {
            return Err("six arguments".into());
        };
        let batch = batch.to_str().and_then(|batch| batch.parse().ok()).ok_or("no batch size")?;
        work(library, model, images, batch, logits, device.to_str() == Some(CUDA))
    })
}

fn work(library: &Path, model: &Path, images: &Path, batch: usize, logits: &Path, on_gpu: bool) -> Result<()> {
    let environment = ort::init_from(library)?.with_telemetry(false).build()?;
    let builder = Session::builder(&environment)?.with_intra_threads(1)?;
    let mut session = if on_gpu {
        let cuda = ep::CUDA::default().with_tf32(false).build().error_on_failure();
        builder.with_execution_providers([cuda])?.with_disable_cpu_fallback()?.commit_from_file(model)?
    } else {
        builder.clone().commit_from_file(model)?
    };
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
    // On a GPU wall time counts, and kernels are chosen in a first pass.
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
