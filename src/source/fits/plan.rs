//! The reading plan: the schema and everything else that rows are read by, settled by the settings and the first fitting headers.

use std::path::{Path, PathBuf};

use arrow::datatypes::{DataType, SchemaRef};

use super::{
    Catalogue, Fits,
    bands::{Bands, quoted},
    catalogue::LoadedCatalogue,
    description::{Description, describe, unit_in_words},
    objects::{FileRow, FileRows, ObjectPlanes},
    row_pixels::pads,
    schema::{HeaderColumn, Layouts, schema},
};
use crate::{
    error::Diagnostic,
    fits::{self, CardValue, Header, Limits},
};

/// Largest relative difference between pixel scales that count as equal.
const SCALE_TOLERANCE: f64 = 0.01;
/// Number of files whose headers decide the types of columns.
const FILES_FOR_TYPES: usize = 64;

/// Everything that rows are read by.
pub(super) struct FitsPlan {
    pub settings: Fits,
    pub limits: Limits,
    pub files: Vec<PathBuf>,
    pub layouts: Layouts,
    /// Those of the settings, or of the first object.
    bands: Bands,
    pub columns: Vec<HeaderColumn>,
    pub catalogue: Option<LoadedCatalogue>,
    pub schema: SchemaRef,
}

/// The first object that fits the settings.
struct Exemplar {
    object: ObjectPlanes,
    description: Description,
}

impl FitsPlan {
    /// Reads headers until one object fits the settings and the types of the columns are known.
    pub(super) fn new(settings: Fits, files: Vec<PathBuf>) -> Result<Self, Vec<Diagnostic>> {
        let catalogue = settings.catalogue.as_ref().map(Catalogue::load).transpose()?;
        let limits = settings.limits();
        let mut columns: Vec<HeaderColumn> = (settings.columns.iter())
            .map(|(name, key)| HeaderColumn { name: name.clone(), key: key.clone(), kind: DataType::Null })
            .collect();
        let mut first: Option<Exemplar> = None;
        let mut reason = None;
        for (number, path) in files.iter().enumerate() {
            if first.is_some() && (columns.is_empty() || number >= FILES_FOR_TYPES) {
                break;
            }
            match probe(path, &settings, &mut columns, first.is_none() && reason.is_none()) {
                Ok(exemplar) => {
                    first.get_or_insert(exemplar);
                }
                Err(why) => {
                    reason.get_or_insert(format!("`{}` {why}", path.display()));
                }
            }
        }
        for column in &mut columns {
            if column.kind == DataType::Null {
                column.kind = DataType::Utf8;
            }
        }
        let layouts = match first {
            Some(Exemplar { object, description }) => Layouts::of_object(&settings, &object, description)?,
            None => Layouts::of_settings(&settings, files.len(), &reason.unwrap_or_default())?,
        };
        let schema = schema(&settings, &layouts, &columns, catalogue.as_ref());
        let bands = settings.bands.clone().unwrap_or_else(|| layouts.image.bands.clone().into());
        Ok(Self { settings, limits, files, layouts, bands, columns, catalogue, schema })
    }

    /// Checks that an object fits the schema; the error is the reason why not.
    pub(super) fn accept(&self, object: &ObjectPlanes, found: &Description) -> Result<(), String> {
        let Layouts { image, raw_unit, psf, .. } = &self.layouts;
        if object.bands != image.bands {
            let (found, expected) = (quoted(&object.bands), quoted(&image.bands));
            return Err(format!("has the bands {found}, expected {expected} as in the first file"));
        }
        if let (Some(size), false) = (self.settings.size, self.layouts.pads)
            && pads(&object.image, [image.height, image.width])
        {
            let [height, width] = object.image.shape;
            return Err(format!("is {height} by {width} pixels, smaller than `size` {size}: `pad: fill` would pad it"));
        }
        if self.settings.size.is_none() && object.image.shape != [image.height, image.width] {
            let [height, width] = object.image.shape;
            return Err(format!(
                "is {height} by {width} pixels, expected {} by {} as in the first file: set `size` to crop or pad it",
                image.height, image.width
            ));
        }
        if found.unit != image.unit || found.raw_unit != *raw_unit {
            let found = unit_in_words(found.unit, found.raw_unit.as_deref());
            let expected = unit_in_words(image.unit, raw_unit.as_deref());
            return Err(format!("has {found}, expected {expected}: set `unit` or `zero_point`"));
        }
        if (found.stretch, &found.electrons_per_njy) != (image.stretch, &image.electrons_per_njy) {
            return Err("has another stretch or exposure than the first file".into());
        }
        self.accept_scale(found.pixel_scale_arcsec)?;
        if let (Some(layout), Some(psf)) = (psf, &object.psf)
            && psf.shape != [layout.height, layout.width]
        {
            let expected = [layout.height, layout.width];
            return Err(format!("has a PSF of {:?} pixels, expected {expected:?} as in the first file", psf.shape));
        }
        Ok(())
    }

