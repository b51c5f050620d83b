//! Cutouts of large images in the page cache: the source `tiles` against astropy's `Cutout2D`.

use std::{fs, hint::black_box, path::Path};

use lucarne::{
    batch::{Images, object_id},
    source::tiles::{PositionCatalogue, Tiles},
    stage::{Settings, Source},
};

use super::{
    Bench, Result,
    inputs::{Inputs, context, mistakes, read},
    measure::{spend, take_turns},
    peer::read_npy,
    table::{Line, note},
};

const BANDS: [&str; 3] = ["g", "r", "i"];
/// Side of a cutout, pixels; as in `peers.py`.
const SIDE: usize = 64;

pub(crate) fn measure(bench: &Bench, inputs: &Inputs) -> Result<Vec<Line>> {
    let folder = inputs.scratch.join("tiles");
    fs::create_dir_all(&folder)?;
    bench.python.run("make_tiles", &folder, &[("--limit", inputs.objects.to_string().into())])?;
    let plain = TilesSubject {
        name: "tiles: 3x64x64 of plain images",
        kind: "plain",
        objects: inputs.objects,
        work: "cutout2d_pixels",
        peer: "astropy `Cutout2D`, pixels of all positions by one call",
        shift: 0,
    };
    let by_position = TilesSubject {
        objects: inputs.slow_objects,
        work: "cutout2d",
        peer: "astropy `Cutout2D`, a position at a time",
        ..plain
    };
    let by_cutana = TilesSubject { work: "cutana", peer: "cutana", shift: 1, ..plain };
    let rice = TilesSubject {
        name: "tiles: the same of Rice-compressed ones",
        kind: "rice",
        objects: inputs.slow_objects,
        work: "cutout2d_rice",
        peer: "astropy `Cutout2D` of sections, pixels of all positions by one call",
        shift: 0,
    };
    let mut lines = vec![plain.measure(bench, &folder)?, by_position.measure(bench, &folder)?];
    if bench.python.has("cutana") {
        lines.push(by_cutana.measure(bench, &folder)?);
    } else {
        note("`tiles` beside cutana is skipped: the interpreter lacks it (`pip install cutana==0.4.0`)");
    }
    lines.push(rice.measure(bench, &folder)?);
    Ok(lines)
}

/// What is cut, and by what work of `peers.py`.
#[derive(Clone, Copy)]
struct TilesSubject {
    name: &'static str,
    /// How the names of the files begin.
    kind: &'static str,
    /// The first objects of the catalogue.
    objects: usize,
    work: &'static str,
    peer: &'static str,
    /// Rows and columns that the result of the peer lacks at the end of a cutout.
    shift: usize,
}

impl TilesSubject {
    fn measure(self, bench: &Bench, folder: &Path) -> Result<Line> {
        let source = self.source(folder)?;
        let limit = ("--limit", self.objects.to_string().into());
        let mut cutouts = Vec::new();
        read(source.as_ref(), |batch| {
            let Ok(images) = Images::of(&batch, "image") else { return };
            for (row, cutout) in images.pixels.chunks(BANDS.len() * SIDE * SIDE).enumerate() {
                let rows = cutout.chunks(SIDE).enumerate().filter(|(row, _)| row % SIDE < SIDE - self.shift);
                let pixels: Vec<f32> = rows.flat_map(|(_, row)| &row[..SIDE - self.shift]).copied().collect();
                let number: Option<usize> = object_id(&batch, row).ok().and_then(|id| id.parse().ok());
                cutouts.push((number, pixels));
            }
        })?;
        // They come in the order of the tile; the peer's are in that of the catalogue, whose identities count its rows.
        cutouts.sort_by_key(|(number, _)| *number);
        let pixels: Vec<f32> = cutouts.into_iter().flat_map(|(_, pixels)| pixels).collect();
        let out = folder.join("cutouts.npy");
        bench.python.run(self.work, folder, &[limit.clone(), ("--out", out.clone().into())])?;
        let (_, expected) = read_npy(&out)?;
        if pixels != expected {
            return Err(format!("the source `tiles` and `{}` of peers.py cut different pixels", self.work).into());
        }
        drop((pixels, expected));
        let [ours, theirs] = take_turns(
            bench,
            [
                &mut || {
                    spend(|| {
                        read(source.as_ref(), |rows| {
                            black_box(rows);
                        })
                    })
                },
                &mut || bench.python.run(self.work, folder, std::slice::from_ref(&limit)),
            ],
        )?;
        let equal = format!("all pixels of {} objects", self.objects);
        Ok(Line { subject: self.name, ours, peer: self.peer.to_owned(), theirs, goal: None, equal })
    }

    /// The bound source of the first objects.
    fn source(self, folder: &Path) -> Result<Box<dyn Source>> {
        let rows = fs::read_to_string(folder.join("positions.csv"))?;
        let first: Vec<&str> = rows.lines().take(1 + self.objects).collect();
        let path = folder.join(format!("{}.csv", self.work));
        fs::write(&path, first.join("\n") + "\n")?;
        let image = |band: &str| folder.join(format!("{}_{band}.fits", self.kind)).display().to_string();
        let catalogue = PositionCatalogue::new(&path.display().to_string(), "id", "ra", "dec");
        let settings = Tiles::new(catalogue, BANDS.map(|band| (band, vec![image(band)])), SIDE);
        let mut source = settings.build("source").map_err(mistakes)?;
        source.bind().map_err(mistakes)?;
        source.start(&context())?;
        Ok(source)
    }
}
