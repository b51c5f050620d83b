//! The noise that the images of a batch have already, after the blur.

use arrow::{array::RecordBatch, datatypes::Schema};

use super::{
    InputVariance,
    kernels::{PsfKernels, PsfRows},
};
use crate::{
    batch::{ImageLayout, Images},
    error::{Code, Diagnostic, Result},
    transform::{
        diagnostics::check_variance,
        quantity::{BoundQuantity, QuantityRules, QuantityValues},
    },
};

/// Where the variance of the input comes from.
#[derive(Debug, Clone)]
pub(super) enum BoundVariance {
    /// The input has no noise.
    None,
    /// nJy^2 per pixel.
    Njy2(BoundQuantity),
    /// A column of variance images, nJy^2.
    Column(String),
}

impl BoundVariance {
    pub(super) fn bind(
        setting: Option<&InputVariance>,
        input: &Schema,
        image: &ImageLayout,
    ) -> Result<Self, Vec<Diagnostic>> {
        match setting {
            None => Ok(Self::None),
            Some(InputVariance::Njy2(quantity)) => {
                let (key, default) = ("input_variance.njy2", vec![0.0; image.bands.len()]);
                let rules = QuantityRules { key, bands: &image.bands, default, off: Some(0.0), range: 0.0..=f64::MAX };
                rules.bind(Some(quantity), input).map(Self::Njy2)
            }
            Some(InputVariance::Column(column)) => {
                let found = input.field_with_name(column).ok().and_then(ImageLayout::of);
                let shape = |layout: &ImageLayout| (layout.bands.clone(), layout.height, layout.width);
                if let Some(found) = found.filter(|found| shape(found) == shape(image)) {
                    let key = "input_variance.column";
                    check_variance(key, column, &found, image).map_err(|mistake| vec![mistake])?;
                    return Ok(Self::Column(column.clone()));
                }
                let message = format!("column `{column}` is not a variance image with the bands and size of the image");
                Err(vec![Diagnostic::at("input_variance.column", Code::WrongColumn, message)])
            }
        }
    }
}

/// The variance of the noise of the images of a batch, after the blur.
pub(super) struct InputNoise<'a> {
    variance: VarianceValues<'a>,
    kernels: Option<(&'a mut PsfKernels, PsfRows<'a>)>,
    plane: Vec<f32>,
}

enum VarianceValues<'a> {
    None,
    Njy2(QuantityValues<'a>),
    Images(Images<'a>),
}

impl<'a> InputNoise<'a> {
    pub(super) fn read(
        variance: &'a BoundVariance,
        batch: &'a RecordBatch,
        kernels: &'a mut Option<PsfKernels>,
    ) -> Result<Self> {
        let variance = match variance {
            BoundVariance::None => VarianceValues::None,
            BoundVariance::Njy2(quantity) => VarianceValues::Njy2(quantity.read(batch)?),
            BoundVariance::Column(column) => VarianceValues::Images(Images::of(batch, column)?),
        };
        let kernels = match kernels {
            Some(kernels) => {
                let rows = kernels.read(batch)?;
                Some((kernels, rows))
            }
            None => None,
        };
        Ok(Self { variance, kernels, plane: Vec::new() })
    }

    /// The variances of a plane, nJy^2; empty when the image has no noise.
    pub(super) fn variance(&mut self, row: usize, band: usize, plane: usize) -> Result<&[f32], String> {
        let factor = match &mut self.kernels {
            Some((kernels, rows)) => kernels.get(rows, row, band)?.white_noise_factor(),
            None => 1.0,
        };
        self.plane.clear();
        match &self.variance {
            VarianceValues::None => {}
            VarianceValues::Njy2(values) => {
                self.plane.resize(plane, (values.get(row, band)? * factor) as f32);
            }
            VarianceValues::Images(images) => {
                let variances = images.plane(row, band);
                if !variances.iter().all(|variance| variance.is_finite() && *variance >= 0.0) {
                    let name = &images.layout.bands[band];
                    return Err(format!(
                        "the variance of the input in band `{name}` has pixels that are negative or not finite"
                    ));
                }
                self.plane.extend(variances.iter().map(|variance| variance * factor as f32));
            }
        }
        Ok(&self.plane)
    }
}
