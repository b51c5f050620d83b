//! The compressions of blocks of a container file.

use std::io::Read;

/// The most bytes that a block may have, compressed or not: damaged lengths must not ask for more memory.
pub(super) const MAX_BLOCK_BYTES: u64 = 1 << 30;

/// A compression of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Null,
    Deflate,
    Bzip2,
    Snappy,
    Zstandard,
}

impl Codec {
    /// The codec that the metadata of a file name.
    pub(super) fn named(name: &[u8]) -> Result<Self, String> {
        match name {
            b"" | b"null" => Ok(Self::Null),
            b"deflate" => Ok(Self::Deflate),
            b"bzip2" => Ok(Self::Bzip2),
            b"snappy" => Ok(Self::Snappy),
            b"zstandard" => Ok(Self::Zstandard),
            other => Err(format!(
                "is compressed with `{}`, expected `null`, `deflate`, `bzip2`, `snappy` or `zstandard`",
                String::from_utf8_lossy(other).escape_debug()
            )),
        }
    }

    /// The records of a block.
    pub(super) fn decompress(self, block: Vec<u8>) -> Result<Vec<u8>, String> {
        let damaged = |error: std::io::Error| format!("has a block that cannot be decompressed: {error}");
        match self {
            Self::Null => Ok(block),
            Self::Deflate => read_bounded(flate2::bufread::DeflateDecoder::new(&*block)).map_err(damaged)?,
            Self::Bzip2 => read_bounded(bzip2::bufread::BzDecoder::new(&*block)).map_err(damaged)?,
            Self::Zstandard => {
                let decoder = zstd::stream::read::Decoder::with_buffer(&*block).map_err(damaged)?;
                read_bounded(decoder).map_err(damaged)?
            }
            Self::Snappy => snappy(&block),
        }
    }
}

fn read_bounded(reader: impl Read) -> std::io::Result<Result<Vec<u8>, String>> {
    let mut bytes = Vec::new();
    reader.take(MAX_BLOCK_BYTES + 1).read_to_end(&mut bytes)?;
    let is_bounded = bytes.len() as u64 <= MAX_BLOCK_BYTES;
    Ok(if is_bounded { Ok(bytes) } else { Err(too_large()) })
}

/// Snappy's raw format, followed by the CRC-32 of the records, big-endian.
fn snappy(block: &[u8]) -> Result<Vec<u8>, String> {
    let damaged = |error: snap::Error| format!("has a block that cannot be decompressed: {error}");
    let (packed, checksum) = block.split_last_chunk::<4>().ok_or("has a block without a checksum")?;
    if snap::raw::decompress_len(packed).map_err(damaged)? as u64 > MAX_BLOCK_BYTES {
        return Err(too_large());
    }
    let bytes = snap::raw::Decoder::new().decompress_vec(packed).map_err(damaged)?;
    if crc32fast::hash(&bytes) != u32::from_be_bytes(*checksum) {
        return Err("has a block whose checksum is wrong".into());
    }
    Ok(bytes)
}

fn too_large() -> String {
    format!("has a block of more than {MAX_BLOCK_BYTES} bytes")
}
