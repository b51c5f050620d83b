//! `asinh_stretch`: y = (arcsinh(c clip(x, lo, hi)) + 1) / 2 with c = 0.85 / hi (Ćiprijanović et al. 2022).
//!
//! Zero maps to 0.5, `hi` to 0.8856. The constants are those of a domain of a model's card, of a calibration, given, or
//! the percentiles of each image; where all rows share them the column's metadata carries them. With `scale_to` every
//! band is first multiplied by (electrons per nJy of the reference) / (electrons per nJy of the image): so a one-year
//! image is brought to the flux scale of ten years and can take its constants. Non-finite pixels are rejects.

mod constants;
mod stretch_constants;

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use constants::Origin;
pub use constants::{Constants, PerImage};
pub use stretch_constants::{DomainConstants, HIGH_PERCENT, LOW_PERCENT, StretchConstants};

use crate::{
    batch::{ImageLayout, Images, Stretch, Unit, list_column, with_columns},
    error::{Code, Diagnostic, Error, Result},
    image::stretch::Asinh,
    stage::{ColumnRef, Rejects, Settings, Transform},
    stats::{finite::first_non_finite, quantile::percentiles},
};

/// Brings fluxes to about 0 to 1 by an arcsinh, as models expect them.
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

/// The exposure that fluxes are scaled to. An image in nJy counts as one electron per nJy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScaleTo {
    /// That of another image column, for instance `y10_sky`.
    Image(String),
    /// Electrons that 1 nJy gives, band by band.
    ElectronsPerNjy(Vec<f64>),
}

impl Settings<dyn Transform> for AsinhStretch {
    const NAME: &'static str = "asinh_stretch";

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        let Self { image, constants, scale_to } = self;
        let origin = constants.origin().map_err(|mistake| vec![mistake])?;
        Ok(Box::new(Stretching { label: label.to_owned(), image, origin, scale_to, bound: None }))
    }
}

/// The transform.
#[derive(Clone)]
struct Stretching {
    label: String,
    image: String,
    origin: Origin,
    scale_to: Option<ScaleTo>,
    bound: Option<Bound>,
}

#[derive(Clone)]
struct Bound {
    layout: ImageLayout,
    stretch: Option<Asinh>,
    /// By band.
    factors: Vec<f32>,
}

impl Stretching {
    fn factors(&self, input: &Schema, layout: &ImageLayout) -> Result<Vec<f32>, Diagnostic> {
        let (key, reference) = match &self.scale_to {
            None => return Ok(vec![1.0; layout.bands.len()]),
            Some(ScaleTo::Image(name)) => {
                let other = super::image(input, "scale_to.image", name)?;
                if other.bands != layout.bands {
                    let (found, expected) = (other.bands.join(","), layout.bands.join(","));
                    let message = format!("`{name}` has bands {found}, expected {expected} as `{}`", self.image);
                    return Err(Diagnostic::at("scale_to.image", Code::WrongColumn, message));
                }
                ("scale_to.image", gain(name, &other, "scale_to.image")?)
            }
            Some(ScaleTo::ElectronsPerNjy(reference)) => ("scale_to.electrons_per_njy", reference.clone()),
        };
        let own = gain(&self.image, layout, "image")?;
        if reference.len() != own.len() || !reference.iter().chain(&own).all(|x| x.is_finite() && *x > 0.0) {
            let message = format!("expected {} numbers above 0, one for each band", own.len());
            return Err(Diagnostic::at(key, Code::OutOfRange, message));
        }
        Ok(reference.iter().zip(own).map(|(reference, own)| (reference / own) as f32).collect())
    }

    /// Stretches an image, or says why it cannot be.
    fn image(&self, bound: &Bound, pixels: &[f32], sorted: &mut Vec<f32>, out: &mut [f32]) -> Result<(), String> {
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
            (None, Origin::PerImage { low, high }) => {
                sorted.clear();
                planes().for_each(|(plane, factor)| sorted.extend(plane.iter().map(|x| x * factor)));
                let [lo, hi] = percentiles(sorted, [*low, *high]).unwrap_or_default();
                Asinh::new(lo, hi).ok_or_else(|| {
                    format!(
                        "percentiles {low} and {high} of `{}` are {lo} and {hi}, expected lo < hi and hi > 0",
                        self.image
                    )
                })?
            }
            (None, _) => return Err("the stretch has no constants".into()),
        };
        planes().zip(out.chunks_exact_mut(plane)).for_each(|((plane, factor), out)| stretch.apply(*factor, plane, out));
        Ok(())
    }
}

