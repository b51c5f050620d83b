//! What an image column holds, as metadata of its field.

use arrow::datatypes::Field;
use serde::{Deserialize, Serialize};

use super::{
    metadata_lists::{metadata_list, metadata_names, metadata_numbers},
    tensor::{TensorType, list_type, mask_type, tensor_metadata, tensor_type},
};

/// The unit of a mask in its metadata: each bit of an integer is a plane of the mask.
const MASK_UNIT: &str = "bits";

/// The names of the dimensions of an image.
const DIMENSIONS: [&str; 3] = ["band", "y", "x"];

/// The unit of the pixels of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[non_exhaustive]
pub enum Unit {
    /// Flux integrated over the pixel, in nanojansky (m_AB = 31.4 - 2.5 log10 f).
    #[serde(rename = "nJy")]
    NanoJansky,
    /// Electrons collected in an exposure, sky subtracted.
    #[serde(rename = "electron")]
    Electron,
    /// The square of [`Self::NanoJansky`]: variances.
    #[serde(rename = "nJy2")]
    NanoJansky2,
    /// The square of [`Self::Electron`]: variances.
    #[serde(rename = "electron2")]
    Electron2,
    /// Arcsinh-stretched, about 0 to 1.
    #[serde(rename = "stretched")]
    Stretched,
    /// The unit of the file, which is not known.
    #[serde(rename = "unknown")]
    Unknown,
}

impl Unit {
    /// The unit as written in metadata and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NanoJansky => "nJy",
            Self::Electron => "electron",
            Self::NanoJansky2 => "nJy2",
            Self::Electron2 => "electron2",
            Self::Stretched => "stretched",
            Self::Unknown => "unknown",
        }
    }

    /// The unit of variances of numbers in this unit.
    #[must_use]
    pub const fn squared(self) -> Self {
        match self {
            Self::NanoJansky => Self::NanoJansky2,
            Self::Electron => Self::Electron2,
            _ => Self::Unknown,
        }
    }

    fn parse(name: &str) -> Self {
        [Self::NanoJansky, Self::Electron, Self::NanoJansky2, Self::Electron2, Self::Stretched]
            .into_iter()
            .find(|unit| unit.name() == name)
            .unwrap_or(Self::Unknown)
    }
}

/// The constants of an arcsinh stretch: y = (arcsinh(c clip(x, lo, hi)) + 1) / 2 with c = 0.85 / hi.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Stretch {
    /// Lower clip, in the unit of the image before the stretch.
    pub lo: f64,
    /// Upper clip, in the unit of the image before the stretch.
    pub hi: f64,
}

impl Stretch {
    /// Whether two stretches have the same constants, up to how they are written.
    pub(crate) fn is_near(self, other: Self) -> bool {
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
        near(self.lo, other.lo) && near(self.hi, other.hi)
    }
}

/// The largest relative difference of exposures that count as equal.
const EXPOSURE_TOLERANCE: f64 = 0.01;
/// The largest relative difference of pixel scales that count as equal.
const PIXEL_SCALE_TOLERANCE: f64 = 1e-3;

/// Whether electrons per nJy are those that are expected.
pub(crate) fn is_same_exposure(found: f64, expected: f64) -> bool {
    (found / expected - 1.0).abs() <= EXPOSURE_TOLERANCE
}

/// Whether a pixel scale is the one that is expected.
pub(crate) fn is_same_pixel_scale(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= PIXEL_SCALE_TOLERANCE * expected
}

/// The shape of the images of a column and the meaning of their pixels.
///
/// ```
/// use lucarne::batch::{ImageLayout, Unit};
///
/// let layout = ImageLayout::new(["g", "r", "i"], 100, 100, Unit::NanoJansky).with_pixel_scale(0.2);
/// let field = layout.field("image");
/// assert_eq!(ImageLayout::of(&field), Some(layout));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ImageLayout {
    /// Band names, in the order of the planes.
    pub bands: Vec<String>,
    /// Rows of a plane, pixels.
    pub height: usize,
    /// Columns of a plane, pixels.
    pub width: usize,
    /// The unit of the pixels.
    pub unit: Unit,
    /// Side of a pixel, arcsec, if known.
    pub pixel_scale_arcsec: Option<f64>,
    /// The constants of the stretch, for stretched images whose constants are the same in every row.
    pub stretch: Option<Stretch>,
    /// Electrons per nJy, one number per band, for images in electrons whose exposure is the same in every row.
    pub electrons_per_njy: Option<Vec<f64>>,
    /// The column with the world coordinates of the pixels ([`WorldCoordinates`](super::WorldCoordinates)), where they are known.
    pub wcs: Option<String>,
}

