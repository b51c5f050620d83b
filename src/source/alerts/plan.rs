//! The plan: the fields of a packet, the columns that they become, and the layouts of the images.

use std::{ops::Range, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::{
    columns::{self, ColumnBuilder},
    fields::PacketFields,
    packets::Packets,
    stamp::{PacketStamp, StampSource},
};
use crate::{
    avro::{FieldPaths, FieldType, Value, WriterSchema},
    batch::{self, DEC, ImageLayout, LABEL, RA, Unit},
    error::{Code, Diagnostic, Error, Result},
    source::fits::{Companion, description::column_unit},
};

/// A column from a field.
pub(super) struct PacketColumn {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) kind: FieldType,
}

/// An image column.
pub(super) struct StampImage {
    pub(super) name: String,
    /// The stamps that are its planes, by number.
    pub(super) stamps: Vec<usize>,
    pub(super) layout: ImageLayout,
    /// The unit as the stamps write it, where it is not known.
    pub(super) raw_unit: Option<String>,
    /// The layout of its PSF, where that is a column.
    pub(super) psf: Option<ImageLayout>,
}

/// Everything that packets are read by.
pub(in crate::source) struct PacketPlan {
    pub(super) settings: Packets,
    pub(super) fields: PacketFields,
    /// Those with a field: `label`, `ra`, `dec`, and further ones.
    pub(super) columns: Vec<PacketColumn>,
    pub(super) images: Vec<StampImage>,
    /// The identity, the columns, the stamps: the order of all fields.
    paths: FieldPaths,
    pub(in crate::source) schema: SchemaRef,
}

/// The first packet that could be read, from which types and layouts follow.
pub(in crate::source) struct FirstPacket<'a> {
    pub(in crate::source) origin: String,
    pub(in crate::source) schema: &'a WriterSchema,
    /// The bytes of the record; none of a topic without messages, whose layouts follow from the settings alone.
    pub(in crate::source) record: Option<&'a [u8]>,
}

/// Why a packet gives no plan.
pub(in crate::source) enum NoPlan {
    /// Its stamps cannot be read; those of another packet may.
    BadStamps(Vec<Diagnostic>),
    /// The settings do not fit the packets.
    Mistakes(Vec<Diagnostic>),
}

impl From<Vec<Diagnostic>> for NoPlan {
    fn from(diagnostics: Vec<Diagnostic>) -> Self {
        Self::Mistakes(diagnostics)
    }
}

/// The name of the hidden column of a stamp.
pub(super) fn stamp_column(name: &str) -> String {
    format!("_stamp_{name}")
}

impl PacketPlan {
    /// The plan that the settings and a first packet give.
    ///
    /// # Errors
    /// Fields that the packet does not have, or that cannot be columns; stamps that are not images.
    pub(in crate::source) fn new(settings: Packets, first: &FirstPacket<'_>) -> Result<Self, NoPlan> {
        let fields = settings.fields()?;
        let columns = packet_columns(&settings, &fields, first)?;
        let all = [fields.object_id.as_str()].into_iter();
        let all = all.chain(columns.iter().map(|column| column.path.as_str()));
        let all = all.chain(fields.stamps.iter().map(|(_, path)| path.as_str()));
        let paths = FieldPaths::new(all);
        let mut plan = Self { settings, fields, columns, images: Vec::new(), paths, schema: Arc::new(Schema::empty()) };
        plan.images = plan.image_columns(first)?;
        plan.schema = Arc::new(plan.rows_schema()?);
        Ok(plan)
    }

    /// The values of the columns among those of a record.
    pub(super) fn column_values(&self) -> Range<usize> {
        1..1 + self.columns.len()
    }

    /// The values of the stamps among those of a record.
    pub(super) fn stamp_values(&self) -> Range<usize> {
        let first = 1 + self.columns.len();
        first..first + self.fields.stamps.len()
    }

    /// The schema of the rows before the stamps are decoded.
    fn rows_schema(&self) -> Result<Schema, Vec<Diagnostic>> {
        let mut fields = batch::identity_fields();
        for column in &self.columns {
            let kind = columns::data_type(&column.kind);
            let kind = kind.map_err(|reason| vec![unsupported(&self.settings, column, &reason)])?;
            let field = Field::new(&column.name, kind, true);
            let is_angle = column.name == RA || column.name == DEC;
            fields.push(if is_angle { field.with_metadata([("unit".into(), "deg".into())].into()) } else { field });
        }
        let stamps = self.fields.stamps.iter();
        fields.extend(stamps.map(|(name, _)| Field::new(stamp_column(name), DataType::LargeBinary, true)));
        Ok(Schema::new(fields))
    }

