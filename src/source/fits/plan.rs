//! What the settings and the first fitting header settle: the schema, and what every row is held to.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::{
    Companion, Fits, catalogue,
    objects::{Found, Object, objects},
    units,
};
use crate::{
    batch::{self, ImageLayout, Unit},
    error::{Code, Diagnostic},
    fits::{self, CardValue as Value, Header, Limits},
};

/// Names of the columns of pixels.
pub(super) const IMAGE: &str = "image";
const VARIANCE: &str = "image_variance";
const MASK: &str = "image_mask";
const PSF: &str = "image_psf";
/// Relative difference of pixel scales that still are one.
const SCALE_TOLERANCE: f64 = 0.01;
/// Files whose headers decide the types of columns.
const FILES_FOR_TYPES: usize = 64;

/// All that rows are read by.
pub(super) struct Plan {
    pub settings: Fits,
    pub limits: Limits,
    pub files: Vec<PathBuf>,
    pub image: ImageLayout,
    /// The unit as the headers write it, where it is none that is known.
    pub raw_unit: Option<String>,
    pub psf: Option<ImageLayout>,
    pub columns: Vec<HeaderColumn>,
    pub catalogue: Option<catalogue::Loaded>,
    pub schema: SchemaRef,
}

/// A column from a header key.
pub(super) struct HeaderColumn {
    pub name: String,
    pub key: String,
    pub kind: DataType,
}

/// What the headers of an object say of its pixels.
pub(super) struct Description {
    pub unit: Unit,
    pub raw_unit: Option<String>,
    /// What the pixels of each band are multiplied with.
    pub factors: Vec<f64>,
    pub pixel_scale_arcsec: Option<f64>,
}

/// Mistakes that the settings alone show.
pub(super) fn mistakes(settings: &Fits) -> Vec<Diagnostic> {
    let mut mistakes = Vec::new();
    let mut say =
        |key: &str, code, message: String, help: &str| mistakes.push(Diagnostic::at(key, code, message).help(help));
    if settings.paths.is_empty() {
        say("paths", Code::MissingKey, "no files are named".into(), "name files, folders or patterns");
    }
    if let Some(bands) = &settings.bands {
        let distinct: HashSet<&String> = bands.iter().collect();
        if bands.is_empty() || distinct.len() != bands.len() {
            say("bands", Code::OutOfRange, "bands have to be one or more different names".into(), "`bands: [g, r, i]`");
        }
        if bands.iter().any(|band| band.is_empty() || band.contains(',')) {
            say("bands", Code::OutOfRange, "a band is a name without commas".into(), "`bands: [g, r, i]`");
        }
        let count = settings.zero_point.as_ref().map_or(1, Vec::len);
        if count != 1 && count != bands.len() {
            let message = format!("{count} zero points for {} bands", bands.len());
            say("zero_point", Code::OutOfRange, message, "one for each band, or one for all");
        }
    }
    if settings
        .zero_point
        .as_ref()
        .is_some_and(|points| points.is_empty() || points.iter().any(|point| !point.is_finite()))
    {
        say(
            "zero_point",
            Code::OutOfRange,
            "zero points have to be numbers".into(),
            "one for each band, or one for all",
        );
    }
    if settings.unit.is_some() && settings.zero_point.is_some() {
        say("unit", Code::Conflict, "`unit` and `zero_point` both say what the pixels are".into(), "leave one out");
    }
    if settings.pixel_scale_arcsec.is_some_and(|scale| !(scale.is_finite() && scale > 0.0)) {
        say(
            "pixel_scale_arcsec",
            Code::OutOfRange,
            "a pixel has a side of more than 0 arcsec".into(),
            "the side of a pixel on the sky",
        );
    }
    if settings.size == Some(0) {
        say("size", Code::OutOfRange, "an image has at least one pixel".into(), "the side of the images in pixels");
    }
    if settings.mask_bits.is_some() && settings.masked.is_none() {
        say(
            "mask_bits",
            Code::Conflict,
            "`mask_bits` means nothing without `masked`".into(),
            "`masked: reject` or `masked: fill`",
        );
    }
    let mut names: HashSet<&str> = HashSet::from([IMAGE, VARIANCE, MASK, PSF]);
    let own = [(batch::LABEL, &settings.label), (batch::RA, &settings.ra), (batch::DEC, &settings.dec)];
    names.extend(own.iter().filter(|(_, key)| key.is_some()).map(|(name, _)| *name));
    let headers = settings.columns.keys().map(|name| (format!("columns.{name}"), name, false));
    let table = settings.catalogue.iter().flat_map(|catalogue| catalogue.columns.keys());
    for (key, name, joined) in headers.chain(table.map(|name| (format!("catalogue.columns.{name}"), name, true))) {
        let allowed = joined && [batch::LABEL, batch::RA, batch::DEC].contains(&name.as_str());
        let mut letters = name.chars();
        let identifier = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
            && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        if !identifier || (batch::RESERVED.contains(&name.as_str()) && !allowed) {
            say(
                &key,
                Code::BadLabel,
                format!("`{name}` cannot be the name of a column"),
                "letters, digits and `_`, and none of the names that have a setting of their own",
            );
        } else if !names.insert(name) {
            say(&key, Code::DuplicateLabel, format!("two columns are called `{name}`"), "columns have different names");
        }
    }
    mistakes
}

