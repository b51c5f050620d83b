//! Records as messages.

use serde::Serialize;
use serde_avro_fast::{Schema, ser::SerializerConfig};

/// Writes records of a schema in Confluent's framing.
pub(crate) struct RecordEncoder {
    schema: Schema,
    frame: [u8; 5],
}

impl RecordEncoder {
    /// By a schema, and its number in the registry.
    ///
    /// # Errors
    /// Why the text is not a schema.
    pub(crate) fn new(json: &str, number: u32) -> Result<Self, String> {
        let schema = json.parse().map_err(|error| format!("a schema of our own cannot be read: {error}"))?;
        let [a, b, c, d] = number.to_be_bytes();
        Ok(Self { schema, frame: [0, a, b, c, d] })
    }

    /// A message.
    ///
    /// # Errors
    /// When the record is not of the schema.
    pub(crate) fn encode(&self, record: &impl Serialize) -> Result<Vec<u8>, String> {
        let mut config = SerializerConfig::new(&self.schema);
        serde_avro_fast::to_datum(record, self.frame.to_vec(), &mut config).map_err(|error| error.to_string())
    }
}
