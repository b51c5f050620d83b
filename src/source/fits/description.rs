//! What the numbers of an object mean, by its headers and the settings: unit, scaling, pixel scale.

use super::{
    Fits,
    axes::{PlaneIndex, PlaneSet},
    companions::VarianceForm,
    objects::ObjectPlanes,
    pixel_scale::pixel_scale_arcsec,
    psf_pixels::PsfPixels,
    units::{Measure, PixelUnit},
    zero_point::{self, CountScale, Photometry},
};
use crate::{
    batch::{Stretch, Unit},
    fits::{self, ELECTRONS_KEY, Header, STRETCH_KEYS},
};

/// The factor of Pogson's law that Pan-STARRS stacks are scaled with: 2.5 / ln 10.
const POGSON: f64 = 2.5 * std::f64::consts::LOG10_E;
/// The largest relative difference of two areas of a pixel that count as equal.
const AREA_TOLERANCE: f64 = 0.02;
/// The largest relative difference of two sides of a pixel that count as equal.
const SCALE_TOLERANCE: f64 = 0.01;
/// Square arcsec in a steradian.
const ARCSEC2_IN_SR: f64 = (648_000.0 / std::f64::consts::PI) * (648_000.0 / std::f64::consts::PI);

/// What the pixels of an object mean.
pub(in crate::source) struct Description {
    pub unit: Unit,
    /// The unit as the headers write it, where it is not known.
    pub raw_unit: Option<String>,
    /// How the numbers of each band become those of the column.
    pub scaling: Vec<PlaneScaling>,
    /// The unit of each band.
    pub units: Vec<PlaneUnit>,
    /// The factors that make the variance of each band (or its square root, or its inverse) that of the column.
    pub variance_factors: Vec<f64>,
    pub pixel_scale_arcsec: Option<f64>,
    /// The pixels of the PSF, where it is read.
    pub(super) psf_pixels: Option<PsfPixels>,
    /// The constants of the stretch, in a file that lucarne wrote.
    pub stretch: Option<Stretch>,
    /// Electrons per nJy of each band, in a file that lucarne wrote.
    pub electrons_per_njy: Option<Vec<f64>>,
}

impl Description {
    /// The shape of a PSF in pixels of the image, given its own.
    pub(super) fn psf_shape(&self, shape: [usize; 2]) -> Result<[usize; 2], String> {
        self.psf_pixels.map_or(Ok(shape), |pixels| pixels.shape(shape))
    }
}

/// How the stored numbers of a plane become those of the column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::source) struct PlaneScaling {
    pub asinh: Option<AsinhScaling>,
    /// A number that stands for no data: `BLANK` of an image of floats, which the standard does not provide for.
    pub blank: Option<f32>,
    pub factor: f64,
}

/// The scaling of Pan-STARRS stacks, whose numbers are asinh magnitudes: flux = `BOFFSET` + 2 `BSOFTEN` sinh(number ln 10 / 2.5)
/// (Waters et al. 2020, ApJS 251, 4, section 3.4).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::source) struct AsinhScaling {
    offset: f64,
    softening: f64,
}

impl AsinhScaling {
    fn of(header: &Header) -> Result<Option<Self>, String> {
        match (header.number("BOFFSET")?, header.number("BSOFTEN")?) {
            (Some(offset), Some(softening)) => Ok(Some(Self { offset, softening })),
            (None, None) => Ok(None),
            (Some(_), None) => Err("has key `BOFFSET` without `BSOFTEN`, expected both or neither".into()),
            (None, Some(_)) => Err("has key `BSOFTEN` without `BOFFSET`, expected both or neither".into()),
        }
    }

    /// The counts of a stored number.
    pub(super) fn counts(self, number: f64) -> f64 {
        self.offset + 2.0 * self.softening * (number / POGSON).sinh()
    }
}

/// The unit of a plane, what it measures, and the factor that makes its numbers those of the column.
#[derive(Clone)]
pub(in crate::source) struct PlaneUnit {
    /// As the header writes it.
    text: Option<String>,
    measure: Option<Measure>,
    unit: Unit,
    factor: f64,
}

