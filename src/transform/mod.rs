//! What happens to images and rows before a model sees them.

pub mod asinh_stretch;
pub mod blur;
pub mod compress;
#[cfg(test)]
pub(crate) mod contract;
pub mod cosmic_rays;
pub mod crop;
pub mod dead_pixels;
pub mod filter;
pub mod gain_error;
pub mod morphology;
pub mod observe;
pub mod orient;
mod perturbation;
pub mod quantity;
pub mod resample;
pub mod sky_error;
pub mod split;

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema},
};

use crate::{
    batch::{ImageLayout, Images, list_column, with_columns},
    error::{Code, Diagnostic, Error, Result},
    stage::{ColumnRef, Kind, Rejects, Transform},
};

/// The kinds, in the order of the reference.
pub const KINDS: &[Kind<dyn Transform>] = &[
    Kind::of::<observe::Observe>(),
    Kind::of::<asinh_stretch::AsinhStretch>(),
    Kind::of::<resample::Resample>(),
    Kind::of::<crop::Crop>(),
    Kind::of::<orient::Orient>(),
    Kind::of::<morphology::Morphology>(),
    Kind::of::<compress::Compress>(),
    Kind::of::<blur::Blur>(),
    Kind::of::<dead_pixels::DeadPixels>(),
    Kind::of::<cosmic_rays::CosmicRays>(),
    Kind::of::<gain_error::GainError>(),
    Kind::of::<sky_error::SkyError>(),
    Kind::of::<filter::Filter>(),
    Kind::of::<split::Split>(),
];

/// A column that a setting names.
pub(crate) fn column<'a>(input: &'a Schema, key: &str, column: &str) -> Result<&'a Field, Diagnostic> {
    input.field_with_name(column).map_err(|_| {
        let mistake = Diagnostic::at(key, Code::UnknownColumn, format!("no column `{column}` is made above this step"));
        mistake.suggest(column, input.fields().iter().map(|field| field.name().as_str()), "columns")
    })
}

/// The layout of the image column that a setting names.
pub(crate) fn image(input: &Schema, key: &str, name: &str) -> Result<ImageLayout, Diagnostic> {
    let field = column(input, key, name)?;
    ImageLayout::of(field).ok_or_else(|| {
        let found = format!("column `{name}` is no image: it holds {}", field.data_type());
        let images = input.fields().iter().filter(|field| ImageLayout::of(field).is_some());
        let images: Vec<String> = images.map(|field| format!("`{}`", field.name())).collect();
        let help = if images.is_empty() { "there is none".into() } else { images.join(", ") };
        Diagnostic::at(key, Code::WrongColumn, found).help(format!("images here: {help}"))
    })
}

/// What a column tells of an image: the image itself, or one of its companions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The image.
    Image,
    /// `<image>_variance`: variance of every pixel.
    Variance,
    /// `<image>_mask`: 0 where the pixel is good.
    Mask,
    /// `<image>_psf`: the point spread function, a small image in the pixels of the image.
    Psf,
}

impl Part {
    const ALL: [Self; 4] = [Self::Image, Self::Variance, Self::Mask, Self::Psf];

    fn column(self, image: &str) -> String {
        match self {
            Self::Image => image.to_owned(),
            Self::Variance => format!("{image}_variance"),
            Self::Mask => format!("{image}_mask"),
            Self::Psf => format!("{image}_psf"),
        }
    }
}

/// A way to lay pixels out anew, for an image and in the same way for its companions.
pub(crate) trait Geometry: Clone + Send + 'static {
    /// What becomes of a part; remembers what `plane` needs. The image comes first.
    fn bind(&mut self, part: Part, from: &ImageLayout) -> Result<ImageLayout, Vec<Diagnostic>>;
    /// Makes a plane of a part.
    fn plane(&self, part: Part, plane: &[f32], out: &mut [f32]);
}

/// The transform of a [`Geometry`]: makes `<label>`, and `<label>_variance` and so on where the image has them.
#[derive(Clone)]
pub(crate) struct Relaid<G> {
    label: String,
    image: String,
    geometry: G,
    parts: Vec<(Part, ImageLayout)>,
}

impl<G: Geometry> Relaid<G> {
    pub(crate) fn boxed(label: &str, image: String, geometry: G) -> Box<dyn Transform> {
        Box::new(Self { label: label.to_owned(), image, geometry, parts: Vec::new() })
    }
}

impl<G: Geometry> Transform for Relaid<G> {
    /// The image; once bound, its companions too.
    fn required_columns(&self) -> Vec<ColumnRef> {
        let companions = self.parts.iter().skip(1).map(|(part, _)| ColumnRef::new("", part.column(&self.image)));
        std::iter::once(ColumnRef::new("image", &self.image)).chain(companions).collect()
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        self.parts.clear();
        let mut fields = Vec::new();
        let mut of: Option<ImageLayout> = None;
        for part in Part::ALL {
            let name = part.column(&self.image);
            let from = match part {
                Part::Image => image(input, "image", &name).map_err(|mistake| vec![mistake])?,
                _ => match input.field_with_name(&name).ok().and_then(ImageLayout::of) {
                    Some(layout) => layout,
                    None => continue,
                },
            };
            match (part, &of) {
                (Part::Image, _) => of = Some(from.clone()),
                (Part::Variance | Part::Mask, Some(of)) if (of.height, of.width) != (from.height, from.width) => {
                    let (h, w, height, width) = (from.height, from.width, of.height, of.width);
                    let message =
                        format!("`{name}` is {h}x{w} pixels, expected {height}x{width} as in `{}`", self.image);
                    return Err(vec![Diagnostic::at("image", Code::WrongColumn, message)]);
                }
                _ => {}
            }
            let layout = self.geometry.bind(part, &from)?;
            fields.push(layout.field(&part.column(&self.label)));
            self.parts.push((part, layout));
        }
        Ok(fields)
    }

    fn apply(&mut self, batch: RecordBatch, _: &mut Rejects) -> Result<RecordBatch> {
        let mut columns = Vec::new();
        for (part, to) in &self.parts {
            let images = Images::of(&batch, &part.column(&self.image))?;
            let mut out = vec![0.0; batch.num_rows() * to.pixels()];
            let planes = images.pixels.chunks_exact(images.layout.plane());
            for (plane, out) in planes.zip(out.chunks_exact_mut(to.plane())) {
                self.geometry.plane(*part, plane, out);
            }
            columns.push((to.field(&part.column(&self.label)), list_column(out, to.pixels())?));
        }
        if columns.is_empty() {
            return Err(Error::bug(format!("`{}` was applied before it was bound", self.label)));
        }
        with_columns(&batch, columns)
    }

    fn fork(&self) -> Box<dyn Transform> {
        Box::new(self.clone())
    }
}