impl ImageLayout {
    /// Images of some bands, of an unknown pixel scale.
    pub fn new<B: Into<String>>(bands: impl IntoIterator<Item = B>, height: usize, width: usize, unit: Unit) -> Self {
        let bands = bands.into_iter().map(Into::into).collect();
        Self { bands, height, width, unit, pixel_scale_arcsec: None, stretch: None, electrons_per_njy: None, wcs: None }
    }

    /// The same with a pixel scale, arcsec; `None` if it is not known.
    #[must_use]
    pub fn with_pixel_scale(self, arcsec: impl Into<Option<f64>>) -> Self {
        Self { pixel_scale_arcsec: arcsec.into(), ..self }
    }

    /// The same with the constants of a stretch.
    #[must_use]
    pub fn with_stretch(self, stretch: impl Into<Option<Stretch>>) -> Self {
        Self { stretch: stretch.into(), ..self }
    }

    /// The same with the electrons of 1 nJy in each band.
    #[must_use]
    pub fn with_electrons_per_njy(self, electrons: impl Into<Option<Vec<f64>>>) -> Self {
        Self { electrons_per_njy: electrons.into(), ..self }
    }

    /// The same with the column of the world coordinates of its pixels; `None` if they are not known.
    #[must_use]
    pub fn with_wcs(self, column: impl Into<Option<String>>) -> Self {
        Self { wcs: column.into(), ..self }
    }

    /// Pixels of a plane. A shape that no memory holds, which a file may declare, has `usize::MAX`.
    pub fn plane(&self) -> usize {
        self.height.saturating_mul(self.width)
    }

    /// Pixels of an image, all bands.
    pub fn pixels(&self) -> usize {
        self.bands.len().saturating_mul(self.plane())
    }

    /// The field of a column of masks of such images: an integer for every pixel, 0 where the pixel counts.
    pub fn mask_field(&self, name: &str) -> Field {
        let shape = ImageLayout { stretch: None, electrons_per_njy: None, ..self.clone() };
        let mut metadata = shape.field(name).metadata().clone();
        metadata.insert("unit".into(), MASK_UNIT.into());
        Field::new(name, mask_type(self.pixels()), false).with_metadata(metadata)
    }

    /// The field of a column of such images.
    pub fn field(&self, name: &str) -> Field {
        let mut metadata = tensor_metadata(&[self.bands.len(), self.height, self.width], &DIMENSIONS);
        metadata.insert("bands".into(), metadata_list(&self.bands));
        metadata.insert("unit".into(), self.unit.name().into());
        if let Some(scale) = self.pixel_scale_arcsec {
            metadata.insert("pixel_scale_arcsec".into(), scale.to_string());
        }
        if let Some(Stretch { lo, hi }) = self.stretch {
            metadata.insert("stretch_lo".into(), lo.to_string());
            metadata.insert("stretch_hi".into(), hi.to_string());
        }
        if let Some(gain) = &self.electrons_per_njy {
            metadata.insert("electrons_per_njy".into(), metadata_list(gain));
        }
        if let Some(wcs) = &self.wcs {
            metadata.insert("wcs".into(), wcs.clone());
        }
        Field::new(name, list_type(self.pixels()), false).with_metadata(metadata)
    }

    /// The layout that a field describes; `None` if it is not an image.
    pub fn of(field: &Field) -> Option<Self> {
        Self::described_by(field).filter(|layout| *field.data_type() == list_type(layout.pixels()))
    }

    /// The layout of the images whose masks a field holds; `None` if it does not hold masks.
    pub fn of_masks(field: &Field) -> Option<Self> {
        Self::described_by(field).filter(|layout| *field.data_type() == mask_type(layout.pixels()))
    }

