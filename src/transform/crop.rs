//! `crop`: the centre of an image, cut out or padded to a size.
//!
//! The centre of n pixels is pixel n/2, rounded down, before and after. What lies outside the image is 0 or NaN; in the
//! companion `<image>_variance` it is the same, and in `<image>_mask` it is 1, bad. The PSF is kept as it is.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Geometry, Part, Relaid};
use crate::{
    batch::ImageLayout,
    error::{Code, Mistake},
    image::crop,
    stage::{Settings, Transform},
};

/// Cuts the centre out of an image, or pads the image, to a size. Its variance and mask follow.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
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

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Mistake>> {
        let to = match (self.size, self.height, self.width) {
            (Some(size), None, None) => (size, size),
            (None, Some(height), Some(width)) => (height, width),
            (None, None, None) => {
                return Err(vec![
                    Mistake::at("", Code::MissingKey, "`size` is not given")
                        .help("give `size`, or `height` and `width`"),
                ]);
            }
            (None, ..) => {
                return Err(vec![
                    Mistake::at("", Code::MissingKey, "`height` and `width` go together")
                        .help("give both, or `size` alone"),
                ]);
            }
            _ => {
                return Err(vec![
                    Mistake::at("size", Code::Conflict, "`size` is given beside `height` or `width`")
                        .help("give `size` alone, or `height` and `width`"),
                ]);
            }
        };
        if to.0 == 0 || to.1 == 0 {
            return Err(vec![Mistake::at("", Code::OutOfRange, "an image of no pixels was asked for")]);
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
    fn bind(&mut self, part: Part, from: &ImageLayout) -> Result<ImageLayout, Vec<Mistake>> {
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
