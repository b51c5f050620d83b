//! The decoder of `simulated`: draws the pixels of the objects that the reader has numbered, on the workers.

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{Field, Schema, UInt64Type},
};

use super::{Simulated, truth::NUMBER};
use crate::{
    batch,
    error::{Diagnostic, Error, Result},
    stage::{ColumnRef, Rejects, RunContext, Transform},
    survey::galaxy::{Band, Renderer, Stamp},
};

/// The column of the images: nJy per pixel, the pixel response included once, y upwards.
pub(super) const IMAGE: &str = "image";

/// Draws the column of images.
#[derive(Clone)]
pub(super) struct DrawPixels {
    settings: Simulated,
    renderer: Renderer,
    seed: Option<u64>,
}

impl DrawPixels {
    pub(super) fn new(settings: Simulated) -> Self {
        let stamp = Stamp { size: settings.size, pixel_scale_arcsec: settings.pixel_scale_arcsec };
        Self { settings, renderer: Renderer::new(stamp), seed: None }
    }
}

impl Transform for DrawPixels {
    fn required_columns(&self) -> Vec<ColumnRef> {
        vec![ColumnRef::new("", NUMBER)]
    }

    fn bind(&mut self, _input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        Ok(vec![self.settings.layout().field(IMAGE)])
    }

    fn start(&mut self, run: &RunContext) -> Result<()> {
        self.seed = Some(run.seed);
        Ok(())
    }

    fn apply(&mut self, batch: RecordBatch, _rejects: &mut Rejects) -> Result<RecordBatch> {
        let Self { settings, renderer, seed } = self;
        let seed = seed.ok_or_else(|| Error::bug("galaxies are drawn before the run has started"))?;
        let wrong = || Error::bug(format!("column `{NUMBER}` is not uint64"));
        let numbers = batch::column_of(&batch, NUMBER)?.as_primitive_opt::<UInt64Type>().ok_or_else(wrong)?;
        let layout = settings.layout();
        let bands: Vec<Band> = settings.bands.iter().map(|band| band.to_band()).collect();
        let mut pixels = vec![0.0; numbers.len() * layout.pixels()];
        for (number, image) in numbers.values().iter().zip(pixels.chunks_exact_mut(layout.pixels())) {
            renderer.draw(&settings.galaxy(seed, *number).components, &bands, image);
        }
        batch::with_columns(&batch, [(layout.field(IMAGE), batch::list_column(pixels, layout.pixels())?)])
    }

    fn fork(&self) -> Box<dyn Transform> {
        Box::new(self.clone())
    }
}
