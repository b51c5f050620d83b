//! The columns of pixels of a batch: image, variance, mask and PSF, row by row.

use arrow::array::ArrayRef;

use super::{
    Companion, EmptyBand, Fits, Policy,
    axes::PlaneSet,
    companions::VarianceForm,
    cutout::{self, NonFinite, PlaneView},
    description::{Description, PlaneScaling},
    mask_planes::{self, BITS_OF_PART},
    objects::ObjectPlanes,
    plan::FitsPlan,
};
use crate::{
    batch::{self, ImageLayout},
    error::Result,
    fits::{self, Header},
};

/// The bit of a pixel that is padding or was filled.
pub(in crate::source) const FILLED: u64 = 1;
/// Numbers that surveys write for no data, and the most that a flux can be.
const BLANKS: [f32; 2] = [-9999.0, -99_999.0];
const MOST: f32 = 1e18;
/// Planes with fewer pixels may have one value by chance, unless it is 0.
const MIN_PIXELS: usize = 100;

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
        }
    }

    /// Appends the pixels of an object, or nothing and the reason why they are not usable.
    pub(super) fn push(&mut self, plan: &FitsPlan, raw: &RawPixels<'_>) -> Result<(), String> {
        let layout = &plan.layouts.image;
        let mut row = Row {
            settings: &plan.settings,
            layout,
            shape: [layout.height, layout.width],
            image: self.image.row(self.rows),
            variance: self.variance.as_mut().map(|column| column.row(self.rows)),
            mask: self.mask.as_mut().map(|column| column.row(self.rows)),
        };
        let blanked = row.read_image(raw)?;
        row.read_variance(raw)?;
        row.read_mask(raw)?;
        row.check_finite(raw, blanked)?;
        if let (Some(column), Some(planes), Some(layout)) = (&mut self.psf, &raw.object.psf, &plan.layouts.psf) {
            read_psf(raw.file, planes, layout, column.row(self.rows))?;
        }
        self.rows += 1;
        Ok(())
    }

    /// The columns, in the order of the schema.
    pub(super) fn into_columns(self) -> Result<Vec<ArrayRef>> {
        let Self { rows, image, variance, mask, psf } = self;
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
        Ok(columns)
    }
}

/// A row being read.
struct Row<'a> {
    settings: &'a Fits,
    layout: &'a ImageLayout,
    /// Rows and columns of a plane, pixels.
    shape: [usize; 2],
    image: &'a mut [f32],
    variance: Option<&'a mut [f32]>,
    mask: Option<&'a mut [u64]>,
}

