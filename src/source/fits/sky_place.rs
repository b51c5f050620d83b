//! Where the pixels of an object lie on the sky, by the world coordinates of the header of its first band. Those of other bands have to
//! agree.

use super::{cutout::Placement, objects::ObjectPlanes};
use crate::{
    batch::WorldCoordinates,
    fits::FitsFile,
    wcs::{PixelMatrix, PixelPosition, TangentPlane, Wcs},
};

/// The largest relative difference from the pixel scale of the image.
const SCALE_TOLERANCE: f64 = 0.01;

/// The world coordinates around the centre of a cutout, from those of the image that it is cut from; `first` is the pixel of the
/// image (x, y) that is its first pixel, and `shape` has its rows and columns.
pub(in crate::source) fn of_cutout(wcs: &Wcs, first: [f64; 2], shape: [usize; 2]) -> Result<WorldCoordinates, String> {
    let [height, width] = shape.map(|length| length as f64);
    let centre = PixelPosition { x: first[0] + (width - 1.0) / 2.0, y: first[1] + (height - 1.0) / 2.0 };
    let TangentPlane { centre, matrix_deg } = wcs
        .tangent_plane(centre, width.max(height) / 2.0)
        .map_err(|error| format!("has a centre on the sky that {error}"))?;
    Ok(WorldCoordinates { ra_deg: centre.ra_deg, dec_deg: centre.dec_deg, matrix_deg })
}

/// The world coordinates of an HDU, or of the first of its file; `None` if neither has any.
fn wcs_of(file: &FitsFile, hdu: usize) -> Result<Option<Wcs>, String> {
    let own = file.hdus().get(hdu);
    let primary = file.file_of(hdu).first().filter(|primary| primary.index != hdu);
    let mut headers = [own, primary].into_iter().flatten().map(|hdu| &hdu.header);
    headers.find(|header| matches!(PixelMatrix::of(header), Ok(Some(_)))).map(Wcs::from_header).transpose()
}

/// The largest distance of a pixel of a band from the same pixel of the first one.
const BAND_TOLERANCE_PIXELS: f64 = 1.0;

/// Refuses a band whose pixels lie elsewhere on the sky than those of the first one.
fn check_band(wcs: &Wcs, other: &Wcs, [x, y]: [f64; 2], [height, width]: [usize; 2]) -> Result<(), String> {
    let half = (height.max(width) - 1) as f64 / 2.0;
    let centre = PixelPosition { x: x + half, y: y + half };
    match wcs.warp_to(centre, other, centre, half) {
        Some(warp) if warp <= BAND_TOLERANCE_PIXELS => Ok(()),
        Some(warp) => Err(format!(
            "has bands whose pixels lie up to {warp:.1} pixels off each other by their world coordinates, expected at most \
             {BAND_TOLERANCE_PIXELS} with `wcs: true`"
        )),
        None => Err("has bands without common pixels by their world coordinates, which `wcs: true` keeps".into()),
    }
}

/// Those of an object in files; the error is the reason why they are not known.
pub(super) fn of_object(
    file: &FitsFile,
    object: &ObjectPlanes,
    shape: [usize; 2],
    pixel_scale_arcsec: Option<f64>,
) -> Result<WorldCoordinates, String> {
    let mut hdus = object.image.planes.iter().map(|plane| plane.hdu);
    let hdu = hdus.next().unwrap_or(0);
    let wcs = wcs_of(file, hdu)?.ok_or("has no world coordinates, which `wcs: true` asks for")?;
    let placement = Placement::centred(object.image.shape, shape);
    if object.image.strides != [object.image.shape[1], 1] {
        return Err("has its axes in another order than [band, y, x]: its world coordinates are not read".into());
    }
    let [y, x] = [0, 1].map(|axis| placement.middle[axis] as f64 - (shape[axis] / 2) as f64);
    for other in hdus.filter(|other| *other != hdu) {
        if let Some(other) = wcs_of(file, other)? {
            check_band(&wcs, &other, [x, y], shape)?;
        }
    }
    let found = of_cutout(&wcs, [x, y], shape)?;
    let scale = found.pixel_scale_arcsec();
    let Some(expected) = pixel_scale_arcsec else { return Ok(found) };
    // False for NaN too.
    let agrees = (scale / expected - 1.0).abs() <= SCALE_TOLERANCE;
    if agrees {
        return Ok(found);
    }
    Err(format!(
        "has pixels of {scale:.5} arcsec at its centre by its world coordinates, expected {expected:.5}: `wcs: true` needs \
         world coordinates that agree with the pixel scale"
    ))
}