    /// The layouts of the images by the stamps of the first packet.
    fn image_columns(&self, first: &FirstPacket<'_>) -> Result<Vec<StampImage>, NoPlan> {
        let refuse = |reason: String| {
            let message = format!("`{}` {reason}", first.origin);
            NoPlan::BadStamps(vec![Diagnostic::at("stamps", Code::WrongColumn, message)])
        };
        let Some(record) = first.record else { return Ok(self.declared_images()?) };
        let (values, _) = self.paths.read(first.schema, record).map_err(refuse)?;
        let mut stamps = Vec::new();
        for ((name, field), value) in self.fields.stamps.iter().zip(&values[self.stamp_values()]) {
            let source = StampSource { name, field, fits: &self.settings.as_fits() };
            stamps.push(match value {
                Value::Bytes(bytes) => Some(PacketStamp::open(&source, bytes).map_err(refuse)?),
                _ => None,
            });
        }
        let image = |(name, numbers): &(String, Vec<usize>)| {
            let known = numbers.iter().find_map(|number| stamps[*number].as_ref());
            let known = known.ok_or_else(|| refuse(format!("has no stamp for the image `{name}`")))?;
            let size = self.settings.size.map_or(known.shape(), |size| [size, size]);
            let meaning = PixelMeaning {
                unit: known.unit(),
                raw_unit: known.raw_unit().map(str::to_owned),
                pixel_scale_arcsec: self.nominal_scale_arcsec().or(known.pixel_scale_arcsec()),
            };
            Ok(self.image(name, numbers, size, meaning))
        };
        self.fields.images.iter().map(image).collect()
    }

    /// The side of a pixel that the settings or the survey give. Those of stamps may differ from it by a percent.
    fn nominal_scale_arcsec(&self) -> Option<f64> {
        let of_survey = || self.settings.survey.and_then(|survey| survey.fields().pixel_scale_arcsec);
        self.settings.pixel_scale_arcsec.or_else(of_survey)
    }

    /// The layouts that the settings and the survey give without a packet.
    fn declared_images(&self) -> Result<Vec<StampImage>, Vec<Diagnostic>> {
        if self.fields.images.is_empty() {
            return Ok(Vec::new());
        }
        let missing = |key: &str, what: &str| {
            let message = format!("no packet shows {what} of the images yet");
            vec![Diagnostic::at("", Code::MissingKey, message).help(format!("set `{key}`"))]
        };
        let size = self.settings.size.ok_or_else(|| missing("size", "the size"))?;
        let of_survey = self.settings.survey.map(|survey| survey.fields().unit);
        let unit = self.settings.unit.as_deref().or(of_survey).ok_or_else(|| missing("unit", "the unit"))?;
        let (unit, raw_unit) = column_unit(unit);
        let images = self.fields.images.iter().map(|(name, numbers)| {
            let pixel_scale_arcsec = self.nominal_scale_arcsec();
            self.image(
                name,
                numbers,
                [size, size],
                PixelMeaning { unit, raw_unit: raw_unit.clone(), pixel_scale_arcsec },
            )
        });
        Ok(images.collect())
    }

    fn image(&self, name: &str, numbers: &[usize], [height, width]: [usize; 2], meaning: PixelMeaning) -> StampImage {
        let PixelMeaning { unit, raw_unit, pixel_scale_arcsec: scale } = meaning;
        let bands: Vec<String> = numbers.iter().map(|number| self.fields.stamps[*number].0.clone()).collect();
        let psf = self.settings.psf_size.filter(|_| self.settings.wants(Companion::Psf));
        let psf = psf.map(|size| ImageLayout::new(bands.clone(), size, size, Unit::Unknown).with_pixel_scale(scale));
        let layout = ImageLayout::new(bands, height, width, unit).with_pixel_scale(scale);
        StampImage { name: name.to_owned(), stamps: numbers.to_vec(), layout, raw_unit, psf }
    }

    /// The columns of the images and of what is beside them, in order.
    pub(super) fn image_fields(&self) -> Vec<Field> {
        let mut fields = Vec::new();
        for StampImage { name, layout, psf, .. } in &self.images {
            fields.push(layout.field(name));
            if self.settings.wants(Companion::Variance) {
                let variance = ImageLayout { unit: layout.unit.squared(), ..layout.clone() };
                fields.push(variance.field(&format!("{name}_variance")));
            }
            if self.settings.wants(Companion::Mask) {
                fields.push(layout.mask_field(&format!("{name}_mask")));
            }
            fields.extend(psf.as_ref().map(|psf| psf.field(&format!("{name}_psf"))));
        }
        fields
    }

    /// The columns of the rows, empty.
    pub(super) fn builders(&self) -> Result<Vec<ColumnBuilder>> {
        let builders = self.columns.iter().map(|column| ColumnBuilder::new(&column.kind));
        builders.collect::<Result<_, _>>().map_err(Error::bug)
    }
}

/// What the pixels of an image mean.
struct PixelMeaning {
    unit: Unit,
    /// As the stamps write it, where it is not known.
    raw_unit: Option<String>,
    pixel_scale_arcsec: Option<f64>,
}

