//! The schema that a record was written with, and the types of its fields.

use serde_avro_fast::{
    Schema,
    schema::{LogicalType, RegularType, SchemaKey, SchemaMut},
};

/// How deep types are followed: a record may contain itself.
const MAX_DEPTH: usize = 16;
/// The most fields of a type, those of its records and their records included: one that contains itself twice has 2^16 of them.
const MAX_FIELDS: usize = 4096;

/// The schema of a writer.
pub(crate) struct WriterSchema {
    pub(super) schema: Schema,
    nodes: SchemaMut,
}

/// The type of a field. Whether it may be null is not part of it: a field that another version of a schema lacks is null too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FieldType {
    Boolean,
    /// Avro's `int`.
    Int32,
    /// Avro's `long`.
    Int64,
    Float32,
    Float64,
    Text,
    Bytes,
    /// Days since 1970.
    Date,
    /// Milliseconds since 1970.
    TimestampMillis,
    /// Microseconds since 1970.
    TimestampMicros,
    /// Nanoseconds since 1970.
    TimestampNanos,
    List(Box<Self>),
    /// Fields in the order of the schema.
    Record(Vec<(String, Self)>),
    /// A field of no record is asked for that this type could hold: the reason.
    Unsupported(String),
}

/// A field that a schema does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnknownField {
    /// The part of the path that is missing.
    pub(crate) name: String,
    /// What should have it: `alert`, or the path of a record.
    pub(crate) place: String,
    /// The fields that are there; empty if `place` is not a record.
    pub(crate) others: Vec<String>,
}

impl WriterSchema {
    /// Reads a schema from its JSON.
    ///
    /// # Errors
    /// Why the text is not a schema.
    pub(crate) fn parse(json: &str) -> Result<Self, String> {
        Self::new(json.parse::<SchemaMut>())
    }

