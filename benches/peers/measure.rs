//! Rates by CPU time.

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

use super::{Bench, Result};

/// The cost of some work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) objects: usize,
    pub(crate) cpu_seconds: f64,
}

impl Spent {
    /// Objects per CPU second.
    pub(crate) fn rate(self) -> f64 {
        self.objects as f64 / self.cpu_seconds
    }
}

/// Measures work that returns its number of objects; all threads of the process count.
pub(crate) fn spend(work: impl FnOnce() -> Result<usize>) -> Result<Spent> {
    let begun = ProcessTime::now();
    let objects = work()?;
    Ok(Spent { objects, cpu_seconds: begun.elapsed().as_secs_f64() })
}

/// Measures the sides of a subject in turns. Returns the median rate of each.
pub(crate) fn take_turns<const N: usize>(
    bench: &Bench,
    mut sides: [&mut dyn FnMut() -> Result<Spent>; N],
) -> Result<[f64; N]> {
    if let Some(seconds) = bench.profile_seconds {
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        let mut rates = Vec::new();
        while Instant::now() < end {
            rates.push(sides[0]()?.rate());
        }
        return Ok([median(&mut rates); N]);
    }
    let mut rates: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..bench.repetitions {
        for (side, rates) in sides.iter_mut().zip(&mut rates) {
            rates.push(side()?.rate());
        }
    }
    Ok(rates.map(|mut rates| median(&mut rates)))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 }
}
