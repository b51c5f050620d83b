//! Gzip streams (FITS 4.0, section 10.4.2; RFC 1952): one member, whose checksum and length are verified.

use flate2::{Decompress, FlushDecompress, Status};

use super::bit_reader::no_leftovers;

/// Decompresses streams into one buffer. The state of the decompressor is reused: for a small tile, making it takes longer than
/// decompressing.
#[derive(Default)]
pub(super) struct Gunzip {
    state: Option<Decompress>,
    bytes: Vec<u8>,
}

impl Gunzip {
    /// The bytes of a stream that has to decompress to one of these numbers of bytes, in ascending order.
    pub(super) fn decode(&mut self, stream: &[u8], lengths: &[usize]) -> Result<&[u8], String> {
        let damaged = |reason: &str| format!("cannot be decompressed as gzip: {reason}");
        let deflated = after_header(stream).ok_or_else(|| damaged("the header is damaged"))?;
        let most = lengths.last().copied().unwrap_or(0);
        // One more, by which a stream that is too long is recognised.
        self.bytes.resize(most + 1, 0);
        let state = self.state.get_or_insert_with(|| Decompress::new(false));
        state.reset(false);
        let status = state.decompress(deflated, &mut self.bytes, FlushDecompress::Finish);
        let (used, found) = (state.total_in() as usize, state.total_out() as usize);
        match status.map_err(|error| damaged(&error.to_string()))? {
            Status::StreamEnd if lengths.contains(&found) => {}
            _ if found > most => return Err(format!("decompresses to more than {most} bytes")),
            Status::StreamEnd => return Err(format!("decompresses to {found} bytes, expected {most}")),
            _ => return Err(damaged(&format!("the stream ends after {found} of {most} bytes"))),
        }
        let (trailer, rest) = deflated[used..].split_first_chunk().ok_or_else(|| damaged("the checksum is missing"))?;
        let [a, b, c, d, length @ ..]: [u8; 8] = *trailer;
        let bytes = &self.bytes[..found];
        if u32::from_le_bytes([a, b, c, d]) != crc32fast::hash(bytes) || u32::from_le_bytes(length) != found as u32 {
            return Err(damaged("the checksum is not that of the bytes"));
        }
        no_leftovers(rest)?;
        Ok(bytes)
    }
}

/// What follows the header of a member; `None` if it is damaged.
fn after_header(stream: &[u8]) -> Option<&[u8]> {
    const DEFLATE: u8 = 8;
    const HEADER_CRC: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    let ([0x1f, 0x8b, DEFLATE, flags, _, _, _, _, _, _], mut rest) = stream.split_first_chunk()? else { return None };
    if *flags >= 32 {
        return None;
    }
    if flags & EXTRA != 0 {
        let (length, after) = rest.split_first_chunk()?;
        rest = after.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & HEADER_CRC != 0 { rest.get(2..) } else { Some(rest) }
}

/// The big-endian numbers of a tile of `GZIP_1`, whose bytes are in the order of the pixels.
pub(super) fn in_order<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks().0.iter().copied()
}

/// The big-endian numbers of a tile of `GZIP_2`: the first bytes of all pixels, then the second ones, and so on.
pub(super) fn shuffled<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    let pixels = bytes.len() / N;
    let mut parts = bytes.chunks_exact(pixels.max(1));
    let parts: [&[u8]; N] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    let parts = parts.map(|part| &part[..pixels]);
    (0..pixels).map(move |pixel| parts.map(|part| part[pixel]))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, GzBuilder};

    use super::*;

    fn packed(bytes: &[u8], header: GzBuilder) -> Vec<u8> {
        let mut packed = header.write(Vec::new(), Compression::fast());
        packed.write_all(bytes).expect("packed");
        packed.finish().expect("packed")
    }

    fn unpacked(stream: &[u8], lengths: &[usize]) -> Result<Vec<u8>, String> {
        Gunzip::default().decode(stream, lengths).map(<[u8]>::to_vec)
    }

    #[test]
    fn streams_have_to_decompress_to_an_expected_length() {
        let packed = |length: usize| packed(&vec![1; length], GzBuilder::new());
        let mut gunzip = Gunzip::default();
        for (length, fits) in [
            (10_000, true),
            (20_000, true),
            (9_999, false),
            (10_001, false),
            (20_001, false),
            (0, false),
            (10_000, true),
        ] {
            assert_eq!(gunzip.decode(&packed(length), &[10_000, 20_000]).is_ok(), fits, "{length}");
        }
        let error = unpacked(&packed(1 << 20), &[16]).expect_err("a gzip bomb");
        assert_eq!(error, "decompresses to more than 16 bytes");
        let error = unpacked(&packed(15), &[16]).expect_err("too short");
        assert_eq!(error, "decompresses to 15 bytes, expected 16");
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_found() {
        let bytes: Vec<u8> = (0..500_u32).map(|byte| (byte * byte / 8) as u8).collect();
        let whole = packed(&bytes, GzBuilder::new());
        assert_eq!(unpacked(&whole, &[500]).expect("whole"), bytes);
        for cut in 0..whole.len() {
            let error = unpacked(&whole[..cut], &[500]).expect_err("cut off");
            assert!(error.starts_with("cannot be decompressed as gzip: "), "{error}");
        }
        // The time, the flags of the compressor and the system (bytes 4 to 9) mean nothing for the pixels.
        for bit in (0..32).chain(80..8 * whole.len()) {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(unpacked(&flipped, &[500]).map_or(true, |found| found == bytes), "{bit}");
        }
        assert_eq!(unpacked(&[whole.as_slice(), &[0; 3]].concat(), &[500]).expect("padded"), bytes);
        assert!(unpacked(&[whole.as_slice(), &[0, 1]].concat(), &[500]).is_err_and(|error| error.contains("2 bytes")));
    }

    #[test]
    fn headers_can_have_names_comments_and_extra_fields() {
        for header in [
            GzBuilder::new().filename("name"),
            GzBuilder::new().comment("comment").filename("name"),
            GzBuilder::new().extra([1, 2, 3]).comment("comment"),
        ] {
            let stream = packed(&[7; 9], header);
            assert_eq!(unpacked(&stream, &[9]).expect("a header"), [7; 9]);
            assert!((0..20).all(|cut| unpacked(&stream[..cut], &[9]).is_err()));
        }
    }

    #[test]
    fn shuffled_bytes_are_collected_from_their_planes() {
        let plain: Vec<[u8; 4]> = in_order(&[1, 2, 3, 4, 5, 6, 7, 8]).collect();
        assert_eq!(plain, [[1, 2, 3, 4], [5, 6, 7, 8]]);
        let shuffled: Vec<[u8; 4]> = shuffled(&[1, 5, 2, 6, 3, 7, 4, 8]).collect();
        assert_eq!(shuffled, plain);
        assert_eq!(super::shuffled::<2>(&[]).count(), 0);
    }
}
