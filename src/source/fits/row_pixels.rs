//! The columns of pixels of a batch: image, variance, mask and PSF, row by row.

use arrow::array::ArrayRef;

use super::{
    Companion, Fits,
    axes::PlaneSet,
    companions::VarianceForm,
    cutout::{self, NonFinite, Placement, PlaneView},
    description::Description,
    mask_planes::{self, BITS_OF_PART},
    objects::ObjectPlanes,
    pixel_planes::{MissingData, PixelPlanes},
    plan::FitsPlan,
    sky_place,
};
use crate::{
    batch::{self, ImageLayout, WorldCoordinates},
    error::Result,
    fits::{self, Header},
};

/// A column of pixels that grows by rows.
pub(in crate::source) struct PixelColumn<T> {
    values: Vec<T>,
    /// Pixels in a row.
    row: usize,
}

impl<T: Copy + Default> PixelColumn<T> {
    /// A column with room for some rows. The system zeroes the memory when it is first touched, not before.
    pub(in crate::source) fn new(row: usize, rows: usize) -> Self {
        Self { values: vec![T::default(); row * rows], row }
    }

    /// The pixels of a row.
    pub(in crate::source) fn row(&mut self, index: usize) -> &mut [T] {
        let (start, end) = (index * self.row, (index + 1) * self.row);
        if self.values.len() < end {
            self.values.resize(2 * end, T::default());
        }
        &mut self.values[start..end]
    }

    /// The pixels of some rows.
    pub(in crate::source) fn into_rows(mut self, rows: usize) -> Vec<T> {
        self.values.truncate(rows * self.row);
        self.values.shrink_to_fit();
        self.values
    }
}

/// The planes of an object, and what their numbers mean.
pub(super) struct RawPixels<'a> {
    pub file: &'a fits::FitsFile,
    pub object: &'a ObjectPlanes,
    pub description: &'a Description,
}

/// The columns of pixels of a batch.
pub(super) struct RowPixels {
    /// Complete rows.
    rows: usize,
    image: PixelColumn<f32>,
    variance: Option<PixelColumn<f32>>,
    mask: Option<PixelColumn<u64>>,
    psf: Option<PixelColumn<f32>>,
    wcs: Option<Vec<WorldCoordinates>>,
}

impl RowPixels {
    /// Columns with room for some rows.
    pub(super) fn new(plan: &FitsPlan, room: usize) -> Self {
        let pixels = plan.layouts.image.pixels();
        Self {
            rows: 0,
            image: PixelColumn::new(pixels, room),
            variance: plan.settings.wants(Companion::Variance).then(|| PixelColumn::new(pixels, room)),
            mask: plan.layouts.has_mask.then(|| PixelColumn::new(pixels, room)),
            psf: plan.layouts.psf.as_ref().map(|psf| PixelColumn::new(psf.pixels(), room)),
            wcs: plan.settings.wcs.then(Vec::new),
        }
    }

    /// Appends the pixels of an object, or nothing and the reason why they are not usable.
    pub(super) fn push(&mut self, plan: &FitsPlan, raw: &RawPixels<'_>) -> Result<(), String> {
        let layout = &plan.layouts.image;
        let mut row = Row {
            settings: &plan.settings,
            layout,
            shape: [layout.height, layout.width],
            planes: PixelPlanes::new(
                plan.settings.pixel_rules(),
                self.image.row(self.rows),
                self.variance.as_mut().map(|column| column.row(self.rows)),
                self.mask.as_mut().map(|column| column.row(self.rows)),
            ),
        };
        row.read_image(raw)?;
        row.read_variance(raw)?;
        row.read_mask(raw)?;
        row.finish(raw)?;
        if let (Some(column), Some(planes), Some(layout)) = (&mut self.psf, &raw.object.psf, &plan.layouts.psf) {
            read_psf(raw, planes, layout, column.row(self.rows))?;
        }
        if let Some(wcs) = &mut self.wcs {
            let shape = [layout.height, layout.width];
            wcs.push(sky_place::of_object(raw.file, raw.object, shape, layout.pixel_scale_arcsec)?);
        }
        self.rows += 1;
        Ok(())
    }

