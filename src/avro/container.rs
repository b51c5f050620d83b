//! Object container files: a header with the writer's schema, and blocks of records (Avro specification, "Object container files").
//!
//! They are read here and not by `serde_avro_fast`, whose reader gives up a compressed file's records one by one without telling where
//! a block ends: after a damaged record the rest of its block is lost, and later blocks are not. Its codecs would bring second copies
//! of compression libraries that Parquet has.

use std::io::{self, BufRead, ErrorKind, Read};

use super::codec::{Codec, MAX_BLOCK_BYTES};

const MAGIC: [u8; 4] = *b"Obj\x01";
/// The most entries of the metadata, and bytes of one.
const MAX_ENTRIES: i64 = 1000;
const MAX_ENTRY_BYTES: u64 = 64 << 20;

/// An open container file.
pub(crate) struct Container<R> {
    reader: R,
    schema: String,
    codec: Codec,
    /// Ends every block.
    sync: [u8; 16],
    /// Whether nothing can be read any more.
    is_at_end: bool,
}

/// Records that follow each other.
#[derive(Debug)]
pub(crate) struct RecordBlock {
    /// How many, as the block says.
    pub(crate) count: u64,
    /// The records.
    pub(crate) bytes: Vec<u8>,
}

/// Why a file cannot be read.
#[derive(Debug)]
pub(crate) enum ContainerError {
    /// Its content is not what it should be.
    Damaged(String),
    /// The system could not read it now.
    Outside(io::Error),
}

impl From<String> for ContainerError {
    fn from(reason: String) -> Self {
        Self::Damaged(reason)
    }
}

impl ContainerError {
    /// Why the file cannot be read, in words.
    pub(crate) fn into_reason(self) -> String {
        match self {
            Self::Damaged(reason) => reason,
            Self::Outside(error) => format!("cannot be read: {error}"),
        }
    }

    fn of(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof => Self::Damaged("is cut off".into()),
            _ => Self::Outside(error),
        }
    }
}

impl<R: BufRead> Container<R> {
    /// Whether a file with these first bytes is a container file.
    pub(crate) fn is_begun_by(start: &[u8]) -> bool {
        start.starts_with(&MAGIC)
    }

    /// Reads the header of a file.
    pub(crate) fn open(mut reader: R) -> Result<Self, ContainerError> {
        if array::<4>(&mut reader)? != MAGIC {
            return Err("is not an Avro container file: it does not begin with `Obj` and 1".to_owned().into());
        }
        let (mut schema, mut codec) = (None, Codec::Null);
        let mut entries = 0;
        loop {
            let count = varint(&mut reader)?;
            // A negative count is followed by the bytes of the entries.
            if count < 0 {
                varint(&mut reader)?;
            }
            entries += count.checked_abs().unwrap_or(i64::MAX);
            if entries > MAX_ENTRIES {
                return Err(format!("has {entries} entries of metadata, expected at most {MAX_ENTRIES}").into());
            }
            if count == 0 {
                break;
            }
            for _ in 0..count.abs() {
                let key = bytes(&mut reader, MAX_ENTRY_BYTES)?;
                let value = bytes(&mut reader, MAX_ENTRY_BYTES)?;
                match key.as_slice() {
                    b"avro.schema" => schema = Some(value),
                    b"avro.codec" => codec = Codec::named(&value)?,
                    _ => {}
                }
            }
        }
        let schema = schema.ok_or_else(|| "has no schema in its metadata".to_owned())?;
        let schema = String::from_utf8(schema).map_err(|_| "has a schema that is not UTF-8".to_owned())?;
        let sync = array(&mut reader)?;
        Ok(Self { reader, schema, codec, sync, is_at_end: false })
    }

    /// The schema that the records were written with, as JSON. Files of a survey repeat it: it is parsed once by who reads them.
    pub(crate) fn schema_json(&self) -> &str {
        &self.schema
    }

    /// The next block; `None` after the last. After an error there is none.
    pub(crate) fn next_block(&mut self) -> Result<Option<RecordBlock>, ContainerError> {
        if self.is_at_end {
            return Ok(None);
        }
        self.is_at_end = true;
        if self.reader.fill_buf().map_err(ContainerError::Outside)?.is_empty() {
            return Ok(None);
        }
        let count = varint(&mut self.reader)?;
        let count = u64::try_from(count).map_err(|_| format!("has a block of {count} records"))?;
        let block = bytes(&mut self.reader, MAX_BLOCK_BYTES)?;
        if array::<16>(&mut self.reader)? != self.sync {
            return Err("has a block that does not end with the mark of the file".to_owned().into());
        }
        let bytes = self.codec.decompress(block)?;
        self.is_at_end = false;
        Ok(Some(RecordBlock { count, bytes }))
    }
}

fn array<const N: usize>(reader: &mut impl Read) -> Result<[u8; N], ContainerError> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).map_err(ContainerError::of)?;
    Ok(bytes)
}

/// Avro's `long`: groups of 7 bits, the lowest first, with the sign in the lowest bit.
fn varint(reader: &mut impl Read) -> Result<i64, ContainerError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = array(reader)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    Err("has a length of more than 10 bytes".to_owned().into())
}

/// Bytes behind their number.
fn bytes(reader: &mut impl Read, most: u64) -> Result<Vec<u8>, ContainerError> {
    let length = varint(reader)?;
    let length = u64::try_from(length).ok().filter(|length| *length <= most);
    let length = length.ok_or_else(|| format!("has a part of more than {most} bytes, or of less than none"))?;
    let mut bytes = Vec::new();
    // Memory grows with what is there, not with what the length promises.
    let read = reader.take(length).read_to_end(&mut bytes).map_err(ContainerError::Outside)?;
    if (read as u64) < length { Err("is cut off".to_owned().into()) } else { Ok(bytes) }
}
