//! `resample`: an image at another pixel scale, flux conserved.
//!
//! An output pixel is the sum of the parts of input pixels that it covers (`area`), or the interpolated surface brightness times its
//! own area (`lanczos`); see [`crate::image::resample`]. The result has floor(n old / new) pixels on a side, and the same centre. The
//! variance is that of independent pixels (weights squared), although neighbours become correlated; a mask pixel has the bits of all
//! that it touches; the PSF is resampled like the image. NaN stays where it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    diagnostics::unknown_pixel_scale,
    geometric_transform::{GeometricOperation, GeometricTransform},
    image_planes::ImagePlaneRole,
};
use crate::{
    batch::{ImageLayout, Unit},
    error::{Code, Diagnostic},
    image::resample::{Resampling, ResamplingKernel as Kernel, resampled},
    stage::{Settings, Transform},
};

/// The largest side of the result, pixels.
const MAX_SIDE: usize = 16_384;

/// Resamples an image to another pixel scale and keeps its flux. Its variance, mask and PSF follow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resample {
    /// The image column.
    pub image: String,
    /// Side of a pixel of the result, arcsec.
    #[schemars(range(min = 0.0001, max = 1000.0))]
    pub pixel_scale_arcsec: f64,
    /// Side of a pixel, arcsec, of images whose metadata have no pixel scale; otherwise the metadata are used.
    #[serde(default)]
    #[schemars(range(min = 0.0001, max = 1000.0))]
    pub from_arcsec: Option<f64>,
    /// How flux is distributed over the new pixels.
    #[serde(default)]
    pub method: ResampleMethod,
}

impl Resample {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(image: impl Into<String>, pixel_scale_arcsec: f64) -> Self {
        Self { image: image.into(), pixel_scale_arcsec, ..Self::default() }
    }
}

/// How flux is distributed over the new pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResampleMethod {
    /// Every pixel gets the part of the flux that it covers: exact, never negative, blurs a little.
    #[default]
    Area,
    /// Surface brightness through a Lanczos kernel of three lobes: sharper, rings at steps and around bad pixels.
    Lanczos,
}

impl Settings<dyn Transform> for Resample {
    const NAME: &'static str = "resample";

    fn examples() -> &'static [&'static str] {
        &[
            "{ image: image, pixel_scale_arcsec: 0.33 }",
            "{ image: y10_sky, pixel_scale_arcsec: 0.11, from_arcsec: 0.2, method: lanczos }",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        let scales = [("pixel_scale_arcsec", Some(self.pixel_scale_arcsec)), ("from_arcsec", self.from_arcsec)];
        let mistakes = scales.into_iter().filter_map(|(key, scale)| {
            let scale = scale.filter(|scale| !(scale.is_finite() && *scale > 0.0))?;
            Some(Diagnostic::at(key, Code::OutOfRange, format!("`{key}` is {scale}, expected more than 0")))
        });
        let mistakes: Vec<Diagnostic> = mistakes.collect();
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let image = self.image.clone();
        let operation = ResampleTransform { settings: self, ratio: 1.0, resamplings: Vec::new() };
        Ok(GeometricTransform::boxed(label, image, operation))
    }
}

#[derive(Clone)]
struct ResampleTransform {
    settings: Resample,
    /// Output scale over input scale.
    ratio: f64,
    resamplings: Vec<(ImagePlaneRole, Resampling)>,
}

impl ResampleTransform {
    /// Output scale over input scale.
    fn ratio_for(&self, from: &ImageLayout) -> Result<f64, Diagnostic> {
        let Resample { image, pixel_scale_arcsec: to, from_arcsec, .. } = &self.settings;
        if from.unit == Unit::Stretched {
            let message = format!("`{image}` is stretched; expected pixels that are proportional to flux");
            let mistake = Diagnostic::at("image", Code::WrongColumn, message);
            return Err(mistake.help("resample the image before its `asinh_stretch`"));
        }
        let scale = from.pixel_scale_arcsec.or(*from_arcsec).ok_or_else(|| {
            let mistake = unknown_pixel_scale("image", image);
            Diagnostic { code: Code::MissingKey, ..mistake }.help("set it, for example `from_arcsec: 0.2`")
        })?;
        let ratio = to / scale;
        let pixels = |side: usize| side as f64 / ratio;
        if pixels(from.height.max(from.width)) > MAX_SIDE as f64 {
            let message = format!("{scale} arcsec to {to} arcsec makes an image of more than {MAX_SIDE} pixels a side");
            return Err(Diagnostic::at("pixel_scale_arcsec", Code::OutOfRange, message));
        }
        if pixels(from.height.min(from.width)) < 1.0 - 1e-9 {
            let message = format!("a pixel of {to} arcsec is larger than `{image}` itself");
            return Err(Diagnostic::at("pixel_scale_arcsec", Code::OutOfRange, message));
        }
        Ok(ratio)
    }
}

impl GeometricOperation for ResampleTransform {
    fn bind(&mut self, role: ImagePlaneRole, from: &ImageLayout) -> Result<ImageLayout, Vec<Diagnostic>> {
        if role == ImagePlaneRole::Image {
            self.ratio = self.ratio_for(from).map_err(|mistake| vec![mistake])?;
            self.resamplings.clear();
        }
        let kernel = match self.settings.method {
            ResampleMethod::Area => Kernel::Area,
            ResampleMethod::Lanczos => Kernel::Lanczos,
        };
        let resampling = Resampling::new(kernel, (from.height, from.width), self.ratio);
        let (height, width) = resampling.size();
        debug_assert_eq!(height, resampled(from.height, self.ratio));
        let resampling = if role == ImagePlaneRole::Variance { resampling.of_variance() } else { resampling };
        self.resamplings.push((role, resampling));
        let scale = Some(self.settings.pixel_scale_arcsec);
        Ok(ImageLayout { height, width, pixel_scale_arcsec: scale, wcs: None, ..from.clone() })
    }

