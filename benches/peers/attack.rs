//! One-pixel attacks against the authors' algorithm on onnxruntime in Python: candidates alone, and complete attacks.

use std::{hint::black_box, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch},
    compute::concat_batches,
    datatypes::{DataType, Field},
};
use lucarne::{
    batch::{Images, LABEL, with_columns},
    monitor::one_pixel::OnePixel,
    random::Stream,
    score::onnx::{Device, Onnx, OnnxScorer},
    stage::{Progress, Rejects, Scorer, Scorers, Settings, UpstreamSchemas},
};

use super::{
    Bench, Result,
    inputs::{Inputs, context, mistakes},
    measure::{spend, take_turns},
    peer::{read_npy, write_npy},
    score::stretched,
    table::Line,
};

/// Candidates of each image, when candidates alone are measured.
const CANDIDATES: usize = 400;
/// How many images get candidates.
const IMAGES: usize = 10;
/// The batch size at which onnxruntime is fastest on a CPU.
const BATCH: &str = "8";

/// A started scorer, and the stretched ten-year images of some galaxies.
fn started(bench: &Bench, inputs: &Inputs, images: usize) -> Result<(OnnxScorer, RecordBatch)> {
    let batches = stretched(bench, inputs)?;
    let rows = concat_batches(&batches[0].schema(), &batches)?;
    let rows = rows.slice(0, images.min(rows.num_rows()));
    let mut scorer = OnnxScorer::new("da", Onnx { device: Device::Cpu, ..Onnx::new(&bench.model, "y10") });
    scorer.bind(rows.schema_ref()).map_err(mistakes)?;
    scorer.start(&context())?;
    Ok((scorer, rows))
}

/// Candidates of one pixel, spread over the image, the same on both sides.
pub(crate) fn candidates(bench: &Bench, inputs: &Inputs) -> Result<Vec<Line>> {
    let (scorer, rows) = started(bench, inputs, IMAGES)?;
    let model = scorer.model().ok_or("the scorer was not started")?;
    let images = Images::of(&rows, "y10")?;
    let mut draw = Stream::new(7, "bench", "candidates");
    let places: Vec<u32> = (0..IMAGES * CANDIDATES).map(|_| draw.below(10_000) as u32).collect();
    let values: Vec<f32> = (0..places.len() * 3).map(|_| draw.uniform() as f32).collect();
    let (stretched, changes, logits) =
        (inputs.scratch.join("images.npy"), inputs.scratch.join("changes.npy"), inputs.scratch.join("logits.npy"));
    write_npy(&stretched, &[IMAGES, 3, 100, 100], images.pixels)?;
    let rows_of = places
        .iter()
        .zip(values.chunks(3))
        .flat_map(|(place, values)| [*place as f32].into_iter().chain(values.iter().copied()));
    write_npy(&changes, &[IMAGES, CANDIDATES, 4], &rows_of.collect::<Vec<_>>())?;
    let score = || -> Result<Vec<f32>> {
        let mut out = Vec::new();
        for (i, image) in images.rows().enumerate() {
            let at = i * CANDIDATES..(i + 1) * CANDIDATES;
            let mut evaluator = model.pixel_evaluator(image)?;
            evaluator.logits(1, &places[at.clone()], &values[3 * at.start..3 * at.end], &mut out)?;
        }
        Ok(out)
    };
    let mut python = || {
        let options = [
            ("--model", bench.model.clone().into()),
            ("--batch", BATCH.into()),
            ("--changes", changes.clone().into()),
            ("--out", logits.clone().into()),
        ];
        bench.python.run("candidates", &stretched, &options)
    };
    let mut worst = f32::NAN;
    if bench.profile_seconds.is_none() {
        python()?;
        let (ours, theirs) = (score()?, read_npy(&logits)?.1);
        worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        if theirs.len() != ours.len() || worst >= 1e-4 {
            return Err(format!("logits differ by {worst:.1e}, expected below 1e-4").into());
        }
    }
    let again = 50;
    let mut ours = || {
        spend(|| {
            for _ in 0..again {
                black_box(score()?);
            }
            Ok(again * places.len())
        })
    };
    let [ours, theirs] = take_turns(bench, [&mut ours, &mut python])?;
    let peer = format!("onnxruntime in Python, batches of {BATCH}");
    let equal = format!("{} logits within {worst:.0e}", 3 * places.len());
    Ok(vec![Line { subject: "candidates of one pixel", ours, peer, theirs, goal: Some(20.0), equal }])
}

