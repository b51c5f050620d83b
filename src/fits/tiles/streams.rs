//! The compressed streams of tiles: checks, and padding for damaged ones.

use std::io::Read;

use super::{CompressedTable, TileColumn, TileCompression, element_bytes, rice::check_rice};

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
            TileCompression::Rice => check_rice(stream, table.rice, total),
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
        // The stream was checked to hold its pixels; the decoder looks a byte ahead.
        TileCompression::Rice => (8, 0xff),
        // Each bit plane takes at most two bits per pixel (a quadtree, or the plain bits) and the levels of the tree; the signs
        // come once. The header was checked to exist.
        TileCompression::Hcompress => {
            let planes = stream[22..25].iter().copied().max().map_or(0, usize::from);
            (planes * (total / 4 + 32) + total / 8 + 64, 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn gzip_streams_have_to_decompress_to_an_expected_length() {
        let packed = |length: usize| {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(&vec![1; length]).expect("packed");
            packed.finish().expect("packed")
        };
        for (length, fits) in
            [(10_000, true), (20_000, true), (9_999, false), (10_001, false), (20_001, false), (0, false)]
        {
            assert_eq!(check_gzip(&packed(length), &[10_000, 20_000]).is_ok(), fits, "{length}");
        }
        let error = check_gzip(&packed(1 << 20), &[16]).expect_err("a gzip bomb");
        assert_eq!(error, "decompresses to 17 bytes or more, expected 16");
        assert!(check_gzip(&packed(10_000)[..20], &[10_000]).is_err_and(|error| error.contains("as gzip")));
    }

    /// The header of an HCOMPRESS stream of a size, with the bit planes of its quadrants.
    fn hcompress(slow: i32, fast: i32, planes: [u8; 3]) -> Vec<u8> {
        let mut stream = vec![0xdd, 0x99];
        stream.extend(slow.to_be_bytes());
        stream.extend(fast.to_be_bytes());
        stream.extend([0; 12]);
        stream.extend(planes);
        stream
    }

    #[test]
    fn hcompress_streams_have_the_sides_of_the_tile_and_possible_bit_planes() {
        let fits = |stream: &[u8], pixels: &[usize]| check_hcompress(stream, pixels, pixels.iter().product()).is_ok();
        assert!(fits(&hcompress(12, 17, [5, 6, 7]), &[12, 17]));
        // The order of the sides differs between writers, and sides of 1 do not count.
        assert!(fits(&hcompress(17, 12, [0; 3]), &[1, 12, 17]));
        assert!(fits(&hcompress(1, 17, [62; 3]), &[17]));
        assert!(!fits(&hcompress(12, 16, [0; 3]), &[12, 17]));
        assert!(!fits(&hcompress(0, 17, [0; 3]), &[17]));
        assert!(!fits(&hcompress(17, -1, [0; 3]), &[17]));
        for planes in [[63, 0, 0], [0, 63, 0], [0, 0, 63]] {
            assert!(!fits(&hcompress(12, 17, planes), &[12, 17]), "{planes:?}");
        }
        assert!(!fits(&hcompress(12, 17, [0; 3])[..24], &[12, 17]));
        let mut magic = hcompress(12, 17, [0; 3]);
        magic[1] = 0x98;
        assert!(!fits(&magic, &[12, 17]));
    }

    #[test]
    fn plio_line_lists_lie_within_their_stream() {
        let fits = |words: &[i16]| {
            let stream: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            check_plio(&stream).is_ok()
        };
        // The old header: the length is the third word. In the new one it is the fifth (times 2^15) and fourth.
        assert!(fits(&[0, 0, 5, 0, 0]));
        assert!(!fits(&[0, 0, 6, 0, 0]));
        assert!(fits(&[0, 7, -100, 5, 0]));
        assert!(!fits(&[0, 7, -100, 6, 0]));
        assert!(!fits(&[0, 7, -100, 0, 1]));
        assert!(!fits(&[0, 7, -100, 0, -1]));
        assert!(fits(&[0, 3, 0, 5, 0]) && !fits(&[0, 2, 0, 5, 0]));
        assert!(!fits(&[0, 0, 4, 0]));
    }

    #[test]
    fn padding_covers_what_a_decoder_can_read_past_the_end() {
        assert_eq!(padding(&[], TileCompression::Gzip, &[10, 10]), (0, 0));
        assert_eq!(padding(&[], TileCompression::Plio, &[10, 10]), (4, 0));
        assert_eq!(padding(&[], TileCompression::Rice, &[10, 100]), (8, 0xff));
        let stream = hcompress(12, 16, [3, 9, 5]);
        assert_eq!(padding(&stream, TileCompression::Hcompress, &[12, 16]), (9 * (48 + 32) + 24 + 64, 0));
    }
}
