//! Drift tests against numpy and alibi-detect, and an embedding against scikit-learn.

use std::hint::black_box;

use lucarne::{
    random::Stream,
    stats::{
        isomap::Isomap,
        mmd::{GaussianKernelSum, MmdTest, PAPER, Reference},
        permutation::{Groups, Strata},
        points::Points,
    },
};

use super::{
    Bench, Result,
    inputs::Inputs,
    measure::{spend, take_turns},
    peer::{Python, read_npy, write_npy},
    table::{Line, note},
};

const LATENT: usize = 256;

/// Two samples of latents, and permuted groups of them.
struct Samples {
    numbers: Vec<f32>,
    reference: usize,
    groups: Groups,
}

impl Samples {
    /// A reference of this many latents and a window of at most as many: normal numbers, with dimensions of unequal size.
    fn draw(reference: usize, window: usize, permutations: usize) -> Self {
        let mut draw = Stream::new(7, "bench", "drift");
        let number = |i: usize, normal: f64| (normal * 5.0 / (1.0 + (i % LATENT) as f64 / 40.0)) as f32;
        let numbers = (0..(reference + window) * LATENT).map(|i| number(i, draw.normal())).collect();
        let (mut groups, mut strata) = (Groups::of_size(window), Strata::single(reference + window, window));
        (0..permutations).for_each(|_| strata.draw(&mut groups, &mut || draw.next_u64()));
        Self { numbers, reference, groups }
    }

    fn parts(&self) -> [Points; 2] {
        let (reference, window) = self.numbers.split_at(self.reference * LATENT);
        [reference, window].map(|numbers| Points::new(numbers, LATENT))
    }
}

/// MMD tests: of two samples from nothing, and of a window against a reference that is known.
pub(crate) fn mmd(bench: &Bench, inputs: &Inputs) -> Result<Vec<Line>> {
    let even = Samples::draw(1000, 1000, 100);
    let mut lines = test(bench, inputs, "MMD test, n = 1000, one kernel, 100 permutations", &even, &[2000.0], true)?;
    let window = Samples::draw(5000, 500, 999);
    let subject = "MMD test of 500 against 5000, 19 kernels, 999 permutations";
    lines.extend(test(bench, inputs, subject, &window, &PAPER, false)?);
    Ok(lines)
}

fn test(
    bench: &Bench,
    inputs: &Inputs,
    subject: &'static str,
    samples: &Samples,
    variances: &[f64],
    from_nothing: bool,
) -> Result<Vec<Line>> {
    let [pooled, groups, out] = ["pooled.npy", "groups.npy", "mmd.npy"].map(|name| inputs.scratch.join(name));
    write_npy(&pooled, &[samples.numbers.len() / LATENT, LATENT], &samples.numbers)?;
    let indices: Vec<f32> = samples.groups.iter().flatten().map(|i| *i as f32).collect();
    write_npy(&groups, &[samples.groups.count(), samples.groups.size()], &indices)?;
    let kernel = || GaussianKernelSum::new(variances).ok_or("no kernel");
    let known = Reference::new(samples.parts()[0].clone(), kernel()?);
    let once = || -> Result<MmdTest> {
        let [reference, window] = samples.parts();
        let fresh = if from_nothing { Some(Reference::new(reference, kernel()?)) } else { None };
        Ok(fresh.as_ref().unwrap_or(&known).test(&window, &samples.groups).ok_or("too few points")?)
    };
    let listed: Vec<String> = variances.iter().map(ToString::to_string).collect();
    let run = |python: &Python, work: &str| {
        let options = [
            ("--changes", groups.clone().into()),
            ("--variances", listed.join(",").into()),
            ("--out", out.clone().into()),
        ];
        python.run(work, &pooled, &options)
    };
    let mut worst = 0.0_f64;
    if bench.profile_seconds.is_none() {
        run(&bench.python, "mmd")?;
        let (tested, theirs) = (once()?, read_npy(&out)?.1);
        let ours = std::iter::once(tested.discrepancy.unbiased).chain(tested.null);
        let scale = variances.len() as f64;
        worst = ours.zip(&theirs).map(|(a, b)| (a - f64::from(*b)).abs() / scale).fold(0.0, f64::max);
        if theirs.len() != samples.groups.count() + 1 || worst.is_nan() || worst > 1e-9 {
            return Err(format!("discrepancies differ by {worst:.1e} of k(x, x), expected below 1e-9").into());
        }
    }
    let mut ours = || {
        spend(|| {
            for _ in 0..5 {
                black_box(once()?);
            }
            Ok(5)
        })
    };
    let mut numpy = || run(&bench.python, "mmd");
    let equal = format!("{} discrepancies within {worst:.0e} of k(x, x)", samples.groups.count() + 1);
    let peer = "numpy, permutations as one product".to_owned();
    let line = |ours, peer, theirs, goal| Line { subject, ours, peer, theirs, goal, equal: equal.clone() };
    let Some(alibi) = Python::of_alibi_detect().filter(|_| from_nothing) else {
        if from_nothing {
            note("alibi-detect is not measured: LUCARNE_ALIBI_PYTHON names no interpreter that has it");
        }
        let [ours, theirs] = take_turns(bench, [&mut ours, &mut numpy])?;
        return Ok(vec![line(ours, peer, theirs, Some(1.0))]);
    };
    let mut theirs = || run(&alibi, "alibi");
    let [ours, in_numpy, in_alibi] = take_turns(bench, [&mut ours, &mut numpy, &mut theirs])?;
    let beside_alibi = Line {
        equal: "not compared: it permutes by itself".into(),
        ..line(ours, "alibi-detect".into(), in_alibi, Some(30.0))
    };
    Ok(vec![line(ours, peer, in_numpy, Some(1.0)), beside_alibi])
}

