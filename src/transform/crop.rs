//! `crop`: the centre of an image, cut out or padded to a size.
//!
//! The centre of n pixels is pixel n/2, rounded down, before and after. Pixels outside the image are 0 or NaN; in the companion
//! `<image>_variance` they are the same, and in `<image>_mask` they are 1: they do not count. The PSF is kept as it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    geometric_transform::{GeometricOperation, GeometricTransform},
    image_planes::ImagePlaneRole,
};
use crate::{
    batch::ImageLayout,
    error::{Code, Diagnostic},
    image::crop,
    stage::{Settings, Transform},
};

/// Cuts the centre out of an image, or pads the image, to a size. Its variance and mask follow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// The image column.
    pub image: String,
    /// Height and width of the result, pixels.
    #[serde(default)]
    #[schemars(range(min = 1, max = 16384))]
    pub size: Option<usize>,
    /// Height of the result, pixels, if it is not square.
    #[serde(default)]
    #[schemars(range(min = 1, max = 16384))]
    pub height: Option<usize>,
    /// Width of the result, pixels, if it is not square.
    #[serde(default)]
    #[schemars(range(min = 1, max = 16384))]
    pub width: Option<usize>,
    /// The value of pixels outside the image.
    #[serde(default)]
    pub pad: Pad,
}

impl Crop {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(image: impl Into<String>) -> Self {
        Self { image: image.into(), ..Self::default() }
    }
}

/// The value of pixels outside an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pad {
    /// 0: no flux.
    #[default]
    Zero,
    /// NaN: a later step that requires finite pixels rejects the row.
    Nan,
}

impl Settings<dyn Transform> for Crop {
    const NAME: &'static str = "crop";

    fn examples() -> &'static [&'static str] {
        &["{ image: image, size: 64 }", "{ image: y10_sky, height: 120, width: 50, pad: nan }"]
    }

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        let mistake = |key, code, message: &str, help: &str| Err(vec![Diagnostic::at(key, code, message).help(help)]);
        let to = match (self.size, self.height, self.width) {
            (Some(size), None, None) => (size, size),
            (None, Some(height), Some(width)) => (height, width),
            (None, None, None) => {
                return mistake("", Code::MissingKey, "`size` is missing", "set `size`, or `height` and `width`");
            }
            (None, ..) => {
                let message = "`height` and `width` must be set together";
                return mistake("", Code::MissingKey, message, "set both, or only `size`");
            }
            _ => {
                let message = "`size` excludes `height` and `width`";
                return mistake("size", Code::Conflict, message, "set only `size`, or `height` and `width`");
            }
        };
        if to.0 == 0 || to.1 == 0 {
            let message = format!("the result has {}x{} pixels; expected at least 1x1", to.0, to.1);
            return Err(vec![Diagnostic::at("", Code::OutOfRange, message)]);
        }
        let pad = if self.pad == Pad::Nan { f32::NAN } else { 0.0 };
        Ok(GeometricTransform::boxed(label, self.image, CropTransform { from: (0, 0), to, pad }))
    }
}

/// Sizes are (height, width).
#[derive(Clone)]
struct CropTransform {
    from: (usize, usize),
    to: (usize, usize),
    pad: f32,
}

impl GeometricOperation for CropTransform {
    fn bind(&mut self, role: ImagePlaneRole, from: &ImageLayout) -> Result<ImageLayout, Vec<Diagnostic>> {
        if role == ImagePlaneRole::Psf {
            return Ok(from.clone());
        }
        self.from = (from.height, from.width);
        Ok(ImageLayout { height: self.to.0, width: self.to.1, wcs: None, ..from.clone() })
    }

    fn map_plane(&self, role: ImagePlaneRole, plane: &[f32], out: &mut [f32]) {
        match role {
            ImagePlaneRole::Psf => out.copy_from_slice(plane),
            _ => crop::centre(plane, self.from, self.to, self.pad, out),
        }
    }

    fn map_mask(&self, plane: &[u64], out: &mut [u64]) {
        crop::centre(plane, self.from, self.to, 1, out);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        batch::{ImageLayout, list_values, mask_values},
        error::Code,
        stage::Rejects,
        transform::fixtures::{bind_kind, first_diagnostic, test_layout, test_rows},
    };

    #[test]
    fn variance_and_mask_are_cropped_and_the_psf_is_kept() {
        let batch = test_rows(2);
        let settings = json!({ "image": "image", "height": 12, "width": 4 });
        let mut crop = bind_kind("crop", settings, &batch.schema()).expect("bound");
        let required: Vec<String> = crop.required_columns().into_iter().map(|column| column.column).collect();
        assert_eq!(required, ["image", "image_variance", "image_mask", "image_psf"]);
        let out = crop.apply(batch.clone(), &mut Rejects::default()).expect("cropped");
        let layout = |name| ImageLayout::of(out.schema().field_with_name(name).expect("a column")).expect("an image");
        assert_eq!(layout("made"), ImageLayout { height: 12, width: 4, ..test_layout() });
        assert_eq!((layout("made_variance").height, layout("made_psf").height), (12, 5));
        let values = |column| list_values(&out, column).expect("images").0;
        let mask = mask_values(&out, "made_mask").expect("masks").0;
        // Row 0 of the result is above the image: no flux, and bad. Row 1 is row 0 of the image from column 2 on.
        assert_eq!((&values("made")[..4], &mask[..4]), (&[0.0; 4][..], &[1; 4][..]));
        assert_eq!(values("made")[4..8], list_values(&batch, "image").expect("images").0[2..6]);
        assert_eq!(values("made_psf"), list_values(&batch, "image_psf").expect("images").0);
    }

    #[test]
    fn requires_one_size_of_at_least_a_pixel() {
        let schema = test_rows(1).schema();
        for (settings, code) in [
            (json!({ "image": "image" }), Code::MissingKey),
            (json!({ "image": "image", "height": 3 }), Code::MissingKey),
            (json!({ "image": "image", "size": 3, "width": 3 }), Code::Conflict),
            (json!({ "image": "image", "size": 0 }), Code::OutOfRange),
        ] {
            assert_eq!(first_diagnostic("crop", settings.clone(), &schema).code, code, "{settings}");
        }
    }
}
