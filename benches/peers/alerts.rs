//! A night of alert packets (`benches/night.py`): fields alone, three stamps as images, scores, and all of it into Parquet, against
//! fastavro, astropy, onnxruntime and pyarrow.
//!
//! The source, its decoder and the scorer are called as the engine calls them, on one thread; the last subject is a whole run.

use std::{collections::BTreeMap, ffi::OsString, fs::File, hint::black_box, path::Path};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float32Type, Schema},
};
use lucarne::{
    batch::{Images, list_values},
    score::onnx::{Device, Onnx, OnnxScorer},
    source::{
        alerts::{Alerts, Packets, Survey},
        fits::Policy,
    },
    stage::{Rejects, Scorer, Settings, Source, Transform},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;

use super::{
    Bench, Result,
    chain::run,
    inputs::{Inputs, context, mistakes, read},
    measure::{spend, take_turns},
    peer::read_npy,
    table::Line,
};

/// The network of the lesson; that of Rubin, which is not part of the project, has three times its multiplications.
const MODEL: &str = "pipelines/alerts/real_bogus.onnx";
/// Packets whose pixels are compared.
const COMPARED: usize = 256;
/// Rows of a batch of onnxruntime.
const PEER_BATCH: &str = "8";
const SIDE: usize = 51;

/// How much is done with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AlertWork {
    Fields,
    Stamps,
    Scores,
}

/// The source, its decoder and the scorer.
struct Reading {
    source: Box<dyn Source>,
    decoder: Option<Box<dyn Transform>>,
    scorer: Option<OnnxScorer>,
}

impl Reading {
    fn new(night: &Path, depth: AlertWork) -> Result<Self> {
        let images = if depth == AlertWork::Fields { Vec::new() } else { vec![("stamps".to_owned(), stamps())] };
        let packets = Packets {
            stamps: (depth == AlertWork::Fields).then(BTreeMap::new),
            images: images.into_iter().collect(),
            size: (depth != AlertWork::Fields).then_some(SIDE),
            nan: Policy::Fill,
            ..Packets::of(Survey::Lsst)
        };
        let settings = Alerts { paths: vec![night.display().to_string()], packets };
        let mut source = settings.build("source").map_err(mistakes)?;
        let mut fields = source.bind().map_err(mistakes)?.fields().to_vec();
        source.start(&context())?;
        let mut decoder = source.decoder();
        if let Some(decoder) = &mut decoder {
            let made = decoder.bind(&Schema::new(fields.clone())).map_err(mistakes)?;
            fields.extend(made.into_iter().map(Into::into));
            decoder.start(&context())?;
        }
        let scorer = (depth == AlertWork::Scores).then(|| -> Result<OnnxScorer> {
            let mut scorer = OnnxScorer::new("rb", Onnx { device: Device::Cpu, ..Onnx::new(MODEL, "stamps") });
            scorer.bind(&Schema::new(fields)).map_err(mistakes)?;
            scorer.start(&context())?;
            Ok(scorer)
        });
        Ok(Self { source, decoder, scorer: scorer.transpose()? })
    }

    /// Reads the night. Returns its packets.
    fn read(&mut self, mut take: impl FnMut(&RecordBatch)) -> Result<usize> {
        let Self { source, decoder, scorer } = self;
        let mut failed = None;
        let objects = read(source.as_ref(), |rows| {
            let made = decoded(&rows, decoder.as_deref_mut(), scorer.as_mut());
            match made {
                Ok(rows) => take(&rows),
                Err(error) => failed = failed.take().or(Some(error)),
            }
        })?;
        failed.map_or(Ok(objects), Err)
    }
}

fn stamps() -> Vec<String> {
    ["difference", "science", "template"].map(str::to_owned).to_vec()
}

