//! What the kinds that perturb an image share: pixels are changed in place, and the companions of the image come along.

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema},
};

use super::{
    Part, image,
    quantity::{Bound, Quantity},
};
use crate::{
    batch::{ImageLayout, Images, Unit, list_column, object_id, with_columns},
    error::{Code, Diagnostic, Error, Result},
    random::Stream,
    stage::{ColumnRef, Rejects, RunContext, Transform},
};

/// A way to change the pixels of an image that keeps what they mean: bands, size, unit.
pub(crate) trait Perturbation: Clone + Send + 'static {
    /// The quantities that it depends on, with their keys.
    fn quantities(&self) -> Vec<(&'static str, &Quantity)>;
    /// Checks the image, which is linear in flux, and binds the quantities. The order is that of `numbers` below.
    fn bind(&mut self, input: &Schema, image: &ImageLayout) -> Result<Vec<Bound>, Vec<Diagnostic>>;
    /// Is told of the point spread function that the image has as a companion.
    fn bind_psf(&mut self, _psf: &ImageLayout) {}
    /// Changes a row, or says why it has to be rejected. `numbers` are those of the quantities: `[quantity][band]`.
    fn perturb(&mut self, row: &mut Row, numbers: &[Vec<f64>], draws: &mut Stream) -> Result<(), String>;
}

/// An image and its companions, to be changed in place. Variance and mask have the pixels of the image.
pub(crate) struct Row<'a> {
    pub(crate) layout: &'a ImageLayout,
    pub(crate) image: &'a mut [f32],
    pub(crate) variance: Option<&'a mut [f32]>,
    pub(crate) mask: Option<&'a mut [f32]>,
    pub(crate) psf: Option<&'a mut [f32]>,
}

/// The transform of a [`Perturbation`]: makes `<label>`, and `<label>_variance` and so on where the image has them.
#[derive(Clone)]
pub(crate) struct Perturbed<P> {
    label: String,
    image: String,
    perturbation: P,
    parts: Vec<(Part, ImageLayout)>,
    bounds: Vec<Bound>,
    seed: u64,
}

impl<P: Perturbation> Perturbed<P> {
    pub(crate) fn boxed(label: &str, image: &str, perturbation: P) -> Box<dyn Transform> {
        let (label, image) = (label.to_owned(), image.to_owned());
        Box::new(Self { label, image, perturbation, parts: Vec::new(), bounds: Vec::new(), seed: 0 })
    }

    fn companion(&self, input: &Schema, part: Part, of: &ImageLayout) -> Result<Option<ImageLayout>, Diagnostic> {
        let name = part.column(&self.image);
        let Some(layout) = input.field_with_name(&name).ok().and_then(ImageLayout::of) else { return Ok(None) };
        let shape = |layout: &ImageLayout| (layout.bands.len(), layout.height, layout.width);
        if part != Part::Psf && shape(&layout) != shape(of) {
            let (found, expected) = (shape(&layout), shape(of));
            let message = format!("`{name}` has the shape {found:?}, expected {expected:?} as `{}`", self.image);
            return Err(Diagnostic::at("image", Code::WrongColumn, message));
        }
        Ok(Some(layout))
    }
}

impl<P: Perturbation> Transform for Perturbed<P> {
    /// The image and the columns of its settings; once bound, its companions too.
    fn required_columns(&self) -> Vec<ColumnRef> {
        let mut needs = vec![ColumnRef::new("image", &self.image)];
        needs.extend(self.perturbation.quantities().iter().flat_map(|(key, quantity)| quantity.required_columns(key)));
        needs.extend(self.parts.iter().skip(1).map(|(part, _)| ColumnRef::new("", part.column(&self.image))));
        needs
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        let of = image(input, "image", &self.image).map_err(|mistake| vec![mistake])?;
        if of.unit == Unit::Stretched {
            let message = format!("image `{}` is stretched; expected pixels that are proportional to flux", self.image);
            let help = "perturb the image before `asinh_stretch`";
            return Err(vec![Diagnostic::at("image", Code::WrongColumn, message).help(help)]);
        }
        self.bounds = self.perturbation.bind(input, &of)?;
        let mut parts = vec![(Part::Image, of.clone())];
        for part in Part::ALL.into_iter().skip(1) {
            let layout = self.companion(input, part, &of).map_err(|mistake| vec![mistake])?;
            parts.extend(layout.map(|layout| (part, layout)));
        }
        if let Some((_, psf)) = parts.iter().find(|(part, _)| *part == Part::Psf) {
            self.perturbation.bind_psf(psf);
        }
        self.parts = parts;
        Ok(self.parts.iter().map(|(part, layout)| layout.field(&part.column(&self.label))).collect())
    }

    fn start(&mut self, run: &RunContext) -> Result<()> {
        self.seed = run.seed;
        Ok(())
    }

    fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let Some((_, layout)) = self.parts.first() else {
            return Err(Error::bug(format!("`{}` was applied before it was bound", self.label)));
        };
        let quantities = self.bounds.iter().map(|bound| bound.read(&batch)).collect::<Result<Vec<_>>>()?;
        let mut columns: [Vec<f32>; 4] = Default::default();
        for (part, _) in &self.parts {
            columns[*part as usize] = Images::of(&batch, &part.column(&self.image))?.pixels.to_vec();
        }
        let rows = batch.num_rows();
        let mut bad = Vec::new();
        for row in 0..rows {
            let number = |band| move |numbers: &super::quantity::Numbers| numbers.get(row, band);
            let of_bands = |numbers| (0..layout.bands.len()).map(|band| number(band)(numbers)).collect();
            let [image, variance, mask, psf] = columns.each_mut().map(|column| {
                let length = column.len() / rows;
                column.get_mut(row * length..(row + 1) * length).filter(|pixels| !pixels.is_empty())
            });
            let Some(image) = image else { continue };
            let mut draws = Stream::new(self.seed, object_id(&batch, row)?, &self.label);
            let mut of_row = Row { layout, image, variance, mask, psf };
            let numbers: Result<Vec<Vec<f64>>, String> = quantities.iter().map(of_bands).collect();
            let done = numbers.and_then(|numbers| self.perturbation.perturb(&mut of_row, &numbers, &mut draws));
            bad.extend(done.err().map(|reason| (row, reason)));
        }
        let mut made = Vec::new();
        for (part, layout) in &self.parts {
            let pixels = std::mem::take(&mut columns[*part as usize]);
            made.push((layout.field(&part.column(&self.label)), list_column(pixels, layout.pixels())?));
        }
        rejects.take(with_columns(&batch, made)?, &self.label, &bad)
    }

    fn fork(&self) -> Box<dyn Transform> {
        Box::new(self.clone())
    }
}
