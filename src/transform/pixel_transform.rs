//! Transforms that change the values of pixels in place: bands, size and unit of the image stay, and its companions come along.

use std::{ops::RangeInclusive, path::PathBuf};

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema},
};

use super::{
    diagnostics::{image_layout, not_bound},
    image_planes::ImagePlaneRole,
    quantity::{BoundQuantity, Quantity, QuantityRules, QuantityValues, bind_all},
};
use crate::{
    batch::{ImageLayout, Images, Masks, Unit, list_column, mask_column, object_id, with_columns},
    error::{Code, Diagnostic, Result},
    random::Stream,
    stage::{ColumnRef, Rejects, RunContext, Transform},
};

/// A change of the pixels of a row that depends on `N` quantities.
pub(super) trait PixelOperation<const N: usize>: Clone + Send + 'static {
    /// The files that it has read beside the stream.
    fn input_files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// The keys and settings of the quantities.
    fn quantities(&self) -> [(&'static str, Option<&Quantity>); N];

    /// What each quantity may be for images of a layout, in the order of [`quantities`](Self::quantities).
    fn limits(&self, image: &ImageLayout) -> [QuantityLimits; N];

    /// Checks the image, whose pixels are proportional to flux, and prepares for its size.
    fn bind(&mut self, _image: &ImageLayout) -> Result<(), Vec<Diagnostic>> {
        Ok(())
    }

    /// Prepares for the size of the companion PSF, if the image has one.
    fn bind_psf(&mut self, _psf: &ImageLayout) {}

    /// Changes a row, or returns why it is rejected. `values` has the numbers of each quantity, band by band, in the order of
    /// [`quantities`](Self::quantities).
    fn apply(&mut self, row: &mut PixelRow, values: [&[f64]; N], draws: &mut Stream) -> Result<(), String>;
}

/// The default of a quantity in every band, and its range. `off` means 0.
pub(super) struct QuantityLimits {
    pub(super) default: f64,
    pub(super) range: RangeInclusive<f64>,
}

/// An image and its companions, to be changed in place. Variance and mask have the pixels of the image.
pub(super) struct PixelRow<'a> {
    pub(super) layout: &'a ImageLayout,
    pub(super) image: &'a mut [f32],
    pub(super) variance: Option<&'a mut [f32]>,
    pub(super) mask: Option<&'a mut [u64]>,
    pub(super) psf: Option<&'a mut [f32]>,
}

/// The transform of a [`PixelOperation`]: makes `<label>`, and `<label>_variance` and so on where the image has them.
#[derive(Clone)]
pub(super) struct PixelTransform<O, const N: usize> {
    label: String,
    image: String,
    operation: O,
    /// The columns it reads and makes: the image first, then the companions that exist.
    planes: Vec<(ImagePlaneRole, ImageLayout)>,
    quantities: Vec<BoundQuantity>,
    seed: u64,
}

impl<O: PixelOperation<N>, const N: usize> PixelTransform<O, N> {
    pub(super) fn boxed(label: &str, image: &str, operation: O) -> Box<dyn Transform> {
        let (label, image) = (label.to_owned(), image.to_owned());
        Box::new(Self { label, image, operation, planes: Vec::new(), quantities: Vec::new(), seed: 0 })
    }

    fn bind_quantities(&self, input: &Schema, image: &ImageLayout) -> Result<Vec<BoundQuantity>, Vec<Diagnostic>> {
        let settings = self.operation.quantities().into_iter().zip(self.operation.limits(image));
        let settings = settings.map(|((key, quantity), QuantityLimits { default, range })| {
            let default = vec![default; image.bands.len()];
            (quantity, QuantityRules { key, bands: &image.bands, default, off: Some(0.0), range })
        });
        bind_all(&settings.collect::<Vec<_>>(), input)
    }

    fn companion(
        &self,
        input: &Schema,
        role: ImagePlaneRole,
        image: &ImageLayout,
    ) -> Result<Option<ImageLayout>, Diagnostic> {
        let Some(layout) = role.find(input, &self.image) else { return Ok(None) };
        let shape = |layout: &ImageLayout| (layout.bands.len(), layout.height, layout.width);
        if role != ImagePlaneRole::Psf && shape(&layout) != shape(image) {
            let (name, found, expected) = (role.column(&self.image), shape(&layout), shape(image));
            let message = format!("`{name}` has the shape {found:?}, expected {expected:?} as in `{}`", self.image);
            return Err(Diagnostic::at("image", Code::WrongColumn, message));
        }
        Ok(Some(layout))
    }
}

