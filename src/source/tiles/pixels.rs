//! The pixels of a batch: image, variance and mask, band by band.

use arrow::array::ArrayRef;

use super::{
    cutout::Cutout,
    no_row::NoRow,
    plan::TilesPlan,
    tile::{Tile, TilePsf, TileVariance},
    tile_files::TileFiles,
};
use crate::{
    batch::{self, WorldCoordinates},
    error::Result,
    fits::{Header, Section},
    source::fits::{
        Companion,
        companions::VarianceForm,
        cutout::NonFinite,
        mask_planes::{BITS_OF_PART, counts_in_words},
        pixel_planes::{MissingData, PixelPlanes},
        row_pixels::PixelColumn,
        sky_place,
    },
};

/// The columns of pixels of a batch.
pub(super) struct TilePixels {
    /// Complete rows.
    rows: usize,
    image: PixelColumn<f32>,
    variance: Option<PixelColumn<f32>>,
    mask: Option<PixelColumn<u64>>,
    /// With the pixels of a row.
    psf: Option<(PixelColumn<f32>, usize)>,
    wcs: Option<Vec<WorldCoordinates>>,
}

impl TilePixels {
    /// Columns with room for some rows.
    pub(super) fn new(plan: &TilesPlan, room: usize) -> Self {
        let (settings, pixels) = (&plan.settings, plan.layout.pixels());
        Self {
            rows: 0,
            image: PixelColumn::new(pixels, room),
            variance: settings.wants(Companion::Variance).then(|| PixelColumn::new(pixels, room)),
            mask: settings.marks_pixels().then(|| PixelColumn::new(pixels, room)),
            psf: plan.psf.as_ref().map(|psf| (PixelColumn::new(psf.pixels(), room), psf.pixels())),
            wcs: settings.wcs.then(Vec::new),
        }
    }

    /// Reads a band of the row that is not complete yet; the error is the reason why it is rejected.
    pub(super) fn read(
        &mut self,
        plan: &TilesPlan,
        band: usize,
        files: &mut TileFiles,
        cutout: &Cutout<'_>,
    ) -> Result<(), NoRow> {
        let plane = plan.layout.plane();
        let of_band = band * plane..(band + 1) * plane;
        let mut row = BandRow {
            plan,
            band: &plan.layout.bands[band],
            cutout,
            planes: PixelPlanes::new(
                plan.settings.pixel_rules(),
                &mut self.image.row(self.rows)[of_band.clone()],
                self.variance.as_mut().map(|column| &mut column.row(self.rows)[of_band.clone()]),
                self.mask.as_mut().map(|column| &mut column.row(self.rows)[of_band]),
            ),
        };
        row.read_image(files)?;
        row.read_variance(files)?;
        row.read_mask(files)?;
        row.finish()?;
        self.read_psf(plan, band, files, cutout)
    }

    /// Reads the PSF of a tile, or makes that at the position of the object.
    fn read_psf(
        &mut self,
        plan: &TilesPlan,
        band: usize,
        files: &mut TileFiles,
        cutout: &Cutout<'_>,
    ) -> Result<(), NoRow> {
        let (Some((column, _)), Some(layout), Some(psf)) = (&mut self.psf, &plan.psf, cutout.tile.psf) else {
            return Ok(());
        };
        let pixels = layout.plane();
        let out = &mut column.row(self.rows)[band * pixels..(band + 1) * pixels];
        match psf {
            TilePsf::Image { plane, shape: [rows, columns] } => {
                let section = Section { plane: plane.number.plane, rows: 0..rows, columns: 0..columns };
                files.read(plane.file, |file| file.sections(plane.number.hdu)?.read(&section, out, columns))?;
            }
            TilePsf::Psfex { file, table } => files.psfex(file, &table)?.at(cutout.centre, out)?,
        }
        let missing = out.iter().filter(|pixel| !pixel.is_finite()).count();
        if missing > 0 {
            let band = plan.layout.bands[band].escape_debug();
            return Err(format!("has {missing} non-finite pixels of {pixels} in its PSF of band `{band}`").into());
        }
        Ok(())
    }

    /// Completes a row all of whose bands were read; its place on the sky is that of the first.
    pub(super) fn complete_row(&mut self, cutouts: &[Cutout<'_>]) -> Result<(), NoRow> {
        if let (Some(wcs), Some(first)) = (&mut self.wcs, cutouts.first()) {
            let [y, x] = first.place.first.map(|pixel| pixel as f64);
            wcs.push(sky_place::of_cutout(&first.tile.wcs, [x, y], first.place.size)?);
        }
        self.rows += 1;
        Ok(())
    }

    /// The columns, in the order of the schema.
    pub(super) fn into_columns(self, pixels: usize) -> Result<Vec<ArrayRef>> {
        let Self { rows, image, variance, mask, psf, wcs } = self;
        let mut columns = vec![batch::list_column(image.into_rows(rows), pixels)?];
        if let Some(variance) = variance {
            columns.push(batch::list_column(variance.into_rows(rows), pixels)?);
        }
        if let Some(mask) = mask {
            columns.push(batch::mask_column(mask.into_rows(rows), pixels)?);
        }
        if let Some((psf, pixels)) = psf {
            columns.push(batch::list_column(psf.into_rows(rows), pixels)?);
        }
        columns.extend(wcs.map(|wcs| WorldCoordinates::column(&wcs)).transpose()?);
        Ok(columns)
    }
}

/// A band of a row being read.
struct BandRow<'a> {
    plan: &'a TilesPlan,
    band: &'a str,
    cutout: &'a Cutout<'a>,
    planes: PixelPlanes<'a>,
}

