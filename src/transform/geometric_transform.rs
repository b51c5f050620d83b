//! Transforms that move pixels: an image, and its companions in the same way.

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema},
};

use super::{
    diagnostics::{image_layout, not_bound},
    image_planes::ImagePlaneRole,
};
use crate::{
    batch::{ImageLayout, Images, Masks, list_column, mask_column, with_columns},
    error::{Code, Diagnostic, Result},
    stage::{ColumnRef, Rejects, Transform},
};

/// How the pixels of a plane become those of another plane.
pub(super) trait GeometricOperation: Clone + Send + 'static {
    /// The layout of the result for a role; keeps what [`map_plane`](Self::map_plane) needs. The image is bound first.
    fn bind(&mut self, role: ImagePlaneRole, from: &ImageLayout) -> Result<ImageLayout, Vec<Diagnostic>>;

    /// Fills a plane of the result, which is not that of a mask.
    fn map_plane(&self, role: ImagePlaneRole, plane: &[f32], out: &mut [f32]);

    /// Fills a plane of the mask of the result.
    fn map_mask(&self, plane: &[u64], out: &mut [u64]);
}

/// The transform of a [`GeometricOperation`]: makes `<label>`, and `<label>_variance` and so on where the image has them.
#[derive(Clone)]
pub(super) struct GeometricTransform<O> {
    label: String,
    image: String,
    operation: O,
    /// The columns it makes: the image first, then the companions that exist.
    outputs: Vec<(ImagePlaneRole, ImageLayout)>,
}

impl<O: GeometricOperation> GeometricTransform<O> {
    pub(super) fn boxed(label: &str, image: String, operation: O) -> Box<dyn Transform> {
        Box::new(Self { label: label.to_owned(), image, operation, outputs: Vec::new() })
    }

    /// Variance and mask belong to the image pixel by pixel.
    fn check_size(&self, role: ImagePlaneRole, found: &ImageLayout, image: &ImageLayout) -> Result<(), Diagnostic> {
        let has_pixels_of_image = matches!(role, ImagePlaneRole::Variance | ImagePlaneRole::Mask);
        if !has_pixels_of_image || (found.height, found.width) == (image.height, image.width) {
            return Ok(());
        }
        let (h, w, height, width) = (found.height, found.width, image.height, image.width);
        let name = role.column(&self.image);
        let message = format!("`{name}` is {h}x{w} pixels, expected {height}x{width} as in `{}`", self.image);
        Err(Diagnostic::at("image", Code::WrongColumn, message))
    }
}

impl<O: GeometricOperation> Transform for GeometricTransform<O> {
    fn required_columns(&self) -> Vec<ColumnRef> {
        let companions = self.outputs.iter().skip(1).map(|(role, _)| ColumnRef::new("", role.column(&self.image)));
        std::iter::once(ColumnRef::new("image", &self.image)).chain(companions).collect()
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        self.outputs.clear();
        let image = image_layout(input, "image", &self.image).map_err(|mistake| vec![mistake])?;
        let made = self.operation.bind(ImagePlaneRole::Image, &image)?;
        self.outputs.push((ImagePlaneRole::Image, made));
        for role in ImagePlaneRole::COMPANIONS {
            let Some(companion) = role.find(input, &self.image) else { continue };
            self.check_size(role, &companion, &image).map_err(|mistake| vec![mistake])?;
            let made = self.operation.bind(role, &companion)?;
            self.outputs.push((role, made));
        }
        Ok(self.outputs.iter().map(|(role, layout)| role.field(layout, &self.label)).collect())
    }

    fn apply(&mut self, batch: RecordBatch, _: &mut Rejects) -> Result<RecordBatch> {
        if self.outputs.is_empty() {
            return Err(not_bound(&self.label));
        }
        let mut columns = Vec::new();
        for (role, to) in &self.outputs {
            let (name, pixels) = (role.column(&self.image), batch.num_rows() * to.pixels());
            let column = if *role == ImagePlaneRole::Mask {
                let masks = Masks::of(&batch, &name)?;
                let mut out = vec![0; pixels];
                let planes = masks.pixels.chunks_exact(masks.layout.plane());
                planes
                    .zip(out.chunks_exact_mut(to.plane()))
                    .for_each(|(plane, out)| self.operation.map_mask(plane, out));
                mask_column(out, to.pixels())?
            } else {
                let images = Images::of(&batch, &name)?;
                let mut out = vec![0.0; pixels];
                let planes = images.pixels.chunks_exact(images.layout.plane());
                for (plane, out) in planes.zip(out.chunks_exact_mut(to.plane())) {
                    self.operation.map_plane(*role, plane, out);
                }
                list_column(out, to.pixels())?
            };
            columns.push((role.field(to, &self.label), column));
        }
        with_columns(&batch, columns)
    }

    fn fork(&self) -> Box<dyn Transform> {
        Box::new(self.clone())
    }
}
