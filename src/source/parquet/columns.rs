//! How the columns of a file become those of a batch.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::{
    ImageColumn, Parquet,
    stored_images::{StoredImages, described},
};
use crate::{
    batch::{self, ImageLayout, OBJECT_ID, ORIGIN, ROW, Unit, identity_fields, tensor_type},
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
    /// The image columns, those of masks included, as the first file holds them.
    images: BTreeMap<String, StoredImages>,
    /// The image columns that the settings describe.
    declared: BTreeMap<String, ImageColumn>,
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
        let declared: Vec<(&String, &ImageColumn, Option<&Field>)> = settings
            .images
            .iter()
            .map(|(name, image)| (name, image, look_up(&format!("images.{name}"), name)))
            .collect();
        if let Some(mistake) = found.and_then(|field| batch::identity_mistake(&identity, field.data_type())) {
            diagnostics.push(Diagnostic::at(key, Code::WrongColumn, mistake).help(batch::IDENTITY_HELP));
        }
        let mut images = BTreeMap::new();
        for (name, image, field) in declared {
            match field.map(|field| declared_images(image, field)) {
                Some(Ok(stored)) => {
                    images.insert(name.clone(), stored);
                }
                Some(Err(reason)) => {
                    diagnostics.push(Diagnostic::at(&format!("images.{name}"), Code::WrongColumn, reason));
                }
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
            if let (false, Some(stored)) = (settings.images.contains_key(name), described_images(field)) {
                images.insert(name.clone(), stored);
            }
            fields.push(match images.get(name) {
                Some(StoredImages { layout, .. }) => {
                    let own = if is_mask(name) { layout.mask_field(name) } else { layout.field(name) };
                    let metadata = merged_metadata(field, &own);
                    own.with_metadata(metadata)
                }
                None => plain(field),
            });
        }
        let declared = settings.images.clone();
        Ok(Self { schema: Arc::new(Schema::new(fields)), identity, has_origin, images, declared })
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

    /// Checks that another file has the columns of the first, and returns how it holds the image columns: the same images may lie in
    /// other lists.
    pub(super) fn check(&self, path: &Path, file: &Schema) -> Result<BTreeMap<String, StoredImages>> {
        let differs = |what: String| Error::data(format!("`{}` {what}, unlike the first file", path.display()));
        let mut images = BTreeMap::new();
        for field in self.schema.fields() {
            let Some(name) = self.column_in_file(field) else { continue };
            let found = file.field_with_name(name).map_err(|_| differs(format!("has no column `{name}`")))?;
            if let Some(mistake) =
                batch::identity_mistake(name, found.data_type()).filter(|_| field.name() == OBJECT_ID)
            {
                return Err(Error::data(format!("`{}`: {mistake}: {}", path.display(), batch::IDENTITY_HELP)));
            }
            match self.images.get(field.name()) {
                Some(expected) => {
                    let own =
                        self.images_of(found, expected).map_err(|reason| differs(format!("is refused: {reason}")))?;
                    if own.layout != expected.layout {
                        return Err(differs(format!("has images of another layout in `{name}`")));
                    }
                    images.insert(name.to_owned(), own);
                }
                None if field.name() != OBJECT_ID && plain(found).data_type() != field.data_type() => {
                    return Err(differs(format!("has {} in `{name}`", found.data_type())));
                }
                None => {}
            }
        }
        Ok(images)
    }

    /// How a column of another file holds images.
    fn images_of(&self, field: &Field, expected: &StoredImages) -> Result<StoredImages, String> {
        if let Some(declared) = self.declared.get(field.name()) {
            return declared_images(declared, field);
        }
        match (described_images(field), tensor_type(field)) {
            (Some(own), _) => Ok(own),
            // Lists that say nothing have the layout of the first file, if their lengths are right.
            (None, None) => Ok(StoredImages::in_order(expected.layout.clone())),
            (None, Some(_)) => Err(format!("column `{}` has tensors that are not such images", field.name())),
        }
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

/// The images or masks of a column that describes them. Earlier versions wrote masks as float32, and variances with the unit of their
/// image.
fn described_images(field: &Field) -> Option<StoredImages> {
    let StoredImages { layout, .. } = described(field)?;
    let squared = layout.unit.squared();
    let unit = match field.name() {
        name if is_mask(name) => Unit::Unknown,
        name if name.ends_with("_variance") && squared != Unit::Unknown => squared,
        _ => layout.unit,
    };
    Some(StoredImages::in_order(ImageLayout { unit, ..layout }))
}

/// The images of a column that the settings describe. If the column describes them too, both have to agree.
fn declared_images(image: &ImageColumn, field: &Field) -> Result<StoredImages, String> {
    let stored = image.stored(field)?;
    match described_images(field) {
        // Where pixels lie on the sky is nothing that `images` describes.
        Some(own) if own.layout.clone().with_wcs(None) != stored.layout => {
            let name = field.name();
            Err(format!(
                "column `{name}` describes its images itself, as others than `images` does: leave it out of `images`"
            ))
        }
        _ => Ok(stored),
    }
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