fn decoded(
    rows: &RecordBatch,
    decoder: Option<&mut (dyn Transform + 'static)>,
    scorer: Option<&mut OnnxScorer>,
) -> Result<RecordBatch> {
    let mut rejects = Rejects::default();
    let rows = decoder.map_or_else(|| Ok(rows.clone()), |decoder| decoder.apply(rows.clone(), &mut rejects))?;
    let rows = scorer.map_or_else(|| Ok(rows.clone()), |scorer| scorer.score(rows.clone(), &mut rejects))?;
    match rejects.rejected.first() {
        Some(reject) => Err(format!("`{}` was rejected: {}", reject.origin, reject.reason).into()),
        None => Ok(rows),
    }
}

pub(crate) fn measure(bench: &Bench, inputs: &Inputs) -> Result<Vec<Line>> {
    let night = inputs.scratch.join("night");
    bench.python.night(&night, inputs.objects)?;
    let mut lines = Vec::new();
    for (depth, subject, work, peer) in [
        (AlertWork::Fields, "alerts: fields (goal 200,000/s)", "alerts_decode", "fastavro"),
        (AlertWork::Stamps, "alerts: three stamps (goal 12,000/s)", "alerts_stamps", "fastavro, astropy"),
        (AlertWork::Scores, "alerts: scores", "alerts_scores", "fastavro, astropy, onnxruntime"),
    ] {
        let mut reading = Reading::new(&night, depth)?;
        let equal = if bench.profile_seconds.is_some() {
            String::new()
        } else {
            compare(bench, inputs, &night, &mut reading, (depth, work))?
        };
        let mut ours = || {
            spend(|| {
                reading.read(|rows| {
                    black_box(rows);
                })
            })
        };
        let [ours, theirs] =
            take_turns(bench, [&mut ours, &mut || bench.python.run(work, &night, &options(None, None))])?;
        lines.push(Line { subject, ours, peer: peer.to_owned(), theirs, goal: None, equal });
    }
    lines.push(chain(bench, inputs, &night)?);
    Ok(lines)
}

fn options(out: Option<&Path>, limit: Option<usize>) -> Vec<(&'static str, OsString)> {
    let mut options: Vec<(&str, OsString)> = vec![("--model", MODEL.into()), ("--batch", PEER_BATCH.into())];
    options.extend(out.map(|out| ("--out", out.into())));
    options.extend(limit.map(|limit| ("--limit", limit.to_string().into())));
    options
}

/// Compares what both sides read of the first packets. Returns how they were found to be equal.
fn compare(
    bench: &Bench,
    inputs: &Inputs,
    night: &Path,
    reading: &mut Reading,
    (depth, work): (AlertWork, &str),
) -> Result<String> {
    let out = inputs.scratch.join(format!("{work}.npy"));
    let compared = COMPARED.min(inputs.objects);
    bench.python.run(work, night, &options(Some(&out), Some(compared)))?;
    let (_, theirs) = read_npy(&out)?;
    let (mut ours, mut failed, mut left) = (Vec::new(), None, compared);
    reading.read(|rows| {
        let rows = rows.slice(0, left.min(rows.num_rows()));
        left -= rows.num_rows();
        if rows.num_rows() > 0
            && let Err(error) = numbers(&rows, depth, &mut ours)
        {
            failed = Some(error);
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    let worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    let most = if depth == AlertWork::Scores { 1e-5 } else { 0.0 };
    if ours.len() != theirs.len() || worst.is_nan() || worst > most {
        return Err(format!("{work}: {} and {} numbers differ by {worst:.1e}", ours.len(), theirs.len()).into());
    }
    Ok(match depth {
        AlertWork::Fields => format!("4 fields of {compared} packets"),
        AlertWork::Stamps => format!("all pixels of {compared} packets"),
        AlertWork::Scores => format!("scores of {compared} packets within {worst:.0e}"),
    })
}

/// The numbers of rows that are compared.
fn numbers(rows: &RecordBatch, depth: AlertWork, out: &mut Vec<f32>) -> Result<()> {
    match depth {
        AlertWork::Fields => {
            let columns: Vec<_> = ["ra", "dec", "midpoint_mjd_tai", "psf_flux_njy"]
                .iter()
                .map(|name| cast(&rows[*name], &DataType::Float32))
                .collect::<std::result::Result<_, _>>()?;
            for row in 0..rows.num_rows() {
                out.extend(columns.iter().map(|column| column.as_primitive::<Float32Type>().value(row)));
            }
        }
        AlertWork::Stamps => out.extend_from_slice(Images::of(rows, "stamps")?.pixels),
        AlertWork::Scores => out.extend(list_values(rows, "rb_probability")?.0.chunks_exact(2).map(|both| both[1])),
    }
    Ok(())
}

/// The whole chain: a run with one worker, whose threads, commits and `fsync` count.
fn chain(bench: &Bench, inputs: &Inputs, night: &Path) -> Result<Line> {
    let (run_dir, file) = (inputs.scratch.join("night_run"), inputs.scratch.join("night.parquet"));
    let document = json!({
        "source": { "alerts": {
            "paths": [night], "survey": "lsst", "size": SIDE, "nan": "fill", "images": { "stamps": stamps() },
        } },
        "score": { "rb": { "onnx": { "model": MODEL, "image": "stamps", "device": "cpu" } } },
        "sink": { "objects": { "parquet": {} } },
    });
    let document = document.to_string();
    let options = options(Some(&file), None);
    let mut ours = || run(&document, &run_dir, inputs.objects);
    let mut theirs = || bench.python.run("alerts_chain", night, &options);
    let equal = if bench.profile_seconds.is_some() {
        String::new()
    } else {
        ours()?;
        theirs()?;
        let (mut our, mut their) = (BTreeMap::new(), BTreeMap::new());
        for entry in std::fs::read_dir(run_dir.join("objects"))? {
            scores(&entry?.path(), &mut our)?;
        }
        scores(&file, &mut their)?;
        let worst = our.values().zip(their.values()).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        if our.len() != inputs.objects || !our.keys().eq(their.keys()) || worst.is_nan() || worst > 1e-5 {
            return Err(format!("{} and {} rows, whose scores differ by {worst:.1e}", our.len(), their.len()).into());
        }
        format!("{} rows, scores within {worst:.0e}", our.len())
    };
    let [ours, theirs] = take_turns(bench, [&mut ours, &mut theirs])?;
    let peer = "fastavro, astropy, onnxruntime, pyarrow".to_owned();
    Ok(Line { subject: "alerts: into Parquet (goal 4,000/s on two cores)", ours, peer, theirs, goal: None, equal })
}

/// Scores of a Parquet file, by object.
fn scores(path: &Path, found: &mut BTreeMap<String, f32>) -> Result<()> {
    if path.extension().is_none_or(|extension| extension != "parquet") {
        return Ok(());
    }
    for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?.build()? {
        let batch = batch?;
        let ids = cast(batch.column_by_name("object_id").ok_or("no column `object_id`")?, &DataType::Utf8)?;
        let probabilities = batch.column_by_name("rb_probability").ok_or("no column `rb_probability`")?;
        let values = probabilities.as_fixed_size_list_opt().ok_or("no list")?.values().clone();
        let values = values.as_primitive::<Float32Type>();
        for row in 0..ids.len() {
            found.insert(ids.as_string::<i32>().value(row).to_owned(), values.value(2 * row + 1));
        }
    }
    Ok(())
}
