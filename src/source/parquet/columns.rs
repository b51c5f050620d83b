//! How the columns of a file become those of a batch.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::{ImageColumn, Parquet};
use crate::{
    batch::{self, ImageLayout, OBJECT_ID, ORIGIN, ROW, Unit, identity_fields},
    error::{Code, Diagnostic, Error, Result},
};

/// The columns of a batch and where they come from, settled by the first file.
pub(super) struct ColumnMapping {
    /// The schema of a batch.
    pub schema: SchemaRef,
    /// The column of the file that becomes `object_id`.
    pub identity: String,
    /// Whether the file has an `origin` column.
    pub has_origin: bool,
    /// The layouts of the image columns, those of masks included.
    pub images: BTreeMap<String, ImageLayout>,
}

impl ColumnMapping {
    /// The columns that the settings choose from a file.
    pub(super) fn new(settings: &Parquet, file: &Schema) -> Result<Self, Vec<Diagnostic>> {
        let mut diagnostics = Vec::new();
        let mut look_up = |key: &str, name: &str| {
            let found = file.field_with_name(name).ok();
            if found.is_none() {
                let names = file.fields().iter().map(|field| field.name().as_str());
                let diagnostic = Diagnostic::at(key, Code::UnknownColumn, format!("the file has no column `{name}`"));
                diagnostics.push(diagnostic.suggest(name, names, "columns"));
            }
            found
        };
        let key = if settings.object_id.is_some() { "object_id" } else { "" };
        let identity = settings.object_id.clone().unwrap_or_else(|| OBJECT_ID.into());
        let found = look_up(key, &identity);
        for name in settings.columns.iter().flatten() {
            look_up("columns", name);
        }
        let declared: Vec<(&String, &ImageColumn, Option<&Field>)> =
            settings.images.iter().map(|(name, image)| (name, image, look_up("images", name))).collect();
        if let Some(mistake) = found.and_then(|field| batch::identity_mistake(&identity, field.data_type())) {
            diagnostics.push(Diagnostic::at(key, Code::WrongColumn, mistake).help(batch::IDENTITY_HELP));
        }
        let mut images = BTreeMap::new();
        for (name, image, field) in declared {
            match field.map(|field| image.layout(field)) {
                Some(Ok(layout)) => {
                    images.insert(name.clone(), layout);
                }
                Some(Err(reason)) => diagnostics.push(Diagnostic::at("images", Code::WrongColumn, reason)),
                None => {}
            }
        }
        if !diagnostics.is_empty() {
            return Err(diagnostics);
        }
        let has_origin = file.field_with_name(ORIGIN).is_ok_and(|field| is_text(field.data_type()));
        let mut fields = identity_fields();
        for field in file.fields().iter().filter(|field| settings.reads(field.name())) {
            let name = field.name();
            if let (false, Some(layout)) = (settings.images.contains_key(name), layout_of(field)) {
                images.insert(name.clone(), layout);
            }
            fields.push(match images.get(name) {
                Some(layout) => {
                    let own = if is_mask(name) { layout.mask_field(name) } else { layout.field(name) };
                    let metadata = merged_metadata(field, &own);
                    own.with_metadata(metadata)
                }
                None => plain(field),
            });
        }
        Ok(Self { schema: Arc::new(Schema::new(fields)), identity, has_origin, images })
    }

    /// The column of the file that a column of the batch is read from, if there is one.
    pub(super) fn column_in_file<'a>(&'a self, field: &'a Field) -> Option<&'a str> {
        match field.name().as_str() {
            ROW => None,
            ORIGIN => self.has_origin.then_some(ORIGIN),
            OBJECT_ID => Some(&self.identity),
            name => Some(name),
        }
    }

