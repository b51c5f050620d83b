//! Size and power of the drift tests: how often they reject under the null, and how often under drift.
//!
//! `cargo bench --bench drift` prints tables; it takes minutes. A short form runs with the tests of `stats::mmd`. Under
//! the null, latents are drawn from a mixture of three normal distributions with the means and standard deviations of
//! the classes in `models/convnet-da.latents.parquet`, so that all pairs of a reference and a window are independent.
//! The power is measured on the real latents of Y10 and Y1.
#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

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
            GaussianKernelSum, Reference,
            random_features::{self, Features, Sums},
        },
        permutation::{Groups, Strata},
        points::Points,
    },
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

type DriftResult<T> = Result<T, Box<dyn Error>>;

const LEVEL: f64 = 0.05;
const WINDOW: usize = 250;

/// Measures size and power of the drift tests.
#[derive(Debug, Parser)]
#[command(name = "drift")]
struct DriftArguments {
    /// Pairs of a reference and a window under the null.
    #[arg(long, default_value_t = 1000)]
    pairs: usize,
    /// Windows of real latents.
    #[arg(long, default_value_t = 500)]
    windows: usize,
    /// References that are compared with many windows.
    #[arg(long, default_value_t = 16)]
    references: usize,
    /// Windows per reference.
    #[arg(long, default_value_t = 250)]
    windows_per_reference: usize,
    /// Passed by cargo to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> DriftResult<()> {
    let arguments = DriftArguments::parse();
    if !arguments.bench {
        return Ok(()); // `cargo test --all-targets`
    }
    let null = NullDistribution::of(&HeldOutLatents::read("models/convnet-da.latents.parquet")?.of_domain("y10"));
    println!("| under the null | pairs | rejected at {LEVEL} | 95 % |\n|---|---|---|---|");
    size("permutation, 1000 and 250 rows, 19 kernels, B = 199", &arguments, &null, by_permutation)?;
    size("random features, 512, 1000 and 250 rows, 19 kernels, B = 199", &arguments, &null, by_features)?;
    println!(
        "\n| one reference of | references x windows | rejected at {LEVEL}, least to most | mean |\n|---|---|---|---|"
    );
    for rows in [500, 1000, 2000] {
        reused(rows, &arguments, &null)?;
    }
    println!(
        "\n| model | windows of {WINDOW} galaxies | windows | rejected at {LEVEL} | 95 % |\n|---|---|---|---|---|"
    );
    for model in ["convnet-regular", "convnet-da", "resnet18-regular", "resnet18-da"] {
        power(model, arguments.windows)?;
    }
    Ok(())
}

/// Latents of held-out galaxies.
struct HeldOutLatents(Vec<LatentRow>);

struct LatentRow {
    id: String,
    domain: String,
    label: String,
    latent: Vec<f32>,
}

impl HeldOutLatents {
    fn read(path: &str) -> DriftResult<Self> {
        let mut rows = Vec::new();
        for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?.build()? {
            let batch = batch?;
            let text = |name: &str| -> &StringArray { batch[name].as_string() };
            let latents = batch["latent"].as_fixed_size_list();
            rows.extend((0..batch.num_rows()).map(|row| LatentRow {
                id: text("object_id").value(row).to_owned(),
                domain: text("domain").value(row).to_owned(),
                label: text("label").value(row).to_owned(),
                latent: latents.value(row).as_primitive::<Float32Type>().values().to_vec(),
            }));
        }
        Ok(Self(rows))
    }

    fn of_domain(&self, domain: &str) -> Vec<&LatentRow> {
        self.0.iter().filter(|row| row.domain == domain).collect()
    }
}

/// A mixture of a normal distribution per class.
struct NullDistribution {
    classes: Vec<Vec<Normal>>,
}

/// A normal distribution of one dimension.
struct Normal {
    mean: f64,
    sigma: f64,
}