/// The headers of an object, and what it is described by.
struct Context<'a> {
    file: &'a fits::FitsFile,
    settings: &'a Fits,
    pixel_scale_arcsec: Option<f64>,
}

/// Describes an object; the error is the reason why its headers are not usable.
pub(in crate::source) fn describe(
    file: &fits::FitsFile,
    settings: &Fits,
    object: &ObjectPlanes,
) -> Result<Description, String> {
    let mut context = Context { file, settings, pixel_scale_arcsec: None };
    let first = object.image.planes.first().map_or(0, |plane| plane.hdu);
    context.pixel_scale_arcsec = match settings.pixel_scale_arcsec {
        Some(scale) => Some(scale),
        None => context.pixel_scale_of_all_bands(object)?,
    };
    let bands = object.bands.len();
    for (name, setting) in settings.photometry() {
        if setting.count() != 1 && setting.count() != bands {
            return Err(format!("has {bands} bands, expected {}, the number of values of `{name}`", setting.count()));
        }
    }
    let is_one_for_all = settings.photometry().all(|(_, setting)| setting.count() == 1);
    let (mut planes, mut scaling): (Vec<PlaneUnit>, Vec<PlaneScaling>) = (Vec::new(), Vec::new());
    for (band, plane) in object.image.planes.iter().enumerate() {
        // The planes of a cube share their header.
        let is_same = band > 0 && is_one_for_all && object.image.planes[band - 1].hdu == plane.hdu;
        let unit = if is_same { planes[band - 1].clone() } else { context.unit(object, band)? };
        scaling.push(if is_same { scaling[band - 1] } else { context.scaling(plane.hdu, &unit)? });
        planes.push(unit);
    }
    let (unit, raw_unit) = common_unit(&planes)?;
    let variance_factors = match &object.variance {
        None => Vec::new(),
        Some((variance, form)) => (variance.planes.iter().zip(planes.iter().zip(&scaling)))
            .map(|(plane, (image, scaling))| {
                if scaling.asinh.is_some() {
                    return Err("has a variance beside an image of asinh magnitudes (key `BSOFTEN`)".into());
                }
                // The unit of the primary HDU is that of the image.
                let header = file.hdus().get(plane.hdu).filter(|hdu| hdu.index > 0).map(|hdu| &hdu.header);
                context.variance_factor((plane.hdu, header), *form, image)
            })
            .collect::<Result<Vec<_>, String>>()?,
    };
    let mut psf_pixels = None;
    for psf in object.psf.iter().flat_map(|psf| &psf.planes) {
        let found = context.psf_pixels(psf.hdu)?;
        if *psf_pixels.get_or_insert(found) != found {
            return Err("has PSFs with other pixels in other bands".into());
        }
    }
    if let (Some(psf), Some(Some(pixels))) = (&object.psf, psf_pixels) {
        pixels.shape(psf.shape)?;
    }
    let pixel_scale_arcsec = context.pixel_scale_arcsec;
    let header = file.hdus().get(first).map(|hdu| &hdu.header);
    let number = |key: &str| header.map_or(Ok(None), |header| header.number(key));
    let [lo, hi] = STRETCH_KEYS.map(number);
    let stretch = lo?.zip(hi?).filter(|_| unit == Unit::Stretched).map(|(lo, hi)| Stretch { lo, hi });
    let electrons = |planes: &PlaneSet| {
        let of_band = |plane: &PlaneIndex| number(&format!("{ELECTRONS_KEY}{}", plane.start / planes.span() + 1));
        planes.planes.iter().map(of_band).collect::<Result<Option<Vec<f64>>, _>>()
    };
    let electrons_per_njy = if unit == Unit::Electron { electrons(&object.image)? } else { None };
    let units = planes;
    Ok(Description {
        unit,
        raw_unit,
        scaling,
        units,
        variance_factors,
        pixel_scale_arcsec,
        psf_pixels: psf_pixels.flatten(),
        stretch,
        electrons_per_njy,
    })
}