    fn accept_scale(&self, found: Option<f64>) -> Result<(), String> {
        let expected = self.layouts.image.pixel_scale_arcsec;
        let same = match (found, expected) {
            (Some(found), Some(expected)) => (found / expected - 1.0).abs() <= SCALE_TOLERANCE,
            (found, expected) => found == expected,
        };
        if same {
            return Ok(());
        }
        let shown = |scale: Option<f64>| scale.map_or_else(|| "unknown".into(), |scale| format!("{scale} arcsec"));
        let (found, expected) = (shown(found), shown(expected));
        Err(format!("has a pixel scale of {found}, expected {expected}: set `pixel_scale_arcsec`"))
    }

    /// The bands that objects are read with.
    pub(super) fn bands(&self) -> &Bands {
        &self.bands
    }
}

/// The most objects of a file to look at before it is read.
const PROBED_OBJECTS: usize = 1000;

/// The first object of a file that fits the settings. Its headers widen the types of the columns.
fn probe(path: &Path, settings: &Fits, columns: &mut [HeaderColumn], is_first: bool) -> Result<Exemplar, String> {
    let file = fits::FitsFile::open(path, &settings.limits()).map_err(|error| error.reason())?;
    let mut reason = None;
    let bands = settings.bands.as_ref();
    let mut rows = FileRows::of(&file, settings, bands)?;
    if is_first && !rows.left_out.is_empty() {
        let file = path.display();
        tracing::warn!("HDUs that are not read, as their roles are not those of images: {} in `{file}`", rows.left_out);
    }
    // An object that fits is expected among the first ones, in a file of many.
    for _ in 0..PROBED_OBJECTS {
        let Some(row) = rows.next(&file, settings, bands) else { break };
        let described = row.object.as_ref().map_err(String::clone).and_then(|object| {
            let description = describe(&file, settings, object)?;
            Ok(Exemplar { object: object.clone(), description })
        });
        match described {
            Ok(exemplar) => {
                for column in columns.iter_mut() {
                    let value = headers_of(&file, &row).find_map(|header| header.get(&column.key));
                    column.kind = widened(&column.kind, value.as_ref());
                }
                return Ok(exemplar);
            }
            Err(why) => {
                reason.get_or_insert(why);
            }
        }
    }
    Err(reason.unwrap_or_else(|| "holds no object".into()))
}

/// The headers that describe an object: that of its first HDU, then the primary one.
pub(super) fn headers_of<'a>(file: &'a fits::FitsFile, row: &FileRow) -> impl Iterator<Item = &'a Header> + use<'a> {
    let own = row.hdus.first().and_then(|hdu| file.hdus().get(*hdu));
    let primary = file.hdus().first().filter(|primary| own.is_some_and(|own| own.index != primary.index));
    [own, primary].into_iter().flatten().map(|hdu| &hdu.header)
}

/// The type that holds the earlier values of a column and one more.
fn widened(kind: &DataType, value: Option<&CardValue>) -> DataType {
    let found = match value {
        None => return kind.clone(),
        Some(CardValue::Text(_)) => DataType::Utf8,
        Some(CardValue::Logical(_)) => DataType::Boolean,
        Some(CardValue::Integer(_)) => DataType::Int64,
        Some(CardValue::Real(_)) => DataType::Float64,
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
