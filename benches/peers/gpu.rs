//! The scorer on a GPU against a bare loop on the same GPU, by wall time, and its outputs against those of the CPU.

use std::{hint::black_box, path::PathBuf, time::Instant};

use arrow::{
    array::{ArrayRef, RecordBatch},
    compute::concat_batches,
    datatypes::DataType,
};
use lucarne::{
    batch::Images,
    random::Stream,
    score::onnx::{Device, Onnx, OnnxScorer},
    stage::{Rejects, RunContext, Scorer},
};

use super::{
    Bench, Result, bare_ort,
    inputs::{Inputs, context, mistakes},
    peer::{read_npy, write_npy},
    score::stretched,
    table::Line,
};

/// The batch sizes that the bare loop tries.
const BATCH_SIZES: [usize; 5] = [64, 128, 200, 256, 512];
/// Rows of a record batch: the engine's choice when a score runs on a GPU.
const BATCH: usize = 200;
/// Images in one array; objects are repeated if there are fewer.
const IMAGES: usize = 8192;
/// Candidates around an image: a population of the paper's attack.
const POPULATION: usize = 400;
/// How many images get candidates.
const AROUND: usize = 16;

fn started(bench: &Bench, rows: &RecordBatch, device: Device) -> Result<OnnxScorer> {
    let mut scorer = OnnxScorer::new("gpu", Onnx { device, ..Onnx::new(&bench.model, "y10") });
    scorer.bind(rows.schema_ref()).map_err(mistakes)?;
    scorer.start(&RunContext { threads: 2, ..context() })?;
    Ok(scorer)
}

/// The median rate of repeated work, after a first time that is not measured.
fn rate(bench: &Bench, objects: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    work()?;
    let mut rates = Vec::new();
    for _ in 0..bench.repetitions {
        let begun = Instant::now();
        work()?;
        rates.push(objects as f64 / begun.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    Ok(rates[rates.len() / 2])
}

pub(crate) fn measure(bench: &Bench, inputs: &Inputs) -> Result<Vec<Line>> {
    let batches = stretched(bench, inputs)?;
    let some = concat_batches(&batches[0].schema(), &batches)?;
    let copies = vec![some.clone(); IMAGES.div_ceil(some.num_rows())];
    let rows = concat_batches(&some.schema(), &copies)?.slice(0, IMAGES);
    let pixels = Images::of(&rows, "y10")?.pixels;
    let (images, logits) = (inputs.scratch.join("gpu.npy"), inputs.scratch.join("gpu-logits.npy"));
    write_npy(&images, &[IMAGES, 3, 100, 100], pixels)?;
    let (gpu, cpu) = (started(bench, &rows, Device::Cuda)?, started(bench, &some, Device::Cpu)?);
    let library = gpu.provenance()["library"].as_str().map(PathBuf::from).ok_or("no library")?;

    let agreement = compare(&gpu, &cpu, &some)?;
    let files = bare_ort::LoopFiles { library: &library, model: &bench.model, images: &images, logits: &logits };
    let mut best = (0.0, 0);
    for size in BATCH_SIZES {
        let seconds = bare_ort::run_on_gpu(files, size)?;
        let found = IMAGES as f64 / seconds;
        if found > best.0 {
            best = (found, size);
        }
    }
    let ours = gpu.model().ok_or("the scorer was not started")?.evaluate(pixels)?.logits;
    let theirs = read_npy(&logits)?.1;
    let worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    if ours.len() != theirs.len() || worst.is_nan() || worst >= 1e-3 {
        return Err(format!("logits differ by {worst:.1e} from those of the bare loop, expected below 1e-3").into());
    }
    let peer = format!("bare ort on CUDA, batches of {}", best.1);
    let mut lines = Vec::new();
    let parts: Vec<RecordBatch> =
        (0..IMAGES).step_by(BATCH).map(|first| rows.slice(first, BATCH.min(IMAGES - first))).collect();
    for (subject, workers) in
        [("score on CUDA, one worker, by wall time", 1), ("score on CUDA, four workers, by wall time", 4)]
    {
        let ours = rate(bench, IMAGES, || Ok(by_workers(&gpu, &parts, workers)?))?;
        let (peer, equal) = (peer.clone(), agreement.clone());
        lines.push(Line { subject, ours, peer, theirs: best.0, goal: Some(0.95), equal });
    }
    lines.push(candidates(bench, &gpu, &cpu, &some)?);
    Ok(lines)
}

/// Scores batches with `workers` threads; thread i takes every `workers`-th batch from i on.
fn by_workers(gpu: &OnnxScorer, parts: &[RecordBatch], workers: usize) -> std::result::Result<(), String> {
    let work = |worker: usize| {
        parts.iter().skip(worker).step_by(workers).try_for_each(|part| {
            let scored = gpu.score(part.clone(), &mut Rejects::default());
            black_box(scored.map_err(|error| error.to_string())?);
            Ok(())
        })
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..workers).map(|worker| scope.spawn(move || work(worker))).collect();
        running.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked".to_owned())?)
    })
}