/// The columns with a field: of the first packet, and those of the survey that this packet may lack.
fn packet_columns(
    settings: &Packets,
    fields: &PacketFields,
    first: &FirstPacket<'_>,
) -> Result<Vec<PacketColumn>, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    let mut columns = Vec::new();
    let named = |diagnostics: &mut Vec<Diagnostic>, key: &str, path: &str| match first.schema.field_type(path) {
        Ok(kind) => Some(kind),
        Err(unknown) => {
            let message = format!("{} (`{}`, schema `{}`)", unknown.message(), first.origin, first.schema.name());
            let diagnostic = Diagnostic::at(key, Code::UnknownColumn, message);
            diagnostics.push(diagnostic.suggest(&unknown.name, unknown.others.iter().map(String::as_str), "fields"));
            None
        }
    };
    named(&mut diagnostics, if settings.object_id.is_some() { "object_id" } else { "survey" }, &fields.object_id);
    let mut push = |name: &str, path: &str, kind: FieldType| {
        columns.push(PacketColumn { name: name.to_owned(), path: path.to_owned(), kind });
    };
    if let Some(path) = &fields.label
        && let Some(kind) = named(&mut diagnostics, "label", path)
    {
        push(LABEL, path, kind);
    }
    for (name, path, own) in [(RA, &fields.ra, &settings.ra), (DEC, &fields.dec, &settings.dec)] {
        let Some(path) = path else { continue };
        let key = if own.is_some() { name } else { "survey" };
        match named(&mut diagnostics, key, path) {
            Some(FieldType::Float32 | FieldType::Float64 | FieldType::Int32 | FieldType::Int64) => {
                push(name, path, FieldType::Float64);
            }
            Some(_) => {
                let message = format!("the field `{path}` is not a number, expected degrees");
                diagnostics.push(Diagnostic::at(key, Code::WrongColumn, message));
            }
            None => {}
        }
    }
    for column in settings.survey.map(|survey| survey.fields().columns).unwrap_or_default() {
        // Versions of a schema add fields; a packet of an earlier one has nulls there.
        if !settings.columns.contains_key(column.name) {
            push(column.name, column.path, column.kind);
        }
    }
    for (name, path) in &settings.columns {
        if let Some(kind) = named(&mut diagnostics, &format!("columns.{name}"), path) {
            push(name, path, kind);
        }
    }
    for (name, path) in &fields.stamps {
        let key = if settings.stamps.is_some() { format!("stamps.{name}") } else { "survey".into() };
        match named(&mut diagnostics, &key, path) {
            Some(FieldType::Bytes) | None => {}
            Some(_) => {
                let message = format!("the field `{path}` does not hold the bytes of a stamp");
                diagnostics.push(Diagnostic::at(&key, Code::WrongColumn, message));
            }
        }
    }
    for column in &columns {
        if let FieldType::Unsupported(reason) = &column.kind {
            diagnostics.push(unsupported(settings, column, reason));
        }
    }
    if diagnostics.is_empty() { Ok(columns) } else { Err(diagnostics) }
}

fn unsupported(settings: &Packets, column: &PacketColumn, reason: &str) -> Diagnostic {
    let key = if settings.columns.contains_key(&column.name) { format!("columns.{}", column.name) } else { "".into() };
    let message = format!("the field `{}` cannot be a column: it {reason}", column.path);
    Diagnostic::at(&key, Code::WrongColumn, message).help("name fields of it that are numbers, text, or lists of these")
}

/// The schema of a writer, and the types that it has for the fields of the plan.
pub(in crate::source) struct PacketSchema {
    pub(super) schema: WriterSchema,
    /// Of the columns; `None` for a field that the schema lacks.
    types: Vec<Option<FieldType>>,
}

impl PacketSchema {
    /// Looks the fields of a plan up. Missing ones are reported, once for each schema: their columns are null.
    pub(in crate::source) fn new(plan: &PacketPlan, schema: WriterSchema, origin: &str) -> Self {
        let paths = plan.columns.iter().map(|column| column.path.as_str());
        let types: Vec<Option<FieldType>> = paths.map(|path| schema.field_type(path).ok()).collect();
        let all = plan.columns.iter().map(|column| &column.path).chain(plan.fields.stamps.iter().map(|(_, path)| path));
        let missing: Vec<&str> = all.map(String::as_str).filter(|path| schema.field_type(path).is_err()).collect();
        if !missing.is_empty() {
            tracing::warn!(
                "packets of schema `{}` (`{origin}`) lack the fields `{}`: they are null",
                schema.name(),
                missing.join("`, `")
            );
        }
        Self { schema, types }
    }

    /// The values of a record: identity, columns, stamps, and the bytes after it.
    ///
    /// # Errors
    /// Why the bytes are not a record of this schema.
    pub(super) fn read<'de>(
        &self,
        plan: &PacketPlan,
        record: &'de [u8],
    ) -> Result<(Vec<Value<'de>>, &'de [u8]), String> {
        plan.paths.read(&self.schema, record)
    }

    /// A value of a column, as its type. The error is the reason why it is not one.
    pub(super) fn column_value<'a>(
        &self,
        plan: &PacketPlan,
        column: usize,
        value: Value<'a>,
    ) -> Result<Value<'a>, String> {
        let PacketColumn { name, path, kind } = &plan.columns[column];
        let Some(own) = &self.types[column] else { return Ok(Value::Null) };
        columns::converted(value, own, kind)
            .map_err(|reason| format!("has a field `{path}` (column `{name}`) that {reason}"))
    }
}