    /// The columns, in the order of the schema.
    pub(super) fn into_columns(self) -> Result<Vec<ArrayRef>> {
        let Self { rows, image, variance, mask, psf, wcs } = self;
        let floats = |column: PixelColumn<f32>| {
            let pixels = column.row;
            batch::list_column(column.into_rows(rows), pixels)
        };
        let mut columns = vec![floats(image)?];
        columns.extend(variance.map(floats).transpose()?);
        if let Some(mask) = mask {
            let pixels = mask.row;
            columns.push(batch::mask_column(mask.into_rows(rows), pixels)?);
        }
        columns.extend(psf.map(floats).transpose()?);
        columns.extend(wcs.map(|wcs| WorldCoordinates::column(&wcs)).transpose()?);
        Ok(columns)
    }
}

/// A row being read.
struct Row<'a> {
    settings: &'a Fits,
    layout: &'a ImageLayout,
    /// Rows and columns of a plane, pixels.
    shape: [usize; 2],
    planes: PixelPlanes<'a>,
}

impl Row<'_> {
    fn read_image(&mut self, raw: &RawPixels<'_>) -> Result<(), String> {
        let planes = &raw.object.image;
        let placement = Placement::centred(planes.shape, self.shape);
        let (is_padded, inside) = (placement.pads(), placement.inside());
        read(raw.file, planes, self.planes.image, placement)?;
        let plane = self.layout.plane();
        for (band, scaling) in raw.description.scaling.iter().enumerate() {
            let (of_band, name) = (band * plane..(band + 1) * plane, &self.layout.bands[band]);
            self.planes.convert_band(of_band, scaling, name, |index| !is_padded || inside(index))?;
        }
        if is_padded {
            self.planes.pad(inside);
        }
        Ok(())
    }

    fn read_variance(&mut self, raw: &RawPixels<'_>) -> Result<(), String> {
        let (Some((planes, form)), Some(variance)) = (&raw.object.variance, &mut self.planes.variance) else {
            return Ok(());
        };
        let placement = Placement::centred(planes.shape, self.shape);
        read(raw.file, planes, variance, placement)?;
        let plane = self.layout.plane();
        let factor = |index: usize| raw.description.variance_factors.get(index / plane).copied().unwrap_or(1.0);
        let converted = self.planes.convert_variance(*form, factor, placement.inside());
        converted
            .map_err(|(index, value)| format!("has a negative {}, {value} {}", form.name(), self.place_in_words(index)))
    }

    /// Reads the mask, and applies it to the image.
    fn read_mask(&mut self, raw: &RawPixels<'_>) -> Result<(), String> {
        let parts = &raw.object.mask;
        let Some(first) = parts.first() else { return Ok(()) };
        let headers: Vec<&Header> = parts.iter().filter_map(|part| header_of(raw.file, part)).collect();
        let bad = mask_planes::bad_bits(self.settings, &headers)?;
        let mut bits = vec![0; self.layout.pixels()];
        for (part, planes) in (0..).zip(parts) {
            read_integers(raw.file, planes, &mut bits, (self.shape, part * BITS_OF_PART))?;
        }
        bits.iter_mut().filter(|bits| **bits & bad == 0).for_each(|bits| *bits = 0);
        self.planes.apply_mask(&bits, Placement::centred(first.shape, self.shape).inside()).map_err(|masked| {
            let counts = mask_planes::counts_in_words(
                &headers,
                &masked.iter().map(|index| bits[*index] & bad).collect::<Vec<_>>(),
            );
            let advice = if masked.iter().any(|index| self.is_central(*index)) {
                "some are at the centre; `bad` chooses the planes that count"
            } else {
                "`masked: fill` would fill them"
            };
            format!("has {} masked pixels of {}{counts}: {advice}", masked.len(), bits.len())
        })
    }

    /// Refuses or fills pixels without data.
    fn finish(&mut self, raw: &RawPixels<'_>) -> Result<(), String> {
        let Err(MissingData { is_variance, found, blanked }) = self.planes.finish() else { return Ok(()) };
        let is_weight = raw.object.variance.as_ref().is_some_and(|(_, form)| *form == VarianceForm::Inverse);
        let (NonFinite { count, first }, all) = (found, self.planes.image.len());
        let what = match (is_variance, is_weight) {
            (true, true) => format!("{count} pixels of weight 0, or without one, among its {all} pixels"),
            (true, false) => format!("{count} non-finite variance pixels of {all}"),
            (false, _) => format!("{count} non-finite pixels of {all}"),
        };
        let stands = blanked.filter(|_| !is_variance);
        let stands = stands.map(|number| format!("; {number} stands for no data, unless `blank` says otherwise"));
        let place = self.place_in_words(first);
        Err(format!("has {what}, the first {place}: `nan: fill` would fill them{}", stands.unwrap_or_default()))
    }

    /// Whether a pixel is in the middle third of a plane, where the object is.
    fn is_central(&self, index: usize) -> bool {
        let [rows, columns] = self.shape;
        let central = |at: usize, length: usize| (length / 3..=length - 1 - length / 3).contains(&at);
        central(index / columns % rows, rows) && central(index % columns, columns)
    }

    fn place_in_words(&self, index: usize) -> String {
        let plane = self.layout.plane();
        let (y, x) = (index % plane / self.layout.width, index % self.layout.width);
        format!("in band `{}` at y {y}, x {x}", self.layout.bands[index / plane].escape_debug())
    }
}

