//! `asinh_stretch`: y = (arcsinh(c clip(x, lo, hi)) + 1) / 2 with c = 0.85 / hi (Ćiprijanović et al. 2022).
//!
//! Zero maps to 0.5, `hi` to 0.8856. The constants are those of a domain of a model's card, those of a calibration file, explicit
//! numbers, or percentiles of each image. Constants of a card or a calibration are for images of one unit, and for one exposure where
//! the file says it; other images are refused. If all rows share the constants, they are in the metadata of the column. With `scale_to` every band is
//! first multiplied by (electrons per nJy of the reference) / (electrons per nJy of the image): this brings a one-year image to the
//! flux scale of ten years, so that the constants of ten years apply. Rows with pixels that are not finite are rejected.

mod constants;
mod stretch_constants;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::constants::{ConstantsOrigin, ScaledImages, usable};
pub use self::{
    constants::{Constants, PerImage},
    stretch_constants::{DomainConstants, HIGH_PERCENT, LOW_PERCENT, StretchConstants},
};
use super::diagnostics::{image_layout, not_bound};
use crate::{
    batch::{ImageLayout, Images, Unit, list_column, with_columns},
    error::{Code, Diagnostic, Result},
    image::stretch::Asinh,
    stage::{ColumnRef, Rejects, Settings, Transform, TransformRole},
    stats::{finite::first_non_finite, quantile::percentiles},
};

/// Maps fluxes to about 0 to 1 by an arcsinh, as models expect them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AsinhStretch {
    /// The image column.
    pub image: String,
    /// Where the clips `lo` and `hi` come from.
    pub constants: Constants,
    /// Scales the fluxes to a reference exposure first, band by band.
    #[serde(default)]
    pub scale_to: Option<ScaleTo>,
}

impl AsinhStretch {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(image: impl Into<String>, constants: Constants) -> Self {
        Self { image: image.into(), constants, ..Self::default() }
    }
}

/// The exposure that fluxes are scaled to. An image in nJy counts as one electron per nJy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScaleTo {
    /// The exposure of another image column, for instance `y10_sky`.
    Image(String),
    /// Electrons per nJy, band by band.
    ElectronsPerNjy(Vec<f64>),
}

impl Settings<dyn Transform> for AsinhStretch {
    const NAME: &'static str = "asinh_stretch";

    fn examples() -> &'static [&'static str] {
        &[
            "{ image: y10_sky, constants: { model: models/convnet-da.onnx, domain: y10 } }",
            "{ image: y1_sky, constants: { lo: -1136, hi: 23822 }, scale_to: { image: y10_sky } }",
            "{ image: image, constants: { per_image: { low_percent: 0.5, high_percent: 99.5 } } }",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        let Self { image, constants, scale_to } = self;
        let origin = constants.origin().map_err(|mistake| vec![mistake])?;
        Ok(Box::new(AsinhStretchTransform { label: label.to_owned(), image, origin, scale_to, bound: None }))
    }
}

#[derive(Clone)]
struct AsinhStretchTransform {
    label: String,
    image: String,
    origin: ConstantsOrigin,
    scale_to: Option<ScaleTo>,
    bound: Option<StretchBound>,
}

/// What is known once the input is.
#[derive(Clone)]
struct StretchBound {
    layout: ImageLayout,
    /// `None` if each image has its own constants.
    stretch: Option<Asinh>,
    /// The factors of `scale_to`, by band.
    factors: Vec<f32>,
}

/// Fluxes after `scale_to`.
struct ScaledFluxes {
    /// By band.
    factors: Vec<f32>,
    unit: Unit,
    electrons_per_njy: Option<Vec<f64>>,
}

impl AsinhStretchTransform {
    /// The image, which must not be stretched already.
    fn input_layout(&self, input: &Schema) -> Result<ImageLayout, Diagnostic> {
        let layout = image_layout(input, "image", &self.image)?;
        if layout.unit == Unit::Stretched {
            let message = format!("`{}` is stretched already", self.image);
            let mistake = Diagnostic::at("image", Code::WrongColumn, message);
            return Err(mistake.help("name the image before its stretch"));
        }
        Ok(layout)
    }

    /// What `scale_to` makes of the image.
    fn scaled(&self, input: &Schema, layout: &ImageLayout) -> Result<ScaledFluxes, Diagnostic> {
        let (key, reference, unit) = match &self.scale_to {
            None => {
                let (unit, electrons_per_njy) = (layout.unit, layout.electrons_per_njy.clone());
                return Ok(ScaledFluxes { factors: vec![1.0; layout.bands.len()], unit, electrons_per_njy });
            }
            Some(ScaleTo::Image(name)) => {
                let other = image_layout(input, "scale_to.image", name)?;
                if other.bands != layout.bands {
                    let (found, expected) = (other.bands.join(","), layout.bands.join(","));
                    let message = format!("`{name}` has bands {found}, expected {expected} as in `{}`", self.image);
                    return Err(Diagnostic::at("scale_to.image", Code::WrongColumn, message));
                }
                ("scale_to.image", electrons_per_njy(name, &other, "scale_to.image")?, other.unit)
            }
            Some(ScaleTo::ElectronsPerNjy(reference)) => {
                ("scale_to.electrons_per_njy", reference.clone(), Unit::Electron)
            }
        };
        let own = electrons_per_njy(&self.image, layout, "image")?;
        if reference.len() != own.len() || !reference.iter().chain(&own).all(|x| x.is_finite() && *x > 0.0) {
            let message = format!("expected {} numbers above 0, one for each band", own.len());
            return Err(Diagnostic::at(key, Code::OutOfRange, message));
        }
        let factors = reference.iter().zip(own).map(|(reference, own)| (reference / own) as f32).collect();
        Ok(ScaledFluxes { factors, unit, electrons_per_njy: (unit == Unit::Electron).then_some(reference) })
    }

