//! The pixels of a batch: image, variance and mask, band by band.

use arrow::array::ArrayRef;

use super::{
    cutout::Cutout,
    no_row::NoRow,
    open_files::OpenFiles,
    plan::TilesPlan,
    tile::{Tile, TilePlane, TileVariance},
};
use crate::{
    batch,
    error::Result,
    fits::{FitsError, FitsFile, Header, Section},
    source::fits::{
        Companion, EmptyBand, Policy,
        companions::VarianceForm,
        cutout::{NonFinite, non_finite},
        mask_planes::{BITS_OF_PART, counts_in_words},
        reader::cannot_read,
        row_pixels::{FILLED, PixelColumn, blank, check_information, scale, to_variance},
    },
};

/// The columns of pixels of a batch.
pub(super) struct TilePixels {
    /// Complete rows.
    rows: usize,
    image: PixelColumn<f32>,
    variance: Option<PixelColumn<f32>>,
    mask: Option<PixelColumn<u64>>,
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
        }
    }

    /// Reads a band of the row that is not complete yet; the error is the reason why it is rejected.
    pub(super) fn read(
        &mut self,
        plan: &TilesPlan,
        band: usize,
        open: &mut OpenFiles,
        cutout: &Cutout<'_>,
    ) -> Result<(), NoRow> {
        let plane = plan.layout.plane();
        let of_band = band * plane..(band + 1) * plane;
        let mut row = BandRow {
            plan,
            band: &plan.layout.bands[band],
            cutout,
            image: &mut self.image.row(self.rows)[of_band.clone()],
            variance: self.variance.as_mut().map(|column| &mut column.row(self.rows)[of_band.clone()]),
            mask: self.mask.as_mut().map(|column| &mut column.row(self.rows)[of_band]),
        };
        row.read_image(open)?;
        row.read_variance(open)?;
        row.read_mask(open)?;
        row.check_finite()
    }

    /// Completes a row all of whose bands were read.
    pub(super) fn complete_row(&mut self) {
        self.rows += 1;
    }

    /// The columns, in the order of the schema.
    pub(super) fn into_columns(self, pixels: usize) -> Result<Vec<ArrayRef>> {
        let Self { rows, image, variance, mask } = self;
        let mut columns = vec![batch::list_column(image.into_rows(rows), pixels)?];
        if let Some(variance) = variance {
            columns.push(batch::list_column(variance.into_rows(rows), pixels)?);
        }
        if let Some(mask) = mask {
            columns.push(batch::mask_column(mask.into_rows(rows), pixels)?);
        }
        Ok(columns)
    }
}

/// A band of a row being read.
struct BandRow<'a> {
    plan: &'a TilesPlan,
    band: &'a str,
    cutout: &'a Cutout<'a>,
    image: &'a mut [f32],
    variance: Option<&'a mut [f32]>,
    mask: Option<&'a mut [u64]>,
}

