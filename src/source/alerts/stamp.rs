//! A stamp: a FITS file in a packet, with an image and what is beside it.

use super::packets::Centre;
use crate::{
    batch::Unit,
    fits::{FitsFile, Header},
    source::fits::{
        Fits, Policy,
        companions::VarianceForm,
        cutout::{NonFinite, Placement, non_finite},
        description::{Description, describe, unit_in_words},
        objects::{FileRows, ObjectPlanes},
        pixel_planes::{MissingData, PixelPlanes},
        row_pixels,
    },
    wcs::{SkyPosition, Wcs},
};

/// How far the position of a source may be from the reference position of its stamp to count as the same, degrees: 0.4 mas.
const SAME_POSITION_DEG: f64 = 1e-7;

/// Where a stamp comes from, and how it is read.
pub(super) struct StampSource<'a> {
    pub(super) name: &'a str,
    /// The field of the packet.
    pub(super) field: &'a str,
    pub(super) fits: &'a Fits,
}

/// An open stamp.
pub(super) struct PacketStamp {
    file: FitsFile,
    object: ObjectPlanes,
    description: Description,
}

/// The image column, and the size of its PSF, that a stamp is to become a plane of.
pub(super) struct StampLayout<'a> {
    pub(super) size: [usize; 2],
    pub(super) unit: Unit,
    pub(super) raw_unit: Option<&'a str>,
    pub(super) pixel_scale_arcsec: Option<f64>,
    pub(super) pad: Policy,
    pub(super) middle: [usize; 2],
}

/// The planes of a row that a stamp becomes.
pub(super) struct StampPlanes<'a> {
    pub(super) image: &'a mut [f32],
    pub(super) variance: Option<&'a mut [f32]>,
    pub(super) mask: Option<&'a mut [u64]>,
    pub(super) psf: Option<&'a mut [f32]>,
    /// Rows and columns of the PSF.
    pub(super) psf_size: usize,
}

impl PacketStamp {
    /// Reads the headers of a stamp. The error is the reason why it is not an image.
    pub(super) fn open(source: &StampSource<'_>, bytes: &[u8]) -> Result<Self, String> {
        let read = || {
            let file = FitsFile::from_bytes(source.field, bytes.to_vec(), &source.fits.limits());
            let file = file.map_err(|error| error.reason())?;
            let mut rows = FileRows::of(&file, source.fits, None)?;
            let row = rows.next(&file, source.fits, None).ok_or("has no image")?;
            let object = row.object?;
            if object.image.planes.len() != 1 || row.entry.is_some() || rows.next(&file, source.fits, None).is_some() {
                return Err("has several images, expected one".to_owned());
            }
            let description = describe(&file, source.fits, &object)?;
            Ok(Self { file, object, description })
        };
        read().map_err(|reason| format!("has a stamp `{}` (`{}`) that {reason}", source.name, source.field))
    }

    /// Rows and columns, pixels.
    pub(super) fn shape(&self) -> [usize; 2] {
        self.object.image.shape
    }

    pub(super) fn unit(&self) -> Unit {
        self.description.unit
    }

    pub(super) fn raw_unit(&self) -> Option<&str> {
        self.description.raw_unit.as_deref()
    }

    pub(super) fn pixel_scale_arcsec(&self) -> Option<f64> {
        self.description.pixel_scale_arcsec
    }

    /// The pixel that becomes the middle of the image: row and column. The error is the reason why it is not known.
    pub(super) fn middle(&self, centre: Centre, sky: Option<SkyPosition>) -> Result<[usize; 2], String> {
        let shape = self.shape();
        if centre == Centre::Middle {
            return Ok(shape.map(|length| length / 2));
        }
        let sky = sky.ok_or("has no position of the source, and `centre: source` needs one")?;
        let hdu = self.object.image.planes.first().map_or(0, |plane| plane.hdu);
        let header = &self.file.hdus()[hdu].header;
        let [x, y] = source_pixel(header, sky)?;
        let nearest = |position: f64, length: usize| {
            let nearest = (position + 0.5).floor();
            (nearest >= 0.0 && nearest < length as f64).then_some(nearest as usize)
        };
        match (nearest(y, shape[0]), nearest(x, shape[1])) {
            (Some(y), Some(x)) => Ok([y, x]),
            _ => {
                Err(format!("has the source at y {y:.2}, x {x:.2}, outside of its {} by {} pixels", shape[0], shape[1]))
            }
        }
    }