/// The factor of a variance that is in an HDU of another file than its image, as [`Description::variance_factors`] has it.
pub(in crate::source) fn variance_factor_in(
    file: &fits::FitsFile,
    (hdu, form): (usize, VarianceForm),
    image: &PlaneUnit,
    pixel_scale_arcsec: Option<f64>,
) -> Result<f64, String> {
    let settings = Fits::new(Vec::<String>::new());
    let context = Context { file, settings: &settings, pixel_scale_arcsec };
    context.variance_factor((hdu, file.hdus().get(hdu).map(|hdu| &hdu.header)), form, image)
}

/// Refuses a PSF in a file of its own whose pixels are not those of its image.
pub(in crate::source) fn check_psf_in(
    file: &fits::FitsFile,
    hdu: usize,
    pixel_scale_arcsec: f64,
) -> Result<(), String> {
    let settings = Fits::new(Vec::<String>::new());
    let context = Context { file, settings: &settings, pixel_scale_arcsec: Some(pixel_scale_arcsec) };
    context.psf_pixels(hdu)?.map_or(Ok(()), PsfPixels::check_equal)
}

/// The unit of all bands.
fn common_unit(planes: &[PlaneUnit]) -> Result<(Unit, Option<String>), String> {
    let raw = |plane: &PlaneUnit| if plane.unit == Unit::Unknown { plane.text.clone() } else { None };
    let key = |plane: &PlaneUnit| (plane.unit, raw(plane));
    let first = planes.first().map_or((Unit::Unknown, None), key);
    if planes.iter().any(|plane| key(plane) != first) {
        let units = planes.iter().map(|plane| quoted_unit(plane.text.as_deref())).collect::<Vec<_>>().join(", ");
        return Err(format!("has bands in different units: {units}"));
    }
    Ok(first)
}

