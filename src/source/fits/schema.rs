//! The schema of the rows, and the layouts of their images.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::{Companion, Fits, catalogue::LoadedCatalogue, description::Description, objects::ObjectPlanes, units};
use crate::{
    batch::{self, ImageLayout, Unit},
    error::{Code, Diagnostic},
};

/// Names of the columns of pixels.
pub(super) const IMAGE: &str = "image";
pub(super) const VARIANCE: &str = "image_variance";
pub(super) const MASK: &str = "image_mask";
pub(super) const PSF: &str = "image_psf";

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
        let psf = match &object.psf {
            Some(psf) if settings.wants(Companion::Psf) => {
                Some(layout(object.bands.clone(), psf.shape, Unit::Unknown, scale)?)
            }
            _ => None,
        };
        Ok(Self { image, raw_unit: found.raw_unit, psf })
    }

    /// The layouts that the settings give, when none of `files` files has a fitting image; `reason` is why the first does not fit.
    pub(super) fn of_settings(settings: &Fits, files: usize, reason: &str) -> Result<Self, Vec<Diagnostic>> {
        let (Some(bands), Some(size), false) = (&settings.bands, settings.size, settings.wants(Companion::Psf)) else {
            let message = format!("no image in {files} files fits the settings: {reason}");
            let help =
                "with `bands` and `size` set (and no `psf` in `companions`) the run starts and rejects these files";
            return Err(vec![Diagnostic::at("paths", Code::MissingFile, message).help(help)]);
        };
        let is_flux = settings.zero_point.is_some() || settings.unit.as_deref().and_then(units::njy_in).is_some();
        let unit = if is_flux { Unit::NanoJansky } else { Unit::Unknown };
        let image = layout(bands.clone(), [size, size], unit, settings.pixel_scale_arcsec)?;
        Ok(Self { image, raw_unit: None, psf: None })
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
    Ok(ImageLayout { bands, height, width, unit, pixel_scale_arcsec, stretch: None, electrons_per_njy: None })
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
    fields.push(layouts.image.field(IMAGE));
    for companion in [Companion::Variance, Companion::Mask, Companion::Psf] {
        match companion {
            _ if !settings.wants(companion) => {}
            // The layout of the image: its numbers are in the square of that unit.
            Companion::Variance => fields.push(layouts.image.field(VARIANCE)),
            Companion::Mask => {
                fields.push(ImageLayout { unit: Unit::Unknown, ..layouts.image.clone() }.field(MASK));
            }
            Companion::Psf => fields.extend(layouts.psf.as_ref().map(|psf| psf.field(PSF))),
        }
    }
    Arc::new(Schema::new(fields))
}