impl Plan {
    pub(super) fn new(settings: Fits, files: Vec<PathBuf>) -> Result<Self, Vec<Diagnostic>> {
        let catalogue = settings.catalogue.as_ref().map(super::Catalogue::load).transpose()?;
        let limits = settings.limits();
        let mut columns: Vec<HeaderColumn> = (settings.columns.iter())
            .map(|(name, key)| HeaderColumn { name: name.clone(), key: key.clone(), kind: DataType::Null })
            .collect();
        let mut first: Option<(Object, Description)> = None;
        let mut reason = None;
        for (number, path) in files.iter().enumerate() {
            if first.is_some() && (columns.is_empty() || number >= FILES_FOR_TYPES) {
                break;
            }
            let probed = fits::FitsFile::open(path, &limits).map_err(|error| error.reason()).and_then(|file| {
                probe(&file, &settings, &mut columns).map(|(object, description)| {
                    first.get_or_insert((object, description));
                })
            });
            if let Err(why) = probed {
                reason.get_or_insert(format!("`{}` {why}", path.display()));
            }
        }
        for column in &mut columns {
            if column.kind == DataType::Null {
                column.kind = DataType::Utf8;
            }
        }
        let (image, raw_unit, psf) = match first {
            Some((object, description)) => settle(&settings, &object, description)?,
            None => (settled_by_settings(&settings, files.len(), reason)?, None, None),
        };
        let schema = schema(&settings, &image, psf.as_ref(), &columns, catalogue.as_ref())?;
        Ok(Self { limits, settings, files, image, raw_unit, psf, columns, catalogue, schema })
    }
}

/// The first object of a file that fits the settings; the types of columns are learnt on the way.
fn probe(
    file: &fits::FitsFile,
    settings: &Fits,
    columns: &mut [HeaderColumn],
) -> Result<(Object, Description), String> {
    let mut reason = None;
    for found in objects(file, settings, settings.bands.as_deref())? {
        let described = found
            .object
            .as_ref()
            .map_err(String::clone)
            .and_then(|object| describe(file, settings, object).map(|description| (object.clone(), description)));
        match described {
            Ok(described) => {
                for column in columns.iter_mut() {
                    let value = headers(file, &found).find_map(|header| header.get(&column.key));
                    column.kind = widened(&column.kind, value.as_ref());
                }
                return Ok(described);
            }
            Err(why) => {
                reason.get_or_insert(why);
            }
        }
    }
    Err(reason.unwrap_or_else(|| "holds no object".into()))
}

/// The headers that speak of an object: that of its first unit, then the primary one.
pub(super) fn headers<'a>(file: &'a fits::FitsFile, found: &Found) -> impl Iterator<Item = &'a Header> + use<'a> {
    let own = found.hdus.first().and_then(|hdu| file.hdus().get(*hdu));
    let primary = file.hdus().first().filter(|primary| own.is_some_and(|own| own.index != primary.index));
    [own, primary].into_iter().flatten().map(|hdu| &hdu.header)
}

/// The type that holds what a column had so far and a value more.
fn widened(kind: &DataType, value: Option<&Value>) -> DataType {
    let found = match value {
        None => return kind.clone(),
        Some(Value::Text(_)) => DataType::Utf8,
        Some(Value::Logical(_)) => DataType::Boolean,
        Some(Value::Integer(_)) => DataType::Int64,
        Some(Value::Real(_)) => DataType::Float64,
    };
    match (kind, &found) {
        (DataType::Null, _) => found,
        (DataType::Int64 | DataType::Float64, DataType::Int64 | DataType::Float64) if *kind != found => {
            DataType::Float64
        }
        _ if *kind == found => found,
        _ => DataType::Utf8,
    }
}

