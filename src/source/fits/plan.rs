//! The reading plan: the schema and everything else that rows are read by, settled by the settings and the first fitting headers.

use std::path::PathBuf;

use arrow::datatypes::{DataType, SchemaRef};

use super::{
    Catalogue, Fits, Layout,
    bands::{Bands, quoted},
    catalogue::LoadedCatalogue,
    description::{Description, describe, unit_in_words},
    header_columns::KeyValues,
    identity::{FirstObjects, UnnamedRow, header_key, identity_in, naming_headers},
    inputs::Inputs,
    lookup::{LookedUp, LookupRules},
    objects::{FileRow, FileRows, ObjectPlanes},
    row_pixels::pads,
    schema::{HeaderColumn, Layouts, schema},
    taken_ids::IdsBefore,
};
use crate::{
    error::Diagnostic,
    fits::{self, Header, Limits},
};

/// Largest relative difference between pixel scales that count as equal.
const SCALE_TOLERANCE: f64 = 0.01;
/// Number of files whose headers decide the types of columns.
const FIRST_FILES: usize = 64;

/// Everything that rows are read by.
pub(super) struct FitsPlan {
    pub settings: Fits,
    pub limits: Limits,
    pub inputs: Inputs,
    /// The header key that identifies objects.
    pub id_key: String,
    /// The ids of the files before the split that is read.
    pub ids_before: IdsBefore,
    /// Whether it is reported already that objects share an id.
    pub shared_id_is_reported: bool,
    pub lookups: LookupRules,
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
    /// Reads the headers of the first files, and of more until one object fits the settings.
    pub(super) fn new(settings: Fits, inputs: Inputs) -> Result<Self, Vec<Diagnostic>> {
        let catalogue = settings.catalogue.as_ref().map(Catalogue::load).transpose()?;
        let limits = settings.limits();
        let mut columns: Vec<HeaderColumn> = settings.columns.iter().map(|(name, key)| key.column(name)).collect();
        let mut first_rows = FirstRows { values: vec![KeyValues::default(); columns.len()], ..FirstRows::default() };
        let mut first: Option<Exemplar> = None;
        let mut reason = None;
        for number in 0..inputs.len() {
            if first.is_some() && number >= FIRST_FILES {
                first_rows.are_all = false;
                break;
            }
            let is_first = first.is_none() && reason.is_none();
            let input = ProbedInput { inputs: &inputs, number, is_first };
            match input.probe(&settings, &columns, &mut first_rows) {
                Ok(exemplar) => {
                    first.get_or_insert(exemplar);
                }
                Err(why) => {
                    let path = inputs.paths(number).first().map(|path| path.display().to_string()).unwrap_or_default();
                    reason.get_or_insert(format!("`{path}` {why}"));
                }
            }
        }
        for (column, values) in columns.iter_mut().zip(&first_rows.values) {
            if column.kind == DataType::Null {
                column.kind = values.data_type();
            }
        }
        if let Some(mistake) = first_rows.float_identity.take() {
            return Err(vec![mistake]);
        }
        if let Some(report) = first_rows.objects.report(&settings) {
            tracing::warn!("source `fits`: {report}");
        }
        if inputs.ids().renamed() > 0 {
            let count = inputs.ids().renamed();
            tracing::warn!(
                "source `fits`: {count} of the files have the name of an earlier one: their ids are their paths"
            );
        }
        let mut lookups = LookupRules::default();
        if let (Some(named), Some(loaded)) = (&settings.catalogue, &catalogue) {
            let mistake;
            (lookups, mistake) = LookupRules::new(&settings, (named, loaded), &inputs, &first_rows.looked_up);
            if lookups.are_by_file() {
                tracing::warn!(
                    "source `fits`: the key `{}` of no object is in the catalogue: names of files are looked up",
                    header_key(&settings)
                );
            }
            if let Some(mistake) = mistake {
                if first_rows.are_all {
                    return Err(vec![mistake]);
                }
                tracing::warn!("source `fits`: {}; later ones may be", mistake.message);
            }
        }
        let shared_id_is_reported = first_rows.objects.share_an_id();
        let layouts = match first {
            Some(Exemplar { object, description }) => Layouts::of_object(&settings, &object, description)?,
            None => Layouts::of_settings(&settings, inputs.len(), &reason.unwrap_or_default())?,
        };
        let schema = schema(&settings, &layouts, &columns, catalogue.as_ref());
        let bands = settings.bands.clone().unwrap_or_else(|| layouts.image.bands.clone().into());
        Ok(Self {
            id_key: header_key(&settings),
            ids_before: IdsBefore::default(),
            shared_id_is_reported,
            lookups,
            settings,
            limits,
            inputs,
            layouts,
            bands,
            columns,
            catalogue,
            schema,
        })
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
        if let (Some(layout), Some(psf)) = (psf, &object.psf) {
            let (found, expected) = (found.psf_shape(psf.shape)?, [layout.height, layout.width]);
            if found != expected {
                return Err(format!("has a PSF of {found:?} pixels, expected {expected:?} as in the first file"));
            }
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

/// The most objects of a file to look at before it is read, and of all first files.
const PROBED_OBJECTS: usize = 1000;
const FIRST_OBJECTS: usize = 16 * PROBED_OBJECTS;

/// A file, or the files of an object, to probe.
struct ProbedInput<'a> {
    inputs: &'a Inputs,
    number: usize,
    /// Whether it is the first one, which stands for the others in what is reported.
    is_first: bool,
}

/// What the headers of the first objects say, of whatever shape.
struct FirstRows {
    /// The values of the header columns, in their order.
    values: Vec<KeyValues>,
    objects: FirstObjects,
    /// The same objects, where there is a catalogue.
    looked_up: Vec<LookedUp>,
    /// The first float where a header should have an identity.
    float_identity: Option<Diagnostic>,
    /// Whether they are all objects of the run.
    are_all: bool,
}

impl Default for FirstRows {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            objects: FirstObjects::default(),
            looked_up: Vec::new(),
            float_identity: None,
            are_all: true,
        }
    }
}

