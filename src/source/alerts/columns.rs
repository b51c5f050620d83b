//! Values of packets as columns.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, BooleanBuilder, Date32Builder, Float32Builder, Float64Builder, Int32Builder, Int64Builder,
        LargeBinaryBuilder, ListArray, StringBuilder, StructArray, TimestampMicrosecondBuilder,
        TimestampMillisecondBuilder, TimestampNanosecondBuilder,
    },
    buffer::{NullBuffer, OffsetBuffer},
    datatypes::{DataType, Field, Fields, TimeUnit},
};

use crate::{
    avro::{FieldType, Value},
    error::Result,
};

/// The type of a column. The error is the reason why a field cannot be one.
pub(super) fn data_type(kind: &FieldType) -> Result<DataType, String> {
    Ok(match kind {
        FieldType::Boolean => DataType::Boolean,
        FieldType::Int32 => DataType::Int32,
        FieldType::Int64 => DataType::Int64,
        FieldType::Float32 => DataType::Float32,
        FieldType::Float64 => DataType::Float64,
        FieldType::Text => DataType::Utf8,
        FieldType::Bytes => DataType::LargeBinary,
        FieldType::Date => DataType::Date32,
        FieldType::TimestampMillis => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        FieldType::TimestampMicros => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        FieldType::TimestampNanos => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        FieldType::List(items) => DataType::List(Arc::new(Field::new_list_field(data_type(items)?, true))),
        FieldType::Record(fields) => DataType::Struct(struct_fields(fields)?),
        FieldType::Unsupported(reason) => return Err(reason.clone()),
    })
}

fn struct_fields(fields: &[(String, FieldType)]) -> Result<Fields, String> {
    let field = |(name, kind): &(String, FieldType)| {
        let kind = data_type(kind).map_err(|reason| format!("has a field `{name}` that {reason}"))?;
        Ok(Field::new(name, kind, true))
    };
    fields.iter().map(field).collect()
}

/// A value as one of another type, exactly. The error is the reason why it is not one.
pub(super) fn converted<'a>(value: Value<'a>, from: &FieldType, to: &FieldType) -> Result<Value<'a>, String> {
    let wrong = |found: &str| Err(format!("is {found}, expected {}", in_words(to)));
    match (value, to) {
        (Value::Null, _) => Ok(Value::Null),
        (value, to) if from == to => Ok(value),
        // A date or a time is an integer too, but of another kind.
        (Value::Integer(_), _) if !matches!(from, FieldType::Int32 | FieldType::Int64) => wrong(&in_words(from)),
        (Value::Integer(value), FieldType::Int32) if i32::try_from(value).is_err() => wrong(&value.to_string()),
        (Value::Integer(value), FieldType::Int32 | FieldType::Int64) => Ok(Value::Integer(value)),
        (Value::Integer(value), FieldType::Float64) if value.unsigned_abs() <= 1 << 53 => Ok(Value::Real(value as f64)),
        (Value::Integer(value), FieldType::Float32) if value.unsigned_abs() <= 1 << 24 => Ok(Value::Real(value as f64)),
        (Value::Real(value), FieldType::Float32) if value.is_finite() && f64::from(value as f32) != value => {
            wrong(&format!("{value}, which a float cannot hold"))
        }
        (Value::Real(value), FieldType::Float32 | FieldType::Float64) => Ok(Value::Real(value)),
        (Value::List(items), FieldType::List(to)) => {
            let FieldType::List(from) = from else { return wrong("a list") };
            Ok(Value::List(items.into_iter().map(|item| converted(item, from, to)).collect::<Result<_, _>>()?))
        }
        (Value::Record(mut values), FieldType::Record(to)) => {
            let FieldType::Record(from) = from else { return wrong("a record") };
            let field = |(name, to): &(String, FieldType)| {
                let Some(index) = from.iter().position(|(own, _)| own == name) else { return Ok(Value::Null) };
                let value = values.get_mut(index).map(std::mem::take).unwrap_or_default();
                converted(value, &from[index].1, to).map_err(|reason| format!("has a field `{name}` that {reason}"))
            };
            Ok(Value::Record(to.iter().map(field).collect::<Result<_, _>>()?))
        }
        _ => wrong(&in_words(from)),
    }
}

/// A type, for messages.
fn in_words(kind: &FieldType) -> String {
    match kind {
        FieldType::Boolean => "a boolean".into(),
        FieldType::Int32 => "an int".into(),
        FieldType::Int64 => "a long".into(),
        FieldType::Float32 => "a float".into(),
        FieldType::Float64 => "a double".into(),
        FieldType::Text => "a string".into(),
        FieldType::Bytes => "bytes".into(),
        FieldType::Date => "a date".into(),
        FieldType::TimestampMillis => "a timestamp in milliseconds".into(),
        FieldType::TimestampMicros => "a timestamp in microseconds".into(),
        FieldType::TimestampNanos => "a timestamp in nanoseconds".into(),
        FieldType::List(items) => format!("a list, each item of it {}", in_words(items)),
        FieldType::Record(fields) => format!("a record of {} fields", fields.len()),
        FieldType::Unsupported(reason) => format!("a field that {reason}"),
    }
}

