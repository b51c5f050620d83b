//! Reading files from the page cache: the source `fits` against `fitsio.read` and astropy, which return pixels only.

use std::hint::black_box;

use lucarne::batch::Images;

use super::{
    Bench, Result,
    inputs::{Inputs, read},
    measure::{spend, take_turns},
    peer::read_npy,
    table::Line,
};

pub(crate) fn measure(bench: &Bench, inputs: &Inputs) -> Result<Vec<Line>> {
    let (source, _) = inputs.source()?;
    let mut pixels = Vec::new();
    read(source.as_ref(), |rows| {
        if let Ok(images) = Images::of(&rows, "image") {
            pixels.extend_from_slice(images.pixels);
        }
    })?;
    let out = inputs.scratch.join("fits.npy");
    bench.python.run("fits", &inputs.folder, &[("--out", out.clone().into())])?;
    let (_, expected) = read_npy(&out)?;
    if pixels != expected {
        return Err("the source `fits` and Python's fitsio read different pixels".into());
    }
    drop((pixels, expected));
    let [ours, fitsio, astropy] = take_turns(
        bench,
        [
            &mut || {
                spend(|| {
                    read(source.as_ref(), |rows| {
                        black_box(rows);
                    })
                })
            },
            &mut || bench.python.run("fits", &inputs.folder, &[]),
            &mut || bench.python.run("astropy", &inputs.folder, &[]),
        ],
    )?;
    let line = |peer: &str, theirs, goal| Line {
        subject: "fits",
        ours,
        peer: peer.to_owned(),
        theirs,
        goal,
        equal: format!("all pixels of {} files", inputs.objects),
    };
    Ok(vec![line("fitsio", fitsio, Some(1.0)), line("astropy", astropy, None)])
}