impl NullDistribution {
    fn of(rows: &[&LatentRow]) -> Self {
        let mut labels: Vec<&str> = rows.iter().map(|row| row.label.as_str()).collect();
        labels.sort_unstable();
        labels.dedup();
        let moments = |label: &&str, d: usize| {
            let numbers = || rows.iter().filter(|row| row.label == **label).map(|row| f64::from(row.latent[d]));
            let n = numbers().count() as f64;
            let mean = numbers().sum::<f64>() / n;
            Normal { mean, sigma: (numbers().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt() }
        };
        let classes = labels.iter().map(|label| (0..rows[0].latent.len()).map(|d| moments(label, d)).collect());
        Self { classes: classes.collect() }
    }

    fn draw(&self, rows: usize, stream: &mut Stream) -> Points {
        let mut points = Points::of_dimension(self.classes[0].len());
        for _ in 0..rows {
            let class = &self.classes[stream.below(self.classes.len() as u64) as usize];
            let number = |of: &Normal| (of.mean + of.sigma * stream.normal()) as f32;
            points.push(&class.iter().map(number).collect::<Vec<_>>());
        }
        points
    }
}

fn by_permutation(reference: &Points, window: &Points, stream: &mut Stream) -> DriftResult<f64> {
    p_value(&Reference::new(reference.clone(), GaussianKernelSum::paper()), window, 199, stream)
}

fn p_value(reference: &Reference, window: &Points, permutations: usize, stream: &mut Stream) -> DriftResult<f64> {
    let size = reference.group_size(window);
    let (mut groups, mut strata) = (Groups::of_size(size), Strata::single(reference.len() + window.len(), size));
    (0..permutations).for_each(|_| strata.draw(&mut groups, &mut || stream.next_u64()));
    Ok(reference.test(window, &groups).ok_or("too few rows")?.p_value())
}

fn by_features(reference: &Points, window: &Points, stream: &mut Stream) -> DriftResult<f64> {
    let features = Features::draw(&GaussianKernelSum::paper(), 512, reference.dimension(), &mut || stream.normal());
    let mut sums = |points: &Points| {
        let coins: Vec<u64> = (0..4 * points.len()).map(|_| stream.next_u64()).collect();
        let mut sums = Sums::new(&features, 199);
        sums.add(&features, points, &coins);
        sums
    };
    let (reference, window) = (sums(reference), sums(window));
    Ok(random_features::test(&features, &reference, &window).ok_or("too few rows")?.1)
}

type DriftTest = fn(&Points, &Points, &mut Stream) -> DriftResult<f64>;

fn size(name: &str, arguments: &DriftArguments, null: &NullDistribution, test: DriftTest) -> DriftResult<()> {
    let mut rejected = 0;
    for pair in 0..arguments.pairs {
        let mut stream = Stream::new(1, &pair.to_string(), name);
        let (reference, window) = (null.draw(1000, &mut stream), null.draw(WINDOW, &mut stream));
        rejected += u64::from(test(&reference, &window, &mut stream)? <= LEVEL);
    }
    println!("| {name} | {} | {} |", arguments.pairs, fraction(rejected, arguments.pairs));
    Ok(())
}

/// A fraction and its Wilson interval.
fn fraction(rejected: u64, all: usize) -> String {
    let interval = wilson(rejected, all as u64, 0.95);
    let interval = interval.map_or_else(String::new, |(low, high)| format!("{low:.3} to {high:.3}"));
    format!("{:.3} | {interval}", rejected as f64 / all as f64)
}

fn reused(rows: usize, arguments: &DriftArguments, null: &NullDistribution) -> DriftResult<()> {
    let mut fractions = Vec::new();
    for reference in 0..arguments.references {
        let mut stream = Stream::new(2, &reference.to_string(), &format!("reference of {rows}"));
        let reference = Reference::new(null.draw(rows, &mut stream), GaussianKernelSum::paper());
        let mut rejected = 0;
        for _ in 0..arguments.windows_per_reference {
            let window = null.draw(WINDOW, &mut stream);
            rejected += usize::from(p_value(&reference, &window, 199, &mut stream)? <= LEVEL);
        }
        fractions.push(rejected as f64 / arguments.windows_per_reference as f64);
    }
    fractions.sort_by(f64::total_cmp);
    let mean = fractions.iter().sum::<f64>() / fractions.len() as f64;
    let (least, most) = (fractions[0], fractions[fractions.len() - 1]);
    println!(
        "| {rows} rows | {} x {} | {least:.3} to {most:.3} | {mean:.3} |",
        arguments.references, arguments.windows_per_reference
    );
    Ok(())
}

/// Compares 1,000 latents of Y10 with windows of other galaxies, in both domains; every window draws the galaxies anew.
fn power(model: &str, windows: usize) -> DriftResult<()> {
    const KNOWN: usize = 1000;
    let latents = HeldOutLatents::read(&format!("models/{model}.latents.parquet"))?;
    let [near, far] = ["y10", "y1"].map(|domain| latents.of_domain(domain));
    if near.len() < KNOWN + WINDOW || !near.iter().zip(&far).all(|(near, far)| near.id == far.id) {
        return Err(format!("the latents of `{model}` are not of {} galaxies in both domains", KNOWN + WINDOW).into());
    }
    let mut stream = Stream::new(3, model, "power");
    let mut rejected = [0, 0];
    let mut galaxies: Vec<usize> = (0..near.len()).collect();
    for _ in 0..windows {
        for i in 0..KNOWN + WINDOW {
            let other = i + stream.below((galaxies.len() - i) as u64) as usize;
            galaxies.swap(i, other);
        }
        let points = |rows: &[&LatentRow], galaxies: &[usize]| {
            let mut points = Points::of_dimension(rows[0].latent.len());
            galaxies.iter().for_each(|galaxy| points.push(&rows[*galaxy].latent));
            points
        };
        let reference = Reference::new(points(&near, &galaxies[..KNOWN]), GaussianKernelSum::paper());
        for (rejected, rows) in rejected.iter_mut().zip([&near, &far]) {
            let window = points(rows, &galaxies[KNOWN..KNOWN + WINDOW]);
            *rejected += u64::from(p_value(&reference, &window, 999, &mut stream)? <= LEVEL);
        }
    }
    for (rejected, domain) in rejected.iter().zip(["y10", "y1"]) {
        println!("| {model} | {domain} | {windows} | {} |", fraction(*rejected, windows));
    }
    Ok(())
}
