//! The images of a batch as slices of pixels.

use arrow::array::RecordBatch;

use super::{ImageLayout, columns::missing, list_values, mask_values};
use crate::error::{Error, Result};

/// The images of a column.
pub struct Images<'a> {
    /// Their layout.
    pub layout: ImageLayout,
    /// All pixels, row after row.
    pub pixels: &'a [f32],
}

impl<'a> Images<'a> {
    /// The images of a column of a batch.
    ///
    /// # Errors
    /// [`Error::Data`] when the column is missing or is not an image.
    pub fn of(batch: &'a RecordBatch, column: &str) -> Result<Self> {
        let field = batch.schema_ref().field_with_name(column).map_err(|_| missing(batch, column))?;
        let found = || Error::data(format!("column `{column}` is {}, expected an image", field.data_type()));
        let layout = ImageLayout::of(field).ok_or_else(found)?;
        let (pixels, _) = list_values(batch, column)?;
        Ok(Self { layout, pixels })
    }

    /// The images one by one, each `[band, y, x]`.
    pub fn rows(&self) -> std::slice::ChunksExact<'a, f32> {
        self.pixels.chunks_exact(self.layout.pixels())
    }

    /// One band of one image, `[y, x]`.
    pub fn plane(&self, row: usize, band: usize) -> &'a [f32] {
        let plane = self.layout.plane();
        &self.pixels[row * self.layout.pixels() + band * plane..][..plane]
    }
}

/// The masks of a column: an integer for every pixel, 0 where the pixel counts.
pub struct Masks<'a> {
    /// The layout of the images that they belong to.
    pub layout: ImageLayout,
    /// All pixels, row after row.
    pub pixels: &'a [u64],
}

impl<'a> Masks<'a> {
    /// The masks of a column of a batch.
    ///
    /// # Errors
    /// [`Error::Data`] when the column is missing or does not hold masks.
    pub fn of(batch: &'a RecordBatch, column: &str) -> Result<Self> {
        let field = batch.schema_ref().field_with_name(column).map_err(|_| missing(batch, column))?;
        let found = || Error::data(format!("column `{column}` is {}, expected masks", field.data_type()));
        let layout = ImageLayout::of_masks(field).ok_or_else(found)?;
        let (pixels, _) = mask_values(batch, column)?;
        Ok(Self { layout, pixels })
    }

    /// One band of one mask, `[y, x]`.
    pub fn plane(&self, row: usize, band: usize) -> &'a [u64] {
        let plane = self.layout.plane();
        &self.pixels[row * self.layout.pixels() + band * plane..][..plane]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Schema;

    use super::*;
    use crate::batch::{Unit, list_column};

    #[test]
    fn images_of_a_sliced_batch_are_those_of_the_slice() {
        let layout = ImageLayout::new(["g", "r"], 2, 3, Unit::Electron);
        let column = list_column((0..36).map(|i| i as f32).collect(), 12).expect("a column");
        let schema = Arc::new(Schema::new(vec![layout.field("image")]));
        let batch = RecordBatch::try_new(schema, vec![column]).expect("a batch");
        let slice = batch.slice(1, 2);
        let images = Images::of(&slice, "image").expect("images");
        let first: Vec<f32> = images.rows().map(|row| row[0]).collect();
        assert_eq!(first, [12.0, 24.0]);
        assert_eq!(images.plane(1, 1), [30.0, 31.0, 32.0, 33.0, 34.0, 35.0]);
    }
}
