//! Rice streams (FITS 4.0, section 10.4.1): the differences of neighbours, in blocks that share the number of bits that are stored
//! as they are; the bits above them are counted in zeros.

use multiversion::multiversion;

use super::bit_reader::BitReader;

/// How the pixels of a Rice stream are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RicePacking {
    /// Pixels in a block.
    pub(super) block: usize,
    /// Bytes of a pixel: 1 (unsigned), 2 or 4.
    pub(super) bytes: usize,
}

/// The codes at the beginning of blocks: 0 where all differences are zero, or 1 more than the number of bits that are stored as
/// they are.
#[derive(Clone, Copy)]
struct BlockCodes {
    /// Bits of a code, and of a pixel.
    code_bits: u32,
    pixel_bits: u32,
    /// The code of a block whose differences are stored as they are.
    uncoded: u32,
}

/// Decodes a stream that holds exactly these pixels.
#[multiversion(targets("x86_64+lzcnt+bmi1+bmi2"))]
pub(super) fn decode(stream: &[u8], packing: RicePacking, pixels: &mut [i32]) -> Result<(), String> {
    let codes = |code_bits, pixel_bits, uncoded| BlockCodes { code_bits, pixel_bits, uncoded };
    match packing.bytes {
        1 => decode_as(stream, packing.block, codes(3, 8, 7), |pixel| i32::from(pixel as u8), pixels),
        2 => decode_as(stream, packing.block, codes(4, 16, 15), |pixel| i32::from(pixel as i16), pixels),
        _ => decode_as(stream, packing.block, codes(5, 32, 26), |pixel| pixel as i32, pixels),
    }
}

/// The same for pixels of a size. Sums have 32 bits, of which a pixel is the lower ones.
#[inline(always)]
fn decode_as(
    stream: &[u8],
    block: usize,
    codes: BlockCodes,
    truncated: impl Fn(u32) -> i32,
    pixels: &mut [i32],
) -> Result<(), String> {
    let BlockCodes { code_bits, pixel_bits, uncoded } = codes;
    let mut bits = BitReader::new(stream);
    let total = pixels.len();
    let short = |at: usize| format!("ends after {at} of {total} pixels");
    let mut pixel = bits.take(pixel_bits).ok_or_else(|| short(0))?;
    for (number, block_pixels) in pixels.chunks_mut(block).enumerate() {
        let start = number * block;
        let code = bits.take(code_bits).ok_or_else(|| short(start))?;
        if code == 0 {
            block_pixels.fill(truncated(pixel));
        } else if code < uncoded {
            let low = code - 1;
            let mut largest = 0;
            for (at, out) in block_pixels.iter_mut().enumerate() {
                let difference = coded(&mut bits, low).ok_or_else(|| short(start + at))?;
                largest |= difference;
                pixel = pixel.wrapping_add(unfolded(difference as u32));
                *out = truncated(pixel);
            }
            if largest >> pixel_bits != 0 {
                return Err(format!("has a difference of more than {pixel_bits} bits after pixel {start}"));
            }
        } else if code == uncoded {
            for (at, out) in block_pixels.iter_mut().enumerate() {
                let difference = bits.take(pixel_bits).ok_or_else(|| short(start + at))?;
                pixel = pixel.wrapping_add(unfolded(difference));
                *out = truncated(pixel);
            }
        } else {
            return Err(format!("has a block with {} bits a pixel, expected at most {}", code - 1, uncoded - 2));
        }
    }
    bits.finish()
}

/// A difference: the number of zeros before the next one, and `low` bits after it.
#[inline(always)]
fn coded(bits: &mut BitReader, low: u32) -> Option<u64> {
    if bits.loaded() < 32 {
        bits.refill();
    }
    let word = bits.word();
    let zeros = word.leading_zeros();
    if zeros + 1 + low <= bits.loaded() {
        let rest = word << zeros << 1;
        bits.consume(zeros);
        bits.consume(1);
        bits.consume(low);
        return Some(u64::from(zeros) << low | rest >> 1 >> (63 - low));
    }
    let (value, after) = long_coded(*bits, low)?;
    *bits = after;
    Some(value)
}

/// The same after many zeros, or at the end of the stream.
#[cold]
#[inline(never)]
fn long_coded(mut bits: BitReader, low: u32) -> Option<(u64, BitReader)> {
    // No more zeros than the stream has bits.
    let zeros = bits.take_unary()?;
    let value = zeros.min(1 << 32) << low | u64::from(bits.take(low)?);
    Some((value, bits))
}