impl BandRow<'_> {
    fn tile(&self) -> &Tile {
        self.cutout.tile
    }

    fn read_image(&mut self, open: &mut OpenFiles) -> Result<(), NoRow> {
        let (settings, tile) = (&self.plan.settings, &self.cutout.tile.image);
        TileFiles { plan: self.plan, open }.floats(self.cutout.tile.plane(), self.cutout, self.image)?;
        blank(self.image, &tile.scaling, settings.blank.as_deref());
        let inside = inside(self.cutout);
        if settings.empty_band == EmptyBand::Reject {
            let pixels = self.image.iter().copied().enumerate().filter(|(index, _)| inside(*index));
            check_information(pixels.map(|(_, pixel)| pixel), self.band)?;
        }
        scale(self.image, &tile.scaling);
        if let Some(mask) = &mut self.mask {
            mask.fill(0);
        }
        if !self.cutout.is_complete() {
            for index in (0..self.image.len()).filter(|index| !inside(*index)) {
                self.fill(index, FILLED);
            }
        }
        Ok(())
    }

    fn read_variance(&mut self, open: &mut OpenFiles) -> Result<(), NoRow> {
        let (Some(variance), Some(own)) = (self.variance.take(), self.tile().variance) else { return Ok(()) };
        let TileVariance { plane, form, factor } = own;
        TileFiles { plan: self.plan, open }.floats(plane, self.cutout, variance)?;
        let inside = inside(self.cutout);
        for (index, value) in variance.iter_mut().enumerate() {
            if *value < 0.0 && inside(index) {
                return Err(format!("has a negative {}, {value} {}", word(form), self.place_in_words(index)).into());
            }
            *value = if inside(index) { to_variance(*value, form, factor) } else { 0.0 };
        }
        self.variance = Some(variance);
        Ok(())
    }

    /// Refuses or fills pixels without data, after the mask has filled those that it marks.
    fn check_finite(&mut self) -> Result<(), NoRow> {
        let rejects = self.plan.settings.nan == Policy::Reject;
        if let Some(found) = non_finite(self.image) {
            if rejects {
                return Err(self.non_finite_in_words(&found, "").into());
            }
            let bad: Vec<usize> = (0..self.image.len()).filter(|index| !self.image[*index].is_finite()).collect();
            bad.into_iter().for_each(|index| self.fill(index, FILLED));
        }
        let Some(found) = self.variance.as_deref().and_then(non_finite) else { return Ok(()) };
        if rejects {
            let is_weight = self.tile().variance.is_some_and(|own| own.form == VarianceForm::Inverse);
            let what = if is_weight { "weights of 0 or " } else { "variances " };
            return Err(self.non_finite_in_words(&found, what).into());
        }
        let variance = self.variance.as_deref().unwrap_or_default();
        let bad: Vec<usize> = (0..variance.len()).filter(|index| !variance[*index].is_finite()).collect();
        bad.into_iter().for_each(|index| self.fill(index, FILLED));
        Ok(())
    }

    /// Reads the mask, and applies it to the image.
    fn read_mask(&mut self, open: &mut OpenFiles) -> Result<(), NoRow> {
        let tile = self.cutout.tile;
        if tile.mask.is_empty() {
            return Ok(());
        }
        let mut bits = vec![0; self.image.len()];
        let mut part_bits = vec![0; self.image.len()];
        for (part, plane) in (0..).zip(&tile.mask) {
            TileFiles { plan: self.plan, open }.integers(*plane, self.cutout, &mut part_bits)?;
            for (bits, part_bits) in bits.iter_mut().zip(&part_bits) {
                // What is undefined has all bits, also those of the other part.
                *bits |= if *part_bits == u64::MAX { *part_bits } else { part_bits << (part * BITS_OF_PART) };
            }
        }
        bits.iter_mut().filter(|bits| **bits & tile.bad == 0).for_each(|bits| *bits = 0);
        // Padding has the value of `fill` already, and must not reject an image.
        let inside = inside(self.cutout);
        let masked = || (0..bits.len()).filter(|index| bits[*index] != 0 && inside(*index));
        match self.plan.settings.masked {
            Some(Policy::Reject) if masked().next().is_some() => {
                let mut headers: Vec<Header> = Vec::new();
                for part in &tile.mask {
                    let file = open.get(part.file, &self.plan.files[part.file]).map_err(NoRow::Failed)?;
                    headers.extend(file.hdus().get(part.number.hdu).map(|hdu| hdu.header.clone()));
                }
                let headers: Vec<&Header> = headers.iter().collect();
                let bad: Vec<u64> = masked().map(|index| bits[index] & tile.bad).collect();
                let counts = counts_in_words(&headers, &bad);
                let (count, all, band) = (bad.len(), bits.len(), self.band.escape_debug());
                return Err(format!(
                    "has {count} masked pixels of {all} in band `{band}`{counts}: `masked: fill` would fill them"
                )
                .into());
            }
            Some(Policy::Fill) => masked().for_each(|index| self.fill(index, bits[index])),
            _ => {
                if let Some(mask) = &mut self.mask {
                    masked().for_each(|index| mask[index] |= bits[index]);
                }
            }
        }
        Ok(())
    }

    /// Fills a pixel, which does not count from here on.
    fn fill(&mut self, index: usize, bits: u64) {
        self.image[index] = self.plan.settings.fill;
        if let Some(variance) = &mut self.variance {
            variance[index] = 0.0;
        }
        if let Some(mask) = &mut self.mask {
            mask[index] |= bits;
        }
    }

    fn place_in_words(&self, index: usize) -> String {
        let width = self.plan.layout.width;
        format!("in band `{}` at y {}, x {}", self.band.escape_debug(), index / width, index % width)
    }

    /// `what` names what is not finite, with a blank after it.
    fn non_finite_in_words(&self, found: &NonFinite, what: &str) -> String {
        let (NonFinite { count, first }, all) = (found, self.image.len());
        let place = self.place_in_words(*first);
        format!("has {what}non-finite pixels: {count} of {all}, the first {place}; `nan: fill` would fill them")
    }
}

/// The files that planes are read from.
struct TileFiles<'a> {
    plan: &'a TilesPlan,
    open: &'a mut OpenFiles,
}

impl TileFiles<'_> {
    /// Reads a plane, NaN outside of the tile.
    fn floats(self, plane: TilePlane, cutout: &Cutout<'_>, out: &mut [f32]) -> Result<(), NoRow> {
        let TilePlane { file, number } = plane;
        self.read(file, |file| {
            let mut image = file.sections(number.hdu)?;
            cutout.place.read(&mut image, number.plane, out).map(|_| ())
        })
    }

    /// Reads a plane of integers, 0 outside of the tile.
    fn integers(self, plane: TilePlane, cutout: &Cutout<'_>, out: &mut [u64]) -> Result<(), NoRow> {
        let TilePlane { file, number } = plane;
        out.fill(0);
        let Some(overlap) = cutout.place.overlap(cutout.tile.image.shape) else { return Ok(()) };
        let ([row, column], width) = (overlap.offset, cutout.place.size[1]);
        let section = Section { plane: number.plane, rows: overlap.rows, columns: overlap.columns };
        self.read(file, |file| {
            file.integer_sections(number.hdu)?.read(&section, &mut out[row * width + column..], width)
        })
    }

    fn read(self, number: usize, read: impl FnOnce(&FitsFile) -> Result<(), FitsError>) -> Result<(), NoRow> {
        let named = &self.plan.files[number];
        let file = self.open.get(number, named).map_err(NoRow::Failed)?;
        read(file).map_err(|error| match file.trouble() {
            // The file may be good.
            Some(trouble) => NoRow::Failed(cannot_read(&named.path.display().to_string(), trouble)),
            None => {
                NoRow::Rejected(format!("file `{}`, HDU {}: {}", error.name, error.hdu.unwrap_or(0), error.reason()))
            }
        })
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

fn word(form: VarianceForm) -> &'static str {
    match form {
        VarianceForm::Inverse => "weight",
        VarianceForm::Sigma => "standard deviation",
        VarianceForm::Variance | VarianceForm::Unsaid => "variance",
    }
}