/// How far logits and classes of the GPU are from those of the CPU.
fn compare(gpu: &OnnxScorer, cpu: &OnnxScorer, rows: &RecordBatch) -> Result<String> {
    let pixels = Images::of(rows, "y10")?.pixels;
    let logits = |scorer: &OnnxScorer| -> Result<Vec<f32>> {
        Ok(scorer.model().ok_or("the scorer was not started")?.evaluate(pixels)?.logits)
    };
    let (on_gpu, on_cpu) = (logits(gpu)?, logits(cpu)?);
    let worst = on_gpu.iter().zip(&on_cpu).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let classes = |scorer: &OnnxScorer| -> Result<ArrayRef> {
        let scored = scorer.score(rows.clone(), &mut Rejects::default())?;
        Ok(arrow::compute::cast(scored.column_by_name("gpu_class").ok_or("no class")?, &DataType::Utf8)?)
    };
    let same = arrow::compute::kernels::cmp::eq(&classes(gpu)?, &classes(cpu)?)?.true_count();
    Ok(format!("{same} of {} classes as on the CPU, logits within {worst:.0e}", rows.num_rows()))
}

/// Candidates of one pixel, a population at a time, on the GPU and on one core of the CPU.
fn candidates(bench: &Bench, gpu: &OnnxScorer, cpu: &OnnxScorer, rows: &RecordBatch) -> Result<Line> {
    let images = Images::of(rows, "y10")?;
    let mut draw = Stream::new(7, "bench", "gpu candidates");
    let places: Vec<u32> = (0..POPULATION).map(|_| draw.below(10_000) as u32).collect();
    let values: Vec<f32> = (0..3 * POPULATION).map(|_| draw.uniform() as f32).collect();
    let around = |scorer: &OnnxScorer, images: &[&[f32]]| -> Result<Vec<f32>> {
        let (model, mut out) = (scorer.model().ok_or("the scorer was not started")?, Vec::new());
        for image in images {
            model.pixel_evaluator(image)?.logits(1, &places, &values, &mut out)?;
        }
        Ok(out)
    };
    let some: Vec<&[f32]> = images.rows().take(AROUND).collect();
    let (on_gpu, on_cpu) = (around(gpu, &some[..1])?, around(cpu, &some[..1])?);
    let worst = on_gpu.iter().zip(&on_cpu).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let ours = rate(bench, AROUND * POPULATION, || around(gpu, &some).map(|logits| drop(black_box(logits))))?;
    let few = &some[..1];
    let theirs = rate(bench, POPULATION, || around(cpu, few).map(|logits| drop(black_box(logits))))?;
    Ok(Line {
        subject: "candidates of one pixel on CUDA, populations of 400, by wall time",
        ours,
        peer: "lucarne on one core of the CPU".into(),
        theirs,
        goal: None,
        equal: format!("logits within {worst:.0e}"),
    })
}