    /// Checks that another file has the columns of the first.
    pub(super) fn check(&self, path: &Path, file: &Schema) -> Result<()> {
        let differs = |what: String| Error::data(format!("`{}` {what}, unlike the first file", path.display()));
        for field in self.schema.fields() {
            let Some(name) = self.column_in_file(field) else { continue };
            let found = file.field_with_name(name).map_err(|_| differs(format!("has no column `{name}`")))?;
            if let Some(mistake) =
                batch::identity_mistake(name, found.data_type()).filter(|_| field.name() == OBJECT_ID)
            {
                return Err(Error::data(format!("`{}`: {mistake}: {}", path.display(), batch::IDENTITY_HELP)));
            }
            match self.images.get(name) {
                Some(expected) if layout_of(found).is_some_and(|layout| layout != *expected) => {
                    return Err(differs(format!("has images of another layout in `{name}`")));
                }
                None if field.name() != OBJECT_ID && plain(found).data_type() != field.data_type() => {
                    return Err(differs(format!("has {} in `{name}`", found.data_type())));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Parquet {
    /// Whether a column of a file becomes a column of the batch under its name.
    fn reads(&self, name: &str) -> bool {
        let chosen = self.columns.as_ref().is_none_or(|columns| columns.iter().any(|column| column == name));
        let is_internal = name.starts_with('_') || name == OBJECT_ID || name == ORIGIN;
        !is_internal && (chosen || self.images.contains_key(name))
    }
}

/// Whether a column holds masks, by its name.
pub(super) fn is_mask(name: &str) -> bool {
    name.ends_with("_mask")
}

/// The layout of the images or masks of a column, if it describes them. Earlier versions wrote masks as float32, and variances with
/// the unit of their image.
fn layout_of(field: &Field) -> Option<ImageLayout> {
    let layout = ImageLayout::of(field).or_else(|| ImageLayout::of_masks(field))?;
    Some(match field.name() {
        name if is_mask(name) => ImageLayout { unit: Unit::Unknown, ..layout },
        name if name.ends_with("_variance") && layout.unit.squared() != Unit::Unknown => {
            ImageLayout { unit: layout.unit.squared(), ..layout }
        }
        _ => layout,
    })
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The field with plain utf8 for every type of text, and for a label that is a dictionary with plain values.
fn plain(field: &Field) -> Field {
    let kind = match field.data_type() {
        DataType::Dictionary(_, values) if field.name() == batch::LABEL => values,
        kind => kind,
    };
    field.clone().with_data_type(if is_text(kind) { DataType::Utf8 } else { kind.clone() })
}

/// The metadata of a field of the file, replaced by that of the image where both have a key.
fn merged_metadata(file: &Field, image: &Field) -> HashMap<String, String> {
    let mut metadata = file.metadata().clone();
    metadata.extend(image.metadata().clone());
    metadata
}

/// The type within nested lists, and how many there are.
fn innermost(kind: &DataType) -> (&DataType, usize) {
    match kind {
        DataType::FixedSizeList(item, _) | DataType::List(item) | DataType::LargeList(item) => {
            let (kind, depth) = innermost(item.data_type());
            (kind, depth + 1)
        }
        kind => (kind, 0),
    }
}

/// Whether a float32 holds the numbers of a type, as far as images go: integers of 64 bits are identifiers or times.
const fn is_pixel(kind: &DataType) -> bool {
    use DataType::{Float16, Float32, Float64, Int8, Int16, Int32, UInt8, UInt16, UInt32};
    matches!(kind, Float16 | Float32 | Float64 | Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32)
}

impl ImageColumn {
    /// The layout of the images in a column of a file; the error is the reason why the column does not fit.
    fn layout(&self, field: &Field) -> Result<ImageLayout, String> {
        let name = field.name();
        let (item, length) = match field.data_type() {
            DataType::FixedSizeList(item, length) => (item, usize::try_from(*length).ok()),
            DataType::List(item) | DataType::LargeList(item) => (item, None),
            other => return Err(format!("column `{name}` is {other}, expected lists of numbers")),
        };
        let (number, depth_of_lists) = innermost(item.data_type());
        if !is_pixel(number) {
            return Err(format!("column `{name}` has lists of {number}, expected lists of numbers"));
        }
        if depth_of_lists > 2 {
            return Err(format!(
                "column `{name}` has lists {} deep, expected at most [band][y][x]",
                depth_of_lists + 1
            ));
        }
        let length = length.filter(|_| depth_of_lists == 0);
        let depth = self.bands.len();
        let (height, width) = match (self.size, batch::tensor_shape(field).as_deref()) {
            (None, Some(&[bands, height, width])) if bands == depth => (height, width),
            (None, Some(&[height, width])) if depth == 1 => (height, width),
            (None, Some(shape)) => {
                return Err(format!("column `{name}` has images of shape {shape:?}, expected {depth} bands"));
            }
            (Some(size), _) => (size, size),
            (None, None) => return Err(format!("column `{name}` does not give the shape of its images: set `size`")),
        };
        let pixels = depth.saturating_mul(height).saturating_mul(width);
        if pixels == 0 || length.is_some_and(|length| length != pixels) {
            let found = length.unwrap_or(0);
            return Err(format!("column `{name}` has {found} numbers per row, expected {depth} x {height} x {width}"));
        }
        Ok(ImageLayout {
            bands: self.bands.clone(),
            height,
            width,
            unit: self.unit,
            pixel_scale_arcsec: self.pixel_scale_arcsec,
            stretch: None,
            electrons_per_njy: None,
        })
    }
}
