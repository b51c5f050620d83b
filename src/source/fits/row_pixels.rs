//! The columns of pixels of a batch: image, variance, mask and PSF, row by row.

use arrow::array::ArrayRef;

use super::{
    Companion, Policy,
    companions::VarianceForm,
    cutout::{self, NonFinite},
    objects::{ObjectPlanes, PlaneSet},
    plan::FitsPlan,
};
use crate::{
    batch::{self, ImageLayout},
    error::Result,
    fits,
};

/// A column of pixels that grows by rows.
struct PixelColumn {
    values: Vec<f32>,
    /// Pixels in a row.
    row: usize,
}

impl PixelColumn {
    /// A column with room for some rows. The system zeroes the memory when it is first touched, not before.
    fn new(row: usize, rows: usize) -> Self {
        Self { values: vec![0.0; row * rows], row }
    }

    /// The pixels of a row.
    fn row(&mut self, index: usize) -> &mut [f32] {
        let (start, end) = (index * self.row, (index + 1) * self.row);
        if self.values.len() < end {
            self.values.resize(2 * end, 0.0);
        }
        &mut self.values[start..end]
    }

    fn into_column(mut self, rows: usize) -> Result<ArrayRef> {
        self.values.truncate(rows * self.row);
        self.values.shrink_to_fit();
        batch::list_column(self.values, self.row)
    }
}

/// The planes of an object, and the factors that convert each band to the unit of the column.
pub(super) struct RawPixels<'a> {
    pub file: &'a fits::FitsFile,
    pub object: &'a ObjectPlanes,
    pub factors: &'a [f64],
}

/// The columns of pixels of a batch.
pub(super) struct RowPixels {
    /// Complete rows.
    rows: usize,
    image: PixelColumn,
    variance: Option<PixelColumn>,
    mask: Option<PixelColumn>,
    psf: Option<PixelColumn>,
}

impl RowPixels {
    /// Columns with room for some rows.
    pub(super) fn new(plan: &FitsPlan, room: usize) -> Self {
        let pixels = plan.layouts.image.pixels();
        let column = |companion| plan.settings.wants(companion).then(|| PixelColumn::new(pixels, room));
        Self {
            rows: 0,
            image: PixelColumn::new(pixels, room),
            variance: column(Companion::Variance),
            mask: column(Companion::Mask),
            psf: plan.layouts.psf.as_ref().map(|psf| PixelColumn::new(psf.pixels(), room)),
        }
    }

    /// Appends the pixels of an object, or nothing and the reason why they are not usable.
    pub(super) fn push(&mut self, plan: &FitsPlan, raw: &RawPixels<'_>) -> Result<(), String> {
        self.read_image(plan, raw)?;
        self.read_variance(plan, raw)?;
        self.read_mask(plan, raw)?;
        self.read_psf(plan, raw)?;
        self.rows += 1;
        Ok(())
    }

    fn read_image(&mut self, plan: &FitsPlan, raw: &RawPixels<'_>) -> Result<(), String> {
        let (settings, layout) = (&plan.settings, &plan.layouts.image);
        let shape = [layout.height, layout.width];
        let image = self.image.row(self.rows);
        read(raw.file, &raw.object.image, image, shape, settings.fill)?;
        for (plane, factor) in image.chunks_exact_mut(layout.plane()).zip(raw.factors) {
            if *factor != 1.0 {
                plane.iter_mut().for_each(|pixel| *pixel = (f64::from(*pixel) * factor) as f32);
            }
        }
        if raw.object.image.shape != shape && settings.fill != 0.0 {
            // The factors have scaled the padding too.
            pad_again(&raw.object.image, image, shape, settings.fill);
        }
        check_finite(image, layout, "", settings.nan, settings.fill)
    }

    fn read_variance(&mut self, plan: &FitsPlan, raw: &RawPixels<'_>) -> Result<(), String> {
        let layout = &plan.layouts.image;
        let shape = [layout.height, layout.width];
        let (Some(column), Some((planes, form))) = (&mut self.variance, &raw.object.variance) else { return Ok(()) };
        let variance = column.row(self.rows);
        read(raw.file, planes, variance, shape, 0.0)?;
        for (plane, factor) in variance.chunks_exact_mut(layout.plane()).zip(raw.factors) {
            plane.iter_mut().for_each(|value| *value = to_variance(*value, *form, *factor));
        }
        pad_again(planes, variance, shape, 0.0);
        check_finite(variance, layout, "variance ", plan.settings.nan, 0.0)
    }

