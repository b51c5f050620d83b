//! A message that stands alone: an Avro record behind the number of its schema, as Confluent's schema registry frames it.

/// Bytes before the record: 0, and the number of the schema.
const FRAME: usize = 5;

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
pub(crate) fn message(bytes: &[u8]) -> Result<Message<'_>, String> {
    let Some((&[magic, a, b, c, d], record)) = bytes.split_first_chunk::<FRAME>() else {
        return Err(match bytes.len() {
            0 => "is empty: a message without a value (a tombstone)".into(),
            length => format!("has {length} bytes, expected a byte 0, the number of a schema in 4 bytes, and a record"),
        });
    };
    if magic != 0 {
        return Err(format!(
            "begins with the byte {magic}, expected 0 and the number of a schema (Confluent's framing)"
        ));
    }
    Ok(Message { schema_id: u32::from_be_bytes([a, b, c, d]), record })
}