    /// Reads the stamp into planes. The error is the reason why its pixels are not usable.
    pub(super) fn read(
        &self,
        source: &StampSource<'_>,
        layout: &StampLayout<'_>,
        planes: StampPlanes<'_>,
    ) -> Result<(), String> {
        let Description { unit, raw_unit, pixel_scale_arcsec, scaling, variance_factors, .. } = &self.description;
        if (*unit, raw_unit.as_deref()) != (layout.unit, layout.raw_unit) {
            let found = unit_in_words(*unit, raw_unit.as_deref());
            return Err(format!("has {found}, expected {}", unit_in_words(layout.unit, layout.raw_unit)));
        }
        match (pixel_scale_arcsec, layout.pixel_scale_arcsec) {
            (Some(found), Some(expected)) if (found / expected - 1.0).abs() > 0.01 => {
                return Err(format!("has pixels of {found:.4} arcsec, expected {expected:.4} arcsec"));
            }
            (Some(found), None) => {
                return Err(format!(
                    "has pixels of {found:.4} arcsec, and the first stamp did not say: set `pixel_scale_arcsec`"
                ));
            }
            _ => {}
        }
        let image = &self.object.image;
        let placement = Placement { shape: image.shape, middle: layout.middle, cutout: layout.size };
        let (pads, inside) = (placement.pads(), placement.inside());
        if pads && layout.pad == Policy::Reject {
            let ([height, width], [rows, columns]) = (image.shape, layout.size);
            let [y, x] = layout.middle;
            return Err(format!(
                "has {height} by {width} pixels, too few for {rows} by {columns} about y {y}, x {x}: `pad: fill` would pad it"
            ));
        }
        let StampPlanes { image: pixels, variance, mask, psf, psf_size } = planes;
        let (all, has_companions) = (0..pixels.len(), variance.is_some() || mask.is_some());
        let mut planes = PixelPlanes::new(source.fits.pixel_rules(), pixels, variance, mask);
        row_pixels::read(&self.file, image, planes.image, placement)?;
        if let Some(scaling) = scaling.first() {
            planes.convert_band(all, scaling, source.name, |index| !pads || inside(index))?;
        }
        // What lies outside the stamp is 0 after reading.
        let is_padded =
            source.fits.fill == 0.0 && !has_companions && scaling.first().is_none_or(|scaling| scaling.asinh.is_none());
        if pads && !is_padded {
            planes.pad(inside.clone());
        }
        if let (Some((of_variance, form)), Some(variance)) = (&self.object.variance, &mut planes.variance) {
            if of_variance.shape != image.shape {
                let ([height, width], [rows, columns]) = (of_variance.shape, image.shape);
                return Err(format!("has a variance of {height} by {width} pixels, expected {rows} by {columns}"));
            }
            row_pixels::read(&self.file, of_variance, variance, placement)?;
            let factor = variance_factors.first().copied().unwrap_or(1.0);
            planes
                .convert_variance(*form, |_| factor, inside)
                .map_err(|(_, value)| format!("has a negative {}, {value}", form.name()))?;
        }
        planes.finish().map_err(|missing| self.missing_in_words(&missing))?;
        match (&self.object.psf, psf) {
            (Some(planes), Some(psf)) => {
                if planes.shape.iter().any(|length| *length > psf_size) {
                    let [height, width] = planes.shape;
                    return Err(format!("has a PSF of {height} by {width} pixels, more than `psf_size: {psf_size}`"));
                }
                row_pixels::read(&self.file, planes, psf, Placement::centred(planes.shape, [psf_size; 2]))?;
                let bad = non_finite(psf).map(|found| found.count);
                bad.map_or(Ok(()), |count| Err(format!("has {count} non-finite pixels in its PSF")))
            }
            _ => Ok(()),
        }
    }

    fn missing_in_words(&self, missing: &MissingData) -> String {
        let MissingData { is_variance, found: NonFinite { count, .. }, .. } = missing;
        let is_weight = self.object.variance.as_ref().is_some_and(|(_, form)| *form == VarianceForm::Inverse);
        let what = match (is_variance, is_weight) {
            (true, true) => "pixels of weight 0, or without one",
            (true, false) => "non-finite variance pixels",
            (false, _) => "non-finite pixels",
        };
        format!("has {count} {what}: `nan: fill` would fill them")
    }
}

/// The pixel of a source, x and y, the centre of the first pixel being 0.
///
/// The header of a Rubin stamp has world coordinates without `CTYPE`: their reference is the position of the source, and only there
/// are they exact. Other headers are read as any image of the sky.
fn source_pixel(header: &Header, sky: SkyPosition) -> Result<[f64; 2], String> {
    let wrong = |error: crate::fits::WrongKey| String::from(error);
    if header.text("CTYPE1").is_some() {
        let wcs = Wcs::from_header(header).map_err(|reason| format!("{reason}: set `centre: middle`"))?;
        let pixel = wcs.sky_to_pixel(sky).map_err(|error| format!("shows the source at a position that {error}"))?;
        return Ok([pixel.x, pixel.y]);
    }
    let numbers = |keys: [&str; 2]| -> Result<Option<[f64; 2]>, String> {
        let [one, two] = keys.map(|key| header.number(key).map_err(wrong));
        Ok(one?.zip(two?).map(|(one, two)| [one, two]))
    };
    let (Some([x, y]), Some([ra, dec])) = (numbers(["CRPIX1", "CRPIX2"])?, numbers(["CRVAL1", "CRVAL2"])?) else {
        return Err(
            "does not say which pixel is the source: it has no `CRPIX` and `CRVAL`; set `centre: middle`".into()
        );
    };
    let apart = ((ra - sky.ra_deg) * dec.to_radians().cos()).abs().max((dec - sky.dec_deg).abs());
    if apart > SAME_POSITION_DEG {
        return Err(format!(
            "has the reference position {ra}, {dec} (`CRVAL1`, `CRVAL2`) and no `CTYPE`, and the source is at {}, {}: set \
             `centre: middle`",
            sky.ra_deg, sky.dec_deg
        ));
    }
    Ok([x - 1.0, y - 1.0])
}
