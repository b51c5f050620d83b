//! The blur of `observe`, and the complete transform, against GalSim.

use std::{ffi::OsString, hint::black_box};

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use lucarne::{
    batch::Images,
    stage::{Rejects, Settings, Transform},
    transform::observe::{Observe, Switch},
};

use super::{
    Bench, Result,
    inputs::{Inputs, context, mistakes},
    measure::{spend, take_turns},
    peer::read_npy,
    table::Line,
};

/// Objects that are compared with GalSim at its most accurate settings, which take seconds per object.
const COMPARED: usize = 4;
const YEARS: f64 = 10.0;

pub(crate) fn blur(bench: &Bench, inputs: &Inputs) -> Result<Vec<Line>> {
    let (schema, batches) = inputs.batches(inputs.slow_objects)?;
    let mut steps = steps(&schema, Switch::On)?;
    steps.truncate(1);
    let out = inputs.scratch.join("blur.npy");
    let accurate: [(&str, OsString); 3] =
        [("--limit", COMPARED.to_string().into()), ("--accurate", "yes".into()), ("--out", out.clone().into())];
    bench.python.run("blur", &inputs.folder, &accurate)?;
    let (shape, expected) = read_npy(&out)?;
    let found = run(&mut steps, &batches[0])?;
    let worst = planes(&last(&found)?, &shape)
        .zip(planes(&expected, &shape))
        .map(|(found, expected)| relative_l2(found, expected))
        .fold(0.0, f64::max);
    if worst.is_nan() || worst >= 1e-4 {
        return Err(format!("the blur differs from GalSim by a relative L2 of {worst:.1e}, expected below 1e-4").into());
    }
    let goal = Goal { subject: "blur", ratio: 30.0, equal: format!("relative L2 at most {worst:.0e}") };
    measure(goal, bench, inputs, &batches, &mut steps)
}

pub(crate) fn observe(bench: &Bench, inputs: &Inputs) -> Result<Vec<Line>> {
    let (schema, batches) = inputs.batches(inputs.slow_objects)?;
    let out = inputs.scratch.join("observe.npy");
    let options = [("--out", out.clone().into()), ("--limit", OBJECTS_COMPARED.to_string().into())];
    bench.python.run("observe", &inputs.folder, &options)?;
    let (shape, theirs) = read_npy(&out)?;
    let mut steps_with_noise = steps(&schema, Switch::On)?;
    let mut steps_without = steps(&schema, Switch::Off)?;
    let (mut ours, mut expected) = (Vec::new(), Vec::new());
    for batch in batches.iter().take(OBJECTS_COMPARED / super::inputs::BATCH) {
        ours.extend(last(&run(&mut steps_with_noise, batch)?)?);
        expected.extend(last(&run(&mut steps_without, batch)?)?);
    }
    let equal = compare_noise(&ours, &theirs[..ours.len()], &expected, &shape)?;
    measure(Goal { subject: "observe", ratio: 10.0, equal }, bench, inputs, &batches, &mut steps_with_noise)
}

/// Objects whose noise is compared.
const OBJECTS_COMPARED: usize = 32;

/// What a subject should reach.
struct Goal {
    subject: &'static str,
    /// Our rate over that of GalSim.
    ratio: f64,
    /// How the results were found equal.
    equal: String,
}

fn measure(
    goal: Goal,
    bench: &Bench,
    inputs: &Inputs,
    batches: &[RecordBatch],
    steps: &mut [Box<dyn Transform>],
) -> Result<Vec<Line>> {
    let Goal { subject, ratio, equal } = goal;
    let limit: [(&str, OsString); 1] = [("--limit", inputs.slow_objects.to_string().into())];
    let [ours, theirs] = take_turns(
        bench,
        [
            &mut || {
                spend(|| {
                    for batch in batches {
                        black_box(run(steps, batch)?);
                    }
                    Ok(batches.iter().map(RecordBatch::num_rows).sum())
                })
            },
            &mut || bench.python.run(subject, &inputs.folder, &limit),
        ],
    )?;
    Ok(vec![Line { subject, ours, peer: "GalSim".to_owned(), theirs, goal: Some(ratio), equal }])
}

