//! Lucarne beside what is written today with GalSim, fitsio, astropy, fastavro, ONNX Runtime and pyarrow (`benches/peers.py`).
//!
//! Both sides work on the same pixels, one thread each, taking turns; what they made is compared first, then the medians
//! of their rates by CPU time, which other load on the machine disturbs least. `make bench`, or
//! `cargo bench --bench peers -- blur observe --repetitions 7`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench tells what it measured")]

mod alerts;
mod attack;
mod bare_ort;
mod chain;
mod drift;
mod fits;
mod gpu;
mod inputs;
mod measure;
mod observe;
mod parquet;
mod peer;
mod score;
mod table;
mod tiles;
mod window;

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::{Parser, ValueEnum};

use self::{inputs::Inputs, peer::Python, table::Line};

/// Whatever ends a bench.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Subject {
    /// Reading files: the source `fits` against python fitsio.
    Fits,
    /// Cutouts of large images: the source `tiles` against astropy's `Cutout2D`.
    Tiles,
    /// The blur of `observe` against GalSim.
    Blur,
    /// All of `observe`, one exposure, against GalSim.
    Observe,
    /// A score against a bare loop around ONNX Runtime, in Rust and in Python.
    Score,
    /// The sink `parquet` against pyarrow.
    Parquet,
    /// FITS, two exposures, two stretches, two scores, Parquet.
    Chain,
    /// The same without the scores.
    ChainWithoutScoring,
    /// A night of alert packets: fields, stamps, scores, and all of it into Parquet, against fastavro, astropy and onnxruntime.
    Alerts,
    /// Images that differ in one pixel, against onnxruntime on whole images.
    Candidates,
    /// Church windows, against numpy.
    Windows,
    /// MMD tests, against numpy and alibi-detect.
    Mmd,
    /// An isomap, against scikit-learn.
    Isomap,
    /// Whole one-pixel attacks, against the authors' algorithm.
    Attack,
    /// The score on a GPU, by wall time, against a bare loop on it. Only when it is named.
    Gpu,
}

/// Measures Lucarne beside its peers.
#[derive(Debug, Parser)]
#[command(name = "peers")]
struct Arguments {
    /// What to measure; everything when nothing is named.
    subjects: Vec<Subject>,
    /// Objects of the quick subjects: fits, tiles, score, parquet, alerts.
    #[arg(long, default_value_t = 2000)]
    objects: usize,
    /// Objects of the subjects that take the peer long: blur, observe, chain, compressed tiles.
    #[arg(long, default_value_t = 400)]
    slow_objects: usize,
    /// How often each side is measured; the median counts.
    #[arg(long, default_value_t = 5)]
    repetitions: usize,
    /// Objects of `attack`: each takes the peer up to half a minute.
    #[arg(long, default_value_t = 6)]
    attacked: usize,
    /// The model of `score`, `chain`, `candidates` and `attack`.
    #[arg(long, default_value = "models/convnet-da.onnx")]
    model: PathBuf,
    /// Runs one subject repeatedly for this many seconds, without a peer: for a profiler.
    #[arg(long)]
    profile_seconds: Option<f64>,
    /// What cargo passes to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    if let Some(done) = bare_ort::child() {
        return done.map_or_else(failed, |()| ExitCode::SUCCESS);
    }
    let arguments = Arguments::parse();
    if !arguments.bench {
        return ExitCode::SUCCESS; // `cargo test --all-targets`
    }
    measure_all(&arguments).map_or_else(failed, |()| ExitCode::SUCCESS)
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that `map_or_else` wants")]
fn failed(error: Box<dyn Error>) -> ExitCode {
    eprintln!("peers: {error}");
    ExitCode::FAILURE
}

fn measure_all(arguments: &Arguments) -> Result<()> {
    let all: Vec<Subject> =
        Subject::value_variants().iter().copied().filter(|subject| *subject != Subject::Gpu).collect();
    let wanted = if arguments.subjects.is_empty() { &all } else { &arguments.subjects };
    let folder = tempfile::tempdir()?;
    let bench = Bench {
        python: Python::find()?,
        model: arguments.model.clone(),
        repetitions: arguments.repetitions.max(1),
        profile_seconds: arguments.profile_seconds,
    };
    let objects = arguments.objects.max(64);
    let inputs = Inputs::make(folder.path(), objects, arguments.slow_objects.clamp(32, objects))?;
    table::heading(&bench);
    for subject in wanted {
        let lines = match subject {
            Subject::Fits => fits::measure(&bench, &inputs)?,
            Subject::Tiles => tiles::measure(&bench, &inputs)?,
            Subject::Blur => observe::blur(&bench, &inputs)?,
            Subject::Observe => observe::observe(&bench, &inputs)?,
            Subject::Parquet => parquet::measure(&bench, &inputs)?,
            Subject::Score | Subject::Chain | Subject::Candidates | Subject::Attack if !bench.model.is_file() => {
                table::note(&format!("{subject:?} is skipped: there is no model `{}`", bench.model.display()));
                continue;
            }
            Subject::Score => score::measure(&bench, &inputs)?,
            Subject::Chain => chain::measure(&bench, &inputs, true)?,
            Subject::ChainWithoutScoring => chain::measure(&bench, &inputs, false)?,
            Subject::Candidates => attack::candidates(&bench, &inputs)?,
            Subject::Alerts => alerts::measure(&bench, &inputs)?,
            Subject::Windows => window::measure(&bench, &inputs)?,
            Subject::Mmd => drift::mmd(&bench, &inputs)?,
            Subject::Isomap => drift::isomap(&bench, &inputs)?,
            Subject::Attack => attack::attack(&bench, &inputs, arguments.attacked)?,
            Subject::Gpu => gpu::measure(&bench, &inputs)?,
        };
        lines.iter().for_each(Line::print);
    }
    Ok(())
}

/// How to measure.
#[derive(Clone)]
struct Bench {
    python: Python,
    model: PathBuf,
    repetitions: usize,
    profile_seconds: Option<f64>,
}