impl BandRow<'_> {
    fn tile(&self) -> &Tile {
        self.cutout.tile
    }

    fn read_image(&mut self, files: &mut TileFiles) -> Result<(), NoRow> {
        let tile = self.cutout.tile;
        files.floats(tile.plane(), self.cutout, self.planes.image)?;
        let all = 0..self.planes.image.len();
        self.planes.convert_band(all, &tile.image.scaling, self.band, inside(self.cutout))?;
        if !self.cutout.is_complete() {
            self.planes.pad(inside(self.cutout));
        }
        Ok(())
    }

    fn read_variance(&mut self, files: &mut TileFiles) -> Result<(), NoRow> {
        let (Some(variance), Some(own)) = (&mut self.planes.variance, self.cutout.tile.variance) else {
            return Ok(());
        };
        let TileVariance { plane, form, factor } = own;
        files.floats(plane, self.cutout, variance)?;
        let converted = self.planes.convert_variance(form, |_| factor, inside(self.cutout));
        converted.map_err(|(index, value)| {
            format!("has a negative {}, {value} {}", form.name(), self.place_in_words(index)).into()
        })
    }

    /// Reads the mask, and applies it to the image.
    fn read_mask(&mut self, files: &mut TileFiles) -> Result<(), NoRow> {
        let tile = self.cutout.tile;
        if tile.mask.is_empty() {
            return Ok(());
        }
        let mut bits = vec![0; self.planes.image.len()];
        let mut part_bits = bits.clone();
        for (part, plane) in (0..).zip(&tile.mask) {
            files.integers(*plane, self.cutout, &mut part_bits)?;
            for (bits, part_bits) in bits.iter_mut().zip(&part_bits) {
                // What is undefined has all bits, also those of the other part.
                *bits |= if *part_bits == u64::MAX { *part_bits } else { part_bits << (part * BITS_OF_PART) };
            }
        }
        bits.iter_mut().filter(|bits| **bits & tile.bad == 0).for_each(|bits| *bits = 0);
        let Err(masked) = self.planes.apply_mask(&bits, inside(self.cutout)) else { return Ok(()) };
        let mut headers: Vec<Header> = Vec::new();
        for part in &tile.mask {
            files.read(part.file, |file| {
                headers.extend(file.hdus().get(part.number.hdu).map(|hdu| hdu.header.clone()));
                Ok(())
            })?;
        }
        let headers: Vec<&Header> = headers.iter().collect();
        let bad: Vec<u64> = masked.iter().map(|index| bits[*index] & tile.bad).collect();
        let (counts, band) = (counts_in_words(&headers, &bad), self.band.escape_debug());
        let (count, all) = (bad.len(), bits.len());
        Err(format!("has {count} masked pixels of {all} in band `{band}`{counts}: `masked: fill` would fill them")
            .into())
    }

    /// Refuses or fills pixels without data.
    fn finish(&mut self) -> Result<(), NoRow> {
        let Err(MissingData { is_variance, found, .. }) = self.planes.finish() else { return Ok(()) };
        let is_weight = self.tile().variance.is_some_and(|own| own.form == VarianceForm::Inverse);
        let what = match (is_variance, is_weight) {
            (true, true) => "weights of 0 or ",
            (true, false) => "variances ",
            (false, _) => "",
        };
        let (NonFinite { count, first }, all) = (found, self.planes.image.len());
        let place = self.place_in_words(first);
        Err(format!("has {what}non-finite pixels: {count} of {all}, the first {place}; `nan: fill` would fill them")
            .into())
    }

    fn place_in_words(&self, index: usize) -> String {
        let width = self.plan.layout.width;
        format!("in band `{}` at y {}, x {}", self.band.escape_debug(), index / width, index % width)
    }
}

/// Whether a pixel of a cutout is in its tile.
fn inside(cutout: &Cutout<'_>) -> impl Fn(usize) -> bool + use<> {
    let (first, shape, width) = (cutout.place.first, cutout.tile.image.shape, cutout.place.size[1]);
    move |index| {
        let (y, x) = (first[0] + (index / width) as i64, first[1] + (index % width) as i64);
        (0..shape[0] as i64).contains(&y) && (0..shape[1] as i64).contains(&x)
    }
}
