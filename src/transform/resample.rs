//! `resample`: an image in pixels of another size, flux conserved.
//!
//! Every output pixel takes of each input pixel the part that it covers (`area`), or the interpolated surface brightness
//! times its own area (`lanczos`); see [`crate::image::resample`]. The result has floor(n old / new) pixels on a side,
//! about the same centre. The variance is that of independent pixels (weights squared), though neighbours become
//! correlated; a mask pixel is the greatest that it touches; the PSF is resampled as the image is. NaN stays where it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Geometry, Part, Relaid};
use crate::{
    batch::{ImageLayout, Unit},
    error::{Code, Diagnostic},
    image::resample::{Resampling, ResamplingKernel as Kernel, resampled},
    stage::{Settings, Transform},
};

/// The most pixels that a side of the result may have.
const MOST: usize = 16_384;

/// Brings an image to another pixel scale and keeps its flux. Its variance, mask and PSF follow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resample {
    /// The image column.
    pub image: String,
    /// Side of a pixel of the result, arcsec.
    #[schemars(range(min = 0.0001, max = 1000.0))]
    pub pixel_scale_arcsec: f64,
    /// Side of a pixel, arcsec, of images that do not say it themselves; what an image says comes first.
    #[serde(default)]
    #[schemars(range(min = 0.0001, max = 1000.0))]
    pub from_arcsec: Option<f64>,
    /// How flux is moved to other pixels.
    #[serde(default)]
    pub method: Method,
}

/// How flux is moved to other pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Every pixel takes the part of the flux that it covers: exact, never negative, blurs a little.
    #[default]
    Area,
    /// Surface brightness through a Lanczos kernel of three lobes: sharper, rings at steps and around bad pixels.
    Lanczos,
}

impl Settings<dyn Transform> for Resample {
    const NAME: &'static str = "resample";

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        let scales = [("pixel_scale_arcsec", Some(self.pixel_scale_arcsec)), ("from_arcsec", self.from_arcsec)];
        let wrong = scales.into_iter().filter_map(|(key, scale)| {
            let scale = scale.filter(|scale| !(scale.is_finite() && *scale > 0.0))?;
            Some(Diagnostic::at(key, Code::OutOfRange, format!("`{key}` is {scale}, expected more than 0")))
        });
        let wrong: Vec<Diagnostic> = wrong.collect();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let image = self.image.clone();
        Ok(Relaid::boxed(label, image, Resizing { settings: self, ratio: 1.0, ready: Vec::new() }))
    }
}

#[derive(Clone)]
struct Resizing {
    settings: Resample,
    ratio: f64,
    ready: Vec<(Part, Resampling)>,
}

impl Resizing {
    /// Output scale over input scale.
    fn ratio_of(&self, from: &ImageLayout) -> Result<f64, Diagnostic> {
        let Resample { image, pixel_scale_arcsec: to, from_arcsec, .. } = &self.settings;
        if from.unit == Unit::Stretched {
            let message = format!("`{image}` is stretched already, and flux cannot be moved between its pixels");
            return Err(Diagnostic::at("image", Code::WrongColumn, message).help("resample first, stretch then"));
        }
        let known = from.pixel_scale_arcsec.or(*from_arcsec).ok_or_else(|| {
            let message = format!("the pixel scale of `{image}` is not known");
            Diagnostic::at("image", Code::MissingKey, message).help("say it: `from_arcsec: 0.2`")
        })?;
        let ratio = to / known;
        let pixels = |side: usize| side as f64 / ratio;
        if pixels(from.height.max(from.width)) > MOST as f64 {
            let message = format!("{known} arcsec to {to} arcsec makes an image of more than {MOST} pixels a side");
            return Err(Diagnostic::at("pixel_scale_arcsec", Code::OutOfRange, message));
        }
        if pixels(from.height.min(from.width)) < 1.0 - 1e-9 {
            let message = format!("a pixel of {to} arcsec is larger than `{image}` itself");
            return Err(Diagnostic::at("pixel_scale_arcsec", Code::OutOfRange, message));
        }
        Ok(ratio)
    }
}

impl Geometry for Resizing {
    fn bind(&mut self, part: Part, from: &ImageLayout) -> Result<ImageLayout, Vec<Diagnostic>> {
        if part == Part::Image {
            self.ratio = self.ratio_of(from).map_err(|mistake| vec![mistake])?;
            self.ready.clear();
        }
        let kernel = match self.settings.method {
            Method::Area => Kernel::Area,
            Method::Lanczos => Kernel::Lanczos,
        };
        let resampling = Resampling::new(kernel, (from.height, from.width), self.ratio);
        let (height, width) = resampling.size();
        debug_assert_eq!(height, resampled(from.height, self.ratio));
        let resampling = if part == Part::Variance { resampling.of_variance() } else { resampling };
        self.ready.push((part, resampling));
        let scale = Some(self.settings.pixel_scale_arcsec);
        Ok(ImageLayout { height, width, pixel_scale_arcsec: scale, ..from.clone() })
    }