impl<'a> Context<'a> {
    /// The headers of an HDU: its own, then the primary one.
    fn headers(&self, hdu: usize) -> Vec<&'a Header> {
        let own = self.file.hdus().get(hdu).map(|hdu| &hdu.header);
        let primary = self.file.file_of(hdu).first().filter(|primary| primary.index != hdu).map(|hdu| &hdu.header);
        [own, primary].into_iter().flatten().collect()
    }

    /// The pixel scale of the bands, which must be one.
    fn pixel_scale_of_all_bands(&self, object: &ObjectPlanes) -> Result<Option<f64>, String> {
        let mut all: Option<Option<f64>> = None;
        let mut last = None;
        for (plane, band) in object.image.planes.iter().zip(&object.bands) {
            if last.replace(plane.hdu) == Some(plane.hdu) {
                continue;
            }
            let found = pixel_scale_arcsec(&self.headers(plane.hdu))?;
            let first = *all.get_or_insert(found);
            let is_same = match (found, first) {
                (Some(found), Some(first)) => (found / first - 1.0).abs() <= SCALE_TOLERANCE,
                (found, first) => found == first,
            };
            if !is_same {
                let shown = |scale: Option<f64>| match scale {
                    None => "an unknown pixel scale".to_owned(),
                    Some(scale) => format!("a pixel scale of {scale} arcsec"),
                };
                let (band, first_band) = (band.escape_debug(), object.bands[0].escape_debug());
                return Err(format!(
                    "has {} in band `{band}`, expected {} as in band `{first_band}`: set `pixel_scale_arcsec` if they are \
                     the same",
                    shown(found),
                    shown(first)
                ));
            }
        }
        Ok(all.flatten())
    }

    fn scaling(&self, hdu: usize, unit: &PlaneUnit) -> Result<PlaneScaling, String> {
        let Some(header) = self.file.hdus().get(hdu).map(|hdu| &hdu.header) else {
            return Ok(PlaneScaling { asinh: None, blank: None, factor: unit.factor });
        };
        let bitpix = if header.get("ZBITPIX").is_some() { "ZBITPIX" } else { "BITPIX" };
        let is_float = header.integer(bitpix)?.is_some_and(|bits| bits < 0);
        let blank = header.get("BLANK").filter(|_| is_float).and_then(|value| value.to_number());
        let asinh = AsinhScaling::of(header)?;
        Ok(PlaneScaling { asinh, blank: blank.map(|blank| blank as f32), factor: unit.factor })
    }

    /// The unit of a band of an object.
    fn unit(&self, object: &ObjectPlanes, band: usize) -> Result<PlaneUnit, String> {
        let hdu = object.image.planes[band].hdu;
        let headers = self.headers(hdu);
        let settings = self.settings;
        let in_header = headers.iter().find_map(|header| header.text("BUNIT"));
        let text = settings.unit.clone().or(in_header);
        let parsed = text.as_deref().and_then(PixelUnit::parse).filter(|unit| unit.power == 1);
        let measure = parsed.map(|unit| unit.measure);
        let unit = |unit, factor| PlaneUnit { text: text.clone(), measure, unit, factor };
        let by_unit = match measure {
            Some(Measure::Flux { njy }) => Some(njy),
            Some(Measure::SurfaceBrightness { njy_per_arcsec2 }) => Some(njy_per_arcsec2 * self.pixel_area(&headers)?),
            _ => None,
        };
        if let Some((name, setting)) = settings.photometry().next() {
            let photometry = if name == "zero_point" { Photometry::ZeroPoint } else { Photometry::FluxAtZero };
            let scale = zero_point::of_settings(setting, photometry, band, &headers)?;
            // A unit in the settings says that the header does not count.
            if settings.unit.is_none() {
                self.check_scale(&scale, by_unit, text.as_deref(), &headers)?;
            }
            return Ok(unit(Unit::NanoJansky, scale.njy));
        }
        if let Some(njy) = by_unit {
            return Ok(unit(Unit::NanoJansky, njy));
        }
        let is_counts = matches!(measure, Some(Measure::Counts | Measure::Electrons { .. })) || text.is_none();
        if is_counts
            && settings.unit.is_none()
            && let Some(scale) = zero_point::of_headers(&headers)?
        {
            return Ok(unit(Unit::NanoJansky, scale.njy));
        }
        Ok(match measure {
            Some(Measure::Electrons { electrons }) => unit(Unit::Electron, electrons),
            _ if text.as_deref() == Some(Unit::Stretched.name()) => unit(Unit::Stretched, 1.0),
            _ => unit(Unit::Unknown, 1.0),
        })
    }

    /// Compares a scale of the settings with what the headers say.
    fn check_scale(
        &self,
        scale: &CountScale,
        by_unit: Option<f64>,
        text: Option<&str>,
        headers: &[&Header],
    ) -> Result<(), String> {
        const HELP: &str = "`unit: adu` if the header is wrong";
        let origin = &scale.origin;
        if by_unit.is_some_and(|njy| !zero_point::agree(njy, scale.njy)) {
            let unit = quoted_unit(text);
            return Err(format!("has the unit {unit}, but other fluxes by {origin}: leave it out, or set {HELP}"));
        }
        if by_unit.is_none()
            && let Some(found) =
                zero_point::of_headers(headers)?.filter(|found| !zero_point::agree(found.njy, scale.njy))
        {
            return Err(format!("has the zero point of {}, expected that of {origin}: set {HELP}", found.origin));
        }
        Ok(())
    }

    /// How the pixels of a PSF compare with those of the image; `None` without a header.
    fn psf_pixels(&self, hdu: usize) -> Result<Option<PsfPixels>, String> {
        let header = self.file.hdus().get(hdu).map(|hdu| &hdu.header);
        header.map(|header| PsfPixels::of(header, self.pixel_scale_arcsec)).transpose()
    }

    /// The area of a pixel, square arcsec.
    fn pixel_area(&self, headers: &[&Header]) -> Result<f64, String> {
        let number = |key: &str| headers.iter().find_map(|header| header.number(key).transpose()).transpose();
        let by_key = match (number("PIXAR_A2")?, number("PIXAR_SR")?) {
            (Some(arcsec2), _) => Some((arcsec2, "PIXAR_A2")),
            (None, Some(sr)) => Some((sr * ARCSEC2_IN_SR, "PIXAR_SR")),
            (None, None) => None,
        };
        let by_scale = self.pixel_scale_arcsec.map(|side| side * side);
        match (by_key, by_scale) {
            (Some((area, key)), Some(expected)) if (area / expected - 1.0).abs() > AREA_TOLERANCE => Err(format!(
                "has pixels of {area:.4} square arcsec by key `{key}`, and of {expected:.4} by their sides: set `unit`"
            )),
            (Some((area, _)), _) if area > 0.0 => Ok(area),
            (Some((area, key)), _) => Err(format!("has pixels of {area} square arcsec by key `{key}`")),
            (None, Some(area)) => Ok(area),
            (None, None) => {
                Err("is in units of surface brightness without the area of a pixel (key `PIXAR_SR` or world \
                                 coordinates): set `pixel_scale_arcsec`"
                    .into())
            }
        }
    }

    /// The factor f that makes a number of a variance plane that of the column, as the unit of the plane says: f^2 for a variance,
    /// f^2 for the square of a sigma, f^2 for the inverse of a weight.
    fn variance_factor(
        &self,
        (hdu, header): (usize, Option<&Header>),
        form: VarianceForm,
        image: &PlaneUnit,
    ) -> Result<f64, String> {
        let Some(text) = header.and_then(|header| header.text("BUNIT")) else { return Ok(image.factor) };
        let power = match form {
            VarianceForm::Variance | VarianceForm::Unsaid => 2,
            VarianceForm::Sigma => 1,
            VarianceForm::Inverse => -2,
        };
        let image_text = image.text.as_deref();
        // Many writers copy the unit of the image.
        if image_text.is_some_and(|unit| unit == text) {
            return Ok(image.factor);
        }
        let found = PixelUnit::parse(&text).filter(|unit| unit.power == power).map(|unit| unit.measure);
        let same_as_image = match (found, image.measure) {
            (Some(found), Some(image)) => found == image,
            (Some(found), None) => image_text.is_none() && found == Measure::Counts,
            // A unit that is not known, and its square.
            (None, _) => image_text.is_some_and(|unit| text.starts_with(unit)),
        };
        let factor = match found {
            _ if same_as_image => Some(image.factor),
            Some(Measure::Flux { njy }) if image.unit == Unit::NanoJansky => Some(njy),
            Some(Measure::SurfaceBrightness { njy_per_arcsec2 }) if image.unit == Unit::NanoJansky => {
                Some(njy_per_arcsec2 * self.pixel_area(&self.headers(hdu))?)
            }
            Some(Measure::Electrons { electrons }) if image.unit == Unit::Electron => Some(electrons),
            _ => None,
        };
        factor.ok_or_else(|| {
            let (what, is) = match form {
                VarianceForm::Variance | VarianceForm::Unsaid => ("variance", "the square of"),
                VarianceForm::Sigma => ("standard deviation", ""),
                VarianceForm::Inverse => ("inverse variance", "one over the square of"),
            };
            let (text, image) = (text.escape_debug(), quoted_unit(image_text));
            format!(
                "has a {what} in `{text}`, expected {is}{}the unit of the image, {image}",
                if is.is_empty() { "" } else { " " }
            )
        })
    }
}

/// The unit of a column of images in a unit without a zero point, and how it is written where it is not known.
pub(in crate::source) fn column_unit(text: &str) -> (Unit, Option<String>) {
    match PixelUnit::parse(text).filter(|unit| unit.power == 1).map(|unit| unit.measure) {
        Some(Measure::Flux { .. }) => (Unit::NanoJansky, None),
        Some(Measure::Electrons { .. }) => (Unit::Electron, None),
        _ => (Unit::Unknown, Some(text.to_owned())),
    }
}

/// A unit of pixels, for messages.
pub(in crate::source) fn unit_in_words(unit: Unit, raw_unit: Option<&str>) -> String {
    match (unit, raw_unit) {
        (Unit::NanoJansky, _) => "a unit of flux".into(),
        (Unit::Unknown, None) => quoted_unit(None),
        (Unit::Unknown, raw) => format!("the unit {}", quoted_unit(raw)),
        (unit, _) => format!("the unit `{}`", unit.name()),
    }
}

/// The content of `BUNIT`.
fn quoted_unit(raw_unit: Option<&str>) -> String {
    raw_unit.map_or_else(|| "no `BUNIT`".into(), |unit| format!("`{}`", unit.escape_debug()))
}
