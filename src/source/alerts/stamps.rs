//! The decoder of packets: their stamps become images, on the workers.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, LargeBinaryArray, RecordBatch},
    datatypes::{Field, Float64Type, Schema},
};

use super::{
    packets::Centre,
    plan::{PacketPlan, StampImage, stamp_column},
    stamp::{PacketStamp, StampLayout, StampPlanes, StampSource},
};
use crate::{
    batch::{self, DEC, ImageLayout, RA},
    error::{Diagnostic, Error, Result},
    source::fits::{Companion, Fits, Policy, pixel_planes::FILLED, row_pixels::PixelColumn},
    stage::{ColumnRef, Rejects, Transform},
    wcs::SkyPosition,
};

/// Decodes the stamps of packets.
#[derive(Clone)]
pub(in crate::source) struct DecodeStamps {
    plan: Arc<PacketPlan>,
    fits: Arc<Fits>,
}

impl DecodeStamps {
    /// The decoder of a plan; `None` if it has no images.
    pub(in crate::source) fn new(plan: &Arc<PacketPlan>) -> Option<Self> {
        let has_images = !plan.images.is_empty();
        has_images.then(|| Self { plan: plan.clone(), fits: Arc::new(plan.settings.as_fits()) })
    }

    fn source(&self, stamp: usize) -> StampSource<'_> {
        let (name, field) = &self.plan.fields.stamps[stamp];
        StampSource { name, field, fits: &self.fits }
    }

    /// Opens the stamps of a row. The error is the reason why one cannot be used.
    fn open(&self, columns: &[LargeBinaryArray], row: usize) -> Result<Vec<Option<PacketStamp>>, String> {
        let open = |(number, column): (usize, &LargeBinaryArray)| {
            let source = self.source(number);
            if column.is_valid(row) {
                return PacketStamp::open(&source, column.value(row)).map(Some);
            }
            match self.plan.settings.missing {
                Policy::Fill => Ok(None),
                Policy::Reject => Err(format!(
                    "has no stamp `{}` (`{}` is null): `missing: fill` would fill it",
                    source.name, source.field
                )),
            }
        };
        columns.iter().enumerate().map(open).collect()
    }

    /// Reads the stamps of a row into the columns.
    fn read(
        &self,
        stamps: &[Option<PacketStamp>],
        sky: Option<SkyPosition>,
        columns: &mut [ImageBuilder<'_>],
    ) -> Result<(), String> {
        let settings = &self.plan.settings;
        for builder in columns.iter_mut() {
            for (plane, number) in builder.column.stamps.iter().enumerate() {
                let source = self.source(*number);
                let column = builder.column;
                let layout = &column.layout;
                let mut planes = PlaneBuffers::of(builder, plane);
                let Some(stamp) = &stamps[*number] else {
                    planes.fill(settings.fill);
                    continue;
                };
                let read = || {
                    let layout = StampLayout {
                        size: [layout.height, layout.width],
                        unit: layout.unit,
                        raw_unit: column.raw_unit.as_deref(),
                        pixel_scale_arcsec: layout.pixel_scale_arcsec,
                        pad: settings.pad,
                        middle: stamp.middle(self.plan.fields.centre, sky)?,
                    };
                    stamp.read(&source, &layout, planes.0)
                };
                read().map_err(|reason| format!("has a stamp `{}` (`{}`) that {reason}", source.name, source.field))?;
            }
        }
        Ok(())
    }
}

/// The pixels of an image column, row by row.
struct ImageBuilder<'a> {
    column: &'a StampImage,
    /// Complete rows.
    rows: usize,
    image: PixelColumn<f32>,
    variance: Option<PixelColumn<f32>>,
    mask: Option<PixelColumn<u64>>,
    psf: Option<PixelColumn<f32>>,
}

impl<'a> ImageBuilder<'a> {
    fn new(plan: &'a PacketPlan, column: &'a StampImage, rows: usize) -> Self {
        let pixels = column.layout.pixels();
        Self {
            column,
            rows: 0,
            image: PixelColumn::new(pixels, rows),
            variance: plan.settings.wants(Companion::Variance).then(|| PixelColumn::new(pixels, rows)),
            mask: plan.settings.wants(Companion::Mask).then(|| PixelColumn::new(pixels, rows)),
            psf: column.psf.as_ref().map(|psf| PixelColumn::new(psf.pixels(), rows)),
        }
    }

