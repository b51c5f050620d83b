//! The schema of the rows, and the layouts of their images.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::{
    Companion, Fits, Policy,
    catalogue::LoadedCatalogue,
    description::Description,
    objects::ObjectPlanes,
    row_pixels::pads,
    units::{Measure, PixelUnit},
};
use crate::{
    batch::{self, ImageLayout, Unit, WorldCoordinates},
    error::{Code, Diagnostic},
};

/// Names of the columns of pixels, and of that with their world coordinates.
pub(in crate::source) const IMAGE: &str = "image";
pub(in crate::source) const VARIANCE: &str = "image_variance";
pub(in crate::source) const MASK: &str = "image_mask";
pub(in crate::source) const PSF: &str = "image_psf";
pub(in crate::source) const WCS: &str = "image_wcs";

/// A column from a header key.
pub(super) struct HeaderColumn {
    pub name: String,
    pub key: String,
    pub kind: DataType,
}

/// The layouts that every object must fit.
pub(super) struct Layouts {
    pub image: ImageLayout,
    /// The unit as the headers write it, where it is not a known unit of flux.
    pub raw_unit: Option<String>,
    /// The layout of the PSF, where it is a column.
    pub psf: Option<ImageLayout>,
    /// Whether images smaller than `size` are padded.
    pub pads: bool,
    /// Whether there is a column of masks.
    pub has_mask: bool,
}

impl Layouts {
    /// The layouts that the first object sets.
    pub(super) fn of_object(
        settings: &Fits,
        object: &ObjectPlanes,
        found: Description,
    ) -> Result<Self, Vec<Diagnostic>> {
        let [height, width] = settings.size.map_or(object.image.shape, |size| [size, size]);
        let scale = found.pixel_scale_arcsec;
        let image = layout(object.bands.clone(), [height, width], found.unit, scale)?;
        let image = image.with_stretch(found.stretch).with_electrons_per_njy(found.electrons_per_njy.clone());
        let image = image.with_wcs(settings.wcs.then(|| WCS.to_owned()));
        let psf = match &object.psf {
            Some(psf) if settings.wants(Companion::Psf) => {
                let shape = found.psf_shape(psf.shape);
                let shape = shape.map_err(|reason| vec![Diagnostic::at("companions", Code::OutOfRange, reason)])?;
                Some(layout(object.bands.clone(), shape, Unit::Unknown, scale)?)
            }
            _ => None,
        };
        let is_small = pads(&object.image, [image.height, image.width]);
        let pads = settings.pad.map_or(is_small, |pad| pad == Policy::Fill);
        let has_mask = pads || settings.marks_pixels();
        Ok(Self { image, raw_unit: found.raw_unit, psf, pads, has_mask })
    }

    /// The layouts that the settings give, when none of `files` files has a fitting image; `reason` is why the first does not fit.
    pub(super) fn of_settings(settings: &Fits, files: usize, reason: &str) -> Result<Self, Vec<Diagnostic>> {
        let (Some(bands), Some(size), false) = (&settings.bands, settings.size, settings.wants(Companion::Psf)) else {
            let message = format!("no image in {files} files fits the settings: {reason}");
            let help =
                "with `bands` and `size` set (and no `psf` in `companions`) the run starts and rejects these files";
            return Err(vec![Diagnostic::at("paths", Code::MissingFile, message).help(help)]);
        };
        let unit = settings.unit.as_deref().and_then(PixelUnit::parse).filter(|unit| unit.power == 1);
        let unit = match unit.map(|unit| unit.measure) {
            _ if settings.photometry().next().is_some() => Unit::NanoJansky,
            Some(Measure::Flux { .. } | Measure::SurfaceBrightness { .. }) => Unit::NanoJansky,
            Some(Measure::Electrons { .. }) => Unit::Electron,
            Some(Measure::Counts) | None => Unit::Unknown,
        };
        let image = layout(bands.names(), [size, size], unit, settings.pixel_scale_arcsec)?;
        let image = image.with_wcs(settings.wcs.then(|| WCS.to_owned()));
        let pads = settings.pad == Some(Policy::Fill);
        Ok(Self { image, raw_unit: None, psf: None, pads, has_mask: settings.marks_pixels() })
    }
}

fn layout(
    bands: Vec<String>,
    [height, width]: [usize; 2],
    unit: Unit,
    pixel_scale_arcsec: Option<f64>,
) -> Result<ImageLayout, Vec<Diagnostic>> {
    let pixels = bands.len().checked_mul(height).and_then(|pixels| pixels.checked_mul(width));
    if pixels.is_none_or(|pixels| i32::try_from(pixels).is_err()) {
        let message = format!("images of {} bands, {height} by {width} pixels are too large for a column", bands.len());
        let help = "set `size` to the cutouts that you need";
        return Err(vec![Diagnostic::at("size", Code::OutOfRange, message).help(help)]);
    }
    Ok(ImageLayout::new(bands, height, width, unit).with_pixel_scale(pixel_scale_arcsec))
}

/// The schema of the rows.
pub(super) fn schema(
    settings: &Fits,
    layouts: &Layouts,
    columns: &[HeaderColumn],
    catalogue: Option<&LoadedCatalogue>,
) -> SchemaRef {
    let mut fields = batch::identity_fields();
    let with_setting = [
        (batch::LABEL, &settings.label, DataType::Utf8),
        (batch::RA, &settings.ra, DataType::Float64),
        (batch::DEC, &settings.dec, DataType::Float64),
    ];
    let with_setting = with_setting.into_iter().filter(|(_, key, _)| key.is_some());
    fields.extend(with_setting.map(|(name, _, kind)| Field::new(name, kind, true)));
    fields.extend(columns.iter().map(|column| Field::new(&column.name, column.kind.clone(), true)));
    fields.extend(catalogue.into_iter().flat_map(LoadedCatalogue::fields).cloned());
    let image = &layouts.image;
    fields.push(image.field(IMAGE));
    if settings.wants(Companion::Variance) {
        fields.push(ImageLayout { unit: image.unit.squared(), ..image.clone() }.field(VARIANCE));
    }
    if layouts.has_mask {
        fields.push(image.mask_field(MASK));
    }
    fields.extend(layouts.psf.as_ref().map(|psf| psf.field(PSF)));
    fields.extend(settings.wcs.then(|| WorldCoordinates::field(WCS)));
    Arc::new(Schema::new(fields))
}