/// A difference is stored as twice its value, or, if it is negative, as one less than twice its absolute value.
fn unfolded(difference: u32) -> u32 {
    (difference >> 1) ^ (difference & 1).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of a text of bits; blanks and `|` separate.
    fn stream(bits: &str) -> Vec<u8> {
        let bits: Vec<u8> = bits.bytes().filter(|bit| b"01".contains(bit)).map(|bit| bit - b'0').collect();
        let byte = |bits: &[u8]| (0..8).fold(0, |byte, at| byte << 1 | bits.get(at).copied().unwrap_or(0));
        bits.chunks(8).map(byte).collect()
    }

    fn decoded(bits: &str, bytes: usize, pixels: usize) -> Result<Vec<i32>, String> {
        let mut out = vec![i32::MIN; pixels];
        decode(&stream(bits), RicePacking { block: 4, bytes }, &mut out).map(|()| out)
    }

    #[test]
    fn a_stream_holds_its_pixels_to_the_last_bit() {
        // One byte a pixel: the first one, then blocks of code 0 (zeros), 3 (two bits as they are) and 7 (eight of them).
        let first = "00000101";
        assert_eq!(decoded(&format!("{first} 000 000 00"), 1, 8), Ok(vec![5; 8]));
        // 1, 3, 0, 6 before they are unfolded: -1, -2, 0, 3.
        let unary = format!("{first} 011 1|01 1|11 1|00 01|10");
        assert_eq!(decoded(&unary, 1, 4), Ok(vec![4, 2, 2, 5]));
        let direct = format!("{first} 111 {} 0000 0001 0000 0010 1111 1111", "0000 0100");
        assert_eq!(decoded(&direct, 1, 4), Ok(vec![7, 6, 7, 135]));
        for complete in [unary, direct] {
            let length = stream(&complete).len();
            for cut in 0..length {
                let mut out = [0; 4];
                let packing = RicePacking { block: 4, bytes: 1 };
                let error = decode(&stream(&complete)[..cut], packing, &mut out).expect_err("cut off");
                assert!(error.starts_with("ends after ") && error.ends_with(" of 4 pixels"), "{error}");
            }
            assert!(decoded(&complete, 1, 40).is_err_and(|error| error.contains("of 40 pixels")));
            assert_eq!(decoded(&format!("{complete:0<80} 0000 0000"), 1, 4), decoded(&complete, 1, 4));
            let error = decoded(&format!("{complete:0<80} 0000 0001"), 1, 4).expect_err("another byte");
            assert!(error.ends_with("bytes after its last pixel, expected none"), "{error}");
        }
        assert!(decoded("0", 2, 1).is_err() && decoded("", 1, 1).is_err());
    }

    #[test]
    fn pixels_of_two_and_four_bytes_wrap_around() {
        // Codes of 4 and 5 bits, up to 15 and 26. The largest difference is -2^15 or -2^31.
        let words = |count| "1".repeat(count);
        let sixteen = format!("{} 1111 {}", "0".repeat(16), words(64));
        assert_eq!(decoded(&sixteen, 2, 4), Ok(vec![-32768, 0, -32768, 0]));
        let thirty_two = format!("{} 11010 {}", "0".repeat(32), words(128));
        assert_eq!(decoded(&thirty_two, 4, 4), Ok(vec![i32::MIN, 0, i32::MIN, 0]));
        let error = decoded(&format!("{} 11011 {}", "0".repeat(32), words(256)), 4, 4).expect_err("no such code");
        assert_eq!(error, "has a block with 26 bits a pixel, expected at most 24");
    }

    #[test]
    fn differences_fit_into_a_pixel() {
        // 13 bits as they are, and 8 above them.
        let error = decoded(&format!("{} 1110 {}1 {}", "0".repeat(16), "0".repeat(8), "1".repeat(13)), 2, 1);
        assert_eq!(error.expect_err("too large"), "has a difference of more than 16 bits after pixel 0");
        let mut bytes = stream(&format!("{} 00010", "0".repeat(32)));
        bytes.extend([0; 4096]);
        let packing = RicePacking { block: 32, bytes: 4 };
        assert!(decode(&bytes, packing, &mut [0]).is_err());
        *bytes.last_mut().expect("bytes") = 3;
        let mut pixel = [0];
        decode(&bytes, packing, &mut pixel).expect("a long run of zeros");
        // 3 + 8 * 4095 + 6 zeros before the one, and a bit as it is.
        assert_eq!(pixel, [-(32_769 + 1)]);
    }
}
