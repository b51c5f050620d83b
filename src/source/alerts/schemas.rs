//! The schemas that packets were written with: of container files by their JSON, of messages by their number.

use std::{collections::HashMap, sync::Arc};

use super::plan::{PacketPlan, PacketSchema};
use crate::{
    avro::{SchemaFolder, WriterSchema},
    error::Result,
};

/// Finds the schema of a number. The outer error is of the world outside; the inner one says why there is none.
pub(in crate::source) type SchemaOfNumber = Arc<dyn Fn(u32) -> Result<Result<WriterSchema, String>> + Send + Sync>;

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

    /// The schema of a container file; the error is the reason why it cannot be used.
    pub(in crate::source) fn of_json(
        &mut self,
        plan: &PacketPlan,
        json: &str,
        origin: &str,
    ) -> Result<Arc<PacketSchema>, String> {
        if let Some(known) = self.by_json.get(json) {
            return Ok(known.clone());
        }
        let schema = Arc::new(PacketSchema::new(plan, WriterSchema::parse(json)?, origin));
        self.by_json.insert(json.to_owned(), schema.clone());
        Ok(schema)
    }

    /// The schema of a message. The inner error is the reason why there is none.
    pub(in crate::source) fn of_number(
        &mut self,
        plan: &PacketPlan,
        number: u32,
        origin: &str,
    ) -> Result<Result<Arc<PacketSchema>, String>> {
        if let Some(known) = self.by_number.get(&number) {
            return Ok(known.clone());
        }
        let found = (self.of_number)(number)?.map(|schema| Arc::new(PacketSchema::new(plan, schema, origin)));
        self.by_number.insert(number, found.clone());
        Ok(found)
    }
}
