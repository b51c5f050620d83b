//! The schemas that packets were written with: of container files by their JSON, of messages by their number.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use super::plan::{PacketPlan, PacketSchema};
use crate::{
    avro::{Payload, SchemaFolder, WriterSchema},
    error::Result,
};

/// Finds the schema of a number. The outer error is of the world outside; the inner one says why there is none.
pub(in crate::source) type SchemaOfNumber = Arc<dyn Fn(u32) -> Result<Result<WriterSchema, String>> + Send + Sync>;

/// The record of a message, and its schema as it was written. The inner error is the reason why it has none.
pub(in crate::source) fn record_of(
    payload: &[u8],
    of_number: &SchemaOfNumber,
) -> Result<Result<(WriterSchema, Vec<u8>), String>> {
    Ok(match Payload::of(payload) {
        Ok(Payload::Framed(framed)) => of_number(framed.schema_id)?.map(|schema| (schema, framed.record.to_vec())),
        Ok(Payload::Container { schema_json, record }) => {
            WriterSchema::parse(&schema_json).map(|schema| (schema, record))
        }
        Err(reason) => Err(reason),
    })
}

/// Finds schemas in a folder, if there is one.
pub(in crate::source) fn in_folder(folder: Option<SchemaFolder>) -> SchemaOfNumber {
    Arc::new(move |number| {
        Ok(match &folder {
            Some(folder) => folder.schema(number),
            None => Err(format!(
                "is a message that stands alone, of the schema {number}: `schemas` names the folder with its schema"
            )),
        })
    })
}

/// A record, and its schema as packets are read with it.
pub(in crate::source) type PacketRecord<'a> = (Arc<PacketSchema>, Cow<'a, [u8]>);

/// The schemas so far. Each is looked up once.
pub(in crate::source) struct Schemas {
    of_number: SchemaOfNumber,
    by_json: HashMap<String, Arc<PacketSchema>>,
    by_number: HashMap<u32, Result<Arc<PacketSchema>, String>>,
}

impl Schemas {
    /// None yet.
    pub(in crate::source) fn new(of_number: SchemaOfNumber) -> Self {
        Self { of_number, by_json: HashMap::new(), by_number: HashMap::new() }
    }

    /// The record of a message, and its schema. The inner error is the reason why it has none.
    pub(in crate::source) fn of_payload<'a>(
        &mut self,
        plan: &PacketPlan,
        payload: &'a [u8],
        origin: &str,
    ) -> Result<Result<PacketRecord<'a>, String>> {
        Ok(match Payload::of(payload) {
            Ok(Payload::Framed(framed)) => {
                let schema = self.of_number(plan, framed.schema_id, origin)?;
                schema.map(|schema| (schema, Cow::Borrowed(framed.record)))
            }
            Ok(Payload::Container { schema_json, record }) => {
                self.of_json(plan, &schema_json, origin).map(|schema| (schema, Cow::Owned(record)))
            }
            Err(reason) => Err(reason),
        })
    }

    /// The schema of a container file; the error is the reason why it cannot be used.
    pub(super) fn of_json(&mut self, plan: &PacketPlan, json: &str, origin: &str) -> Result<Arc<PacketSchema>, String> {
        if let Some(known) = self.by_json.get(json) {
            return Ok(known.clone());
        }
        let schema = Arc::new(PacketSchema::new(plan, WriterSchema::parse(json)?, origin));
        self.by_json.insert(json.to_owned(), schema.clone());
        Ok(schema)
    }

    /// The schema of a number. The inner error says why it is missing.
    fn of_number(&mut self, plan: &PacketPlan, number: u32, origin: &str) -> Result<Result<Arc<PacketSchema>, String>> {
        if let Some(known) = self.by_number.get(&number) {
            return Ok(known.clone());
        }
        let found = (self.of_number)(number)?.map(|schema| Arc::new(PacketSchema::new(plan, schema, origin)));
        self.by_number.insert(number, found.clone());
        Ok(found)
    }
}