/// Whether planes are smaller than a shape.
pub(super) fn pads(planes: &PlaneSet, shape: [usize; 2]) -> bool {
    planes.shape[0] < shape[0] || planes.shape[1] < shape[1]
}

fn header_of<'a>(file: &'a fits::FitsFile, planes: &PlaneSet) -> Option<&'a Header> {
    file.hdus().get(planes.planes.first()?.hdu).map(|hdu| &hdu.header)
}

/// Copies planes into a row. Pixels outside them are 0.
pub(in crate::source) fn read(
    file: &fits::FitsFile,
    planes: &PlaneSet,
    out: &mut [f32],
    placement: Placement,
) -> Result<(), String> {
    if placement.pads() {
        out.fill(0.0);
    }
    let span = planes.span();
    let mut out = out.chunks_exact_mut(placement.cutout[0] * placement.cutout[1]);
    for of_hdu in planes.planes.chunk_by(|one, next| one.hdu == next.hdu) {
        let starts = || of_hdu.iter().map(|plane| plane.start);
        let (first, last) = (starts().min().unwrap_or(0), starts().max().unwrap_or(0));
        let image = file.image_part(of_hdu[0].hdu, &(first..last + span)).map_err(|error| error.reason())?;
        for (plane, out) in of_hdu.iter().zip(&mut out) {
            let view = PlaneView { start: plane.start, strides: planes.strides, placement };
            cutout::copy(&image, view, out);
        }
    }
    Ok(())
}

/// Adds the bits of a part of a mask, shifted, to those of a row.
fn read_integers(
    file: &fits::FitsFile,
    planes: &PlaneSet,
    out: &mut [u64],
    (shape, shift): ([usize; 2], u32),
) -> Result<(), String> {
    let span = planes.span();
    let mut plane_bits = vec![0; shape[0] * shape[1]];
    for (plane, out) in planes.planes.iter().zip(out.chunks_exact_mut(shape[0] * shape[1])) {
        let pixels =
            file.integer_part(plane.hdu, &(plane.start..plane.start + span)).map_err(|error| error.reason())?;
        let placement = Placement::centred(planes.shape, shape);
        let view = PlaneView { start: 0, strides: planes.strides, placement };
        cutout::place(&pixels, view, &mut plane_bits);
        for (out, bits) in out.iter_mut().zip(&plane_bits) {
            // What is undefined has all bits, also those of the other part.
            *out |= if *bits == u64::MAX { *bits } else { bits << shift };
        }
    }
    Ok(())
}

fn read_psf(raw: &RawPixels<'_>, planes: &PlaneSet, layout: &ImageLayout, psf: &mut [f32]) -> Result<(), String> {
    let sums = raw.description.psf_pixels.map(|pixels| pixels.sums(planes.shape)).transpose()?.flatten();
    let whole = |shape| Placement::centred(planes.shape, shape);
    match sums {
        None => read(raw.file, planes, psf, whole([layout.height, layout.width]))?,
        Some(sums) => {
            let pixels = planes.shape[0] * planes.shape[1];
            let mut own = vec![0.0; pixels * planes.planes.len()];
            read(raw.file, planes, &mut own, whole(planes.shape))?;
            let out = psf.chunks_exact_mut(layout.plane());
            own.chunks_exact(pixels).zip(out).for_each(|(own, out)| sums.plane(own, out));
        }
    }
    match cutout::non_finite(psf) {
        None => Ok(()),
        Some(NonFinite { count, .. }) => Err(format!("has {count} non-finite pixels of {} in its PSF", psf.len())),
    }
}
