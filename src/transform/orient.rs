//! `orient`: an image mirrored, and turned by quarter turns.
//!
//! Mirrors come first. A turn is that of numpy's `rot90`: pixel `[y, x]` comes from `[x, width - 1 - y]`. The companions
//! variance, mask and PSF are laid in the same way.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Geometry, Part, Relaid};
use crate::{
    batch::ImageLayout,
    error::{Code, Mistake},
    image::orient::Orientation,
    stage::{Settings, Transform},
};

/// Mirrors an image and turns it by quarter turns. Its variance, mask and PSF follow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Orient {
    /// The image column.
    pub image: String,
    /// Reverses the columns: left becomes right.
    #[serde(default)]
    pub mirror_x: bool,
    /// Reverses the rows: the first becomes the last.
    #[serde(default)]
    pub mirror_y: bool,
    /// Quarter turns after that, in the sense of numpy's `rot90`.
    #[serde(default)]
    #[schemars(range(min = 0, max = 3))]
    pub quarter_turns: u8,
}

impl Settings<dyn Transform> for Orient {
    const NAME: &'static str = "orient";

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Mistake>> {
        let Self { image, mirror_x, mirror_y, quarter_turns } = self;
        if quarter_turns > 3 {
            let message = format!("`quarter_turns` is {quarter_turns}, expected 0 to 3");
            return Err(vec![Mistake::at("quarter_turns", Code::OutOfRange, message)]);
        }
        let how = Orientation { mirror_x, mirror_y, quarter_turns };
        Ok(Relaid::boxed(label, image, Orienting { how, image: (0, 0), psf: (0, 0) }))
    }
}

#[derive(Clone)]
struct Orienting {
    how: Orientation,
    image: (usize, usize),
    psf: (usize, usize),
}

impl Geometry for Orienting {
    fn bind(&mut self, part: Part, from: &ImageLayout) -> Result<ImageLayout, Vec<Mistake>> {
        let size = (from.height, from.width);
        if part == Part::Psf {
            self.psf = size;
        } else {
            self.image = size;
        }
        let (height, width) = self.how.size(size);
        Ok(ImageLayout { height, width, ..from.clone() })
    }

    fn plane(&self, part: Part, plane: &[f32], out: &mut [f32]) {
        let size = if part == Part::Psf { self.psf } else { self.image };
        self.how.lay(plane, size, out);
    }
}