/// The two steps of `observe`, started: the blur that exposures share, and the exposure.
fn steps(schema: &SchemaRef, noise: Switch) -> Result<Vec<Box<dyn Transform>>> {
    let settings = Observe { years: Some(YEARS.into()), noise, ..Observe::default() };
    let exposure = settings.build("sky").map_err(mistakes)?;
    let mut steps: Vec<_> = exposure.prerequisites().into_iter().map(|(_, step)| step).collect();
    steps.push(exposure);
    let mut fields = schema.fields().to_vec();
    for step in &mut steps {
        let made = step.bind(&Schema::new(fields.clone())).map_err(mistakes)?;
        fields.extend(made.into_iter().map(Into::into));
        step.start(&context())?;
    }
    Ok(steps)
}

fn run(steps: &mut [Box<dyn Transform>], batch: &RecordBatch) -> Result<RecordBatch> {
    let mut rejects = Rejects::default();
    let mut rows = batch.clone();
    for step in steps {
        rows = step.apply(rows, &mut rejects)?;
    }
    if rows.num_rows() == batch.num_rows() { Ok(rows) } else { Err("rows were rejected".into()) }
}

/// The pixels of the last column.
fn last(batch: &RecordBatch) -> Result<Vec<f32>> {
    let schema = batch.schema();
    let column = schema.fields().last().ok_or("a batch without columns")?;
    Ok(Images::of(batch, column.name())?.pixels.to_vec())
}

fn planes<'a>(images: &'a [f32], shape: &[usize]) -> impl Iterator<Item = &'a [f32]> {
    images.chunks_exact(shape[2] * shape[3]).take(shape[0] * shape[1])
}

fn relative_l2(found: &[f32], expected: &[f32]) -> f64 {
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let pairs = found.iter().zip(expected);
    let difference = squares(&mut pairs.map(|(found, expected)| f64::from(*found) - f64::from(*expected)));
    (difference / squares(&mut expected.iter().map(|value| f64::from(*value)))).sqrt()
}

/// Compares mean and variance of the noise of both sides, band by band. GalSim blurs with its faster settings here, so the means
/// may differ by a small fraction of the noise of the sky.
fn compare_noise(ours: &[f32], theirs: &[f32], expected: &[f32], shape: &[usize]) -> Result<String> {
    let (bands, plane) = (shape[1], shape[2] * shape[3]);
    let (mut worst_mean, mut worst_variance) = (0f64, 0f64);
    for band in 0..bands {
        let of_band = |images: &[f32]| {
            let noise = images.iter().zip(expected).enumerate();
            let noise = noise.filter(|(i, _)| i / plane % bands == band);
            let noise: Vec<f64> = noise.map(|(_, (pixel, mean))| f64::from(*pixel) - f64::from(*mean)).collect();
            let mean = noise.iter().sum::<f64>() / noise.len() as f64;
            let variance = noise.iter().map(|noise| (noise - mean) * (noise - mean)).sum::<f64>() / noise.len() as f64;
            (mean, variance)
        };
        let (our, their) = (of_band(ours), of_band(theirs));
        worst_mean = worst_mean.max((our.0 - their.0).abs() / our.1.sqrt());
        worst_variance = worst_variance.max((our.1 / their.1 - 1.0).abs());
    }
    if worst_mean < 0.02 && worst_variance < 0.03 {
        return Ok(format!(
            "noise: mean within {worst_mean:.3} sigma, variance within {:.1} %",
            100.0 * worst_variance
        ));
    }
    Err(format!(
        "the noise differs from that of GalSim: mean by {worst_mean:.3} sigma, variance by {worst_variance:.3}"
    )
    .into())
}