    /// The same, with the schemas of records that it names.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub(crate) fn parse_parts(json: &str, named: &[String]) -> Result<Self, String> {
        Self::new(SchemaMut::from_schemata(json, named))
    }

    fn new(nodes: Result<SchemaMut, impl std::fmt::Display>) -> Result<Self, String> {
        let nodes = nodes.map_err(|error| format!("has a schema that cannot be read: {error}"))?;
        check_items(&nodes)?;
        let schema = nodes.clone().freeze().map_err(|error| format!("has a schema that cannot be used: {error}"))?;
        Ok(Self { schema, nodes })
    }

    /// The type of the field at a path (`diaSource.snr`). Along a path through a list (`prvDiaSources.snr`) the type is a list.
    ///
    /// # Errors
    /// The part of the path that is missing.
    pub(crate) fn field_type(&self, path: &str) -> Result<FieldType, UnknownField> {
        self.type_below(SchemaKey::root(), path, "")
    }

    /// The type at the rest of a path, below a node whose own path is `place`.
    fn type_below(&self, key: SchemaKey, rest: &str, place: &str) -> Result<FieldType, UnknownField> {
        let (name, below) = rest.split_once('.').map_or((rest, None), |(name, below)| (name, Some(below)));
        let unknown = |others| UnknownField { name: name.to_owned(), place: place.to_owned(), others };
        match self.only_type(key).map(|key| &self.nodes[key].type_) {
            Ok(RegularType::Array(array)) => {
                self.type_below(array.items, rest, place).map(|items| FieldType::List(Box::new(items)))
            }
            Ok(RegularType::Record(record)) => {
                let field = record.fields.iter().find(|field| field.name == name);
                let others = || record.fields.iter().map(|field| field.name.clone()).collect();
                let field = field.ok_or_else(|| unknown(others()))?;
                let place = if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
                match below {
                    Some(below) => self.type_below(field.type_, below, &place),
                    None => Ok(self.type_of(field.type_, MAX_DEPTH, &mut 0)),
                }
            }
            _ => Err(unknown(Vec::new())),
        }
    }

    /// The one type besides null of a node.
    fn only_type(&self, key: SchemaKey) -> Result<SchemaKey, String> {
        let RegularType::Union(union) = &self.nodes[key].type_ else { return Ok(key) };
        let types: Vec<SchemaKey> = (union.variants.iter().copied())
            .filter(|variant| !matches!(self.nodes[*variant].type_, RegularType::Null))
            .collect();
        match types.as_slice() {
            [only] => Ok(*only),
            [] => Err("is always null".into()),
            several => Err(format!("has one of {} types", several.len())),
        }
    }

    /// `fields` counts those of the type so far.
    fn type_of(&self, key: SchemaKey, depth: usize, fields: &mut usize) -> FieldType {
        let unsupported = |reason: &str| FieldType::Unsupported(reason.to_owned());
        *fields += 1;
        let Some(depth) = depth.checked_sub(1).filter(|_| *fields <= MAX_FIELDS) else {
            return unsupported("is nested too deeply");
        };
        let node = match self.only_type(key) {
            Ok(key) => &self.nodes[key],
            Err(reason) => return FieldType::Unsupported(reason),
        };
        match (&node.type_, &node.logical_type) {
            (_, Some(LogicalType::Decimal(_) | LogicalType::BigDecimal)) => unsupported("is a decimal"),
            (_, Some(LogicalType::Duration)) => unsupported("is a duration"),
            (RegularType::Int, Some(LogicalType::Date)) => FieldType::Date,
            (RegularType::Long, Some(LogicalType::TimestampMillis)) => FieldType::TimestampMillis,
            (RegularType::Long, Some(LogicalType::TimestampMicros)) => FieldType::TimestampMicros,
            (RegularType::Long, Some(LogicalType::Unknown(logical))) if logical.as_str() == "timestamp-nanos" => {
                FieldType::TimestampNanos
            }
            (RegularType::Long, Some(LogicalType::Unknown(logical))) if logical.as_str().contains("timestamp") => {
                FieldType::Unsupported(format!("is a `{}`", logical.as_str()))
            }
            (_, Some(LogicalType::TimeMillis | LogicalType::TimeMicros)) => unsupported("is a time of day"),
            (RegularType::Boolean, _) => FieldType::Boolean,
            (RegularType::Int, _) => FieldType::Int32,
            (RegularType::Long, _) => FieldType::Int64,
            (RegularType::Float, _) => FieldType::Float32,
            (RegularType::Double, _) => FieldType::Float64,
            (RegularType::String | RegularType::Enum(_), _) => FieldType::Text,
            (RegularType::Bytes | RegularType::Fixed(_), _) => FieldType::Bytes,
            (RegularType::Array(array), _) => FieldType::List(Box::new(self.type_of(array.items, depth, fields))),
            (RegularType::Record(record), _) if record.fields.is_empty() => unsupported("is a record without fields"),
            (RegularType::Record(record), _) => FieldType::Record(
                (record.fields.iter())
                    .map(|field| (field.name.clone(), self.type_of(field.type_, depth, fields)))
                    .collect(),
            ),
            (RegularType::Map(_), _) => unsupported("is a map"),
            (RegularType::Null | RegularType::Union(_), _) => unsupported("is always null"),
        }
    }

    /// The name of the record.
    pub(crate) fn name(&self) -> &str {
        self.nodes.root().type_.name().map_or("record", |name| name.fully_qualified_name())
    }
}

/// Refuses lists whose items have no bytes: a few bytes could ask for any number of them.
fn check_items(nodes: &SchemaMut) -> Result<(), String> {
    let has_bytes = |list: &RegularType| match list {
        RegularType::Array(array) => has_bytes(nodes, array.items, MAX_DEPTH),
        _ => true,
    };
    let all = nodes.nodes().iter().all(|node| has_bytes(&node.type_));
    if all { Ok(()) } else { Err("has a schema with a list whose items have no content".into()) }
}

/// Whether each value of a type has a byte at least.
fn has_bytes(nodes: &SchemaMut, key: SchemaKey, depth: usize) -> bool {
    match nodes.get(key).map(|node| &node.type_) {
        Some(RegularType::Null) | None => false,
        Some(RegularType::Fixed(fixed)) => fixed.size > 0,
        Some(RegularType::Record(record)) => {
            // One that is nested so deep without a byte would contain itself.
            depth > 0 && record.fields.iter().any(|field| has_bytes(nodes, field.type_, depth - 1))
        }
        Some(_) => true,
    }
}

impl UnknownField {
    /// What is missing where.
    pub(crate) fn message(&self) -> String {
        let Self { name, place, others } = self;
        match (place.as_str(), others.is_empty()) {
            ("", true) => format!("a packet is not a record, and has no field `{}`", name.escape_debug()),
            ("", false) => format!("packets have no field `{}`", name.escape_debug()),
            (place, true) => format!("`{place}` is not a record, and has no field `{}`", name.escape_debug()),
            (place, false) => format!("`{place}` has no field `{}`", name.escape_debug()),
        }
    }
}
