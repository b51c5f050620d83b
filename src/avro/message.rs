//! A message that stands alone: an Avro record behind the number of its schema, as Confluent's schema registry frames it, or a
//! container file with one record.

use super::{Container, ContainerError};

/// Bytes before the record: 0, and the number of the schema.
const FRAME: usize = 5;

/// The content of a message.
pub(crate) enum Payload<'a> {
    Framed(Message<'a>),
    /// A container file with one record, as ZTF sends.
    Container {
        schema_json: String,
        record: Vec<u8>,
    },
}

impl<'a> Payload<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// Why the bytes are neither.
    pub(crate) fn of(bytes: &'a [u8]) -> Result<Self, String> {
        if !Container::<&[u8]>::is_begun_by(bytes) {
            return message(bytes).map(Self::Framed);
        }
        let mut container = Container::open(bytes).map_err(ContainerError::into_reason)?;
        let block = container.next_block().map_err(ContainerError::into_reason)?;
        let block = block.ok_or("is a container file without a record")?;
        let is_alone = block.count == 1 && container.next_block().map_err(ContainerError::into_reason)?.is_none();
        if !is_alone {
            return Err("is a container file with several records, expected one".into());
        }
        Ok(Self::Container { schema_json: container.schema_json().to_owned(), record: block.bytes })
    }
}

/// A framed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// The number of the writer's schema in its registry. Rubin's are 100 times the major version plus the minor one.
    pub(crate) schema_id: u32,
    /// The record.
    pub(crate) record: &'a [u8],
}

/// Takes the frame off a message.
///
/// # Errors
/// Why the bytes are not a framed message.
pub(super) fn message(bytes: &[u8]) -> Result<Message<'_>, String> {
    let Some((&[magic, a, b, c, d], record)) = bytes.split_first_chunk::<FRAME>() else {
        return Err(match bytes.len() {
            0 => "is empty: a message without a value (a tombstone)".into(),
            length => format!("has {length} bytes, expected a byte 0, the number of a schema in 4 bytes, and a record"),
        });
    };
    if magic != 0 {
        return Err(format!(
            "begins with the byte {magic}, expected 0 and the number of a schema (Confluent's framing), or a container file"
        ));
    }
    Ok(Message { schema_id: u32::from_be_bytes([a, b, c, d]), record })
}