    /// The columns, in the order of their fields.
    fn finish(self) -> Result<Vec<ArrayRef>> {
        let Self { column, rows, image, variance, mask, psf } = self;
        let pixels = column.layout.pixels();
        let mut arrays = vec![batch::list_column(image.into_rows(rows), pixels)?];
        if let Some(variance) = variance {
            arrays.push(batch::list_column(variance.into_rows(rows), pixels)?);
        }
        if let Some(mask) = mask {
            arrays.push(batch::mask_column(mask.into_rows(rows), pixels)?);
        }
        if let (Some(psf), Some(layout)) = (psf, &column.psf) {
            arrays.push(batch::list_column(psf.into_rows(rows), layout.pixels())?);
        }
        Ok(arrays)
    }
}

/// The planes that one stamp becomes.
struct PlaneBuffers<'a>(StampPlanes<'a>);

impl<'a> PlaneBuffers<'a> {
    fn of(builder: &'a mut ImageBuilder<'_>, plane: usize) -> Self {
        let (row, pixels) = (builder.rows, builder.column.layout.plane());
        let range = plane * pixels..(plane + 1) * pixels;
        let psf_pixels = builder.column.psf.as_ref().map_or(0, ImageLayout::plane);
        let of_psf = plane * psf_pixels..(plane + 1) * psf_pixels;
        Self(StampPlanes {
            image: &mut builder.image.row(row)[range.clone()],
            variance: builder.variance.as_mut().map(|column| &mut column.row(row)[range.clone()]),
            mask: builder.mask.as_mut().map(|column| &mut column.row(row)[range]),
            psf: builder.psf.as_mut().map(|column| &mut column.row(row)[of_psf]),
            psf_size: builder.column.psf.as_ref().map_or(0, |psf| psf.height),
        })
    }

    /// Fills the planes of a stamp that is missing.
    fn fill(&mut self, value: f32) {
        let StampPlanes { image, variance, mask, .. } = &mut self.0;
        image.fill(value);
        variance.iter_mut().for_each(|variance| variance.fill(0.0));
        mask.iter_mut().for_each(|mask| mask.fill(FILLED));
    }
}

impl Transform for DecodeStamps {
    fn required_columns(&self) -> Vec<ColumnRef> {
        let stamps = self.plan.fields.stamps.iter().map(|(name, _)| stamp_column(name));
        let position = (self.plan.fields.centre == Centre::Source).then_some([RA.to_owned(), DEC.to_owned()]);
        stamps.chain(position.into_iter().flatten()).map(|column| ColumnRef::new("", column)).collect()
    }

    fn bind(&mut self, _input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        Ok(self.plan.image_fields())
    }

    fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let wrong = |name: &str| Error::bug(format!("column `{name}` has another type than its packet"));
        let stamp = |(name, _): &(String, String)| {
            let name = stamp_column(name);
            let column = batch::column_of(&batch, &name)?.as_binary_opt::<i64>().ok_or_else(|| wrong(&name))?;
            Ok(column.clone())
        };
        let stamps: Vec<LargeBinaryArray> = self.plan.fields.stamps.iter().map(stamp).collect::<Result<_>>()?;
        let angle = |name: &str| -> Result<_> {
            let column = batch::column_of(&batch, name)?.as_primitive_opt::<Float64Type>();
            column.cloned().ok_or_else(|| wrong(name))
        };
        let is_by_position = self.plan.fields.centre == Centre::Source;
        let position = if is_by_position { Some((angle(RA)?, angle(DEC)?)) } else { None };
        let plan = self.plan.clone();
        let rows = batch.num_rows();
        let mut images: Vec<ImageBuilder<'_>> =
            plan.images.iter().map(|column| ImageBuilder::new(&plan, column, rows)).collect();
        let mut bad = Vec::new();
        for row in 0..rows {
            let sky = position.as_ref().filter(|(ra, dec)| ra.is_valid(row) && dec.is_valid(row));
            let sky = sky.map(|(ra, dec)| SkyPosition { ra_deg: ra.value(row), dec_deg: dec.value(row) });
            let opened = self.open(&stamps, row);
            match opened.and_then(|stamps| self.read(&stamps, sky, &mut images)) {
                Ok(()) => images.iter_mut().for_each(|image| image.rows += 1),
                Err(reason) => bad.push((row, reason)),
            }
        }
        let columns: Vec<ArrayRef> = images.into_iter().map(ImageBuilder::finish).collect::<Result<Vec<_>>>()?.concat();
        let kept = rejects.take(batch, "source", &bad)?;
        batch::with_columns(&kept, plan.image_fields().into_iter().zip(columns))
    }

    fn fork(&self) -> Box<dyn Transform> {
        Box::new(self.clone())
    }
}