/// A column that grows value by value.
pub(super) enum ColumnBuilder {
    Boolean(BooleanBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Text(StringBuilder),
    Bytes(LargeBinaryBuilder),
    Date(Date32Builder),
    Millis(TimestampMillisecondBuilder),
    Micros(TimestampMicrosecondBuilder),
    Nanos(TimestampNanosecondBuilder),
    List { items: Box<Self>, kind: DataType, ends: Vec<i32>, valid: Vec<bool> },
    Record { fields: Vec<Self>, names: Fields, valid: Vec<bool> },
}

impl ColumnBuilder {
    /// A column of a type that [`data_type`] has.
    pub(super) fn new(kind: &FieldType) -> Result<Self, String> {
        Ok(match kind {
            FieldType::Boolean => Self::Boolean(BooleanBuilder::new()),
            FieldType::Int32 => Self::Int32(Int32Builder::new()),
            FieldType::Int64 => Self::Int64(Int64Builder::new()),
            FieldType::Float32 => Self::Float32(Float32Builder::new()),
            FieldType::Float64 => Self::Float64(Float64Builder::new()),
            FieldType::Text => Self::Text(StringBuilder::new()),
            FieldType::Bytes => Self::Bytes(LargeBinaryBuilder::new()),
            FieldType::Date => Self::Date(Date32Builder::new()),
            FieldType::TimestampMillis => Self::Millis(TimestampMillisecondBuilder::new().with_timezone("UTC")),
            FieldType::TimestampMicros => Self::Micros(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            FieldType::TimestampNanos => Self::Nanos(TimestampNanosecondBuilder::new().with_timezone("UTC")),
            FieldType::List(items) => Self::List {
                kind: data_type(items)?,
                items: Box::new(Self::new(items)?),
                ends: vec![0],
                valid: Vec::new(),
            },
            FieldType::Record(fields) => Self::Record {
                names: struct_fields(fields)?,
                fields: fields.iter().map(|(_, kind)| Self::new(kind)).collect::<Result<_, _>>()?,
                valid: Vec::new(),
            },
            FieldType::Unsupported(reason) => return Err(reason.clone()),
        })
    }

    /// Appends a value of the type, as [`converted`] returns it. Values of another type, which it does not return, are null.
    pub(super) fn push(&mut self, value: &Value<'_>) {
        let integer = match value {
            Value::Integer(value) => Some(*value),
            _ => None,
        };
        let small = || integer.and_then(|value| i32::try_from(value).ok());
        let real = match value {
            Value::Real(value) => Some(*value),
            _ => None,
        };
        match self {
            Self::Boolean(builder) => builder.append_option(match value {
                Value::Boolean(value) => Some(*value),
                _ => None,
            }),
            Self::Int32(builder) => builder.append_option(small()),
            Self::Int64(builder) => builder.append_option(integer),
            Self::Float32(builder) => builder.append_option(real.map(|value| value as f32)),
            Self::Float64(builder) => builder.append_option(real),
            Self::Text(builder) => builder.append_option(match value {
                Value::Text(value) => Some(value),
                _ => None,
            }),
            Self::Bytes(builder) => builder.append_option(match value {
                Value::Bytes(value) => Some(value),
                _ => None,
            }),
            Self::Date(builder) => builder.append_option(small()),
            Self::Millis(builder) => builder.append_option(integer),
            Self::Micros(builder) => builder.append_option(integer),
            Self::Nanos(builder) => builder.append_option(integer),
            Self::List { items, ends, valid, .. } => {
                let values: &[Value<'_>] = if let Value::List(values) = value { values } else { &[] };
                values.iter().for_each(|value| items.push(value));
                valid.push(matches!(value, Value::List(_)));
                // A record of a million items in each of some thousand rows is refused before this could overflow.
                ends.push(
                    ends.last().copied().unwrap_or(0).saturating_add(i32::try_from(values.len()).unwrap_or(i32::MAX)),
                );
            }
            Self::Record { fields, valid, .. } => {
                let values: &[Value<'_>] = if let Value::Record(values) = value { values } else { &[] };
                for (index, field) in fields.iter_mut().enumerate() {
                    field.push(values.get(index).unwrap_or(&Value::Null));
                }
                valid.push(matches!(value, Value::Record(_)));
            }
        }
    }

    /// The column.
    pub(super) fn finish(self) -> Result<ArrayRef> {
        Ok(match self {
            Self::Boolean(mut builder) => Arc::new(builder.finish()),
            Self::Int32(mut builder) => Arc::new(builder.finish()),
            Self::Int64(mut builder) => Arc::new(builder.finish()),
            Self::Float32(mut builder) => Arc::new(builder.finish()),
            Self::Float64(mut builder) => Arc::new(builder.finish()),
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Bytes(mut builder) => Arc::new(builder.finish()),
            Self::Date(mut builder) => Arc::new(builder.finish()),
            Self::Millis(mut builder) => Arc::new(builder.finish()),
            Self::Micros(mut builder) => Arc::new(builder.finish()),
            Self::Nanos(mut builder) => Arc::new(builder.finish()),
            Self::List { items, kind, ends, valid } => {
                let field = Arc::new(Field::new_list_field(kind, true));
                let (offsets, nulls) = (OffsetBuffer::new(ends.into()), Some(NullBuffer::from(valid)));
                Arc::new(ListArray::try_new(field, offsets, items.finish()?, nulls)?)
            }
            Self::Record { fields, names, valid } => {
                let (length, nulls) = (valid.len(), Some(NullBuffer::from(valid)));
                let columns: Vec<ArrayRef> = fields.into_iter().map(Self::finish).collect::<Result<_>>()?;
                debug_assert!(columns.iter().all(|column| column.len() == length));
                Arc::new(StructArray::try_new_with_length(names, columns, nulls, length)?)
            }
        })
    }
}
