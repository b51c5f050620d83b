//! The hidden step before `observe`: the image as blurred by atmosphere and telescope, still in nJy.

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema},
};

use super::{kernels::PsfKernels, observable_layout, optics::Optics};
use crate::{
    batch::{ImageLayout, Images, list_column, with_columns},
    error::{Diagnostic, Result},
    image::blur::BlurScratch,
    stage::{ColumnRef, Rejects, RunContext, Transform},
    transform::{diagnostics::not_bound, finite::check_finite},
};

/// The hidden step.
#[derive(Clone)]
pub(super) struct BlurStep {
    optics: Optics,
    /// The label of the first `observe` that requires this step: its rejects carry that label, because users do not see this step.
    required_by: String,
    bound: Option<(ImageLayout, PsfKernels)>,
    scratch: Option<BlurScratch>,
}

impl BlurStep {
    pub(super) fn new(optics: Optics, required_by: &str) -> Self {
        Self { optics, required_by: required_by.to_owned(), bound: None, scratch: None }
    }
}

impl Transform for BlurStep {
    fn required_columns(&self) -> Vec<ColumnRef> {
        self.optics.required_columns()
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        let layout = observable_layout(input, &self.optics.image, &self.optics.survey)?;
        let kernels = self.optics.bind(input, &layout)?;
        let field = layout.field(&self.optics.label());
        self.bound = Some((layout, kernels));
        Ok(vec![field])
    }

    fn start(&mut self, _run: &RunContext) -> Result<()> {
        let (_, kernels) = self.bound.as_mut().ok_or_else(|| not_bound(&self.required_by))?;
        kernels.start()?;
        self.scratch = Some(kernels.blur().scratch());
        Ok(())
    }

    fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let (layout, kernels) = self.bound.as_mut().ok_or_else(|| not_bound(&self.required_by))?;
        let scratch = self.scratch.as_mut().ok_or_else(|| not_bound(&self.required_by))?;
        let images = Images::of(&batch, &self.optics.image)?;
        let (pixels, plane) = (layout.pixels(), layout.plane());
        let mut blurred = vec![0.0; images.pixels.len()];
        let mut bad = Vec::new();
        let psfs = kernels.read(&batch)?;
        for (row, (image, out)) in images.rows().zip(blurred.chunks_exact_mut(pixels)).enumerate() {
            let planes = image.chunks_exact(plane).zip(out.chunks_exact_mut(plane)).enumerate();
            let mut blur = planes.map(|(band, (image, out))| {
                check_finite(image, &layout.bands[band])?;
                let kernel = kernels.get(&psfs, row, band)?;
                kernels.blur().apply(&kernel, image, out, scratch);
                Ok(())
            });
            if let Err(reason) = blur.try_for_each(|done: Result<(), String>| done) {
                bad.push((row, reason));
            }
        }
        let label = self.optics.label();
        let column = (layout.field(&label), list_column(blurred, pixels)?);
        rejects.take(with_columns(&batch, [column])?, &self.required_by, &bad)
    }

    fn fork(&self) -> Box<dyn Transform> {
        Box::new(self.clone())
    }
}