/// An embedding of 2,000 latents of three classes in two dimensions.
pub(crate) fn isomap(bench: &Bench, inputs: &Inputs) -> Result<Vec<Line>> {
    const POINTS: usize = 2000;
    let mut draw = Stream::new(7, "bench", "isomap");
    let centres: Vec<f64> = (0..3 * LATENT).map(|_| 0.5 * draw.normal()).collect();
    let number = |i: usize, normal: f64| (centres[i / LATENT % 3 * LATENT + i % LATENT] + 2.0 * normal) as f32;
    let numbers: Vec<f32> = (0..POINTS * LATENT).map(|i| number(i, draw.normal())).collect();
    let [input, out] = ["isomap.npy", "embedded.npy"].map(|name| inputs.scratch.join(name));
    write_npy(&input, &[POINTS, LATENT], &numbers)?;
    let embed = || Isomap::fit(&Points::new(&numbers, LATENT), 5, 2).ok_or("no embedding");
    let mut python = || bench.python.run("isomap", &input, &[("--out", out.clone().into())]);
    let mut worst = 0.0_f64;
    if bench.profile_seconds.is_none() {
        python()?;
        let (ours, theirs) = (embed()?, read_npy(&out)?.1);
        // The sign of an axis means nothing, so sizes are compared.
        let largest = theirs.iter().fold(0.0_f64, |largest, x| largest.max(f64::from(x.abs())));
        let apart = ours.coordinates().iter().zip(&theirs).map(|(a, b)| (a.abs() - f64::from(b.abs())).abs());
        worst = apart.fold(0.0, f64::max) / largest;
        if theirs.len() != 2 * POINTS || worst.is_nan() || worst > 1e-5 {
            return Err(format!("coordinates differ by {worst:.1e} of the largest, expected below 1e-5").into());
        }
    }
    let mut ours = || {
        spend(|| {
            for _ in 0..3 {
                black_box(embed()?);
            }
            Ok(3)
        })
    };
    let [ours, theirs] = take_turns(bench, [&mut ours, &mut python])?;
    let equal = format!("coordinates within {worst:.0e} of the largest");
    let subject = "isomap of 2000 latents, 5 neighbours, 2 components";
    Ok(vec![Line { subject, ours, peer: "scikit-learn".into(), theirs, goal: Some(3.0), equal }])
}