/// Complete attacks: every wrong class in order. Both sides use their own random draws.
pub(crate) fn attack(bench: &Bench, inputs: &Inputs, objects: usize) -> Result<Vec<Line>> {
    let (scorer, rows) = started(bench, inputs, objects)?;
    let rows = scorer.score(rows, &mut Rejects::default())?;
    let count = rows.num_rows();
    let (images, flips) = (inputs.scratch.join("attacked.npy"), inputs.scratch.join("flips.npy"));
    write_npy(&images, &[count, 3, 100, 100], Images::of(&rows, "y10")?.pixels)?;
    // The class that the model gives is the truth, on both sides.
    let class = arrow::compute::cast(rows.column_by_name("da_class").ok_or("no class")?, &DataType::Utf8)?;
    let rows = with_columns(&rows, [(Field::new(LABEL, DataType::Utf8, true), class as ArrayRef)])?;
    let scorers = Scorers::from([("da".to_owned(), Arc::new(scorer) as Arc<dyn Scorer>)]);
    let run = || -> Result<Vec<RecordBatch>> {
        let mut monitor = OnePixel::new("da").build("attack").map_err(mistakes)?;
        monitor.bind(rows.schema_ref(), &UpstreamSchemas::new()).map_err(mistakes)?;
        monitor.start(&context(), &scorers)?;
        let mut emitted = monitor.observe(&rows)?.rows;
        loop {
            let until = std::time::Instant::now() + std::time::Duration::from_secs(1);
            let (output, progress) = monitor.drain(until)?;
            emitted.extend(output.rows);
            if progress == Progress::Done {
                return Ok(emitted.into_iter().map(|emitted| emitted.rows).collect());
            }
        }
    };
    let mut python = || {
        let options =
            [("--model", bench.model.clone().into()), ("--batch", BATCH.into()), ("--out", flips.clone().into())];
        bench.python.run("attack", &images, &options)
    };
    let once = Bench { repetitions: 1, ..bench.clone() };
    let mut flipped = Vec::new();
    let mut ours = || {
        spend(|| {
            flipped = run()?.iter().map(flips_in).collect();
            Ok(count)
        })
    };
    let [ours, theirs] = take_turns(&once, [&mut ours, &mut python])?;
    let theirs_flipped: Vec<bool> = read_npy(&flips)?.1.iter().map(|flip| *flip > 0.5).collect();
    let peer = format!("the authors' algorithm on onnxruntime, batches of {BATCH}");
    Ok(vec![Line {
        subject: "complete attacks",
        ours,
        peer,
        theirs,
        goal: Some(30.0),
        equal: compare(&flipped, &theirs_flipped),
    }])
}

fn flips_in(rows: &RecordBatch) -> bool {
    rows.column_by_name("flipped").is_some_and(|flips| flips.as_boolean().true_count() > 0)
}

/// How many images were flipped, and the difference in percentage points with its paired 90 % interval.
fn compare(ours: &[bool], theirs: &[bool]) -> String {
    let n = ours.len() as f64;
    let each: Vec<f64> =
        ours.iter().zip(theirs).map(|(a, b)| f64::from(u8::from(*a)) - f64::from(u8::from(*b))).collect();
    let mean = each.iter().sum::<f64>() / n;
    let deviation = (each.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let count = |flips: &[bool]| flips.iter().filter(|flip| **flip).count();
    format!(
        "{} and {} of {} flipped: {:+.1} points, 90 % within {:.1}",
        count(ours),
        count(theirs),
        ours.len(),
        100.0 * mean,
        100.0 * 1.645 * deviation / n.sqrt()
    )
}
