//! Snapshots: the state of a monitor at a commit, as bytes.
//!
//! One line of JSON, the [`SnapshotHeader`], then a body of raw bytes: numbers, or rows as an Arrow IPC stream. The header is
//! described by `schemas/snapshot.schema.json`.

use std::io::Cursor;

use arrow::{
    array::RecordBatch,
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::{Error, Result};

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
    let damaged = |error| Error::data("the rows of a snapshot are damaged").caused_by(error);
    StreamReader::try_new(Cursor::new(body), None).and_then(Iterator::collect).map_err(damaged)
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
    fn refuses_other_formats_and_kinds_by_name() {
        let why = |bytes: &[u8]| decode::<u32>("drift", bytes).expect_err("refused").to_string();
        assert!(why(b"{\"seen\":3}\n").contains("has format 0, this version restores format 1"));
        assert!(why(b"{\"format\":2,\"kind\":\"drift\",\"state\":3}\n").contains("format 2"));
        assert!(why(&encode("isomap", &3, b"").expect("written")).contains("found one of `isomap`"));
        assert!(why(b"{\"format\":1,").contains("damaged"));
    }
}
