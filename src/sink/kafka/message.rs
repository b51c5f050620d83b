//! Rows as messages: JSON, or Avro by a schema that follows from the columns.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{
        DataType, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Schema, TimeUnit,
    },
};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::{Value as Json, json};

use crate::{
    avro::RecordEncoder,
    batch::{self, OBJECT_ID},
    error::{Code, Diagnostic, Error, Result},
};

/// Refuses columns that messages cannot have.
pub(super) fn check_columns(columns: &[&Field]) -> Result<(), Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    for field in columns {
        let name = field.name();
        if avro_type(field.data_type(), &mut 0).is_none() {
            let message = format!("column `{name}` cannot be sent: it holds {}", field.data_type());
            diagnostics.push(Diagnostic::at("columns", Code::WrongColumn, message).help("choose `columns` without it"));
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.chars().all(is_name) || name.starts_with(|c: char| c.is_ascii_digit()) {
            let message = format!("column `{}` has a name that Avro does not allow", name.escape_debug());
            diagnostics.push(Diagnostic::at("columns", Code::BadLabel, message).help("choose `columns` without it"));
        }
    }
    if diagnostics.is_empty() { Ok(()) } else { Err(diagnostics) }
}

/// The schema of the rows of a topic, as JSON.
pub(super) fn avro_schema(topic: &str, schema: &Schema) -> String {
    let mut records = 0;
    let field = |field: &std::sync::Arc<Field>| {
        let kind = avro_type(field.data_type(), &mut records).unwrap_or(Json::Null);
        json!({ "name": field.name(), "type": ["null", kind], "default": null })
    };
    let fields: Vec<Json> = schema.fields().iter().map(field).collect();
    let name: String = topic.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    json!({ "type": "record", "name": format!("row_{name}"), "namespace": "lucarne", "fields": fields }).to_string()
}

/// The type of a column; `None` for one that messages cannot have. `records` counts those so far, each of which needs a name.
fn avro_type(kind: &DataType, records: &mut usize) -> Option<Json> {
    Some(match kind {
        DataType::Boolean => json!("boolean"),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => json!("int"),
        DataType::Int64 => json!("long"),
        DataType::Float32 => json!("float"),
        DataType::Float64 => json!("double"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => json!("string"),
        DataType::Dictionary(_, values) => avro_type(values, records)?,
        DataType::Timestamp(TimeUnit::Millisecond, _) => json!({ "type": "long", "logicalType": "timestamp-millis" }),
        DataType::Timestamp(TimeUnit::Microsecond, _) => json!({ "type": "long", "logicalType": "timestamp-micros" }),
        DataType::FixedSizeList(item, _) | DataType::List(item) => {
            let items = avro_type(item.data_type(), records)?;
            json!({ "type": "array", "items": ["null", items] })
        }
        DataType::Struct(fields) => {
            *records += 1;
            let name = format!("record_{records}");
            let field = |field: &std::sync::Arc<Field>| {
                let kind = avro_type(field.data_type(), records)?;
                Some(json!({ "name": field.name(), "type": ["null", kind], "default": null }))
            };
            let fields: Vec<Json> = fields.iter().map(field).collect::<Option<_>>()?;
            json!({ "type": "record", "name": name, "fields": fields })
        }
        _ => return None,
    })
}

/// Writes rows.
pub(super) enum Encoder {
    Json,
    Avro(RecordEncoder),
}

impl Encoder {
    pub(super) fn json() -> Self {
        Self::Json
    }

    /// By a schema, and its number in the registry.
    pub(super) fn avro(schema_json: &str, number: u32) -> Result<Self> {
        RecordEncoder::new(schema_json, number).map(Self::Avro).map_err(Error::bug)
    }

    pub(super) fn encode(&self, record: &impl Serialize) -> Result<Vec<u8>> {
        match self {
            Self::Json => serde_json::to_vec(record).map_err(|error| Error::bug(error.to_string())),
            Self::Avro(encoder) => encoder.encode(record).map_err(Error::bug),
        }
    }

    /// Calls `send` with the key and the message of every row.
    pub(super) fn each(&self, batch: &RecordBatch, mut send: impl FnMut(&str, &[u8]) -> Result<()>) -> Result<()> {
        let columns: Vec<ArrayRef> = batch.columns().iter().map(plain).collect::<Result<_>>()?;
        let plain_batch = Row { names: batch.schema_ref(), columns: &columns, row: 0 };
        for row in 0..batch.num_rows() {
            let key = batch::object_id(batch, row).map_err(|_| Error::bug(format!("rows lack `{OBJECT_ID}`")))?;
            let row = Row { row, ..plain_batch };
            send(key, &self.encode(&row)?)?;
        }
        Ok(())
    }
}

/// A column without dictionaries.
fn plain(column: &ArrayRef) -> Result<ArrayRef> {
    Ok(match column.data_type() {
        DataType::Dictionary(_, values) => cast(column, values)?,
        DataType::LargeUtf8 | DataType::Utf8View => cast(column, &DataType::Utf8)?,
        _ => column.clone(),
    })
}

/// A row of a batch.
#[derive(Clone, Copy)]
struct Row<'a> {
    names: &'a Schema,
    columns: &'a [ArrayRef],
    row: usize,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The names of fields are those of the schema, and not known when this is compiled.
        let mut record = serializer.serialize_map(Some(self.columns.len()))?;
        for (field, column) in self.names.fields().iter().zip(self.columns) {
            record.serialize_entry(field.name(), &Cell { column, row: self.row })?;
        }
        record.end()
    }
}

/// A value of a column.
struct Cell<'a> {
    column: &'a ArrayRef,
    row: usize,
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { column, row } = *self;
        if column.is_null(row) {
            return serializer.serialize_none();
        }
        match column.data_type() {
            DataType::Boolean => serializer.serialize_bool(column.as_boolean().value(row)),
            DataType::Int8 => serializer.serialize_i32(i32::from(column.as_primitive::<Int8Type>().value(row))),
            DataType::Int16 => serializer.serialize_i32(i32::from(column.as_primitive::<Int16Type>().value(row))),
            DataType::Int32 => serializer.serialize_i32(column.as_primitive::<Int32Type>().value(row)),
            DataType::Int64 => serializer.serialize_i64(column.as_primitive::<Int64Type>().value(row)),
            DataType::Float32 => serializer.serialize_f32(column.as_primitive::<Float32Type>().value(row)),
            DataType::Float64 => serializer.serialize_f64(column.as_primitive::<Float64Type>().value(row)),
            DataType::Utf8 => serializer.serialize_str(column.as_string::<i32>().value(row)),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                let column = column.as_primitive::<arrow::datatypes::TimestampMillisecondType>();
                serializer.serialize_i64(column.value(row))
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                let column = column.as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
                serializer.serialize_i64(column.value(row))
            }
            DataType::FixedSizeList(_, _) => items(&column.as_fixed_size_list().value(row), serializer),
            DataType::List(_) => items(&column.as_list::<i32>().value(row), serializer),
            DataType::Struct(fields) => {
                let mut record = serializer.serialize_map(Some(fields.len()))?;
                for (field, column) in fields.iter().zip(column.as_struct().columns()) {
                    record.serialize_entry(field.name(), &Cell { column, row })?;
                }
                record.end()
            }
            other => Err(serde::ser::Error::custom(format!("a column holds {other}"))),
        }
    }
}

fn items<S: Serializer>(values: &ArrayRef, serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(values.len()))?;
    for row in 0..values.len() {
        list.serialize_element(&Cell { column: values, row })?;
    }
    list.end()
}
