//! What a study has accepted and not yet said, as bytes: a JSON line, and the rows as an Arrow IPC stream.

use std::io::Cursor;

use arrow::{
    array::RecordBatch,
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Rows of the stream by their numbers.
pub(super) struct Waiting {
    pub(super) seen: u64,
    pub(super) pending: Vec<(u64, RecordBatch)>,
    pub(super) smallest: Vec<(u64, RecordBatch)>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    seen: u64,
    pending: Vec<u64>,
    smallest: Vec<u64>,
}

impl Waiting {
    pub(super) fn write<'a>(
        seen: u64,
        pending: impl Iterator<Item = (u64, &'a RecordBatch)>,
        smallest: impl Iterator<Item = (u64, &'a RecordBatch)>,
    ) -> Result<Vec<u8>> {
        let (pending, mut rows): (Vec<u64>, Vec<&RecordBatch>) = pending.unzip();
        let (smallest, more): (Vec<u64>, Vec<&RecordBatch>) = smallest.unzip();
        rows.extend(more);
        let head = Head { seen, pending, smallest };
        let mut bytes = serde_json::to_vec(&head).map_err(|error| Error::bug(error.to_string()))?;
        bytes.push(b'\n');
        if let Some(first) = rows.first() {
            // One row has a dictionary of its own, so dictionaries may be replaced from row to row: a stream can do that.
            let mut writer = StreamWriter::try_new(&mut bytes, first.schema_ref())?;
            rows.iter().try_for_each(|row| writer.write(row))?;
            writer.finish()?;
        }
        Ok(bytes)
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let broken = || Error::bug("the snapshot of a study cannot be read");
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(broken)?;
        let head: Head = serde_json::from_slice(&bytes[..end]).map_err(|_| broken())?;
        let mut rows = Vec::new();
        if end + 1 < bytes.len() {
            rows = StreamReader::try_new(Cursor::new(&bytes[end + 1..]), None)?.collect::<Result<Vec<_>, _>>()?;
        }
        if rows.len() != head.pending.len() + head.smallest.len() {
            return Err(broken());
        }
        let smallest = rows.split_off(head.pending.len());
        Ok(Self {
            seen: head.seen,
            pending: head.pending.into_iter().zip(rows).collect(),
            smallest: head.smallest.into_iter().zip(smallest).collect(),
        })
    }
}