impl<O: PixelOperation<N>, const N: usize> Transform for PixelTransform<O, N> {
    fn input_files(&self) -> Vec<PathBuf> {
        self.operation.input_files()
    }

    fn required_columns(&self) -> Vec<ColumnRef> {
        let mut columns = vec![ColumnRef::new("image", &self.image)];
        for (key, quantity) in self.operation.quantities() {
            columns.extend(quantity.into_iter().flat_map(|quantity| quantity.required_columns(key)));
        }
        columns.extend(self.planes.iter().skip(1).map(|(role, _)| ColumnRef::new("", role.column(&self.image))));
        columns
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        let image = image_layout(input, "image", &self.image).map_err(|mistake| vec![mistake])?;
        if image.unit == Unit::Stretched {
            let message = format!("image `{}` is stretched; expected pixels that are proportional to flux", self.image);
            let mistake = Diagnostic::at("image", Code::WrongColumn, message);
            return Err(vec![mistake.help("name the image before its `asinh_stretch`")]);
        }
        self.operation.bind(&image)?;
        self.quantities = self.bind_quantities(input, &image)?;
        let mut planes = vec![(ImagePlaneRole::Image, image.clone())];
        for role in ImagePlaneRole::COMPANIONS {
            let companion = self.companion(input, role, &image).map_err(|mistake| vec![mistake])?;
            planes.extend(companion.map(|layout| (role, layout)));
        }
        if let Some((_, psf)) = planes.iter().find(|(role, _)| *role == ImagePlaneRole::Psf) {
            self.operation.bind_psf(psf);
        }
        self.planes = planes;
        Ok(self.planes.iter().map(|(role, layout)| role.field(layout, &self.label)).collect())
    }

    fn start(&mut self, run: &RunContext) -> Result<()> {
        self.seed = run.seed;
        Ok(())
    }

    fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let Some((_, layout)) = self.planes.first() else { return Err(not_bound(&self.label)) };
        let quantities = self.quantities.iter().map(|quantity| quantity.read(&batch)).collect::<Result<Vec<_>>>()?;
        let mut values: [Vec<f64>; N] = std::array::from_fn(|_| vec![0.0; layout.bands.len()]);
        // By role; empty where the image has no such companion.
        let mut columns: [Vec<f32>; 4] = Default::default();
        let mut masks = Vec::new();
        for (role, _) in &self.planes {
            let name = role.column(&self.image);
            if *role == ImagePlaneRole::Mask {
                masks = Masks::of(&batch, &name)?.pixels.to_vec();
            } else {
                columns[*role as usize] = Images::of(&batch, &name)?.pixels.to_vec();
            }
        }
        let rows = batch.num_rows();
        let mut bad = Vec::new();
        for row in 0..rows {
            let [image, variance, _, psf] = columns.each_mut().map(|column| row_of(column, row, rows));
            let mask = row_of(&mut masks, row, rows);
            let Some(image) = image else { continue };
            let mut draws = Stream::new(self.seed, object_id(&batch, row)?, &self.label);
            let mut pixels = PixelRow { layout, image, variance, mask, psf };
            let done = read_row(&quantities, row, &mut values)
                .and_then(|()| self.operation.apply(&mut pixels, values.each_ref().map(Vec::as_slice), &mut draws));
            bad.extend(done.err().map(|reason| (row, reason)));
        }
        let mut made = Vec::new();
        for (role, layout) in &self.planes {
            let column = if *role == ImagePlaneRole::Mask {
                mask_column(std::mem::take(&mut masks), layout.pixels())?
            } else {
                list_column(std::mem::take(&mut columns[*role as usize]), layout.pixels())?
            };
            made.push((role.field(layout, &self.label), column));
        }
        rejects.take(with_columns(&batch, made)?, &self.label, &bad)
    }

    fn fork(&self) -> Box<dyn Transform> {
        Box::new(self.clone())
    }
}

/// The pixels of a row of some; `None` of an empty column.
fn row_of<T>(column: &mut [T], row: usize, rows: usize) -> Option<&mut [T]> {
    let length = column.len() / rows;
    column.get_mut(row * length..(row + 1) * length).filter(|pixels| !pixels.is_empty())
}

/// The numbers of all quantities in all bands for a row, or why it is rejected.
fn read_row<const N: usize>(
    quantities: &[QuantityValues],
    row: usize,
    values: &mut [Vec<f64>; N],
) -> Result<(), String> {
    for (quantity, values) in quantities.iter().zip(values) {
        for (band, value) in values.iter_mut().enumerate() {
            *value = quantity.get(row, band)?;
        }
    }
    Ok(())
}
