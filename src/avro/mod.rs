//! Avro records: schemas as their writers wrote them, container files, framed messages, and fields by path. No Arrow in it.
//!
//! A record is always read with the schema of its writer, and its fields are taken by name: Avro's resolution by a reader's schema
//! fails on schemas of surveys, which carry their version in the names of their records (`lsst.v9_0.alert`).

mod codec;
mod container;
#[cfg(feature = "kafka")]
mod encoder;
mod fields;
mod message;
mod schema;
mod schema_folder;
mod value;

#[cfg(feature = "kafka")]
pub(crate) use self::encoder::RecordEncoder;
pub(crate) use self::{
    container::{Container, ContainerError, RecordBlock},
    fields::FieldPaths,
    message::Payload,
    schema::{FieldType, WriterSchema},
    schema_folder::SchemaFolder,
    value::Value,
};

#[cfg(any(test, fuzzing))]
pub(crate) mod test_packets;
#[cfg(test)]
mod tests;
