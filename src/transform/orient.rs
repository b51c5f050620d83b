//! `orient`: an image mirrored, and rotated by quarter turns.
//!
//! Mirrors come first. A quarter turn is that of numpy's `rot90`: pixel `[y, x]` comes from `[x, width - 1 - y]`. The companions
//! variance, mask and PSF are mirrored and rotated in the same way.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    geometric_transform::{GeometricOperation, GeometricTransform},
    image_planes::ImagePlaneRole,
};
use crate::{
    batch::ImageLayout,
    error::{Code, Diagnostic},
    image::orient::Orientation,
    stage::{Settings, Transform},
};

/// Mirrors an image and rotates it by quarter turns. Its variance, mask and PSF follow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Quarter turns after the mirrors, in the direction of numpy's `rot90`.
    #[serde(default)]
    #[schemars(range(min = 0, max = 3))]
    pub quarter_turns: u8,
}

impl Orient {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(image: impl Into<String>) -> Self {
        Self { image: image.into(), ..Self::default() }
    }
}

impl Settings<dyn Transform> for Orient {
    const NAME: &'static str = "orient";

    fn examples() -> &'static [&'static str] {
        &["{ image: image, mirror_x: true, quarter_turns: 3 }", "{ image: y10, mirror_y: true }"]
    }

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        let Self { image, mirror_x, mirror_y, quarter_turns } = self;
        if quarter_turns > 3 {
            let message = format!("`quarter_turns` is {quarter_turns}, expected 0 to 3");
            return Err(vec![Diagnostic::at("quarter_turns", Code::OutOfRange, message)]);
        }
        let orientation = Orientation { mirror_x, mirror_y, quarter_turns };
        Ok(GeometricTransform::boxed(label, image, OrientTransform { orientation, image: (0, 0), psf: (0, 0) }))
    }
}

/// An orientation, and the sizes (height, width) of what it is applied to.
#[derive(Clone)]
struct OrientTransform {
    orientation: Orientation,
    image: (usize, usize),
    psf: (usize, usize),
}

impl GeometricOperation for OrientTransform {
    fn bind(&mut self, role: ImagePlaneRole, from: &ImageLayout) -> Result<ImageLayout, Vec<Diagnostic>> {
        let size = (from.height, from.width);
        if role == ImagePlaneRole::Psf {
            self.psf = size;
        } else {
            self.image = size;
        }
        let (height, width) = self.orientation.size(size);
        Ok(ImageLayout { height, width, wcs: None, ..from.clone() })
    }

    fn map_plane(&self, role: ImagePlaneRole, plane: &[f32], out: &mut [f32]) {
        let size = if role == ImagePlaneRole::Psf { self.psf } else { self.image };
        self.orientation.lay(plane, size, out);
    }

    fn map_mask(&self, plane: &[u64], out: &mut [u64]) {
        self.orientation.lay(plane, self.image, out);
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::RecordBatch;
    use serde_json::json;

    use crate::{
        batch::{ImageLayout, list_values, mask_values},
        error::Code,
        stage::Rejects,
        transform::fixtures::{bind_kind, first_diagnostic, test_layout, test_rows},
    };

    #[test]
    fn a_quarter_turn_swaps_the_sides_of_an_image_and_of_its_mask() {
        let batch = test_rows(1);
        let settings = json!({ "image": "image", "quarter_turns": 1 });
        let mut turn = bind_kind("orient", settings, &batch.schema()).expect("bound");
        let out = turn.apply(batch.clone(), &mut Rejects::default()).expect("turned");
        let layout = ImageLayout { height: 8, width: 10, ..test_layout() };
        // Band r, [y, x] = [2, 9], comes from [9, 8 - 1 - 2].
        let (to, from) = (80 + 2 * 10 + 9, 80 + 9 * 8 + 5);
        let schema = out.schema();
        let field = |name| schema.field_with_name(name).expect("a column");
        assert_eq!(ImageLayout::of(field("made")), Some(layout.clone()));
        let image = |batch: &RecordBatch, name| list_values(batch, name).expect("images").0.to_vec();
        assert_eq!(image(&out, "made")[to], image(&batch, "image")[from]);
        let shape = ImageLayout::of_masks(field("made_mask")).expect("masks");
        assert_eq!((shape.height, shape.width), (8, 10));
        let mask = |batch: &RecordBatch, name| mask_values(batch, name).expect("masks").0.to_vec();
        assert_eq!(mask(&out, "made_mask")[to], mask(&batch, "image_mask")[from]);
    }

    #[test]
    fn rejects_five_quarter_turns() {
        let settings = json!({ "image": "image", "quarter_turns": 5 });
        let mistake = first_diagnostic("orient", settings, &test_rows(1).schema());
        assert_eq!((mistake.code, mistake.path[0].as_str()), (Code::OutOfRange, "quarter_turns"));
    }
}