impl ProbedInput<'_> {
    /// Reads headers, and identifies the rows.
    fn open(&self, settings: &Fits) -> Result<(fits::FitsFile, FileRows), String> {
        if let Some(problem) = self.inputs.problem(self.number) {
            return Err(problem.to_owned());
        }
        let limits = settings.limits();
        let open = |path: &PathBuf| fits::FitsFile::open_headers(path, &limits).map_err(|error| error.reason());
        let files = self.inputs.paths(self.number).iter().map(open).collect::<Result<Vec<_>, String>>()?;
        rows_of(files, settings, settings.bands.as_ref())
    }

    /// The first object that fits the settings. The headers of all objects are added to those of the first rows.
    fn probe(&self, settings: &Fits, columns: &[HeaderColumn], first: &mut FirstRows) -> Result<Exemplar, String> {
        let (file, mut rows) = self.open(settings)?;
        let (mut exemplar, mut reason) = (None, None);
        let bands = settings.bands.as_ref();
        let (name, file_id) = (file.place_of(0).0.to_owned(), self.inputs.id(self.number));
        if self.is_first && !rows.left_out.is_empty() {
            tracing::warn!(
                "HDUs that are not read, as their roles are not those of images: {} in `{name}`",
                rows.left_out
            );
        }
        let key = header_key(settings);
        // An object that fits is expected among the first ones, in a file of many.
        for _ in 0..PROBED_OBJECTS {
            let Some(row) = rows.next(&file, settings, bands) else { break };
            if first.objects.len() < FIRST_OBJECTS {
                let unnamed = UnnamedRow { file: &file, found: &row, name: &name, file_id: &file_id };
                let header_key = settings.catalogue.as_ref().and_then(|catalogue| catalogue.header_key.as_ref());
                let identity = unnamed.identify(&key);
                first.objects.add(&identity);
                if settings.catalogue.is_some() {
                    let header_key = header_key.and_then(|key| identity_in(headers_of(&file, &row), key));
                    let path = (!row.shares_file && !row.is_of_several_files).then(|| PathBuf::from(&name));
                    first.looked_up.push(LookedUp { identity, header_key: header_key.and_then(Result::ok), path });
                }
                if first.float_identity.is_none() {
                    let own = settings.id.as_ref().and_then(|key| identity_in(naming_headers(&file, &row), key));
                    let own = own.and_then(Result::err).map(|float| float.diagnostic("id", &name));
                    let joined = header_key.and_then(|key| identity_in(headers_of(&file, &row), key));
                    let joined = joined.and_then(Result::err);
                    let joined = joined.map(|float| float.diagnostic("catalogue.header_key", &name));
                    first.float_identity = own.or(joined);
                }
                for (column, values) in columns.iter().zip(&mut first.values) {
                    values.add(headers_of(&file, &row).find_map(|header| header.get(&column.key)));
                }
            }
            if exemplar.is_some() {
                continue;
            }
            let described = row.object.as_ref().map_err(String::clone).and_then(|object| {
                let description = describe(&file, settings, object)?;
                Ok(Exemplar { object: object.clone(), description })
            });
            match described {
                Ok(found) => exemplar = Some(found),
                Err(why) => {
                    reason.get_or_insert(why);
                }
            }
        }
        first.are_all &= rows.next(&file, settings, bands).is_none();
        exemplar.ok_or_else(|| reason.unwrap_or_else(|| "holds no object".into()))
    }
}

/// The rows of a file, or of the files of the bands of an object, and the files as one.
pub(super) fn rows_of(
    mut files: Vec<fits::FitsFile>,
    settings: &Fits,
    bands: Option<&Bands>,
) -> Result<(fits::FitsFile, FileRows), String> {
    if let (Layout::FilePerBand, Some(bands)) = (settings.layout, bands) {
        return FileRows::of_bands(files, settings, bands);
    }
    let file = files.pop().ok_or("has no file")?;
    let rows = FileRows::of(&file, settings, bands)?;
    Ok((file, rows))
}

/// The headers that describe an object: that of its first HDU, then the primary one.
pub(super) fn headers_of<'a>(file: &'a fits::FitsFile, row: &FileRow) -> impl Iterator<Item = &'a Header> + use<'a> {
    let own = row.hdus.first().and_then(|hdu| file.hdus().get(*hdu));
    let primary = own.and_then(|own| file.file_of(own.index).first().filter(|primary| own.index != primary.index));
    [own, primary].into_iter().flatten().map(|hdu| &hdu.header)
}
