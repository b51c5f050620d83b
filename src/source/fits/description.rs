//! The unit and the pixel scale of an object, by its headers and the settings.

use super::{Fits, objects::ObjectPlanes, pixel_scale::pixel_scale_arcsec, units};
use crate::{
    batch::Unit,
    fits::{self, Header},
};

/// What the pixels of an object mean.
pub(super) struct Description {
    pub unit: Unit,
    /// The unit as the headers write it, where it is not a known unit of flux.
    pub raw_unit: Option<String>,
    /// Factors that convert the pixels of each band to `unit`.
    pub factors: Vec<f64>,
    pub pixel_scale_arcsec: Option<f64>,
}

/// Describes an object; the error is the reason why its headers are not usable.
pub(super) fn describe(file: &fits::FitsFile, settings: &Fits, object: &ObjectPlanes) -> Result<Description, String> {
    let primary = file.hdus().first().map(|hdu| &hdu.header);
    let headers = |hdu: usize| [file.hdus().get(hdu).map(|hdu| &hdu.header), primary].into_iter().flatten();
    let bands = object.bands.len();
    let first = object.image.planes.first().map_or(0, |plane| plane.hdu);
    let pixel_scale_arcsec = match settings.pixel_scale_arcsec {
        Some(scale) => Some(scale),
        None => pixel_scale_arcsec(&headers(first).collect::<Vec<&Header>>())?,
    };
    if let Some(points) = &settings.zero_point {
        if points.len() != 1 && points.len() != bands {
            let expected = points.len();
            return Err(format!("has {bands} bands, expected {expected}, the number of zero points"));
        }
        let factors = (0..bands).map(|band| units::njy_per_count(points[band.min(points.len() - 1)])).collect();
        return Ok(Description { unit: Unit::NanoJansky, raw_unit: None, factors, pixel_scale_arcsec });
    }
    let unit = |hdu: usize| settings.unit.clone().or_else(|| headers(hdu).find_map(|header| header.text("BUNIT")));
    let named: Vec<Option<String>> = object.image.planes.iter().map(|plane| unit(plane.hdu)).collect();
    let factors: Vec<Option<f64>> = named.iter().map(|unit| unit.as_deref().and_then(units::njy_in)).collect();
    if let Some(factors) = factors.iter().copied().collect::<Option<Vec<f64>>>() {
        return Ok(Description { unit: Unit::NanoJansky, raw_unit: None, factors, pixel_scale_arcsec });
    }
    if named.windows(2).any(|pair| pair[0] != pair[1]) {
        let units = named.iter().map(|unit| quoted_unit(unit.as_deref())).collect::<Vec<_>>().join(", ");
        return Err(format!("has bands in different units: {units}"));
    }
    let raw_unit = named.into_iter().next().flatten();
    Ok(Description { unit: Unit::Unknown, raw_unit, factors: vec![1.0; bands], pixel_scale_arcsec })
}

/// A unit of pixels, for messages.
pub(super) fn unit_in_words(unit: Unit, raw_unit: Option<&str>) -> String {
    match raw_unit {
        _ if unit == Unit::NanoJansky => "a unit of flux".into(),
        Some(_) => format!("the unit {}", quoted_unit(raw_unit)),
        None => quoted_unit(None),
    }
}

/// The content of `BUNIT`.
fn quoted_unit(raw_unit: Option<&str>) -> String {
    raw_unit.map_or_else(|| "no `BUNIT`".into(), |unit| format!("`{}`", unit.escape_debug()))
}
