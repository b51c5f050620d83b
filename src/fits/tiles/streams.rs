//! The compressed streams of tiles: checks, and padding for damaged ones.

use std::io::Read;

use super::{CompressedTable, TileColumn, TileCompression, element_bytes};

/// Rejects a stream on which a decoder would write or read outside of its buffers. `pixels` are the sides of the tile.
pub(super) fn check(
    stream: &[u8],
    column: &TileColumn,
    table: &CompressedTable,
    pixels: &[usize],
) -> Result<(), String> {
    let bitpix = table.bitpix;
    let total: usize = pixels.iter().product();
    let length = stream.len() / element_bytes(column.letter)?;
    match column.name.as_str() {
        "UNCOMPRESSED_DATA" if length != 0 && length != total => {
            Err(format!("holds {length} pixels, expected {total}"))
        }
        "COMPRESSED_DATA" if !stream.is_empty() => match table.compression {
            TileCompression::Plio if column.letter != b'I' => {
                Err("has elements of another type, expected the 16-bit words of PLIO".into())
            }
            TileCompression::Plio => check_plio(stream),
            _ if column.letter != b'B' => Err("has elements of another type, expected bytes".into()),
            TileCompression::Hcompress => check_hcompress(stream, pixels, total),
            TileCompression::Gzip if bitpix == -64 => check_gzip(stream, &[4 * total, 8 * total]),
            TileCompression::Gzip if bitpix == -32 => check_gzip(stream, &[4 * total]),
            // Old files store 16-bit images as 4-byte integers.
            TileCompression::Gzip => check_gzip(stream, &[4 * total, 2 * total, total]),
            TileCompression::Rice => Ok(()),
        },
        "GZIP_COMPRESSED_DATA" if !stream.is_empty() => match bitpix {
            -32 | -64 => check_gzip(stream, &[bitpix.unsigned_abs() as usize / 8 * total]),
            _ => Err(format!("is not used where `ZBITPIX` is {bitpix}")),
        },
        _ => Ok(()),
    }
}

/// A gzip stream has to decompress to one of these numbers of bytes: cfitsio accepts any number.
fn check_gzip(stream: &[u8], expected: &[usize]) -> Result<(), String> {
    let most = expected.iter().max().copied().unwrap_or(0) as u64;
    let mut found = 0;
    let mut unpacked = flate2::bufread::GzDecoder::new(stream).take(most + 1);
    let mut piece = [0; 4096];
    loop {
        match unpacked.read(&mut piece).map_err(|error| format!("cannot be decompressed as gzip: {error}"))? {
            0 if expected.contains(&found) => return Ok(()),
            0 => return Err(format!("decompresses to {found} bytes or more, expected {}", expected[0])),
            read => found += read,
        }
    }
}

/// The header of an HCOMPRESS stream: magic, two sides, scale, sum, and the bit planes of three quadrants.
fn check_hcompress(stream: &[u8], pixels: &[usize], total: usize) -> Result<(), String> {
    let head: &[u8; 25] = stream.first_chunk().ok_or("is shorter than the header of HCOMPRESS")?;
    let side = |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (slow, fast) = (side(2), side(6));
    let mut long: Vec<usize> = pixels.iter().copied().filter(|side| *side > 1).collect();
    let mut found: Vec<usize> = [slow, fast].into_iter().filter(|side| *side > 1).map(|side| side as usize).collect();
    long.sort_unstable();
    found.sort_unstable();
    if head[..2] != [0xdd, 0x99] || slow < 1 || fast < 1 || long != found {
        return Err(format!("is an HCOMPRESS image of {slow} by {fast}, expected {total} pixels as {pixels:?}"));
    }
    if head[22..25].iter().any(|planes| *planes > 62) {
        return Err("has more bit planes than a number has bits".into());
    }
    Ok(())
}

/// The header of a PLIO line list: its length, and the first instruction, counted in words from one.
fn check_plio(stream: &[u8]) -> Result<(), String> {
    let words: Vec<i32> = stream.as_chunks().0.iter().map(|word| i32::from(i16::from_be_bytes(*word))).collect();
    let &[_, second, third, fourth, fifth, ..] = words.as_slice() else {
        return Err("is shorter than the header of PLIO".into());
    };
    let (length, first) = if third > 0 { (third, 4) } else { ((fifth << 15) + fourth, second + 1) };
    if length < 0 || length as usize > words.len() || first < 4 {
        return Err(format!("declares {length} words from word {first} on, but has {}", words.len()));
    }
    Ok(())
}

/// The padding after a stream, its length and its byte, which keeps a decoder of damaged bits within its buffer.
pub(super) fn padding(stream: &[u8], compression: TileCompression, pixels: &[usize]) -> (usize, u8) {
    let total: usize = pixels.iter().product();
    match compression {
        TileCompression::Gzip => (0, 0),
        // An instruction may read the word after it.
        TileCompression::Plio => (4, 0),
        // A block of at most 128 pixels begins within the stream. It takes at most 8 bytes per pixel if no byte is 0.
        TileCompression::Rice => (8 * total.min(128) + 64, 0xff),
        // Each bit plane takes at most two bits per pixel (a quadtree, or the plain bits) and the levels of the tree; the signs
        // come once. The header was checked to exist.
        TileCompression::Hcompress => {
            let planes = stream[22..25].iter().copied().max().map_or(0, usize::from);
            (planes * (total / 4 + 32) + total / 8 + 64, 0)
        }
    }
}