/// Unit and pixel scale of an object.
pub(super) fn describe(file: &fits::FitsFile, settings: &Fits, object: &Object) -> Result<Description, String> {
    let primary = file.hdus().first().map(|hdu| &hdu.header);
    let header = |hdu: usize| [file.hdus().get(hdu).map(|hdu| &hdu.header), primary].into_iter().flatten();
    let bands = object.bands.len();
    let first = object.image.planes.first().map_or(0, |plane| plane.hdu);
    let pixel_scale_arcsec = match settings.pixel_scale_arcsec {
        Some(scale) => Some(scale),
        None => units::pixel_scale_arcsec(&header(first).collect::<Vec<_>>())?,
    };
    if let Some(points) = &settings.zero_point {
        if points.len() != 1 && points.len() != bands {
            return Err(format!("has {bands} bands, expected {}, as many as there are zero points", points.len()));
        }
        let factors = (0..bands).map(|band| units::from_zero_point(points[band.min(points.len() - 1)])).collect();
        return Ok(Description { unit: Unit::NanoJansky, raw_unit: None, factors, pixel_scale_arcsec });
    }
    let unit = |hdu: usize| settings.unit.clone().or_else(|| header(hdu).find_map(|header| header.text("BUNIT")));
    let named: Vec<Option<String>> = object.image.planes.iter().map(|plane| unit(plane.hdu)).collect();
    let factors: Vec<Option<f64>> = named.iter().map(|unit| unit.as_deref().and_then(units::njy_in)).collect();
    if let Some(factors) = factors.iter().copied().collect::<Option<Vec<f64>>>() {
        return Ok(Description { unit: Unit::NanoJansky, raw_unit: None, factors, pixel_scale_arcsec });
    }
    if named.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(format!(
            "has bands in different units: {}",
            named.iter().map(|unit| written(unit.as_deref())).collect::<Vec<_>>().join(", ")
        ));
    }
    let raw_unit = named.into_iter().next().flatten();
    Ok(Description { unit: Unit::Unknown, raw_unit, factors: vec![1.0; bands], pixel_scale_arcsec })
}

fn written(unit: Option<&str>) -> String {
    unit.map_or_else(|| "no `BUNIT`".into(), |unit| format!("`{}`", unit.escape_debug()))
}

fn settle(
    settings: &Fits,
    object: &Object,
    found: Description,
) -> Result<(ImageLayout, Option<String>, Option<ImageLayout>), Vec<Diagnostic>> {
    let [height, width] = settings.size.map_or(object.image.side, |size| [size, size]);
    let image = layout(object.bands.clone(), height, width, found.unit, found.pixel_scale_arcsec)?;
    let psf = match &object.psf {
        Some(psf) if settings.wants(Companion::Psf) => {
            let [height, width] = psf.side;
            Some(layout(object.bands.clone(), height, width, Unit::Unknown, found.pixel_scale_arcsec)?)
        }
        _ => None,
    };
    Ok((image, found.raw_unit, psf))
}

fn settled_by_settings(settings: &Fits, files: usize, reason: Option<String>) -> Result<ImageLayout, Vec<Diagnostic>> {
    let reason = reason.unwrap_or_default();
    let (Some(bands), Some(size), false) = (&settings.bands, settings.size, settings.wants(Companion::Psf)) else {
        let message = format!("none of {files} files has an image that fits: {reason}");
        let help = "with `bands` and `size` set (and no `psf` asked for) the run starts all the same, and rejects them";
        return Err(vec![Diagnostic::at("paths", Code::MissingFile, message).help(help)]);
    };
    let known = settings.zero_point.is_some() || settings.unit.as_deref().and_then(units::njy_in).is_some();
    let unit = if known { Unit::NanoJansky } else { Unit::Unknown };
    layout(bands.clone(), size, size, unit, settings.pixel_scale_arcsec)
}

