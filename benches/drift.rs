//! Whether the drift tests keep what they promise: how often they call drift what is none, and how often they see it.
//!
//! `cargo bench --bench drift` prints tables; it takes minutes. A short form runs with the tests of `stats::mmd`. Latents of one
//! distribution are drawn from three normal ones, of the mean and spread that `models/convnet-da.latents.parquet` has in each class,
//! so that every pair of a reference and a window is independent of every other. Those of Y10 and Y1 are the real ones.
#![allow(clippy::print_stdout, reason = "a bench tells what it measured")]

use std::{error::Error, fs::File};

use arrow::{
    array::{AsArray, StringArray},
    datatypes::Float32Type,
};
use clap::Parser;
use lucarne::{
    random::Stream,
    stats::{
        interval::wilson,
        mmd::{
            Kernel, Reference,
            random_features::{self, Features, Sums},
        },
        permutation::{Groups, Strata},
        points::Points,
    },
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Whatever ends a bench.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

const LEVEL: f64 = 0.05;
const WINDOW: usize = 250;

/// Measures size and power of the drift tests.
#[derive(Debug, Parser)]
#[command(name = "drift")]
struct Arguments {
    /// Pairs of a reference and a window of one distribution.
    #[arg(long, default_value_t = 1000)]
    pairs: usize,
    /// Windows of real latents.
    #[arg(long, default_value_t = 500)]
    windows: usize,
    /// References that are met again and again, and windows that meet each.
    #[arg(long, default_value_t = 16)]
    references: usize,
    #[arg(long, default_value_t = 250)]
    meetings: usize,
    /// What cargo passes to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if !arguments.bench {
        return Ok(()); // `cargo test --all-targets`
    }
    let law = Law::of(&Latents::read("models/convnet-da.latents.parquet")?.of_domain("y10"));
    println!("| of one distribution | pairs | called drift at {LEVEL} | 95 % |\n|---|---|---|---|");
    size("permutation, 1000 and 250 rows, 19 kernels, B = 199", &arguments, &law, by_permutation)?;
    size("random features, 512, 1000 and 250 rows, 19 kernels, B = 199", &arguments, &law, by_features)?;
    println!(
        "\n| one reference of | references x windows | called drift at {LEVEL}, least to most | mean |\n|---|---|---|---|"
    );
    for rows in [500, 1000, 2000] {
        reused(rows, &arguments, &law)?;
    }
    println!(
        "\n| model | windows of {WINDOW} galaxies | windows | called drift at {LEVEL} | 95 % |\n|---|---|---|---|---|"
    );
    for model in ["convnet-regular", "convnet-da", "resnet18-regular", "resnet18-da"] {
        power(model, arguments.windows)?;
    }
    Ok(())
}

/// Latents of held-out galaxies.
struct Latents(Vec<Row>);

struct Row {
    id: String,
    domain: String,
    label: String,
    latent: Vec<f32>,
}

impl Latents {
    fn read(path: &str) -> Result<Self> {
        let mut rows = Vec::new();
        for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?.build()? {
            let batch = batch?;
            let text = |name: &str| -> &StringArray { batch[name].as_string() };
            let latents = batch["latent"].as_fixed_size_list();
            rows.extend((0..batch.num_rows()).map(|row| Row {
                id: text("object_id").value(row).to_owned(),
                domain: text("domain").value(row).to_owned(),
                label: text("label").value(row).to_owned(),
                latent: latents.value(row).as_primitive::<Float32Type>().values().to_vec(),
            }));
        }
        Ok(Self(rows))
    }

    fn of_domain(&self, domain: &str) -> Vec<&Row> {
        self.0.iter().filter(|row| row.domain == domain).collect()
    }
}

/// Three normal distributions: mean and standard deviation of every dimension.
struct Law(Vec<Vec<(f64, f64)>>);