    fn plane(&self, part: Part, plane: &[f32], out: &mut [f32]) {
        for (_, resampling) in self.ready.iter().filter(|(ready, _)| *ready == part) {
            if part == Part::Mask { resampling.maximum(plane, out) } else { resampling.plane(plane, out) }
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::{array::RecordBatch, datatypes::Schema};
    use serde_json::json;

    use crate::{
        batch::{ImageLayout, Unit, list_column, list_values},
        error::Code,
        stage::Rejects,
        transform::contract::{batch, bound, layout},
    };

    #[test]
    fn pixels_twice_as_large_hold_the_flux_of_four() {
        let batch = batch(1);
        let settings = json!({ "image": "image", "pixel_scale_arcsec": 0.4 });
        let mut resample = bound("resample", settings, &batch.schema()).expect("bound");
        let out = resample.apply(batch.clone(), &mut Rejects::default()).expect("resampled");
        let made = ImageLayout::of(out.schema().field_with_name("made").expect("a column")).expect("an image");
        assert_eq!(made, ImageLayout { height: 5, width: 4, pixel_scale_arcsec: Some(0.4), ..layout() });
        let values = |column| list_values(if out.column_by_name(column).is_some() { &out } else { &batch }, column);
        for (made, of) in [("made", "image"), ("made_variance", "image_variance")] {
            let (made, of) = (values(made).expect("images").0, values(of).expect("images").0);
            let four = of[80] + of[81] + of[88] + of[89];
            assert!((made[20] - four).abs() < 1e-4, "{} {four}", made[20]);
        }
        let (made, of) = (values("made_mask").expect("images").0, values("image_mask").expect("images").0);
        assert_eq!(made[20], of[80].max(of[81]).max(of[88]).max(of[89]));
    }

    #[test]
    fn a_scale_that_is_not_known_has_to_be_said_and_one_that_is_must_agree() {
        let unknown = Schema::new(vec![ImageLayout { pixel_scale_arcsec: None, ..layout() }.field("image")]);
        let known = batch(1).schema();
        let code = |schema: &Schema, from: serde_json::Value| {
            let settings = json!({ "image": "image", "pixel_scale_arcsec": 0.3, "from_arcsec": from });
            bound("resample", settings, schema).err().map(|mistakes| mistakes[0].code)
        };
        assert_eq!(code(&unknown, json!(null)), Some(Code::MissingKey));
        assert_eq!(code(&unknown, json!(0.2)), None);
        assert_eq!(code(&known, json!(0.2)), None);
        assert_eq!(code(&known, json!(0.25)), None, "what the image says comes first");
        assert_eq!(code(&known, json!(-1)), Some(Code::OutOfRange));
    }

    #[test]
    fn images_too_large_too_small_or_stretched_are_mistakes() {
        let stretched = Schema::new(vec![ImageLayout { unit: Unit::Stretched, ..layout() }.field("image")]);
        let mistake = |schema: &Schema, scale: f64| {
            let settings = json!({ "image": "image", "pixel_scale_arcsec": scale });
            bound("resample", settings, schema).err().map(|mistakes| mistakes[0].code)
        };
        assert_eq!(mistake(&stretched, 0.3), Some(Code::WrongColumn));
        assert_eq!(mistake(&batch(1).schema(), 1e-4), Some(Code::OutOfRange));
        assert_eq!(mistake(&batch(1).schema(), 2.0), Some(Code::OutOfRange));
        assert_eq!(mistake(&batch(1).schema(), 1.6), None);
    }

    #[test]
    fn a_mask_of_another_size_than_its_image_is_a_mistake() {
        let small = ImageLayout { height: 4, ..layout() };
        let columns = [("image", layout()), ("image_mask", small)];
        let fields = columns.iter().map(|(name, layout)| layout.field(name)).collect::<Vec<_>>();
        let arrays = columns
            .iter()
            .map(|(_, layout)| list_column(vec![0.0; layout.pixels()], layout.pixels()).expect("a column"));
        let batch = RecordBatch::try_new(Schema::new(fields).into(), arrays.collect()).expect("a batch");
        let settings = json!({ "image": "image", "pixel_scale_arcsec": 0.3 });
        let mistakes = bound("resample", settings, &batch.schema()).err().expect("a mistake");
        assert!(mistakes[0].message.contains("`image_mask` is 4x8 pixels"), "{}", mistakes[0]);
    }
}