/// Electrons that 1 nJy gives in an image; 1 where the image is in nJy.
fn gain(name: &str, layout: &ImageLayout, key: &str) -> Result<Vec<f64>, Diagnostic> {
    match (&layout.electrons_per_njy, layout.unit) {
        (Some(gain), Unit::Electron) => Ok(gain.clone()),
        (_, Unit::NanoJansky) => Ok(vec![1.0; layout.bands.len()]),
        (_, unit) => {
            let message = format!("the exposure of `{name}` is not known: its unit is `{}`", unit.name());
            let help = "an image in nJy can be scaled, or one that `observe` made with the same exposure for every row";
            Err(Diagnostic::at(key, Code::WrongColumn, message).help(help))
        }
    }
}

impl Transform for Stretching {
    fn required_columns(&self) -> Vec<ColumnRef> {
        let mut needs = vec![ColumnRef::new("image", &self.image)];
        if let Some(ScaleTo::Image(reference)) = &self.scale_to {
            needs.push(ColumnRef::new("scale_to.image", reference));
        }
        needs
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        let layout = super::image(input, "image", &self.image).and_then(|layout| match layout.unit {
            Unit::Stretched => {
                let message = format!("`{}` is stretched already", self.image);
                Err(Diagnostic::at("image", Code::WrongColumn, message).help("name the image before its stretch"))
            }
            _ => Ok(layout),
        });
        let (layout, constants) = match (layout, self.origin.read()) {
            (Ok(layout), Ok(constants)) => (layout, constants),
            (layout, constants) => return Err(layout.err().into_iter().chain(constants.err()).collect()),
        };
        let factors = self.factors(input, &layout).map_err(|mistake| vec![mistake])?;
        let stretch = constants.map(|Stretch { lo, hi }| {
            let message = format!("clips {lo} and {hi}, expected lo < hi and hi > 0");
            Asinh::new(lo, hi).ok_or_else(|| vec![Diagnostic::at("constants", Code::OutOfRange, message)])
        });
        let layout = ImageLayout { unit: Unit::Stretched, stretch: constants, electrons_per_njy: None, ..layout };
        let field = layout.field(&self.label);
        self.bound = Some(Bound { layout, stretch: stretch.transpose()?, factors });
        Ok(vec![field])
    }

    fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let bound = self.bound.as_ref();
        let bound = bound.ok_or_else(|| Error::bug(format!("`{}` was applied before it was bound", self.label)))?;
        let images = Images::of(&batch, &self.image)?;
        let size = bound.layout.pixels();
        let mut out = vec![0.0; batch.num_rows() * size];
        let (mut bad, mut sorted) = (Vec::new(), Vec::new());
        for (row, (image, out)) in images.rows().zip(out.chunks_exact_mut(size)).enumerate() {
            if let Err(reason) = self.image(bound, image, &mut sorted, out) {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use arrow::array::ArrayRef;
    use prost::Message;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        batch::list_values,
        transform::contract::{batch, bound, layout},
    };

    fn settings(constants: &Value) -> Value {
        json!({ "image": "image", "constants": constants })
    }

    /// Where a mistake is, what it says, and what it advises.
    fn mistake(settings: Value) -> (String, Code, String) {
        let mistakes = bound("asinh_stretch", settings, &batch(1).schema()).err().expect("a mistake");
        let Diagnostic { path, code, help, .. } = mistakes[0].clone();
        (path.join("."), code, help.unwrap_or_default())
    }

    fn exact(x: f32, lo: f64, hi: f64) -> f64 {
        f64::midpoint((0.85 / hi * f64::from(x).clamp(lo, hi)).asinh(), 1.0)
    }

    /// A file that is an ONNX model as far as cards go.
    fn model(folder: &Path) -> String {
        #[derive(Clone, PartialEq, Message)]
        struct Name {
            #[prost(string, tag = "1")]
            name: String,
        }
        #[derive(Clone, PartialEq, Message)]
        struct Graph {
            #[prost(message, repeated, tag = "11")]
            input: Vec<Name>,
            #[prost(message, repeated, tag = "12")]
            output: Vec<Name>,
        }
        #[derive(Clone, PartialEq, Message)]
        struct Entry {
            #[prost(string, tag = "1")]
            key: String,
            #[prost(string, tag = "2")]
            value: String,
        }
        #[derive(Clone, PartialEq, Message)]
        struct Model {
            #[prost(message, optional, tag = "7")]
            graph: Option<Graph>,
            #[prost(message, repeated, tag = "14")]
            metadata: Vec<Entry>,
        }
        let card = json!({
            "classes": ["spiral", "merger"], "bands": ["g", "r", "i"], "size": 100, "pixel_scale_arcsec": 0.2,
            "domains": { "y10": { "lo": -1.0, "hi": 30.0 }, "y1": { "lo": -0.5, "hi": 3.0 } },
        });
        let name = |name: &str| Name { name: name.into() };
        let graph = Graph { input: vec![name("image")], output: vec![name("logits")] };
        let entry = Entry { key: crate::card::KEY.into(), value: card.to_string() };
        let path = folder.join("model.onnx");
        std::fs::write(&path, Model { graph: Some(graph), metadata: vec![entry] }.encode_to_vec()).expect("written");
        path.display().to_string()
    }

    #[test]
    fn the_constants_of_a_models_domain_are_used_and_carried() {
        let folder = tempfile::tempdir().expect("a folder");
        let model = model(folder.path());
        let batch = batch(2);
        let constants = json!({ "model": model, "domain": "y10" });
        let mut stretch = bound("asinh_stretch", settings(&constants), &batch.schema()).expect("bound");
        let out = stretch.apply(batch.clone(), &mut Rejects::default()).expect("stretched");
        let made = ImageLayout::of(out.schema().field_with_name("made").expect("a column")).expect("an image");
        let constants = Some(Stretch { lo: -1.0, hi: 30.0 });
        assert_eq!(made, ImageLayout { unit: Unit::Stretched, stretch: constants, ..layout() });
        let (from, to) =
            (list_values(&batch, "image").expect("images").0, list_values(&out, "made").expect("images").0);
        let worst = from.iter().zip(to).map(|(x, y)| (f64::from(*y) - exact(*x, -1.0, 30.0)).abs()).fold(0.0, f64::max);
        assert!(worst < 1.5e-7, "{worst:e}");
    }

    #[test]
    fn a_domain_or_file_that_is_not_there_is_a_mistake_that_names_the_known_ones() {
        let folder = tempfile::tempdir().expect("a folder");
        let model = model(folder.path());
        let (path, code, help) = mistake(settings(&json!({ "model": model, "domain": "y01" })));
        assert_eq!((path.as_str(), code), ("constants.domain", Code::ModelMismatch));
        assert_eq!(help, "did you mean `y1`? it has: `y1`, `y10`");
        let (path, code, _) = mistake(settings(&json!({ "model": "nowhere.onnx", "domain": "y1" })));
        assert_eq!((path.as_str(), code), ("constants.model", Code::MissingFile));
        let (path, code, _) = mistake(settings(&json!({ "file": "nowhere.json", "domain": "y1" })));
        assert_eq!((path.as_str(), code), ("constants.file", Code::MissingFile));
        let text = folder.path().join("model.txt");
        std::fs::write(&text, "no model").expect("written");
        let (path, code, _) = mistake(settings(&json!({ "model": text.display().to_string(), "domain": "y1" })));
        assert_eq!((path.as_str(), code), ("constants.model", Code::ModelMismatch));
    }

    #[test]
    fn the_constants_of_a_calibration_are_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stretch.yaml");
        std::fs::write(&path, "domains: { kids: { lo: -2, hi: 20 } }").expect("written");
        let constants = json!({ "file": path.display().to_string(), "domain": "kids" });
        let mut stretch = bound("asinh_stretch", settings(&constants), &batch(1).schema()).expect("bound");
        let out = stretch.apply(batch(1), &mut Rejects::default()).expect("stretched");
        let (x, y) =
            (list_values(&batch(1), "image").expect("images").0[7], list_values(&out, "made").expect("images").0[7]);
        assert!((f64::from(y) - exact(x, -2.0, 20.0)).abs() < 1.5e-7);
    }

    #[test]
    fn constants_come_from_exactly_one_place() {
        for (constants, path, code) in [
            (json!({}), "constants", Code::MissingKey),
            (json!({ "domain": "y1" }), "constants", Code::MissingKey),
            (json!({ "model": "m.onnx" }), "constants", Code::MissingKey),
            (json!({ "hi": 3.0 }), "constants", Code::MissingKey),
            (json!({ "model": "m.onnx", "domain": "y1", "hi": 3.0 }), "constants.lo", Code::Conflict),
            (json!({ "lo": 0.0, "hi": 3.0, "per_image": {} }), "constants.per_image", Code::Conflict),
            (json!({ "lo": 4.0, "hi": 3.0 }), "constants", Code::OutOfRange),
            (json!({ "per_image": { "low_percent": 99.95 } }), "constants.per_image", Code::OutOfRange),
        ] {
            assert_eq!(mistake(settings(&constants)).0, path, "{constants}");
            assert_eq!(mistake(settings(&constants)).1, code, "{constants}");
        }
    }