    /// Stretches an image, or returns why the row is rejected. `sorted` is scratch space.
    fn stretch(
        &self,
        bound: &StretchBound,
        pixels: &[f32],
        sorted: &mut Vec<f32>,
        out: &mut [f32],
    ) -> Result<(), String> {
        let plane = bound.layout.plane();
        if let Some(at) = first_non_finite(pixels) {
            let (band, y, x) =
                (&bound.layout.bands[at / plane], at % plane / bound.layout.width, at % bound.layout.width);
            let (value, image) = (pixels[at], &self.image);
            return Err(format!("pixel {band} y={y} x={x} of `{image}` is {value}, expected a finite number"));
        }
        let planes = || pixels.chunks_exact(plane).zip(&bound.factors);
        let stretch = match (bound.stretch, &self.origin) {
            (Some(stretch), _) => stretch,
            (None, ConstantsOrigin::PerImage { low, high }) => {
                sorted.clear();
                planes().for_each(|(plane, factor)| sorted.extend(plane.iter().map(|x| x * factor)));
                let [lo, hi] = percentiles(sorted, [*low, *high]).unwrap_or_default();
                Asinh::new(lo, hi).ok_or_else(|| {
                    let image = &self.image;
                    format!("percentiles {low} and {high} of `{image}` are {lo} and {hi}, expected lo < hi and hi > 0")
                })?
            }
            (None, _) => return Err("the stretch has no constants".into()),
        };
        planes().zip(out.chunks_exact_mut(plane)).for_each(|((plane, factor), out)| stretch.apply(*factor, plane, out));
        Ok(())
    }
}

/// Electrons per nJy of an image, by band; 1 if the image is in nJy.
fn electrons_per_njy(name: &str, layout: &ImageLayout, key: &str) -> Result<Vec<f64>, Diagnostic> {
    match (&layout.electrons_per_njy, layout.unit) {
        (Some(gain), Unit::Electron) => Ok(gain.clone()),
        (_, Unit::NanoJansky) => Ok(vec![1.0; layout.bands.len()]),
        (_, unit) => {
            let message = format!("the exposure of `{name}` is not known: its unit is `{}`", unit.name());
            let help = "name an image in nJy, or one that `observe` made with the same exposure for every row";
            Err(Diagnostic::at(key, Code::WrongColumn, message).help(help))
        }
    }
}

impl Transform for AsinhStretchTransform {
    fn input_files(&self) -> Vec<PathBuf> {
        self.origin.file().map(PathBuf::from).into_iter().collect()
    }

    fn role(&self) -> TransformRole {
        TransformRole::Stretch { image: self.image.clone() }
    }

    fn required_columns(&self) -> Vec<ColumnRef> {
        let mut columns = vec![ColumnRef::new("image", &self.image)];
        if let Some(ScaleTo::Image(reference)) = &self.scale_to {
            columns.push(ColumnRef::new("scale_to.image", reference));
        }
        columns
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        let (layout, constants) = match (self.input_layout(input), self.origin.read()) {
            (Ok(layout), Ok(constants)) => (layout, constants),
            (layout, constants) => return Err(layout.err().into_iter().chain(constants.err()).collect()),
        };
        let scaled = self.scaled(input, &layout).map_err(|mistake| vec![mistake])?;
        if let Some(constants) = &constants {
            let (name, bands) = (self.image.as_str(), layout.bands.as_slice());
            let electrons_per_njy = scaled.electrons_per_njy.as_deref();
            let images = ScaledImages { name, bands, unit: scaled.unit, electrons_per_njy };
            constants.check(&images).map_err(|mistake| vec![mistake])?;
        }
        let constants = constants.map(|constants| constants.stretch);
        let stretch = constants.map(usable).transpose().map_err(|mistake| vec![mistake])?;
        let layout = ImageLayout { unit: Unit::Stretched, stretch: constants, electrons_per_njy: None, ..layout };
        let field = layout.field(&self.label);
        self.bound = Some(StretchBound { layout, stretch, factors: scaled.factors });
        Ok(vec![field])
    }

    fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let bound = self.bound.as_ref().ok_or_else(|| not_bound(&self.label))?;
        let images = Images::of(&batch, &self.image)?;
        let size = bound.layout.pixels();
        let mut out = vec![0.0; batch.num_rows() * size];
        let (mut bad, mut sorted) = (Vec::new(), Vec::new());
        for (row, (image, out)) in images.rows().zip(out.chunks_exact_mut(size)).enumerate() {
            if let Err(reason) = self.stretch(bound, image, &mut sorted, out) {
                bad.push((row, reason));
            }
        }
        let batch = with_columns(&batch, [(bound.layout.field(&self.label), list_column(out, size)?)])?;
        rejects.take(batch, &self.label, &bad)
    }

    fn fork(&self) -> Box<dyn Transform> {
        Box::new(self.clone())
    }
}
