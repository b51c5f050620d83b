//! The bytes of a file: of ordinary files only, and never more of them than allowed.

use std::{
    borrow::Cow,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use super::Limits;

/// Files above this size are read piece by piece.
const IN_MEMORY: u64 = 64 << 20;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Where the bytes are.
#[derive(Debug)]
pub(super) enum Bytes {
    Memory(Vec<u8>),
    Disk { file: File, len: u64 },
}

impl Bytes {
    /// Opens a file, reading a small or gzipped one whole into `buffer`. The name is only ever a name: no syntax in it
    /// means anything. What is no ordinary file (a folder, a pipe, a device) is refused before it is opened.
    pub(super) fn open(path: &Path, limits: &Limits, mut buffer: Vec<u8>) -> Result<Self, String> {
        let said = |error: std::io::Error| format!("cannot be read: {error}");
        let metadata = std::fs::metadata(path).map_err(said)?;
        refuse_special(&metadata)?;
        let mut file = File::open(path).map_err(said)?;
        let len = metadata.len();
        if len > IN_MEMORY {
            let mut magic = [0; 2];
            file.read_exact(&mut magic).and_then(|()| file.rewind()).map_err(said)?;
            return if magic == GZIP { gunzip(file, limits) } else { Ok(Self::Disk { file, len }) };
        }
        // One read, and no zeros first where the last file was as long.
        buffer.resize(len as usize, 0);
        file.read_exact(&mut buffer).map_err(said)?;
        Self::of(buffer, limits)
    }

    /// Bytes that are in memory already, gzipped or not.
    pub(super) fn of(bytes: Vec<u8>, limits: &Limits) -> Result<Self, String> {
        if bytes.starts_with(&GZIP) { gunzip(bytes.as_slice(), limits) } else { Ok(Self::Memory(bytes)) }
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk { len, .. } => *len,
        }
    }

    /// A range; an error when it is not all there.
    pub(super) fn get(&self, start: u64, len: usize) -> Result<Cow<'_, [u8]>, String> {
        let short = || format!("the file ends at byte {}, expected {len} bytes from byte {start}", self.len());
        if start.checked_add(len as u64).is_none_or(|end| end > self.len()) {
            return Err(short());
        }
        match self {
            Self::Memory(bytes) => Ok(Cow::Borrowed(&bytes[start as usize..start as usize + len])),
            Self::Disk { file, .. } => {
                let mut file = file;
                let mut piece = vec![0; len];
                file.seek(SeekFrom::Start(start))
                    .and_then(|_| file.read_exact(&mut piece))
                    .map_err(|error| format!("cannot be read: {error}"))?;
                Ok(Cow::Owned(piece))
            }
        }
    }

    /// The buffer, for the next file.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Disk { .. } => Vec::new(),
        }
    }
}

fn refuse_special(metadata: &std::fs::Metadata) -> Result<(), String> {
    let what = match metadata.file_type() {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a folder",
        _ => "a pipe, socket or device",
    };
    Err(format!("is {what}, expected an ordinary file"))
}

/// Decompresses in pieces and stops at the limit, so that a bomb costs no more than the limit.
fn gunzip(packed: impl Read, limits: &Limits) -> Result<Bytes, String> {
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(packed)
        .take(limits.gunzipped_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot be decompressed as gzip: {error}"))?;
    if bytes.len() as u64 > limits.gunzipped_bytes {
        return Err(format!("decompresses to more than the allowed {} bytes", limits.gunzipped_bytes));
    }
    Ok(Bytes::Memory(bytes))
}
