//! How an image is blurred: the settings that exposures of one image can share, checked against the survey.

use std::sync::Arc;

use arrow::datatypes::Schema;
use serde::Serialize;

use super::{
    InputPsf, Psf,
    kernels::{PsfImageColumn, PsfKernels, PsfWidths},
};
use crate::{
    batch::ImageLayout,
    error::{Code, Diagnostic, quoted_list},
    io::digest,
    stage::ColumnRef,
    survey::preset::{Band, Survey},
    transform::{
        diagnostics::{image_layout, unknown_pixel_scale},
        quantity::{Quantity, QuantityRules},
    },
};

/// How an image is blurred. Two `observe` share the blur if these are equal.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Optics {
    pub(super) image: String,
    pub(super) survey: Survey,
    pub(super) psf: Psf,
    pub(super) airmass: Option<Quantity>,
    pub(super) zenith_fwhm_arcsec: Option<Quantity>,
    pub(super) fwhm_arcsec: Option<Quantity>,
    pub(super) input_psf: Option<InputPsf>,
}

impl Optics {
    /// The label of the hidden step, from a digest of everything that it depends on.
    pub(super) fn label(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        format!("_blur_{}", &digest::of_bytes(&text)[..16])
    }

    pub(super) fn required_columns(&self) -> Vec<ColumnRef> {
        let mut columns = vec![ColumnRef::new("image", &self.image)];
        for (key, quantity) in [
            ("airmass", &self.airmass),
            ("zenith_fwhm_arcsec", &self.zenith_fwhm_arcsec),
            ("fwhm_arcsec", &self.fwhm_arcsec),
        ] {
            columns.extend(quantity.iter().flat_map(|quantity| quantity.required_columns(key)));
        }
        match &self.input_psf {
            Some(InputPsf::FwhmArcsec(quantity)) => columns.extend(quantity.required_columns("input_psf.fwhm_arcsec")),
            Some(InputPsf::Column(column)) => columns.push(ColumnRef::new("input_psf.column", column)),
            None => {}
        }
        columns
    }

    /// The kernels for images of a layout.
    pub(super) fn bind(&self, input: &Schema, layout: &ImageLayout) -> Result<PsfKernels, Vec<Diagnostic>> {
        let mut mistakes = Vec::new();
        let bands = &layout.bands;
        let by_band = |number: fn(&Band) -> f64| {
            bands.iter().map(|band| self.survey.bands.get(band).map_or(f64::NAN, number)).collect::<Vec<_>>()
        };
        let mut bind = |quantity: Option<&Quantity>, rules: QuantityRules| {
            rules.bind(quantity, input).map_err(|found| mistakes.extend(found)).ok()
        };
        let width = |key, default| QuantityRules { key, bands, default, off: Some(0.0), range: 1e-3..=100.0 };
        let airmass = bind(self.airmass.as_ref(), airmass_rules(&self.survey, bands));
        let zenith_rules = width("zenith_fwhm_arcsec", by_band(Band::width_beside_diffraction));
        let zenith = bind(self.zenith_fwhm_arcsec.as_ref(), zenith_rules);
        let delivered = self.fwhm_arcsec.as_ref();
        let delivered = delivered.and_then(|fwhm| bind(Some(fwhm), width("fwhm_arcsec", vec![f64::NAN; bands.len()])));
        let (mut input_fwhm, mut input_image) = (None, None);
        match &self.input_psf {
            Some(InputPsf::FwhmArcsec(fwhm)) => {
                input_fwhm = bind(Some(fwhm), width("input_psf.fwhm_arcsec", vec![0.0; bands.len()]));
            }
            Some(InputPsf::Column(column)) => {
                let found = psf_image_column(input, column, layout);
                input_image = found.map_err(|mistake| mistakes.push(mistake)).ok();
            }
            None => {}
        }
        let scale = layout.pixel_scale_arcsec.filter(|scale| *scale > 0.0);
        if scale.is_none() {
            let mistake = unknown_pixel_scale("image", &self.image);
            mistakes.push(mistake.help("set `pixel_scale_arcsec` in the source, or `psf: off`"));
        }
        let (Some(airmass), Some(zenith), Some(scale), true) = (airmass, zenith, scale, mistakes.is_empty()) else {
            return Err(mistakes);
        };
        let widths = delivered.map_or(PsfWidths::Zenith { zenith, airmass }, PsfWidths::Delivered);
        let kernels = PsfKernels::new(Arc::new(self.survey.clone()), self.psf, layout, scale, widths)
            .with_input(input_fwhm, input_image);
        kernels.check_widths()?;
        Ok(kernels)
    }
}

/// The rules of the airmass, which the blur and the exposure share.
pub(super) fn airmass_rules<'a>(survey: &Survey, bands: &'a [String]) -> QuantityRules<'a> {
    let default = vec![survey.reference_airmass(); bands.len()];
    QuantityRules { key: "airmass", bands, default, off: None, range: 1.0..=40.0 }
}

/// A column of PSF images, checked against the image.
fn psf_image_column(input: &Schema, column: &str, image: &ImageLayout) -> Result<PsfImageColumn, Diagnostic> {
    let key = "input_psf.column";
    let wrong = |message: String| Err(Diagnostic::at(key, Code::WrongColumn, message));
    let layout = image_layout(input, key, column)?;
    if layout.bands.len() != 1 && layout.bands != image.bands {
        let (found, expected) = (quoted_list(&layout.bands), quoted_list(&image.bands));
        return wrong(format!("column `{column}` has the bands {found}; expected {expected}, or one for all"));
    }
    if let (Some(found), Some(expected)) = (layout.pixel_scale_arcsec, image.pixel_scale_arcsec)
        && (found / expected - 1.0).abs() > 1e-3
    {
        return wrong(format!("column `{column}` has pixels of {found}\"; expected those of the image, {expected}\""));
    }
    Ok(PsfImageColumn { column: column.to_owned(), layout })
}