    /// The layout in the metadata of a field, whatever its type. Images are `[band, y, x]`: other dimensions are not those of an image.
    pub(crate) fn described_by(field: &Field) -> Option<Self> {
        let TensorType { shape, dim_names, permutation } = tensor_type(field)?.ok()?;
        let &[depth, height, width] = shape.as_slice() else { return None };
        if dim_names.is_some_and(|names| names != DIMENSIONS) || permutation.is_some_and(|order| order != [0, 1, 2]) {
            return None;
        }
        let metadata = field.metadata();
        let number = |key: &str| metadata.get(key).and_then(|text| text.parse::<f64>().ok());
        let layout = Self {
            bands: metadata_names(metadata.get("bands")?),
            height,
            width,
            unit: Unit::parse(metadata.get("unit")?),
            pixel_scale_arcsec: number("pixel_scale_arcsec"),
            stretch: number("stretch_lo").zip(number("stretch_hi")).map(|(lo, hi)| Stretch { lo, hi }),
            electrons_per_njy: metadata.get("electrons_per_njy").and_then(|text| metadata_numbers(text)),
            wcs: metadata.get("wcs").cloned(),
        };
        (layout.bands.len() == depth && layout.plane() > 0).then_some(layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> ImageLayout {
        ImageLayout::new(["g", "r"], 2, 3, Unit::Electron)
            .with_pixel_scale(0.2)
            .with_stretch(Stretch { lo: -1.5, hi: 1.0 / 3.0 })
            .with_electrons_per_njy(vec![0.1, 1e-3])
            .with_wcs("image_wcs".to_owned())
    }

    #[test]
    fn a_layout_survives_its_field() {
        let squares = [Unit::NanoJansky.squared(), Unit::Electron.squared()];
        for unit in [Unit::NanoJansky, Unit::Electron, Unit::Stretched, Unit::Unknown].into_iter().chain(squares) {
            let layout = ImageLayout { unit, ..layout() };
            assert_eq!(ImageLayout::of(&layout.field("image")), Some(layout));
        }
        let comma = ImageLayout::new(["[OIII], narrow", "\"K\""], 2, 3, Unit::Unknown);
        assert_eq!(ImageLayout::of(&comma.field("image")), Some(comma));
        let plain = ImageLayout::new(["x"], 4, 1, Unit::Unknown);
        assert_eq!(ImageLayout::of(&plain.field("image")), Some(plain));
    }

    #[test]
    fn a_mask_is_not_an_image() {
        let field = layout().mask_field("image_mask");
        let of_masks = ImageLayout::of_masks(&field).expect("a mask");
        assert_eq!((of_masks.bands, of_masks.height, of_masks.width), (layout().bands, 2, 3));
        assert_eq!(ImageLayout::of(&field), None);
        assert_eq!(ImageLayout::of_masks(&layout().field("image")), None);
    }

    #[test]
    fn fields_that_contradict_themselves_are_not_images() {
        assert_eq!(ImageLayout::of(&Field::new("latent", list_type(12), false)), None);
        let field = layout().field("image");
        let with = |key: &str, value: &str| {
            let mut metadata = field.metadata().clone();
            metadata.insert(key.into(), value.into());
            ImageLayout::of(&field.clone().with_metadata(metadata))
        };
        // As earlier versions wrote them.
        assert_eq!(with("bands", "g,r"), Some(layout()));
        assert_eq!(with("electrons_per_njy", "0.1,0.001"), Some(layout()));
        assert_eq!(with("bands", "g,r,i"), None);
        assert_eq!(with("ARROW:extension:name", "other"), None);
        assert_eq!(with("ARROW:extension:metadata", r#"{"shape":[2,6]}"#), None);
        assert_eq!(with("ARROW:extension:metadata", r#"{"shape":[2,3,3]}"#), None);
        let dimensions = |more: &str| with("ARROW:extension:metadata", &format!("{{\"shape\":[2,2,3],{more}}}"));
        assert_eq!(dimensions(r#""dim_names":["band","y","x"],"permutation":[0,1,2]"#), Some(layout()));
        assert_eq!(dimensions(r#""dim_names":["y","x","band"]"#), None);
        assert_eq!(dimensions(r#""permutation":[0,2,1]"#), None);
        assert_eq!(dimensions(r#""permutation":[0,2,2]"#), None);
        // 12 pixels modulo 2^64.
        assert_eq!(with("ARROW:extension:metadata", r#"{"shape":[2,3,9223372036854775810]}"#), None);
        let empty = ImageLayout { height: 0, ..layout() };
        assert_eq!(ImageLayout::of(&empty.field("image")), None);
    }
}