fn layout(
    bands: Vec<String>,
    height: usize,
    width: usize,
    unit: Unit,
    scale: Option<f64>,
) -> Result<ImageLayout, Vec<Diagnostic>> {
    let pixels = bands.len().checked_mul(height).and_then(|pixels| pixels.checked_mul(width));
    if pixels.is_none_or(|pixels| i32::try_from(pixels).is_err()) {
        let message = format!("images of {} bands, {height} by {width} pixels are too large for a column", bands.len());
        return Err(vec![
            Diagnostic::at("size", Code::OutOfRange, message).help("set `size` to the cutouts that you need"),
        ]);
    }
    Ok(ImageLayout { bands, height, width, unit, pixel_scale_arcsec: scale, stretch: None, electrons_per_njy: None })
}

fn schema(
    settings: &Fits,
    image: &ImageLayout,
    psf: Option<&ImageLayout>,
    columns: &[HeaderColumn],
    catalogue: Option<&catalogue::Loaded>,
) -> Result<SchemaRef, Vec<Diagnostic>> {
    let mut fields = vec![
        Field::new(batch::ROW, DataType::UInt64, false),
        Field::new(batch::OBJECT_ID, DataType::Utf8, false),
        Field::new(batch::ORIGIN, DataType::Utf8, false),
    ];
    let own = [
        (batch::LABEL, &settings.label, DataType::Utf8),
        (batch::RA, &settings.ra, DataType::Float64),
        (batch::DEC, &settings.dec, DataType::Float64),
    ];
    fields.extend(
        own.into_iter().filter(|(_, key, _)| key.is_some()).map(|(name, _, kind)| Field::new(name, kind, true)),
    );
    fields.extend(columns.iter().map(|column| Field::new(&column.name, column.kind.clone(), true)));
    fields.extend(catalogue.into_iter().flat_map(catalogue::Loaded::fields).cloned());
    fields.push(image.field(IMAGE));
    let plain = ImageLayout { unit: Unit::Unknown, ..image.clone() };
    for companion in [Companion::Variance, Companion::Mask, Companion::Psf] {
        match companion {
            _ if !settings.wants(companion) => {}
            // The layout of the image: its numbers are in the square of that unit.
            Companion::Variance => fields.push(image.field(VARIANCE)),
            Companion::Mask => fields.push(plain.field(MASK)),
            Companion::Psf => fields.extend(psf.map(|psf| psf.field(PSF))),
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

impl Plan {
    /// Holds an object to the schema.
    pub(super) fn accept(&self, object: &Object, found: &Description) -> Result<(), String> {
        let image = &self.image;
        if object.bands != image.bands {
            return Err(format!("has the bands {:?}, expected {:?} as in the first file", object.bands, image.bands));
        }
        if self.settings.size.is_none() && object.image.side != [image.height, image.width] {
            let [height, width] = object.image.side;
            return Err(format!(
                "is {height} by {width} pixels, expected {} by {} as in the first file: `size` would crop or pad it",
                image.height, image.width
            ));
        }
        if found.unit != image.unit || found.raw_unit != self.raw_unit {
            let expected = if image.unit == Unit::NanoJansky {
                "a unit of flux".into()
            } else {
                written(self.raw_unit.as_deref())
            };
            let unit = found.raw_unit.as_deref().or((found.unit == Unit::NanoJansky).then_some("one of flux"));
            return Err(format!(
                "has the unit {}, expected {expected}: `unit` or `zero_point` would say it",
                written(unit)
            ));
        }
        let scales = (found.pixel_scale_arcsec, image.pixel_scale_arcsec);
        let same = match scales {
            (Some(found), Some(expected)) => (found / expected - 1.0).abs() <= SCALE_TOLERANCE,
            (found, expected) => found == expected,
        };
        if !same {
            let said = |scale: Option<f64>| scale.map_or_else(|| "unknown".into(), |scale| format!("{scale} arcsec"));
            return Err(format!(
                "has a pixel scale of {}, expected {}: `pixel_scale_arcsec` would say it",
                said(scales.0),
                said(scales.1)
            ));
        }
        if let (Some(layout), Some(psf)) = (&self.psf, &object.psf)
            && psf.side != [layout.height, layout.width]
        {
            return Err(format!(
                "has a PSF of {:?} pixels, expected {:?} as in the first file",
                psf.side,
                [layout.height, layout.width]
            ));
        }
        Ok(())
    }

    /// The bands that objects are read with.
    pub(super) fn bands(&self) -> &[String] {
        &self.image.bands
    }
}