    #[test]
    fn the_percentiles_of_an_image_depend_on_that_image_alone() {
        let batch = batch(3);
        let constants = json!({ "per_image": { "low_percent": 10.0, "high_percent": 90.0 } });
        let mut stretch = bound("asinh_stretch", settings(&constants), &batch.schema()).expect("bound");
        let out = stretch.apply(batch.clone(), &mut Rejects::default()).expect("stretched");
        let made = ImageLayout::of(out.schema().field_with_name("made").expect("a column")).expect("an image");
        assert_eq!((made.unit, made.stretch), (Unit::Stretched, None));
        let images = list_values(&batch, "image").expect("images").0.chunks(240);
        for (image, made) in images.zip(list_values(&out, "made").expect("images").0.chunks(240)) {
            let mut sorted = image.to_vec();
            sorted.sort_by(f32::total_cmp);
            // 239 * 0.1 = 23.9 and 239 * 0.9 = 215.1
            let between = |i: usize, part: f64| f64::from(sorted[i]) * (1.0 - part) + f64::from(sorted[i + 1]) * part;
            let (lo, hi) = (between(23, 0.9), between(215, 0.1));
            assert!(image.iter().zip(made).all(|(x, y)| (f64::from(*y) - exact(*x, lo, hi)).abs() < 3e-7));
        }
    }

    #[test]
    fn a_bad_pixel_or_an_image_without_flux_is_a_reject_that_says_so() {
        let mut rejects = Rejects::default();
        let constants = json!({ "lo": -1.0, "hi": 30.0 });
        let mut stretch = bound("asinh_stretch", settings(&constants), &batch(5).schema()).expect("bound");
        let out = stretch.apply(batch(5), &mut rejects).expect("stretched");
        assert_eq!((out.num_rows(), rejects.rejected.len(), rejects.rejected[0].row), (4, 1, 3));
        assert_eq!(rejects.rejected[0].reason, "pixel r y=2 x=4 of `image` is NaN, expected a finite number");

        let dark = list_column(vec![-1.0; 240], 240).expect("a column");
        let batch = replaced(&batch(1), "image", dark);
        let mut stretch =
            bound("asinh_stretch", settings(&json!({ "per_image": {} })), &batch.schema()).expect("bound");
        let out = stretch.apply(batch, &mut rejects).expect("stretched");
        assert_eq!((out.num_rows(), rejects.rejected.len()), (0, 2));
        let reason = "percentiles 0.1 and 99.9 of `image` are -1 and -1, expected lo < hi and hi > 0";
        assert_eq!(rejects.rejected[1].reason, reason);
    }

    fn replaced(batch: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
        let mut columns = batch.columns().to_vec();
        columns[batch.schema().index_of(name).expect("a column")] = column;
        RecordBatch::try_new(batch.schema(), columns).expect("a batch")
    }

    #[test]
    fn fluxes_are_scaled_to_the_exposure_of_another_image_band_by_band() {
        let gain = |layout: ImageLayout, gain: [f64; 3]| ImageLayout {
            unit: Unit::Electron,
            electrons_per_njy: Some(gain.to_vec()),
            ..layout
        };
        let (y1, y10) = (gain(layout(), [1.0, 2.0, 4.0]), gain(layout(), [10.0, 20.0, 20.0]));
        let pixels: Vec<f32> = (0..240).map(|i| i as f32 / 40.0).collect();
        let column = list_column(pixels.clone(), 240).expect("a column");
        let bare = batch(1).project(&[0, 1, 2]).expect("a batch");
        let columns = [(y1.field("y1_sky"), column.clone()), (y10.field("y10_sky"), column)];
        let batch = with_columns(&bare, columns).expect("a batch");
        let settings = json!({
            "image": "y1_sky", "constants": { "lo": -5.0, "hi": 40.0 }, "scale_to": { "image": "y10_sky" }
        });
        let mut stretch = bound("asinh_stretch", settings.clone(), &batch.schema()).expect("bound");
        assert_eq!(stretch.required_columns().len(), 2);
        let out = stretch.apply(batch, &mut Rejects::default()).expect("stretched");
        for (i, y) in list_values(&out, "made").expect("images").0.iter().enumerate() {
            let want = exact(pixels[i] * [10.0, 10.0, 5.0][i / 80], -5.0, 40.0);
            assert!((f64::from(*y) - want).abs() < 1.5e-7, "{i}");
        }
        let unknown = ImageLayout { electrons_per_njy: None, ..y10 };
        let schema = Schema::new(vec![y1.field("y1_sky"), unknown.field("y10_sky")]);
        let mistakes = bound("asinh_stretch", settings, &schema).err().expect("a mistake");
        assert_eq!((mistakes[0].path.join("."), mistakes[0].code), ("scale_to.image".into(), Code::WrongColumn));
    }
}
