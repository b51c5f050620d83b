//! The columns that belong to an image: the image itself and its companions.

use arrow::datatypes::{Field, Schema};

use crate::batch::ImageLayout;

/// What a column holds for an image: its pixels, or a companion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImagePlaneRole {
    /// The image.
    Image,
    /// `<image>_variance`: the variance of every pixel.
    Variance,
    /// `<image>_mask`: an integer for every pixel, 0 where the pixel counts.
    Mask,
    /// `<image>_psf`: the point spread function, a small image with pixels of the same size.
    Psf,
}

impl ImagePlaneRole {
    /// The companions, in the order of their columns.
    pub(super) const COMPANIONS: [Self; 3] = [Self::Variance, Self::Mask, Self::Psf];

    /// The name of the column in this role for an image of a name.
    pub(super) fn column(self, image: &str) -> String {
        match self {
            Self::Image => image.to_owned(),
            Self::Variance => format!("{image}_variance"),
            Self::Mask => format!("{image}_mask"),
            Self::Psf => format!("{image}_psf"),
        }
    }

    /// The layout of the column in this role, if there is one.
    pub(super) fn find(self, input: &Schema, image: &str) -> Option<ImageLayout> {
        let field = input.field_with_name(&self.column(image)).ok()?;
        if self == Self::Mask { ImageLayout::of_masks(field) } else { ImageLayout::of(field) }
    }

    /// The field of a column in this role for an image of a name.
    pub(super) fn field(self, layout: &ImageLayout, image: &str) -> Field {
        let name = self.column(image);
        if self == Self::Mask { layout.mask_field(&name) } else { layout.field(&name) }
    }
}
