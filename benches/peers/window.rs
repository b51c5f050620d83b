//! Church windows of an affine head against numpy.

use std::hint::black_box;

use lucarne::{
    random::Stream,
    stats::church_window::{Grid, LogitPlane},
};

use super::{
    Bench, Result,
    inputs::Inputs,
    measure::{spend, take_turns},
    peer::{read_npy, write_npy},
    table::Line,
};

const WINDOWS: usize = 50;
const LATENT: usize = 256;
const CLASSES: usize = 3;

/// Windows of 221 x 221 points, from latents and head to classes.
pub(crate) fn measure(bench: &Bench, inputs: &Inputs) -> Result<Vec<Line>> {
    let mut draw = Stream::new(7, "bench", "windows");
    let mut numbers = |n: usize| -> Vec<f32> { (0..n).map(|_| draw.normal() as f32).collect() };
    // The last number of a row is the bias.
    let head = numbers(CLASSES * (LATENT + 1));
    let latents = numbers(WINDOWS * 3 * LATENT);
    let weights: Vec<f32> = head.chunks(LATENT + 1).flat_map(|row| row[..LATENT].to_vec()).collect();
    let bias: Vec<f32> = head.chunks(LATENT + 1).map(|row| row[LATENT]).collect();
    let paths = ["latents.npy", "head.npy", "windows.npy"].map(|name| inputs.scratch.join(name));
    write_npy(&paths[0], &[WINDOWS, 3, LATENT], &latents)?;
    write_npy(&paths[1], &[CLASSES, LATENT + 1], &head)?;
    let grid = Grid::over(1.1, 0.01).ok_or("no grid")?;
    let draw = || -> Vec<Vec<u8>> {
        let of = |z: &[f32]| {
            let plane = LogitPlane::of(&weights, &bias, &z[..LATENT], &z[LATENT..2 * LATENT], &z[2 * LATENT..]);
            plane.window(&grid)
        };
        latents.chunks(3 * LATENT).map(of).collect()
    };
    let mut python = || {
        let options = [("--changes", paths[1].clone().into()), ("--out", paths[2].clone().into())];
        bench.python.run("windows", &paths[0], &options)
    };
    let mut apart = 0;
    if bench.profile_seconds.is_none() {
        python()?;
        let (ours, theirs) = (draw().concat(), read_npy(&paths[2])?.1);
        apart = ours.iter().zip(&theirs).filter(|(a, b)| f32::from(**a) != **b).count();
        if ours.len() != theirs.len() || apart * 100_000 > ours.len() {
            return Err(format!("{apart} of {} points have another class", ours.len()).into());
        }
    }
    let mut ours = || {
        spend(|| {
            for _ in 0..40 {
                black_box(draw());
            }
            Ok(40 * WINDOWS)
        })
    };
    let [ours, theirs] = take_turns(bench, [&mut ours, &mut python])?;
    let equal = format!("{apart} of {} points differ", WINDOWS * grid.side() * grid.side());
    Ok(vec![Line { subject: "church windows of 221 x 221", ours, peer: "numpy".into(), theirs, goal: None, equal }])
}
