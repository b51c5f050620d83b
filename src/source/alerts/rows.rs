//! Packets as rows: identity and columns. Their stamps are decoded later, by the workers.

use std::sync::Arc;

use arrow::array::{ArrayRef, LargeBinaryBuilder, RecordBatch, StringArray, UInt64Array};

use super::{
    columns::ColumnBuilder,
    plan::{PacketPlan, PacketSchema},
};
use crate::{
    avro::Value,
    error::Result,
    stage::{Read, Reject},
};

/// The rows of a batch.
pub(in crate::source) struct PacketRows<'a> {
    plan: &'a PacketPlan,
    numbers: Vec<u64>,
    ids: Vec<String>,
    origins: Vec<String>,
    columns: Vec<ColumnBuilder>,
    stamps: Vec<LargeBinaryBuilder>,
    rejects: Vec<Reject>,
}

/// Where a packet comes from.
pub(in crate::source) struct PacketPlace {
    /// Its number in the split.
    pub(in crate::source) number: u64,
    pub(in crate::source) origin: String,
}

/// Bytes of the stamps of a row, by stamp: those of the last batch are the room for the next one.
#[derive(Debug, Clone, Default)]
pub(in crate::source) struct StampRoom(Vec<usize>);

/// The most bytes of a stamp column for which memory is reserved before they are read.
const MAX_ROOM: usize = 64 << 20;

impl<'a> PacketRows<'a> {
    /// No rows, and room for some.
    pub(in crate::source) fn new(plan: &'a PacketPlan, rows: usize, room: &StampRoom) -> Result<Self> {
        let of_stamp = |stamp: usize| rows.saturating_mul(room.0.get(stamp).copied().unwrap_or(0)).min(MAX_ROOM);
        let rows_of_stamp = |bytes: usize| if bytes == 0 { 0 } else { rows };
        let stamps = (0..plan.fields.stamps.len()).map(|stamp| {
            let bytes = of_stamp(stamp);
            LargeBinaryBuilder::with_capacity(rows_of_stamp(bytes), bytes)
        });
        let stamps = stamps.collect();
        Ok(Self {
            plan,
            numbers: Vec::new(),
            ids: Vec::new(),
            origins: Vec::new(),
            columns: plan.builders()?,
            stamps,
            rejects: Vec::new(),
        })
    }

    /// How many packets were added, rejected ones included.
    pub(in crate::source) fn len(&self) -> usize {
        self.numbers.len() + self.rejects.len()
    }

    /// Adds a record that stands alone, unless `accept` refuses its identity. Bytes after it are damage.
    pub(in crate::source) fn push_message(
        &mut self,
        schema: &PacketSchema,
        record: &[u8],
        place: PacketPlace,
        accept: &mut dyn FnMut(&str) -> Result<(), String>,
    ) {
        match schema.read(self.plan, record) {
            Ok((values, [])) => self.push(schema, values, place, accept),
            Ok((_, rest)) => {
                let reason = format!("has {} bytes after its record of schema `{}`", rest.len(), schema.schema.name());
                self.reject(place, None, reason);
            }
            Err(reason) => self.reject(place, None, damaged(schema, &reason)),
        }
    }

    /// Adds the first of some records, and returns the bytes after it; `None` if the record is damaged, which is a reject: then it is
    /// not known where the next one begins.
    pub(super) fn push_first<'de>(
        &mut self,
        schema: &PacketSchema,
        records: &'de [u8],
        place: PacketPlace,
    ) -> Option<&'de [u8]> {
        match schema.read(self.plan, records) {
            Ok((values, rest)) => {
                self.push(schema, values, place, &mut |_| Ok(()));
                Some(rest)
            }
            Err(reason) => {
                self.reject(place, None, damaged(schema, &reason));
                None
            }
        }
    }

    fn push(
        &mut self,
        schema: &PacketSchema,
        mut values: Vec<Value<'_>>,
        place: PacketPlace,
        accept: &mut dyn FnMut(&str) -> Result<(), String>,
    ) {
        let id = match identity(&values[0]) {
            Ok(id) => id,
            Err(found) => {
                let reason = format!("has no identity: `{}` is {found}", self.plan.fields.object_id);
                return self.reject(place, None, reason);
            }
        };
        if let Err(reason) = accept(&id) {
            return self.reject(place, Some(id), reason);
        }
        for (column, index) in self.plan.column_values().enumerate() {
            match schema.column_value(self.plan, column, std::mem::take(&mut values[index])) {
                Ok(value) => values[index] = value,
                Err(reason) => return self.reject(place, Some(id), reason),
            }
        }
        for (column, index) in self.columns.iter_mut().zip(self.plan.column_values()) {
            column.push(&values[index]);
        }
        for (stamp, index) in self.stamps.iter_mut().zip(self.plan.stamp_values()) {
            match &values[index] {
                Value::Bytes(bytes) => stamp.append_value(bytes),
                _ => stamp.append_null(),
            }
        }
        self.numbers.push(place.number);
        self.ids.push(id);
        self.origins.push(place.origin);
    }

    /// Adds a packet that cannot be read.
    pub(in crate::source) fn reject(&mut self, place: PacketPlace, object_id: Option<String>, reason: String) {
        let PacketPlace { number: row, origin } = place;
        self.rejects.push(Reject { row, object_id, origin, stage: "source".into(), reason });
    }

    /// The bytes of the stamps, a row on average.
    pub(in crate::source) fn room(&self) -> StampRoom {
        let rows = self.numbers.len().max(1);
        StampRoom(self.stamps.iter().map(|stamp| stamp.values_slice().len().div_ceil(rows)).collect())
    }

    /// The rows and the rejects.
    pub(in crate::source) fn into_read(self) -> Result<Read> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(self.numbers)),
            Arc::new(StringArray::from(self.ids)),
            Arc::new(StringArray::from(self.origins)),
        ];
        columns.extend(self.columns.into_iter().map(ColumnBuilder::finish).collect::<Result<Vec<_>>>()?);
        columns.extend(self.stamps.into_iter().map(|mut stamp| Arc::new(stamp.finish()) as ArrayRef));
        Ok(Read::Batch { rows: RecordBatch::try_new(self.plan.schema.clone(), columns)?, rejects: self.rejects })
    }
}

/// The identity of a message, if it is a packet that has one.
pub(in crate::source) fn identity_of(plan: &PacketPlan, schema: &PacketSchema, record: &[u8]) -> Option<String> {
    let (values, rest) = schema.read(plan, record).ok()?;
    identity(&values[0]).ok().filter(|_| rest.is_empty())
}

/// The identity that a value is; the error says what it is instead.
fn identity(value: &Value<'_>) -> Result<String, &'static str> {
    match value {
        Value::Text(id) if !id.is_empty() => Ok(id.clone().into_owned()),
        Value::Integer(id) => Ok(id.to_string()),
        Value::Null => Err("null"),
        Value::Text(_) => Err("empty"),
        Value::Real(_) => Err("a float, which does not tell objects apart"),
        _ => Err("not a number or text"),
    }
}

fn damaged(schema: &PacketSchema, reason: &str) -> String {
    format!("is not a packet of schema `{}`, or is damaged: {reason}", schema.schema.name())
}
