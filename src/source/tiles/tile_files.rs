//! The files of tiles as they are read: a few of them open, and rows that cutouts share.

use std::sync::Arc;

use super::{
    cutout::Cutout,
    no_row::NoRow,
    open_files::OpenFiles,
    plan::TilesPlan,
    psfex::{PsfexModel, PsfexTable},
    shared_rows::SharedRows,
    strips::Strips,
    tile::TilePlane,
};
use crate::{
    error::Error,
    fits::{FitsError, FitsFile, Section},
    source::patience::cannot_read,
};

/// The most models of PSFEx in memory: those of a tile in each band, and of some that overlap it.
const MOST_PSFS: usize = 16;

/// The files that planes are read from.
pub(super) struct TileFiles {
    plan: Arc<TilesPlan>,
    open: OpenFiles,
    shared: SharedRows,
    floats: Strips<f32>,
    integers: Strips<u64>,
    /// The models of PSFEx that were used last, in that order, by their file and HDU.
    psfs: Vec<((usize, usize), PsfexModel)>,
}

impl TileFiles {
    pub(super) fn new(plan: Arc<TilesPlan>, shared: SharedRows) -> Self {
        let (floats, integers) = (Strips::default(), Strips::default());
        Self { plan, open: OpenFiles::default(), shared, floats, integers, psfs: Vec::new() }
    }

    /// Reads a plane, NaN outside of the tile.
    pub(super) fn floats(&mut self, plane: TilePlane, cutout: &Cutout<'_>, out: &mut [f32]) -> Result<(), NoRow> {
        let Self { plan, open, shared, floats, .. } = self;
        if !cutout.is_complete() {
            out.fill(f32::NAN);
        }
        let Some((section, first)) = section_of(plane, cutout) else { return Ok(()) };
        let width = cutout.place.size[1];
        floats.read(plane, shared.plane(plane), &section, &mut out[first..], width, |section, out, stride| {
            read(plan, open, plane.file, |file| file.sections(plane.number.hdu)?.read(section, out, stride))
        })
    }

    /// Reads a plane of integers, 0 outside of the tile.
    pub(super) fn integers(&mut self, plane: TilePlane, cutout: &Cutout<'_>, out: &mut [u64]) -> Result<(), NoRow> {
        let Self { plan, open, shared, integers, .. } = self;
        out.fill(0);
        let Some((section, first)) = section_of(plane, cutout) else { return Ok(()) };
        let width = cutout.place.size[1];
        integers.read(plane, shared.plane(plane), &section, &mut out[first..], width, |section, out, stride| {
            read(plan, open, plane.file, |file| file.integer_sections(plane.number.hdu)?.read(section, out, stride))
        })
    }

    /// The model of a table of PSFEx in a file: objects that follow each other are in one tile.
    pub(super) fn psfex(&mut self, file: usize, table: &PsfexTable) -> Result<&PsfexModel, NoRow> {
        let key = (file, table.hdu);
        match self.psfs.iter().position(|(of, _)| *of == key) {
            Some(at) => self.psfs[at..].rotate_left(1),
            None => {
                let mut model = None;
                self.read(file, |file| {
                    model = Some(PsfexModel::read(file, table)?);
                    Ok(())
                })?;
                if self.psfs.len() >= MOST_PSFS {
                    self.psfs.remove(0);
                }
                self.psfs.extend(model.map(|model| (key, model)));
            }
        }
        let last = self.psfs.last().map(|(_, model)| model);
        last.ok_or_else(|| NoRow::Failed(Error::bug("a model of PSFEx was read and is not there")))
    }

    /// Reads from a file, by its number.
    pub(super) fn read(
        &mut self,
        number: usize,
        from: impl FnOnce(&FitsFile) -> Result<(), FitsError>,
    ) -> Result<(), NoRow> {
        read(&self.plan, &mut self.open, number, from)
    }
}

/// The section of a plane that a cutout has, and the first of its pixels in the cutout; `None` if it has none.
fn section_of(plane: TilePlane, cutout: &Cutout<'_>) -> Option<(Section, usize)> {
    let overlap = cutout.place.overlap(cutout.tile.image.shape)?;
    let [row, column] = overlap.offset;
    let section = Section { plane: plane.number.plane, rows: overlap.rows, columns: overlap.columns };
    Some((section, row * cutout.place.size[1] + column))
}

fn read(
    plan: &TilesPlan,
    open: &mut OpenFiles,
    number: usize,
    from: impl FnOnce(&FitsFile) -> Result<(), FitsError>,
) -> Result<(), NoRow> {
    let named = &plan.files[number];
    let file = open.get(number, named).map_err(NoRow::Failed)?;
    from(file).map_err(|error| match file.trouble() {
        // The file may be good.
        Some(trouble) => NoRow::Failed(cannot_read(&named.path.display().to_string(), trouble)),
        None if named.has_changed() => NoRow::Failed(named.changed()),
        None => NoRow::Rejected(format!("file `{}`, HDU {}: {}", error.name, error.hdu.unwrap_or(0), error.reason())),
    })
}