impl Row<'_> {
    /// Reads the image. Returns a number that stood for no data, if there was one.
    fn read_image(&mut self, raw: &RawPixels<'_>) -> Result<Option<f32>, String> {
        let planes = &raw.object.image;
        let is_padded = pads(planes, self.shape);
        let inside = cutout::inside(planes.shape, self.shape);
        if let Some(mask) = &mut self.mask {
            mask.fill(0);
            if is_padded {
                mask.iter_mut().enumerate().filter(|(index, _)| !inside(*index)).for_each(|(_, bits)| *bits = FILLED);
            }
        }
        read(raw.file, planes, self.image, self.shape)?;
        let mut blanked = None;
        let plane = self.layout.plane();
        for (band, (pixels, scaling)) in self.image.chunks_exact_mut(plane).zip(&raw.description.scaling).enumerate() {
            blanked = blanked.or(blank(pixels, scaling, self.settings.blank.as_deref()));
            if self.settings.empty_band == EmptyBand::Reject {
                let pixels = pixels.iter().copied().enumerate().filter(|(index, _)| !is_padded || inside(*index));
                check_information(pixels.map(|(_, pixel)| pixel), &self.layout.bands[band])?;
            }
            scale(pixels, scaling);
        }
        if is_padded {
            // The padding was scaled too.
            let fill = self.settings.fill;
            self.image.iter_mut().enumerate().filter(|(index, _)| !inside(*index)).for_each(|(_, pixel)| *pixel = fill);
        }
        Ok(blanked)
    }

    fn read_variance(&mut self, raw: &RawPixels<'_>) -> Result<(), String> {
        let Some((planes, form)) = &raw.object.variance else { return Ok(()) };
        let Some(variance) = self.variance.take() else { return Ok(()) };
        read(raw.file, planes, variance, self.shape)?;
        let inside = cutout::inside(planes.shape, self.shape);
        let plane = self.layout.plane();
        for (index, value) in variance.iter_mut().enumerate() {
            let factor = raw.description.variance_factors.get(index / plane).copied().unwrap_or(1.0);
            if *value < 0.0 && inside(index) {
                return Err(self.negative_in_words(*form, *value, index));
            }
            *value = if inside(index) { to_variance(*value, *form, factor) } else { 0.0 };
        }
        self.variance = Some(variance);
        Ok(())
    }

    /// Refuses or fills pixels without data, after the mask has filled those that it marks.
    fn check_finite(&mut self, raw: &RawPixels<'_>, blanked: Option<f32>) -> Result<(), String> {
        if let Some(found) = cutout::non_finite(self.image) {
            if self.settings.nan == Policy::Reject {
                let reason = self.non_finite_in_words(&found, "");
                return Err(match blanked {
                    None => reason,
                    Some(number) => format!("{reason}; {number} stands for no data, unless `blank` says otherwise"),
                });
            }
            let bad: Vec<usize> = (0..self.image.len()).filter(|index| !self.image[*index].is_finite()).collect();
            bad.into_iter().for_each(|index| self.fill(index, FILLED));
        }
        let Some(found) = self.variance.as_deref().and_then(cutout::non_finite) else { return Ok(()) };
        if self.settings.nan == Policy::Reject {
            let is_weight = raw.object.variance.as_ref().is_some_and(|(_, form)| *form == VarianceForm::Inverse);
            let what = if is_weight { "of weight 0, or without one, among its " } else { "variance " };
            return Err(self.non_finite_in_words(&found, what));
        }
        let variance = self.variance.as_deref().unwrap_or_default();
        let bad: Vec<usize> = (0..variance.len()).filter(|index| !variance[*index].is_finite()).collect();
        bad.into_iter().for_each(|index| self.fill(index, FILLED));
        Ok(())
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
        // Padding has the value of `fill` already, and must not reject an image.
        let inside = cutout::inside(first.shape, self.shape);
        let masked = || (0..bits.len()).filter(|index| bits[*index] != 0 && inside(*index));
        match self.settings.masked {
            Some(Policy::Reject) if masked().next().is_some() => {
                let bits_of_masked: Vec<u64> = masked().map(|index| bits[index] & bad).collect();
                let counts = mask_planes::counts_in_words(&headers, &bits_of_masked);
                let advice = if masked().any(|index| self.is_central(index)) {
                    "some are at the centre; `bad` chooses the planes that count"
                } else {
                    "`masked: fill` would fill them"
                };
                let (count, all) = (masked().count(), bits.len());
                return Err(format!("has {count} masked pixels of {all}{counts}: {advice}"));
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
        self.image[index] = self.settings.fill;
        if let Some(variance) = &mut self.variance {
            variance[index] = 0.0;
        }
        if let Some(mask) = &mut self.mask {
            mask[index] |= bits;
        }
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
        format!("in band `{}` at y {y}, x {x}", self.layout.bands[index / plane])
    }

    /// `what` names the plane, with a blank after it.
    fn non_finite_in_words(&self, found: &NonFinite, what: &str) -> String {
        let (NonFinite { count, first }, all) = (found, self.image.len());
        let place = self.place_in_words(*first);
        if what.starts_with("of weight") {
            return format!("has {count} pixels {what}{all} pixels, the first {place}: `nan: fill` would fill them");
        }
        format!("has {count} non-finite {what}pixels of {all}, the first {place}: `nan: fill` would fill them")
    }

    fn negative_in_words(&self, form: VarianceForm, value: f32, index: usize) -> String {
        let what = match form {
            VarianceForm::Inverse => "weight",
            VarianceForm::Sigma => "standard deviation",
            VarianceForm::Variance | VarianceForm::Unsaid => "variance",
        };
        format!("has a negative {what}, {value} {}", self.place_in_words(index))
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
fn read(file: &fits::FitsFile, planes: &PlaneSet, out: &mut [f32], shape: [usize; 2]) -> Result<(), String> {
    if pads(planes, shape) {
        out.fill(0.0);
    }
    let span = planes.span();
    let mut out = out.chunks_exact_mut(shape[0] * shape[1]);
    for of_hdu in planes.planes.chunk_by(|one, next| one.hdu == next.hdu) {
        let starts = || of_hdu.iter().map(|plane| plane.start);
        let (first, last) = (starts().min().unwrap_or(0), starts().max().unwrap_or(0));
        let image = file.image_part(of_hdu[0].hdu, &(first..last + span)).map_err(|error| error.reason())?;
        for (plane, out) in of_hdu.iter().zip(&mut out) {
            let view = PlaneView { start: plane.start, shape: planes.shape, strides: planes.strides };
            cutout::copy(&image, view, out, shape);
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
        let view = PlaneView { start: 0, shape: planes.shape, strides: planes.strides };
        cutout::place(&pixels, view, &mut plane_bits, shape);
        for (out, bits) in out.iter_mut().zip(&plane_bits) {
            // What is undefined has all bits, also those of the other part.
            *out |= if *bits == u64::MAX { *bits } else { bits << shift };
        }
    }
    Ok(())
}

fn read_psf(file: &fits::FitsFile, planes: &PlaneSet, layout: &ImageLayout, psf: &mut [f32]) -> Result<(), String> {
    read(file, planes, psf, [layout.height, layout.width])?;
    match cutout::non_finite(psf) {
        None => Ok(()),
        Some(NonFinite { count, .. }) => Err(format!("has {count} non-finite pixels of {} in its PSF", psf.len())),
    }
}

/// Whether a number is one that surveys write for no data, or infinite.
#[inline]
fn stands_for_no_data(pixel: f32) -> bool {
    (pixel == BLANKS[0]) | (pixel == BLANKS[1]) | (pixel.abs() > MOST)
}

/// Makes the numbers that stand for no data NaN, and returns one that was there.
pub(in crate::source) fn blank(pixels: &mut [f32], scaling: &PlaneScaling, setting: Option<&[f64]>) -> Option<f32> {
    let mut found = None;
    // Most images have none; without a branch per pixel the compiler vectorises this loop.
    let mut any = false;
    if setting.is_none() {
        for pixel in pixels.iter() {
            any |= stands_for_no_data(*pixel);
        }
    }
    if any {
        for pixel in pixels.iter_mut().filter(|pixel| pixel.is_finite() && stands_for_no_data(**pixel)) {
            found = Some(*pixel);
            *pixel = f32::NAN;
        }
    }
    for number in scaling.blank.into_iter().chain(setting.unwrap_or_default().iter().map(|number| *number as f32)) {
        for pixel in pixels.iter_mut().filter(|pixel| **pixel == number) {
            found = Some(number);
            *pixel = f32::NAN;
        }
    }
    found
}

/// Scales the stored numbers of a plane to the unit of the column.
pub(in crate::source) fn scale(pixels: &mut [f32], PlaneScaling { asinh, factor, .. }: &PlaneScaling) {
    match asinh {
        Some(asinh) => pixels.iter_mut().for_each(|pixel| *pixel = (asinh.counts(f64::from(*pixel)) * factor) as f32),
        None if *factor != 1.0 => pixels.iter_mut().for_each(|pixel| *pixel = (f64::from(*pixel) * factor) as f32),
        None => {}
    }
}

/// Refuses a plane that holds no image: no pixel with data, or one value in all of them.
pub(in crate::source) fn check_information(mut pixels: impl Iterator<Item = f32>, band: &str) -> Result<(), String> {
    let band = band.escape_debug();
    let mut all = 0;
    let keep = "`empty_band: keep` would keep it";
    let Some(first) = pixels.by_ref().inspect(|_| all += 1).find(|pixel| pixel.is_finite()) else {
        return Err(format!("has no data in band `{band}`: none of {all} pixels is finite; {keep}"));
    };
    let has_other = pixels.inspect(|_| all += 1).any(|pixel| pixel.is_finite() && pixel != first);
    if has_other || (first != 0.0 && all < MIN_PIXELS) || all == 1 {
        return Ok(());
    }
    Err(format!("has no information in band `{band}`: all of its {all} pixels with data are {first}; {keep}"))
}

/// The variance in the squared unit of the column.
pub(in crate::source) fn to_variance(value: f32, form: VarianceForm, factor: f64) -> f32 {
    let value = f64::from(value);
    let variance = match form {
        VarianceForm::Variance | VarianceForm::Unsaid => value,
        VarianceForm::Sigma => value * value,
        VarianceForm::Inverse => 1.0 / value,
    };
    (variance * factor * factor) as f32
}