impl Law {
    fn of(rows: &[&Row]) -> Self {
        let mut labels: Vec<&str> = rows.iter().map(|row| row.label.as_str()).collect();
        labels.sort_unstable();
        labels.dedup();
        let moments = |label: &&str, d: usize| {
            let numbers = || rows.iter().filter(|row| row.label == **label).map(|row| f64::from(row.latent[d]));
            let n = numbers().count() as f64;
            let mean = numbers().sum::<f64>() / n;
            (mean, (numbers().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt())
        };
        Self(labels.iter().map(|label| (0..rows[0].latent.len()).map(|d| moments(label, d)).collect()).collect())
    }

    fn draw(&self, rows: usize, stream: &mut Stream) -> Points {
        let mut points = Points::of_dimension(self.0[0].len());
        for _ in 0..rows {
            let class = &self.0[stream.below(self.0.len() as u64) as usize];
            points.push(&class.iter().map(|(mean, s)| (mean + s * stream.normal()) as f32).collect::<Vec<_>>());
        }
        points
    }
}

fn by_permutation(reference: &Points, window: &Points, stream: &mut Stream) -> Result<f64> {
    p_value(&Reference::new(reference.clone(), Kernel::paper()), window, 199, stream)
}

fn p_value(reference: &Reference, window: &Points, permutations: usize, stream: &mut Stream) -> Result<f64> {
    let size = reference.group_size(window);
    let (mut groups, mut strata) = (Groups::of_size(size), Strata::whole(reference.len() + window.len(), size));
    (0..permutations).for_each(|_| strata.draw(&mut groups, &mut || stream.next_u64()));
    Ok(reference.test(window, &groups).ok_or("too few rows")?.p_value())
}

fn by_features(reference: &Points, window: &Points, stream: &mut Stream) -> Result<f64> {
    let features = Features::draw(&Kernel::paper(), 512, reference.dimension(), &mut || stream.normal());
    let mut sums = |points: &Points| {
        let coins: Vec<u64> = (0..4 * points.len()).map(|_| stream.next_u64()).collect();
        let mut sums = Sums::new(&features, 199);
        sums.add(&features, points, &coins);
        sums
    };
    let (reference, window) = (sums(reference), sums(window));
    Ok(random_features::test(&features, &reference, &window).ok_or("too few rows")?.1)
}

type Test = fn(&Points, &Points, &mut Stream) -> Result<f64>;

fn size(name: &str, arguments: &Arguments, law: &Law, test: Test) -> Result<()> {
    let mut called = 0;
    for pair in 0..arguments.pairs {
        let mut stream = Stream::new(1, &pair.to_string(), name);
        let (reference, window) = (law.draw(1000, &mut stream), law.draw(WINDOW, &mut stream));
        called += u64::from(test(&reference, &window, &mut stream)? <= LEVEL);
    }
    println!("| {name} | {} | {} |", arguments.pairs, part(called, arguments.pairs));
    Ok(())
}

/// A part, and its Wilson interval.
fn part(called: u64, all: usize) -> String {
    let interval = wilson(called, all as u64, 0.95);
    let interval = interval.map_or_else(String::new, |(low, high)| format!("{low:.3} to {high:.3}"));
    format!("{:.3} | {interval}", called as f64 / all as f64)
}

fn reused(rows: usize, arguments: &Arguments, law: &Law) -> Result<()> {
    let mut parts = Vec::new();
    for reference in 0..arguments.references {
        let mut stream = Stream::new(2, &reference.to_string(), &format!("reference of {rows}"));
        let reference = Reference::new(law.draw(rows, &mut stream), Kernel::paper());
        let mut called = 0;
        for _ in 0..arguments.meetings {
            let window = law.draw(WINDOW, &mut stream);
            called += usize::from(p_value(&reference, &window, 199, &mut stream)? <= LEVEL);
        }
        parts.push(called as f64 / arguments.meetings as f64);
    }
    parts.sort_by(f64::total_cmp);
    let mean = parts.iter().sum::<f64>() / parts.len() as f64;
    let (least, most) = (parts[0], parts[parts.len() - 1]);
    println!(
        "| {rows} rows | {} x {} | {least:.3} to {most:.3} | {mean:.3} |",
        arguments.references, arguments.meetings
    );
    Ok(())
}

/// 1,000 latents of Y10 against windows of other galaxies, in either domain; who is in which is drawn anew every time.
fn power(model: &str, windows: usize) -> Result<()> {
    const KNOWN: usize = 1000;
    let latents = Latents::read(&format!("models/{model}.latents.parquet"))?;
    let [near, far] = ["y10", "y1"].map(|domain| latents.of_domain(domain));
    if near.len() < KNOWN + WINDOW || !near.iter().zip(&far).all(|(near, far)| near.id == far.id) {
        return Err(format!("the latents of `{model}` are not of {} galaxies in both domains", KNOWN + WINDOW).into());
    }
    let mut stream = Stream::new(3, model, "power");
    let mut called = [0, 0];
    let mut galaxies: Vec<usize> = (0..near.len()).collect();
    for _ in 0..windows {
        for i in 0..KNOWN + WINDOW {
            let other = i + stream.below((galaxies.len() - i) as u64) as usize;
            galaxies.swap(i, other);
        }
        let points = |rows: &[&Row], galaxies: &[usize]| {
            let mut points = Points::of_dimension(rows[0].latent.len());
            galaxies.iter().for_each(|galaxy| points.push(&rows[*galaxy].latent));
            points
        };
        let reference = Reference::new(points(&near, &galaxies[..KNOWN]), Kernel::paper());
        for (called, rows) in called.iter_mut().zip([&near, &far]) {
            let window = points(rows, &galaxies[KNOWN..KNOWN + WINDOW]);
            *called += u64::from(p_value(&reference, &window, 999, &mut stream)? <= LEVEL);
        }
    }
    for (called, domain) in called.iter().zip(["y10", "y1"]) {
        println!("| {model} | {domain} | {windows} | {} |", part(*called, windows));
    }
    Ok(())
}
