//! The images of a file as parts of the sky, for the source `tiles`: single planes with the planes beside them and what their
//! numbers mean, by the rules of this source.

use super::{
    Fits,
    axes::PlaneSet,
    companions::VarianceForm,
    description::{Description, PlaneScaling, PlaneUnit, describe},
    mask_planes::bad_bits,
    objects::{FileRow, FileRows, ObjectPlanes},
};
use crate::{
    batch::Unit,
    fits::{FitsFile, Header},
};

/// A plane of a file: sections are read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::source) struct PlaneNumber {
    pub(in crate::source) hdu: usize,
    /// Its number in the HDU.
    pub(in crate::source) plane: usize,
}

/// An image of one band.
pub(in crate::source) struct TileImage {
    pub(in crate::source) image: PlaneNumber,
    /// Rows and columns, pixels.
    pub(in crate::source) shape: [usize; 2],
    pub(in crate::source) variance: Option<(PlaneNumber, VarianceForm)>,
    /// The parts of the mask, whose bits follow each other; none without a mask.
    pub(in crate::source) mask: Vec<PlaneNumber>,
    /// The bits of the mask that say that a pixel does not count.
    pub(in crate::source) bad: u64,
    pub(in crate::source) unit: Unit,
    /// The unit as the header writes it, where it is not known.
    pub(in crate::source) raw_unit: Option<String>,
    pub(in crate::source) scaling: PlaneScaling,
    pub(in crate::source) plane_unit: PlaneUnit,
    /// The factor that makes the variance (or its square root, or its inverse) that of the column.
    pub(in crate::source) variance_factor: f64,
    /// The PSF, and its rows and columns.
    pub(in crate::source) psf: Option<(PlaneNumber, [usize; 2])>,
    pub(in crate::source) pixel_scale_arcsec: Option<f64>,
}

/// An HDU with an image.
pub(in crate::source) struct HduImage {
    pub(in crate::source) hdu: usize,
    /// What it is, or why it cannot be used.
    pub(in crate::source) image: Result<TileImage, String>,
}

/// The images of a file, read as objects with one band. The error is the reason why the file has no images.
pub(in crate::source) fn tile_images(file: &FitsFile, settings: &Fits) -> Result<Vec<HduImage>, String> {
    let bands = settings.bands.as_ref();
    let mut rows = FileRows::of(file, settings, bands)?;
    let mut images = Vec::new();
    while let Some(row) = rows.next(file, settings, bands) {
        let hdu = row.hdus.first().copied().unwrap_or(0);
        images.push(HduImage { hdu, image: tile_image(file, settings, &row) });
        if row.entry.is_some() {
            break;
        }
    }
    Ok(images)
}

/// The headers that describe an HDU: its own, then the primary one.
pub(in crate::source) fn headers_of_hdu(file: &FitsFile, hdu: usize) -> impl Iterator<Item = &Header> {
    let own = file.hdus().get(hdu);
    let primary = file.hdus().first().filter(|primary| primary.index != hdu);
    [own, primary].into_iter().flatten().map(|hdu| &hdu.header)
}

fn tile_image(file: &FitsFile, settings: &Fits, row: &FileRow) -> Result<TileImage, String> {
    if row.entry.is_some() {
        return Err("has an axis of objects, expected one image of the sky".into());
    }
    let object = row.object.as_ref().map_err(String::clone)?;
    let Description { unit, raw_unit, scaling, units, variance_factors, pixel_scale_arcsec, .. } =
        describe(file, settings, object)?;
    if unit == Unit::Stretched {
        return Err("has stretched pixels, expected fluxes or counts".into());
    }
    let ObjectPlanes { image, variance, mask, psf, .. } = object;
    let ([scaling], Some(plane_unit)) = (&scaling[..], units.into_iter().next()) else {
        return Err(format!("has {} planes, expected one", scaling.len()));
    };
    let scaling = *scaling;
    let headers: Vec<&Header> = (mask.iter().filter_map(|part| part.planes.first()))
        .filter_map(|plane| file.hdus().get(plane.hdu))
        .map(|hdu| &hdu.header)
        .collect();
    let bad = if mask.is_empty() { 0 } else { bad_bits(settings, &headers)? };
    let variance = variance.as_ref().map(|(planes, form)| Ok::<_, String>((plane_number(planes)?, *form)));
    let psf = psf.as_ref().map(|planes| Ok::<_, String>((plane_number(planes)?, planes.shape)));
    Ok(TileImage {
        psf: psf.transpose()?,
        image: plane_number(image)?,
        shape: image.shape,
        variance: variance.transpose()?,
        mask: mask.iter().map(plane_number).collect::<Result<_, _>>()?,
        bad,
        unit,
        raw_unit,
        scaling,
        plane_unit,
        variance_factor: variance_factors.first().copied().unwrap_or(1.0),
        pixel_scale_arcsec,
    })
}

/// The number of a plane whose pixels follow each other in the file.
fn plane_number(planes: &PlaneSet) -> Result<PlaneNumber, String> {
    let ([height, width], [first]) = (planes.shape, &planes.planes[..]) else {
        return Err(format!("has {} planes, expected one", planes.planes.len()));
    };
    if planes.strides != [width, 1] || first.start % (height * width) != 0 {
        return Err("has axes in another order, expected [y, x] or [band, y, x]".into());
    }
    Ok(PlaneNumber { hdu: first.hdu, plane: first.start / (height * width) })
}
