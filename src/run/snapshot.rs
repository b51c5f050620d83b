//! Snapshots: the state of a monitor at a commit, as bytes.
//!
//! One line of JSON, the [`SnapshotHeader`], then a body of raw bytes: numbers, or rows as an Arrow IPC stream. The header is
//! described by `schemas/snapshot.schema.json`.

use std::io::Cursor;

use arrow::{
    array::RecordBatch,
    ipc::{reader::StreamReader, root_as_message, writer::StreamWriter},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    error::{Error, Result},
    io::parquet::caught,
};

/// The format of snapshots that this version writes and restores.
pub const FORMAT: u32 = 1;

/// The first line of a snapshot.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotHeader<H> {
    /// The format of the snapshot.
    pub format: u32,
    /// The kind of the monitor that wrote it.
    pub kind: String,
    /// The state, as far as it is not in the body.
    pub state: H,
}

#[derive(Deserialize)]
struct Version {
    #[serde(default)]
    format: u32,
    #[serde(default)]
    kind: String,
}

/// Writes a snapshot of a kind: its state, then a body.
///
/// # Errors
/// [`Error::Bug`] when the state cannot be written as JSON.
pub fn encode<H: Serialize>(kind: &str, state: &H, body: &[u8]) -> Result<Vec<u8>> {
    let header = SnapshotHeader { format: FORMAT, kind: kind.to_owned(), state };
    let mut bytes = serde_json::to_vec(&header)
        .map_err(|error| Error::bug(format!("the state of `{kind}` is not JSON")).caused_by(error))?;
    bytes.push(b'\n');
    bytes.extend_from_slice(body);
    Ok(bytes)
}

/// Reads a snapshot of a kind: its state and its body.
///
/// # Errors
/// [`Error::Data`] when it is of another format or kind, or damaged.
pub fn decode<'a, H: DeserializeOwned>(kind: &str, bytes: &'a [u8]) -> Result<(H, &'a [u8])> {
    let damaged = || Error::data(format!("the snapshot of `{kind}` is damaged"));
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let version: Version = serde_json::from_slice(&bytes[..end]).map_err(|error| damaged().caused_by(error))?;
    if version.format != FORMAT {
        let found = version.format;
        return Err(Error::data(format!(
            "the snapshot of `{kind}` has format {found}, this version restores format {FORMAT}: finish the run with the version that began it, or overwrite it"
        )));
    }
    if version.kind != kind {
        return Err(Error::data(format!("expected a snapshot of `{kind}`, found one of `{}`", version.kind)));
    }
    let header: SnapshotHeader<H> =
        serde_json::from_slice(&bytes[..end]).map_err(|error| damaged().caused_by(error))?;
    Ok((header.state, &bytes[(end + 1).min(bytes.len())..]))
}

/// Rows as the body of a snapshot; empty for no rows. All batches have one schema; dictionaries may differ from batch to batch.
///
/// # Errors
/// When Arrow cannot write them.
pub fn encode_rows<'a>(rows: impl IntoIterator<Item = &'a RecordBatch>) -> Result<Vec<u8>> {
    let mut rows = rows.into_iter().peekable();
    let mut bytes = Vec::new();
    if let Some(first) = rows.peek() {
        let mut writer = StreamWriter::try_new(&mut bytes, first.schema_ref())?;
        rows.try_for_each(|batch| writer.write(batch))?;
        writer.finish()?;
    }
    Ok(bytes)
}

/// The rows of a body that [`encode_rows`] wrote, batch by batch.
///
/// # Errors
/// [`Error::Data`] when the body is damaged.
pub fn decode_rows(body: &[u8]) -> Result<Vec<RecordBatch>> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    if !has_its_messages(body) {
        return Err(Error::data("the rows of a snapshot are damaged: a message is longer than they are"));
    }
    let damaged = || Error::data("the rows of a snapshot are damaged");
    let rows = caught(|| StreamReader::try_new(Cursor::new(body), None).and_then(Iterator::collect));
    rows.map_err(|panic| damaged().caused_by(panic))?.map_err(|error| damaged().caused_by(error))
}

/// Whether the messages of an IPC stream are no longer than its bytes. The reader makes room for what a length says before it reads: 10 kB
/// could take all memory.
fn has_its_messages(mut stream: &[u8]) -> bool {
    loop {
        let mut length = take(&mut stream, 4);
        // Before its length, a message has this mark, except in the oldest streams.
        if length == Some(&[0xFF; 4]) {
            length = take(&mut stream, 4);
        }
        let length = length.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
        if length == 0 {
            return true;
        }
        let Some(metadata) = take(&mut stream, u64::from(length)) else { return false };
        let Ok(message) = root_as_message(metadata) else { return true };
        let body = u64::try_from(message.bodyLength()).unwrap_or(u64::MAX);
        if take(&mut stream, body).is_none() {
            return false;
        }
    }
}

/// Takes bytes off the front; `None` if there are fewer.
fn take<'a>(bytes: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{ArrayRef, Int32Array},
        datatypes::{DataType, Field, Schema},
    };

    use super::*;

    #[test]
    fn state_and_rows_come_back() {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, false)]));
        let batch = |n: i32| {
            let column: ArrayRef = Arc::new(Int32Array::from(vec![n]));
            RecordBatch::try_new(schema.clone(), vec![column]).expect("a batch")
        };
        let rows = [batch(1), batch(2)];
        let bytes = encode("drift", &("a\nb", 3), &encode_rows(&rows).expect("written")).expect("written");
        let (state, body): ((String, u32), _) = decode("drift", &bytes).expect("read");
        assert_eq!((state.0.as_str(), state.1), ("a\nb", 3));
        assert_eq!(decode_rows(body).expect("read"), rows);
        assert!(decode_rows(&encode_rows(&[]).expect("written")).expect("read").is_empty());
    }

    #[test]
    fn lengths_of_messages_are_checked_before_room_is_made_for_them() {
        let field = Field::new("n", DataType::Int32, false);
        let column: ArrayRef = Arc::new(Int32Array::from(vec![7; 100]));
        let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).expect("a batch");
        let bytes = encode_rows([&batch]).expect("written");
        assert!(has_its_messages(&bytes) && !has_its_messages(b"not a stream"));
        for length in [i32::MAX, i32::MAX - 3] {
            let mut long = bytes.clone();
            long[4..8].copy_from_slice(&length.to_le_bytes());
            let error = decode_rows(&long).expect_err("refused").to_string();
            assert!(error.ends_with("a message is longer than they are"), "{error}");
        }
        // Cut off in its metadata, and in a body.
        assert!(!has_its_messages(&bytes[..100]) && !has_its_messages(&bytes[..bytes.len() - 60]));
    }

    #[test]
    fn refuses_other_formats_and_kinds_by_name() {
        let why = |bytes: &[u8]| decode::<u32>("drift", bytes).expect_err("refused").to_string();
        assert!(why(b"{\"seen\":3}\n").contains("has format 0, this version restores format 1"));
        assert!(why(b"{\"format\":2,\"kind\":\"drift\",\"state\":3}\n").contains("format 2"));
        assert!(why(&encode("isomap", &3, b"").expect("written")).contains("found one of `isomap`"));
        assert!(why(b"{\"format\":1,").contains("damaged"));
    }
}
