//! `crop`: the centre of an image, cut out or padded to a size.
//!
//! The centre of n pixels is pixel n/2, rounded down, before and after. What lies outside the image is 0 or NaN; in the
//! companion `<image>_variance` it is the same, and in `<image>_mask` it is 1, bad. The PSF is kept as it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Geometry, Part, Relaid};
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
    /// Height of the result, pixels, where it is not square.
    #[serde(default)]
    #[schemars(range(min = 1, max = 16384))]
    pub height: Option<usize>,
    /// Width of the result, pixels, where it is not square.
    #[serde(default)]
    #[schemars(range(min = 1, max = 16384))]
    pub width: Option<usize>,
    /// What stands in pixels outside the image.
    #[serde(default)]
    pub pad: Pad,
}

/// What stands in pixels outside an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pad {
    /// No flux.
    #[default]
    Zero,
    /// Not a number: a later step that needs every pixel rejects the row.
    Nan,
}

impl Settings<dyn Transform> for Crop {
    const NAME: &'static str = "crop";

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        let to = match (self.size, self.height, self.width) {
            (Some(size), None, None) => (size, size),
            (None, Some(height), Some(width)) => (height, width),
            (None, None, None) => {
                return Err(vec![
                    Diagnostic::at("", Code::MissingKey, "`size` is not given")
                        .help("give `size`, or `height` and `width`"),
                ]);
            }
            (None, ..) => {
                return Err(vec![
                    Diagnostic::at("", Code::MissingKey, "`height` and `width` go together")
                        .help("give both, or `size` alone"),
                ]);
            }
            _ => {
                return Err(vec![
                    Diagnostic::at("size", Code::Conflict, "`size` is given beside `height` or `width`")
                        .help("give `size` alone, or `height` and `width`"),
                ]);
            }
        };
        if to.0 == 0 || to.1 == 0 {
            return Err(vec![Diagnostic::at("", Code::OutOfRange, "an image of no pixels was asked for")]);
        }
        let pad = if self.pad == Pad::Nan { f32::NAN } else { 0.0 };
        Ok(Relaid::boxed(label, self.image, Cropping { from: (0, 0), to, pad }))
    }
}

#[derive(Clone)]
struct Cropping {
    from: (usize, usize),
    to: (usize, usize),
    pad: f32,
}

impl Geometry for Cropping {
    fn bind(&mut self, part: Part, from: &ImageLayout) -> Result<ImageLayout, Vec<Diagnostic>> {
        if part == Part::Psf {
            return Ok(from.clone());
        }
        self.from = (from.height, from.width);
        Ok(ImageLayout { height: self.to.0, width: self.to.1, ..from.clone() })
    }

    fn plane(&self, part: Part, plane: &[f32], out: &mut [f32]) {
        match part {
            Part::Psf => out.copy_from_slice(plane),
            Part::Mask => crop::centre(plane, self.from, self.to, 1.0, out),
            Part::Image | Part::Variance => crop::centre(plane, self.from, self.to, self.pad, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        batch::{ImageLayout, list_values},
        error::Code,
        stage::Rejects,
        transform::contract::{batch, bound, layout},
    };

    #[test]
    fn companions_follow_and_the_psf_stays() {
        let batch = batch(2);
        let mut crop =
            bound("crop", json!({ "image": "image", "height": 12, "width": 4 }), &batch.schema()).expect("bound");
        let needs: Vec<String> = crop.required_columns().into_iter().map(|need| need.column).collect();
        assert_eq!(needs, ["image", "image_variance", "image_mask", "image_psf"]);
        let out = crop.apply(batch.clone(), &mut Rejects::default()).expect("cropped");
        let field = |name| ImageLayout::of(out.schema().field_with_name(name).expect("a column")).expect("an image");
        assert_eq!(field("made"), ImageLayout { height: 12, width: 4, ..layout() });
        assert_eq!((field("made_variance").height, field("made_psf").height), (12, 5));
        let values = |column| list_values(&out, column).expect("images").0;
        // Row 0 of the result lies above the image: no flux, and bad. Row 1 is row 0 of the image from column 2 on.
        assert_eq!((&values("made")[..4], &values("made_mask")[..4]), (&[0.0; 4][..], &[1.0; 4][..]));
        assert_eq!(values("made")[4..8], list_values(&batch, "image").expect("images").0[2..6]);
        assert_eq!(values("made_psf"), list_values(&batch, "image_psf").expect("images").0);
    }

    #[test]
    fn a_size_is_given_once() {
        let schema = batch(1).schema();
        for (settings, code) in [
            (json!({ "image": "image" }), Code::MissingKey),
            (json!({ "image": "image", "height": 3 }), Code::MissingKey),
            (json!({ "image": "image", "size": 3, "width": 3 }), Code::Conflict),
            (json!({ "image": "image", "size": 0 }), Code::OutOfRange),
        ] {
            let mistakes = bound("crop", settings.clone(), &schema).err().expect("a mistake");
            assert_eq!(mistakes[0].code, code, "{settings}");
        }
    }
}