    /// Reads the mask, and applies it to the image.
    fn read_mask(&mut self, plan: &FitsPlan, raw: &RawPixels<'_>) -> Result<(), String> {
        let (settings, layout) = (&plan.settings, &plan.layouts.image);
        let shape = [layout.height, layout.width];
        let Some(planes) = &raw.object.mask else { return Ok(()) };
        let mut scratch;
        let mask = match &mut self.mask {
            Some(column) => column.row(self.rows),
            None => {
                scratch = vec![0.0; layout.pixels()];
                scratch.as_mut_slice()
            }
        };
        read(raw.file, planes, mask, shape, 1.0)?;
        let Some(policy) = settings.masked else { return Ok(()) };
        let bits = settings.mask_bits.unwrap_or(u32::MAX);
        // Padding is marked too, but must not reject an image; it has the value of `fill` already.
        let inside = inside(planes, shape);
        let masked = |(index, value): &(usize, &f32)| inside(*index) && is_masked(**value, bits);
        match policy {
            Policy::Reject => match mask.iter().enumerate().filter(masked).count() {
                0 => Ok(()),
                count => Err(format!("has {count} masked pixels of {}: `masked: fill` would fill them", mask.len())),
            },
            Policy::Fill => {
                let image = self.image.row(self.rows);
                mask.iter().enumerate().filter(masked).for_each(|(index, _)| image[index] = settings.fill);
                Ok(())
            }
        }
    }

    fn read_psf(&mut self, plan: &FitsPlan, raw: &RawPixels<'_>) -> Result<(), String> {
        let (Some(column), Some(planes), Some(layout)) = (&mut self.psf, &raw.object.psf, &plan.layouts.psf) else {
            return Ok(());
        };
        let psf = column.row(self.rows);
        read(raw.file, planes, psf, [layout.height, layout.width], 0.0)?;
        check_finite(psf, layout, "PSF ", plan.settings.nan, 0.0)
    }

    /// The columns, in the order of the schema.
    pub(super) fn into_columns(self) -> Result<Vec<ArrayRef>> {
        let columns = [Some(self.image), self.variance, self.mask, self.psf];
        columns.into_iter().flatten().map(|column| column.into_column(self.rows)).collect()
    }
}

/// Copies planes into a row, padded with `pad`.
fn read(file: &fits::FitsFile, planes: &PlaneSet, out: &mut [f32], shape: [usize; 2], pad: f32) -> Result<(), String> {
    if planes.shape[0] < shape[0] || planes.shape[1] < shape[1] {
        out.fill(pad);
    }
    let size = planes.shape[0] * planes.shape[1];
    let mut out = out.chunks_exact_mut(shape[0] * shape[1]);
    for of_hdu in planes.planes.chunk_by(|one, next| one.hdu == next.hdu) {
        let numbers = || of_hdu.iter().map(|plane| plane.plane);
        let (first, last) = (numbers().min().unwrap_or(0), numbers().max().unwrap_or(0));
        let image =
            file.image_part(of_hdu[0].hdu, &(first * size..(last + 1) * size)).map_err(|error| error.reason())?;
        for (plane, out) in of_hdu.iter().zip(&mut out) {
            cutout::copy(&image, plane.plane * size, planes.shape, out, shape);
        }
    }
    Ok(())
}

/// Whether a pixel of a row comes from the file, rather than from padding.
fn inside(planes: &PlaneSet, [rows, columns]: [usize; 2]) -> impl Fn(usize) -> bool + use<> {
    let within =
        |have: usize, want: usize| (want / 2).saturating_sub(have / 2)..(want / 2).saturating_sub(have / 2) + have;
    let (y, x) = (within(planes.shape[0], rows), within(planes.shape[1], columns));
    move |index| y.contains(&(index / columns % rows)) && x.contains(&(index % columns))
}

/// Sets the padding of a row again.
fn pad_again(planes: &PlaneSet, out: &mut [f32], shape: [usize; 2], pad: f32) {
    if planes.shape[0] < shape[0] || planes.shape[1] < shape[1] {
        let inside = inside(planes, shape);
        out.iter_mut().enumerate().filter(|(index, _)| !inside(*index)).for_each(|(_, pixel)| *pixel = pad);
    }
}

/// The variance in the squared unit of the column.
fn to_variance(value: f32, form: VarianceForm, factor: f64) -> f32 {
    let value = f64::from(value);
    let variance = match form {
        VarianceForm::Variance => value,
        VarianceForm::Sigma => value * value,
        VarianceForm::Inverse => 1.0 / value,
    };
    (variance * factor * factor) as f32
}

/// Fills non-finite pixels, or gives the reason to reject the row. `what` names the plane, with a blank after it.
fn check_finite(pixels: &mut [f32], layout: &ImageLayout, what: &str, policy: Policy, fill: f32) -> Result<(), String> {
    let Some(NonFinite { count, first }) = cutout::non_finite(pixels) else { return Ok(()) };
    if policy == Policy::Fill {
        pixels.iter_mut().filter(|pixel| !pixel.is_finite()).for_each(|pixel| *pixel = fill);
        return Ok(());
    }
    let plane = pixels.len() / layout.bands.len().max(1);
    let (band, y, x) = (&layout.bands[first / plane], first % plane / layout.width, first % layout.width);
    let all = pixels.len();
    Err(format!(
        "has {count} non-finite {what}pixels of {all}, the first in band `{band}` at y {y}, x {x}: `nan: fill` would fill them"
    ))
}

fn is_masked(value: f32, bits: u32) -> bool {
    value.is_nan() || value as i64 as u32 & bits != 0
}
