//! A whole pipeline through the engine, against the same chain written with astropy, GalSim, onnxruntime and pyarrow.
//!
//! The engine has one worker, but source, sink and commits have threads of their own: the CPU time of the whole process
//! counts. It is counted from the moment when models are loaded and transforms planned, and so is the peer's.

use std::{collections::BTreeMap, ffi::OsString, fs::File, path::Path};

use arrow::{
    array::{Array, AsArray},
    compute::cast,
    datatypes::DataType,
};
use cpu_time::ProcessTime;
use lucarne::{
    engine::{Existing, RunOptions, Stop},
    pipeline::Pipeline,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;

use super::{
    Bench, Result,
    inputs::Inputs,
    measure::{Spent, take_turns},
    table::Line,
};

pub(crate) fn measure(bench: &Bench, inputs: &Inputs, scoring: bool) -> Result<Vec<Line>> {
    let limit = inputs.slow_objects;
    let run_dir = inputs.scratch.join("chain");
    let file = inputs.scratch.join("chain.parquet");
    let document = document(bench, inputs, scoring);
    let mut options: Vec<(&str, OsString)> =
        vec![("--limit", limit.to_string().into()), ("--out", file.clone().into())];
    if scoring {
        options.push(("--model", bench.model.clone().into()));
    }
    let ours = || run(&document, &run_dir, limit);
    let theirs = || bench.python.run("chain", &inputs.folder, &options);
    let equal = if bench.profile_seconds.is_some() {
        String::new()
    } else {
        ours()?;
        theirs()?;
        compare(&run_dir, &file, limit, scoring)?
    };
    let [ours, theirs] = take_turns(bench, [&mut || ours(), &mut || theirs()])?;
    let (subject, goal) = if scoring { ("chain", 6.0) } else { ("chain without scoring", 15.0) };
    let peer = if scoring { "astropy, GalSim, onnxruntime, pyarrow" } else { "astropy, GalSim, pyarrow" };
    Ok(vec![Line { subject, ours, peer: peer.to_owned(), theirs, goal: Some(goal), equal }])
}

/// The pipeline: what a user writes, in JSON, which is YAML.
fn document(bench: &Bench, inputs: &Inputs, scoring: bool) -> String {
    let model = bench.model.display().to_string();
    let stretch = |image: &str, domain: &str, lo: f64, hi: f64| {
        let constants =
            if scoring { json!({ "model": model, "domain": domain }) } else { json!({ "lo": lo, "hi": hi }) };
        json!({ "asinh_stretch": { "image": image, "constants": constants } })
    };
    let mut document = json!({
        "source": { "fits": { "paths": [inputs.folder], "bands": ["g", "r", "i"] } },
        "transform": {
            "y10_sky": { "observe": { "image": "image", "survey": "lsst", "years": 10 } },
            "y1_sky": { "observe": { "image": "image", "survey": "lsst", "years": 1 } },
            "y10": stretch("y10_sky", "y10", -1136.0, 23822.0),
            "y1": stretch("y1_sky", "y1", -367.0, 2388.0),
        },
        "sink": { "objects": { "parquet": {} } },
    });
    if scoring {
        let score = |image: &str| json!({ "onnx": { "model": model, "image": image, "device": "cpu" } });
        document["score"] = json!({ "da_y10": score("y10"), "da_y1": score("y1") });
    }
    document.to_string()
}

/// Runs a pipeline over some objects, with one worker.
pub(super) fn run(document: &str, run_dir: &Path, objects: usize) -> Result<Spent> {
    let pipeline = Pipeline::from_yaml(document).threads(1).limit(objects as u64).run_dir(run_dir);
    let options = RunOptions { existing: Existing::Overwrite };
    // The first progress report comes when all stages are started and no batch has been read.
    let mut begun = None;
    pipeline.check()?.run(&options, &Stop::default(), &mut |_| {
        begun.get_or_insert_with(ProcessTime::now);
    })?;
    let cpu_seconds = begun.ok_or("the run did not report")?.elapsed().as_secs_f64();
    Ok(Spent { objects, cpu_seconds })
}

/// The same rows, and mostly the same classes: the noise is another one.
fn compare(run_dir: &Path, file: &Path, objects: usize, scoring: bool) -> Result<String> {
    let mut ours = BTreeMap::new();
    for entry in std::fs::read_dir(run_dir.join("objects"))? {
        rows(&entry?.path(), scoring, &mut ours)?;
    }
    let mut theirs = BTreeMap::new();
    rows(file, scoring, &mut theirs)?;
    if ours.len() != objects || !ours.keys().eq(theirs.keys()) {
        return Err(format!("{} and {} rows of {objects} objects", ours.len(), theirs.len()).into());
    }
    if !scoring {
        return Ok(format!("{objects} rows"));
    }
    let same = |domain: usize| {
        let same = ours.values().zip(theirs.values()).filter(|(our, their)| our[domain] == their[domain]);
        100.0 * same.count() as f64 / objects as f64
    };
    let (y10, y1) = (same(0), same(1));
    if y10 < 90.0 || y1 < 60.0 {
        return Err(format!("only {y10:.0} % (y10) and {y1:.0} % (y1) of the classes agree").into());
    }
    Ok(format!("{objects} rows; classes under other noise: {y10:.1} % agree at ten years, {y1:.1} % at one"))
}

/// Classes at ten years and at one, by object.
fn rows(path: &Path, scoring: bool, rows: &mut BTreeMap<String, [String; 2]>) -> Result<()> {
    for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?.build()? {
        let batch = batch?;
        let text = |name: &str| -> Result<_> {
            let column = batch.column_by_name(name).ok_or_else(|| format!("no column `{name}`"))?;
            Ok(cast(column, &DataType::Utf8)?)
        };
        let ids = text("object_id")?;
        let classes = if scoring { Some([text("da_y10_class")?, text("da_y1_class")?]) } else { None };
        for row in 0..ids.len() {
            let of = |domain: usize| {
                classes.as_ref().map_or_else(String::new, |c| c[domain].as_string::<i32>().value(row).to_owned())
            };
            rows.insert(ids.as_string::<i32>().value(row).to_owned(), [of(0), of(1)]);
        }
    }
    Ok(())
}