    fn map_plane(&self, role: ImagePlaneRole, plane: &[f32], out: &mut [f32]) {
        for (_, resampling) in self.resamplings.iter().filter(|(known, _)| *known == role) {
            resampling.plane(plane, out);
        }
    }

    fn map_mask(&self, plane: &[u64], out: &mut [u64]) {
        for (_, resampling) in self.resamplings.iter().filter(|(role, _)| *role == ImagePlaneRole::Mask) {
            resampling.union(plane, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::{array::RecordBatch, datatypes::Schema};
    use serde_json::json;

    use crate::{
        batch::{ImageLayout, Unit, list_column, list_values, mask_column, mask_values, with_columns},
        error::Code,
        stage::Rejects,
        transform::fixtures::{bind_kind, first_diagnostic, test_layout, test_rows},
    };

    #[test]
    fn a_pixel_twice_as_large_has_the_flux_of_four() {
        let batch = test_rows(1);
        let settings = json!({ "image": "image", "pixel_scale_arcsec": 0.4 });
        let mut resample = bind_kind("resample", settings, &batch.schema()).expect("bound");
        let out = resample.apply(batch.clone(), &mut Rejects::default()).expect("resampled");
        let made = ImageLayout::of(out.schema().field_with_name("made").expect("a column")).expect("an image");
        assert_eq!(made, ImageLayout { height: 5, width: 4, pixel_scale_arcsec: Some(0.4), ..test_layout() });
        let values = |column| list_values(if out.column_by_name(column).is_some() { &out } else { &batch }, column);
        for (made, of) in [("made", "image"), ("made_variance", "image_variance")] {
            let (made, of) = (values(made).expect("images").0, values(of).expect("images").0);
            let four = of[80] + of[81] + of[88] + of[89];
            assert!((made[20] - four).abs() < 1e-4, "{} {four}", made[20]);
        }
    }

    #[test]
    fn a_pixel_twice_as_large_has_the_bits_of_four() {
        let mut bits = vec![0; test_layout().pixels()];
        (bits[80], bits[81], bits[89]) = (1, 1 << 40, 4);
        let column = mask_column(bits, test_layout().pixels()).expect("masks");
        let rows = test_rows(1);
        let image = rows.schema().index_of("image").expect("a column");
        let bare = rows.project(&[0, 1, 2, image]).expect("a batch");
        let batch = with_columns(&bare, [(test_layout().mask_field("image_mask"), column)]).expect("a batch");
        let settings = json!({ "image": "image", "pixel_scale_arcsec": 0.4 });
        let mut resample = bind_kind("resample", settings, &batch.schema()).expect("bound");
        let out = resample.apply(batch, &mut Rejects::default()).expect("resampled");
        assert_eq!(mask_values(&out, "made_mask").expect("masks").0[20], 1 << 40 | 5);
    }

    #[test]
    fn from_arcsec_is_used_only_for_images_without_a_pixel_scale() {
        let unknown = Schema::new(vec![ImageLayout { pixel_scale_arcsec: None, ..test_layout() }.field("image")]);
        let known = test_rows(1).schema();
        let code = |schema: &Schema, from: serde_json::Value| {
            let settings = json!({ "image": "image", "pixel_scale_arcsec": 0.3, "from_arcsec": from });
            bind_kind("resample", settings, schema).err().map(|mistakes| mistakes[0].code)
        };
        assert_eq!(code(&unknown, json!(null)), Some(Code::MissingKey));
        assert_eq!(code(&unknown, json!(0.2)), None);
        assert_eq!(code(&known, json!(0.2)), None);
        assert_eq!(code(&known, json!(0.25)), None, "the metadata of the image come first");
        assert_eq!(code(&known, json!(-1)), Some(Code::OutOfRange));
    }

    #[test]
    fn rejects_stretched_images_and_results_that_are_too_large_or_too_small() {
        let stretched = Schema::new(vec![ImageLayout { unit: Unit::Stretched, ..test_layout() }.field("image")]);
        let code = |schema: &Schema, scale: f64| {
            let settings = json!({ "image": "image", "pixel_scale_arcsec": scale });
            bind_kind("resample", settings, schema).err().map(|mistakes| mistakes[0].code)
        };
        assert_eq!(code(&stretched, 0.3), Some(Code::WrongColumn));
        assert_eq!(code(&test_rows(1).schema(), 1e-4), Some(Code::OutOfRange));
        assert_eq!(code(&test_rows(1).schema(), 2.0), Some(Code::OutOfRange));
        assert_eq!(code(&test_rows(1).schema(), 1.6), None);
    }

    #[test]
    fn rejects_a_mask_of_another_size_than_its_image() {
        let small = ImageLayout { height: 4, ..test_layout() };
        let fields = vec![test_layout().field("image"), small.mask_field("image_mask")];
        let pixels = |layout: &ImageLayout| layout.pixels();
        let image = list_column(vec![0.0; pixels(&test_layout())], pixels(&test_layout())).expect("a column");
        let mask = mask_column(vec![0; pixels(&small)], pixels(&small)).expect("a column");
        let batch = RecordBatch::try_new(Schema::new(fields).into(), vec![image, mask]).expect("a batch");
        let settings = json!({ "image": "image", "pixel_scale_arcsec": 0.3 });
        let mistake = first_diagnostic("resample", settings, &batch.schema());
        assert!(mistake.message.contains("`image_mask` is 4x8 pixels"), "{mistake}");
    }
}
