//! The scorer as the engine calls it, against bare loops around ONNX Runtime at their best batch size.

use std::{hint::black_box, path::PathBuf};

use arrow::{array::RecordBatch, datatypes::Schema};
use lucarne::{
    batch::Images,
    pipeline::Pipeline,
    score::onnx::{Device, Onnx, OnnxScorer},
    source::fits::Fits,
    stage::{Rejects, Scorer},
    transform::{
        asinh_stretch::{AsinhStretch, Constants},
        observe::Observe,
    },
};

use super::{
    Bench, Result, bare_ort,
    inputs::{Inputs, context, mistakes},
    measure::{Spent, spend, take_turns},
    peer::{read_npy, write_npy},
    table::Line,
};

/// The batch sizes that the bare loops try.
const BATCH_SIZES: [usize; 4] = [8, 16, 32, 64];

pub(crate) fn measure(bench: &Bench, inputs: &Inputs) -> Result<Vec<Line>> {
    let batches = stretched(bench, inputs)?;
    let images = inputs.scratch.join("stretched.npy");
    let mut pixels = Vec::new();
    for batch in &batches {
        pixels.extend_from_slice(Images::of(batch, "y10")?.pixels);
    }
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    write_npy(&images, &[rows, 3, 100, 100], &pixels)?;

    let mut scorer = OnnxScorer::new("da", Onnx { device: Device::Cpu, ..Onnx::new(&bench.model, "y10") });
    scorer.bind(&Schema::new(batches[0].schema().fields().clone())).map_err(mistakes)?;
    scorer.start(&context())?;
    let library = scorer.provenance()["library"].as_str().map(PathBuf::from).ok_or("no library")?;

    let logits = inputs.scratch.join("logits.npy");
    let files = bare_ort::LoopFiles { library: &library, model: &bench.model, images: &images, logits: &logits };
    let python = |size: usize| {
        let options = [
            ("--model", bench.model.clone().into()),
            ("--batch", size.to_string().into()),
            ("--out", logits.clone().into()),
        ];
        bench.python.run("score", &images, &options)
    };
    let bare = |size: usize| bare_ort::run(files, size);
    let mut worst = 0f32;
    if bench.profile_seconds.is_none() {
        let ours = scorer.model().ok_or("the scorer was not started")?.evaluate(&pixels)?.logits;
        for loops in [&bare as &dyn Fn(usize) -> Result<Spent>, &python] {
            loops(BATCH_SIZES[0])?;
            let (_, theirs) = read_npy(&logits)?;
            worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(worst, f32::max);
            if theirs.len() != ours.len() || worst.is_nan() || worst >= 1e-4 {
                return Err(format!("logits differ by {worst:.1e}, expected below 1e-4").into());
            }
        }
    }
    drop(pixels);
    let mut ours = || {
        spend(|| {
            for batch in &batches {
                black_box(scorer.score(batch.clone(), &mut Rejects::default())?);
            }
            Ok(rows)
        })
    };
    let [b8, b16, b32, b64] = BATCH_SIZES;
    let [ours, bare8, bare16, bare32, bare64, python8, python16, python32, python64] = take_turns(
        bench,
        [
            &mut ours,
            &mut || bare(b8),
            &mut || bare(b16),
            &mut || bare(b32),
            &mut || bare(b64),
            &mut || python(b8),
            &mut || python(b16),
            &mut || python(b32),
            &mut || python(b64),
        ],
    )?;
    let (rust, rust_size) = best([bare8, bare16, bare32, bare64]);
    let (in_python, python_size) = best([python8, python16, python32, python64]);
    let equal = if worst == 0.0 { "the same logits".to_owned() } else { format!("logits within {worst:.0e}") };
    let line = |peer: String, theirs, goal| Line { subject: "score", ours, peer, theirs, goal, equal: equal.clone() };
    Ok(vec![
        line(format!("bare ort, batches of {rust_size}"), rust, Some(0.95)),
        line(format!("onnxruntime in Python, batches of {python_size}"), in_python, None),
    ])
}

/// The best median, and its batch size.
fn best(rates: [f64; BATCH_SIZES.len()]) -> (f64, usize) {
    rates.into_iter().zip(BATCH_SIZES).fold((0.0, 0), |best, rate| if rate.0 > best.0 { rate } else { best })
}

/// Stretched ten-year images, as a pipeline makes them.
pub(crate) fn stretched(bench: &Bench, inputs: &Inputs) -> Result<Vec<RecordBatch>> {
    let constants = Constants::of_model(bench.model.display().to_string(), "y10");
    let stream = Pipeline::builder()
        .source(Fits::new([inputs.folder.display().to_string()]))
        .transform("sky", Observe { years: Some(10.0.into()), ..Observe::default() })
        .transform("y10", AsinhStretch { image: "sky".to_owned(), constants, scale_to: None })
        .build()
        .limit(inputs.objects as u64)
        .stream()?;
    let mut batches = Vec::new();
    for batch in stream {
        let batch = batch?;
        let kept: Vec<usize> = ["object_id", "origin", "y10"]
            .iter()
            .map(|name| batch.schema().index_of(name))
            .collect::<std::result::Result<_, _>>()?;
        batches.push(batch.project(&kept)?);
    }
    Ok(batches)
}
